"""The command line as a user runs it: in a process, some of it as it is installed."""

import asyncio
import functools
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager

import attrs
import pytest
from aiohttp import web
from support.programs import command, installed

from canopy_async import CanopySession, converter
from canopy_async.testing import Faults, LocalCanopy

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals, ptys")

PATIENCE = 30
ESC = "\x1b"


@attrs.frozen
class Ended:
    """What is left of a process."""

    status: int
    out: str
    err: str


@pytest.fixture
async def server():
    async with LocalCanopy() as local:
        yield local


def environment(server=None, **variables):
    env = {k: v for k, v in os.environ.items() if not k.startswith("CANOPY_")}
    env |= {"COLUMNS": "120", "TERM": "xterm-256color"}
    if server is not None:
        env |= {
            "CANOPY_ACCOUNT": server.account,
            "CANOPY_TOKEN": server.token,
            "CANOPY_BASE_URL": server.base_url,
        }
    return env | variables


the_script = functools.partial(
    installed,
    # Inherited as ignored where the tests run as a shell's background job.
    preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
)


@asynccontextmanager
async def started(*arguments, env, stdout=PIPE, start=command):
    async with (
        asyncio.timeout(PATIENCE),
        start(*arguments, env=env, stdout=stdout) as process,
    ):
        yield process


async def finished(*arguments, env, **options) -> Ended:
    async with started(*arguments, env=env, **options) as process:
        out, err = await process.communicate()
        ended = Ended(process.returncode, (out or b"").decode(), err.decode())
    token = env.get("CANOPY_TOKEN")
    assert token is None or token not in ended.out + ended.err
    return ended


async def on_terminal(*arguments, env) -> Ended:
    """Run the script with standard output on a pseudo-terminal."""
    terminal, its_end = os.openpty()
    reading = asyncio.create_task(asyncio.to_thread(read_terminal, terminal))
    try:
        ended = await finished(*arguments, env=env, stdout=its_end)
    finally:
        os.close(its_end)
        shown = await reading
        os.close(terminal)
    return attrs.evolve(ended, out=shown.decode())


def read_terminal(fd):
    shown = b""
    while True:
        try:
            data = os.read(fd, 65_536)
        except OSError:  # what Linux says when the other end was closed
            return shown
        if not data:
            return shown
        shown += data


@asynccontextmanager
async def error_server(body):
    """Answer every request with a 403 whose message is ``body(request)``."""

    async def handle(request):
        return web.json_response({"message": body(request)}, status=403)

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_events_in_a_pipe_are_json_lines_of_the_wire_form(server):
    server.seed_events("idn_1", 250)
    env = environment(server)
    ended = await finished("events", "idn_1", env=env, start=the_script)
    async with CanopySession(
        server.account, server.token, base_url=server.base_url
    ) as canopy:
        events = await canopy.events("idn_1").collect()
    assert (ended.status, ended.err) == (0, "")
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert lines == [converter.unstructure(event) for event in events]
    assert any(line["metadata"] for line in lines)


async def test_options_of_a_read_reach_the_server(server):
    server.seed_events("idn_1", 300)
    ended = await finished(
        *("events", "idn_1", "--q", "auth", "--order", "asc"),
        *("--sort-by", "created_at", "--limit", "20", "--take", "10"),
        *("--concurrency", "1", "--account", "acme"),
        env=environment(server, CANOPY_ACCOUNT="overridden"),
    )
    assert (ended.status, len(ended.out.splitlines())) == (0, 20)
    assert server.peak_in_flight == 1
    asked = server.requests[0]
    assert asked.account == "acme"
    sent = {"q": "auth", "order": "asc", "sort_by": "created_at"}
    assert sent.items() <= dict(asked.query).items()


async def test_identities_are_listed_and_filtered(server):
    first, second = server.seed_identities(2)
    server.add_identity(id="idn_gone", is_active=False)
    env = environment(server)
    listed = await finished("identities", "--order", "asc", env=env)
    inactive = await finished("identities", "--status", "inactive", env=env)
    ids = [json.loads(line)["id"] for line in listed.out.splitlines()]
    assert sorted(ids) == sorted([first, second, "idn_gone"])
    assert "idn_gone" in inactive.out
    assert first not in [json.loads(line)["id"] for line in inactive.out.splitlines()]


