"""The first contact with the command line: its speed, its help, its end."""

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import pytest
from support.programs import installed
from typer.main import get_command
from typer.testing import CliRunner

from canopy_async.cli.app import app

unmeasured = pytest.mark.skipif(
    "COVERAGE_PROCESS_START" in os.environ,
    reason="coverage loads modules and catches SIGTERM in each process",
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX processes")

SLOW = ("aiohttp", "pyarrow", "asyncio", "sqlite3", "msgspec", "canopy_async.session")
PROGRAM = """
import sys
from canopy_async.cli import main
sys.argv = ["canopy-async", *sys.argv[1:]]
try:
    main()
finally:
    loaded = [name for name in {slow!r} if name in sys.modules]
    print("loaded:", *loaded, file=sys.stderr)
"""


def ended(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(slow=SLOW), *arguments],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


@unmeasured
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--version"], 0),
        (["--help"], 0),
        (["events", "--help"], 0),
        (["no-such-command"], 2),
        (["events", "idn_1", "--bogus"], 2),
        (["events", "idn_1", "--limit", "many"], 2),
        (["events"], 2),
    ],
)
def test_what_needs_no_network_loads_nothing_for_it(arguments, status):
    end = ended(*arguments)
    assert end.returncode == status
    assert end.stderr.splitlines()[-1] == "loaded:"


@pytest.mark.parametrize(
    ("arguments", "slow"),
    [
        (["events", "idn_1", "--bogus"], ("rich.console", "pydantic")),
        (["nothing"], ("rich.console", "pydantic")),
        (["--help"], ("pydantic",)),
        (["events", "--help"], ("pydantic",)),
        (["--version"], ("rich.console", "pydantic")),
    ],
)
def test_help_and_wrong_usage_load_nothing_that_they_do_not_need(arguments, slow):
    program = PROGRAM.format(slow=slow)
    end = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert end.stderr.splitlines()[-1] == "loaded:"


def test_minus_h_is_help():
    runner = CliRunner()
    assert runner.invoke(app, ["-h"]).output == runner.invoke(app, ["--help"]).output
    assert runner.invoke(app, ["events", "-h"]).exit_code == 0


def test_each_command_has_an_example_that_its_options_take():
    group = get_command(app)
    assert group.commands
    for name, found in group.commands.items():
        lines = [line for line in found.epilog.splitlines() if line]
        assert lines
        for line in lines:
            label, program, given, *arguments = shlex.split(line)
            assert (label, program, given) == ("Example:", "canopy-async", name)
            context = found.make_context(name, arguments)
            assert context.params


def test_commands_are_in_panels_in_an_order_that_tells_a_story():
    commands = get_command(app).commands
    assert next(iter(commands)) == "demo"
    assert list(commands)[-3:] == ["export", "verify", "report"]
    assert all(found.rich_help_panel for found in commands.values())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_complete_commands_and_options(shell):
    env = {"_CANOPY_ASYNC_COMPLETE": f"source_{shell}", "PATH": os.environ["PATH"]}
    words = {"COMP_WORDS": "canopy-async ev", "COMP_CWORD": "1"}
    words["_TYPER_COMPLETE_ARGS"] = "canopy-async ev"
    words["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    script = ended(env=env)
    assert "canopy-async" in script.stdout
    env["_CANOPY_ASYNC_COMPLETE"] = f"complete_{shell}"
    assert "events" in ended(env=env | words).stdout


@pytest.mark.parametrize(
    "arguments", [["--help"], ["events", "--help"], ["--version"]], ids=" ".join
)
async def test_a_reader_that_left_is_status_141_everywhere(arguments):
    reads, writes = os.pipe()
    os.close(reads)
    async with installed(*arguments, stdout=writes, env=dict(os.environ)) as process:
        os.close(writes)
        _, err = await process.communicate()
    assert process.returncode == 141
    assert b"Traceback" not in err


@pytest.mark.parametrize("columns", ["0", "00"])
def test_a_terminal_of_no_columns_is_taken_for_an_unknown_one(columns):
    plain = {k: v for k, v in os.environ.items() if k != "COLUMNS"}
    expected = ended("--help", env=plain).stdout
    assert ended("--help", env=plain | {"COLUMNS": columns}).stdout == expected


STOP = """
import os, signal, sys
from canopy_async.cli import main
import canopy_async.export as export

def hang(*_, **__):
    try:
        os.write(1, b"begun\\n")
        while True:
            signal.pause()
    finally:
        os.write(1, b"cleaned up\\n")

export.verify = export.write_report = hang
sys.argv = ["canopy-async", *sys.argv[1:]]
main()
"""


@unmeasured
@pytest.mark.parametrize("arguments", [["verify", "out"], ["report", "out"]])
async def test_sigterm_ends_verify_and_report_with_a_status_of_their_own(arguments):
    # Killed by the signal itself, the status would be negative; and process 1 of a
    # container would not end at all.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STOP, *arguments),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    async with asyncio.timeout(30):
        assert await process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGTERM)
        out, err = await process.communicate()
    assert (process.returncode, out, err) == (143, b"cleaned up\n", b"")


STARTING = """
import os, signal
import canopy_async.cli as cli

def hang(_name):
    os.write(1, b"begun\\n")
    while True:
        signal.pause()

cli.import_module = hang  # which takes most of the time until a command begins
cli.main()
"""


@contextlib.asynccontextmanager
async def first_process(*arguments):
    """The first process of a container, and its number outside of it."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no unshare here")
    process = await asyncio.create_subprocess_exec(
        *(unshare, "--pid", "--fork", "--kill-child", "--mount-proc"),
        *(sys.executable, *arguments),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        if not await process.stdout.readline():
            pytest.skip(f"not permitted: {await process.stderr.read()}")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        yield process, int(await asyncio.to_thread(children.read_text))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@unmeasured
@pytest.mark.parametrize(
    ("program", "arguments", "cleaned"),
    [
        (STOP, ["verify", "out"], b"cleaned up\n"),
        (STOP, ["report", "out"], b"cleaned up\n"),
        (STARTING, [], b""),
    ],
    ids=["verify", "report", "while it starts"],
)
async def test_sigterm_ends_the_first_process_of_a_container(
    program, arguments, cleaned
):
    # Nothing but SIGKILL does by default: the kernel spares the first process.
    async with asyncio.timeout(40), first_process("-c", program, *arguments) as started:
        process, number = started
        os.kill(number, signal.SIGTERM)
        out, err = await process.communicate()
    assert (process.returncode, out, err) == (143, cleaned, b"")


def test_where_workers_get_the_token_is_said_of_that_option(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    dask = pytest.importorskip("dask")
    monkeypatch.setenv("CANOPY_ACCOUNT", "acme")
    with dask.config.set({"distributed.comm.timeouts.connect": "100ms"}):
        result = CliRunner().invoke(
            app,
            [
                *("export", "idn_1", "--out", str(tmp_path / "out")),
                *("--dask", "tcp://127.0.0.1:9", "--token-from", "nomodule:f"),
            ],
        )
    assert "--token:" not in result.output
