"""Ctrl-C at any time: it ends a command, and no traceback is shown."""

import asyncio
import os
import shutil
import signal
import sys
import sysconfig
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support import stopping
from support.waiting import until

from canopy_async._util.interrupts import end_at_once, is_command, raise_again
from canopy_async.testing import Faults

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

PATIENCE = 40
SCRIPT = (Path(sysconfig.get_path("scripts")) / "canopy-async",)
MODULE = (sys.executable, "-m", "canopy_async")


@pytest.fixture
def started(server, tmp_path):
    """Starts a command in a process that stops at a place."""
    places = tmp_path / "site"
    places.mkdir()
    shutil.copy(stopping.__file__, places / "sitecustomize.py")

    @asynccontextmanager
    async def start(*arguments, program=SCRIPT, **where):
        env = {k: v for k, v in os.environ.items() if not k.startswith("CANOPY_")}
        env |= {"CANOPY_ACCOUNT": server.account, "CANOPY_TOKEN": server.token}
        env |= {"CANOPY_BASE_URL": server.base_url, "PYTHONPATH": str(places), **where}
        process = await asyncio.create_subprocess_exec(
            *program, *arguments, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=env
        )
        try:
            async with asyncio.timeout(PATIENCE):
                yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    return start


async def end_of(process):
    """Interrupt a process where it has stopped; return its status and output."""
    said = b""
    while (line := await process.stderr.readline()) != stopping.STOPPED:
        assert line, said
        said += line
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    return process.returncode, out, said + err


@pytest.mark.parametrize("program", [SCRIPT, MODULE], ids=["script", "module"])
@pytest.mark.parametrize(
    "module",
    [
        "canopy_async.errors",
        "typer",
        "canopy_async.cli.app",
        "aiohttp",
    ],
)
async def test_ctrl_c_in_the_first_instants_ends_a_command_quietly(
    started, program, module
):
    async with started("events", "a", program=program, STOP_AT=module) as process:
        assert await end_of(process) == (130, b"", b"")


@pytest.mark.parametrize("where", ["aclose", "thread"])
@pytest.mark.parametrize("command", ["events", "follow", "export"])
async def test_a_second_ctrl_c_ends_a_command_whose_clean_up_hangs(
    server, started, command, where, tmp_path
):
    server.seed_events("idn_1", 20)
    server.faults = Faults(hang_rate=1.0)
    options = ("--out", tmp_path / "out") if command == "export" else ()
    async with started(command, "idn_1", *options, HANG_IN=where) as process:
        await until(lambda: server.requests)
        process.send_signal(signal.SIGINT)
        status, out, err = await end_of(process)
    assert (status, out) == (130, b"")
    assert b"Traceback" not in err
    assert b"never awaited" not in err


@pytest.mark.parametrize("command", ["events", "follow", "export"])
async def test_ctrl_c_twice_at_once_ends_a_command(server, started, command, tmp_path):
    server.seed_events("idn_1", 20)
    server.faults = Faults(hang_rate=1.0)
    options = ("--out", tmp_path / "out") if command == "export" else ()
    async with started(command, "idn_1", *options) as process:
        await until(lambda: server.requests)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    # While the interpreter itself ends, a signal does what it does to any program.
    assert process.returncode in {0, 130, -signal.SIGINT}
    assert b"Traceback" not in err
    assert b"never awaited" not in err


async def test_the_module_is_the_command(started):
    async with started("--version", program=MODULE) as process:
        out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert out.startswith(b"canopy-async ")


@pytest.mark.parametrize(
    ("argv", "started_as", "is_it"),
    [
        (
            ["/usr/bin/canopy-async", "events"],
            ["python", "/usr/bin/canopy-async"],
            True,
        ),
        (["canopy-async.exe"], ["canopy-async.exe"], True),
        (["-m", "events"], ["python", "-m", "canopy_async", "events"], True),
        (["-m"], ["python", "-m", "pytest"], False),
        (["app.py"], ["python", "app.py"], False),
        ([""], ["python"], False),
        ([], [], False),
    ],
)
def test_a_process_knows_whether_it_is_the_command(
    monkeypatch, argv, started_as, is_it
):
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", started_as)
    assert is_command() is is_it


def test_another_handler_of_ctrl_c_is_left_alone():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        end_at_once()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        signal.signal(signal.SIGINT, signal.default_int_handler)
        end_at_once()
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        raise_again()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