async def test_a_terminal_gets_one_table_for_many_pages(server):
    server.seed_events("idn_1", 250)
    server.add_event(
        "idn_1",
        action=f"[red]x[/red]:bug:{ESC}]0;x\x07",
        actor_label="\u202eab\x9bc\x7f",
    )
    ended = await on_terminal("events", "idn_1", env=environment(server))
    lines = ended.out.splitlines()
    assert (ended.status, ended.err, len(lines)) == (0, "", 252)
    assert sum("severity" in line for line in lines) == 1
    assert "[red]x[/red]:bug:\\x1b]0;x\\x07" in ended.out
    assert r"\u202eab\x9bc\x7f" in ended.out
    assert not set("\u202e\x9b\x7f\x07") & set(ended.out)
    assert f"{ESC}]" not in ended.out


async def test_json_lines_hold_no_character_that_a_terminal_obeys(server):
    nasty = f"a{ESC}[2J\x7f\x9b31m\u202e\u2066\u2028\ufeff\U000e0041 é 👩\u200d💻"
    server.add_event("idn_1", action=nasty, metadata={nasty: [nasty]})
    ended = await finished("events", "idn_1", env=environment(server))
    (line,) = ended.out.splitlines()
    assert line.isprintable()
    assert "é" in line
    event = json.loads(line)
    assert (event["action"], event["metadata"]) == (nasty, {nasty: [nasty]})


async def test_an_api_error_is_one_line_and_status_1(server):
    ended = await finished("events", "nobody", env=environment(server))
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith("canopy-async: 404 [identity.not_found] ")
    assert ended.err.count("\n") == 1


async def test_a_network_error_is_one_line_and_status_1(server):
    async with server.outage():
        env = environment(server)
        ended = await finished("identities", "--patience", "0.1", env=env)
    assert (ended.status, ended.err.count("\n")) == (1, 1)
    assert "Traceback" not in ended.err


async def test_an_error_line_shows_neither_control_characters_nor_the_token():
    def message(request):
        return f"{ESC}[31m\u202e\x9b\nno: {request.headers['Authorization']}"

    env = environment(CANOPY_ACCOUNT="acme", CANOPY_TOKEN="tok-secret-1")
    async with error_server(message) as url:
        ended = await finished(
            "events", "tok-secret-1", "--base-url", url, env=env
        )  # as an identity, the token is part of the URL
    assert (ended.status, ended.err.count("\n")) == (1, 1)
    assert ended.err.rstrip("\n").isprintable()
    assert "\\x1b[31m" in ended.err
    assert "/identities/<redacted>/audit" in ended.err


@pytest.mark.parametrize(
    "arguments", [("events",), ("follow", "--until-caught-up", "--start", "beginning")]
)
async def test_an_error_line_shows_no_token_however_a_url_escapes_it(arguments):
    token = "abC/dE+f=g.h-i_j~k/0123456789"
    env = environment(CANOPY_ACCOUNT="acme", CANOPY_TOKEN=token)
    async with error_server(lambda _: "no") as url:
        ended = await finished(*arguments, token, "--base-url", url, env=env)
    assert ended.status != 0
    assert "0123456789" not in ended.out + ended.err
    assert "/identities/<redacted>/audit" in ended.err


async def test_wrong_usage_and_missing_configuration_are_status_2(server):
    env = environment(server)
    arguments = ("events", "idn_1", "--take", "0")
    wrong = await finished(*arguments, env=env, start=the_script)
    missing = await finished("identities", env=environment())
    assert (wrong.status, wrong.out) == (2, "")
    assert "--take: must be from 1 to 100" in wrong.err
    assert (missing.status, missing.out) == (2, "")
    assert "CANOPY_ACCOUNT" in missing.err
    assert server.requests == []


async def test_a_reader_that_leaves_ends_the_read_promptly_and_quietly(server):
    server.seed_events("idn_1", 20_000)
    ours, theirs = os.pipe()
    env = environment(server)
    async with started("events", "idn_1", env=env, stdout=theirs) as process:
        os.close(theirs)
        with os.fdopen(ours, "rb") as head:
            line = await asyncio.to_thread(head.readline)
        _, err = await process.communicate()
    assert json.loads(line)["id"] == server.event_ids("idn_1", order="desc")[0]
    assert (process.returncode, err) == (141, b"")
    assert len(server.requests) < 200


async def test_a_full_disk_is_an_error_not_a_success(server):
    server.seed_events("idn_1", 10)
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        env = environment(server)
        ended = await finished("events", "idn_1", env=env, stdout=full)
    finally:
        os.close(full)
    assert (ended.status, ended.err.count("\n")) == (1, 1)
    assert "No space left" in ended.err


@pytest.mark.parametrize(
    ("number", "status", "start"),
    [(signal.SIGINT, 130, the_script), (signal.SIGTERM, 143, command)],
)
async def test_a_signal_ends_a_read_quietly(server, number, status, start):
    server.seed_events("idn_1", 1_000)
    server.faults = Faults(hang_rate=1, only=lambda request: request.page > 2)
    env = environment(server)
    async with started("events", "idn_1", env=env, start=start) as process:
        await process.stdout.readline()
        process.send_signal(number)
        _, err = await process.communicate()
    assert (process.returncode, err) == (status, b"")


async def test_the_demo_needs_nothing_and_says_what_it_did():
    ended = await finished(
        "demo", "--events", "2500", "--latency", "1", env=environment()
    )
    assert (ended.status, ended.err) == (0, "")
    assert ESC not in ended.out
    for said in ("Made 2,500 events in", "Read 2,500 events in", "events/s", "report"):
        assert said in ended.out
    facts = [line.split(maxsplit=1) for line in ended.out.splitlines() if line.strip()]
    assert ["events", "2,500"] in [[word.strip() for word in fact] for fact in facts]


async def test_the_demo_shows_its_progress_on_a_terminal():
    ended = await on_terminal("demo", "--events", "500", env=environment())
    assert (ended.status, ended.err) == (0, "")
    assert "Making events" in ended.out
    assert "━" in ended.out
    assert "500/500" in ended.out


@asynccontextmanager
async def serving(*arguments):
    """Start ``serve`` and yield the process with what it told to export."""
    env = environment()
    async with started("serve", "--port", "0", *arguments, env=env) as process:
        told = {}
        while not (line := (await process.stdout.readline()).decode()).startswith(
            "curl"
        ):
            assert line, (await process.stderr.read()).decode()
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").strip().partition("=")
                told[name] = value
        yield process, told


async def read_served(told):
    async with CanopySession(
        told["CANOPY_ACCOUNT"], told["CANOPY_TOKEN"], base_url=told["CANOPY_BASE_URL"]
    ) as canopy:
        ids = [identity.id async for identity in canopy.identities()]
        return {id_: await canopy.events(id_).count() for id_ in ids}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_serve_can_be_reached_as_it_says_and_ends_with_status_0(number, tmp_path):
    path = str(tmp_path / "rows.db")
    made = ("--identities", "3", "--events", "40", "--path", path)
    async with serving(*made) as (process, told):
        counts = await read_served(told)
        process.send_signal(number)
        _, err = await process.communicate()
    assert counts == {"idn_1": 40, "idn_2": 40, "idn_3": 40}
    assert process.returncode == 0
    assert "Traceback" not in err.decode()
    if number == signal.SIGTERM:
        return
    async with serving(*made) as (_, told):
        assert await read_served(told) == counts


async def test_serve_adds_events_while_it_runs_so_that_follow_has_some():
    made = ("--identities", "2", "--events", "3", "--rate", "50")
    async with serving("--host", "127.0.0.1", *made) as (_, told):
        before = await read_served(told)
        assert sum(before.values()) >= 6
        async with asyncio.timeout(PATIENCE):
            while sum((await read_served(told)).values()) < 16:
                pass


async def test_serve_says_that_its_port_is_taken(server):
    port = server.base_url.rpartition(":")[2]
    ended = await finished("serve", "--port", port, env=environment())
    assert (ended.status, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert "in use" in ended.err
