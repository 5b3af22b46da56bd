"""``canopy-async export --log`` as a user runs it, in a process."""

import asyncio
import os
import re
import signal
import sys
from datetime import UTC, datetime, timedelta

import pytest
from support.exports import ids_of
from support.programs import command
from support.waiting import until
from typer.testing import CliRunner

from canopy_async.cli.app import app
from canopy_async.export import Status, read_manifest, verify
from canopy_async.testing import Faults, LocalCanopy, LogRules

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

PATIENCE = 30
START = datetime(2026, 3, 1, tzinfo=UTC)
QUIET = LogRules(own_rows="none")


@pytest.fixture
async def server():
    async with LocalCanopy(log_rules=QUIET) as local:
        for number in range(3):
            start = START + timedelta(seconds=number)
            local.seed_events(f"idn_{number}", 150, start=start)
        yield local


@pytest.fixture
def out(tmp_path):
    """Where to export to."""
    return tmp_path / "out"


def environment(server):
    env = {k: v for k, v in os.environ.items() if not k.startswith("CANOPY_")}
    return env | {
        "CANOPY_ACCOUNT": server.account,
        "CANOPY_TOKEN": server.token,
        "CANOPY_BASE_URL": server.base_url,
        "COLUMNS": "200",
    }


def started(server, *arguments):
    return command(*arguments, env=environment(server))


async def ended(server, *arguments):
    async with asyncio.timeout(PATIENCE), started(server, *arguments) as process:
        said, err = await process.communicate()
    assert server.token.encode() not in said + err
    return process.returncode, said.decode(), err.decode()


def made(server):
    return [row["id"] for row in server.account_events()][::-1]


async def test_the_log_is_exported_verified_and_added_to(server, out):
    status, said, err = await ended(server, "export", "--log", "--out", out)
    assert (status, err) == (0, "")
    summary, covered = said.splitlines()
    assert summary.startswith(f"{out}: 450 new events into 1 file (")
    assert summary.endswith(
        "; the account's own log: read to the end, complete by the proof 'cursor'"
    )
    assert re.fullmatch(r"Covered as of .*Z, by the server's clock\.", covered)
    assert ids_of(out) == {None: made(server)}
    row = server.add_event("idn_1")
    _, said, _ = await ended(server, "export", "--log", "--out", out)
    assert "1 new event into 1 file" in said
    assert ids_of(out)[None][-1] == row["id"]
    status, said, err = await ended(server, "verify", out)
    assert (status, err) == (0, "")
    first, scope, *_, verdict = said.splitlines()
    assert first.endswith(
        "the account's own log: read to the end, complete by the proof 'cursor'"
    )
    assert scope == "Scope: the account's own log"
    assert verdict.startswith("Finished")


async def test_a_range_that_is_done_is_said_to_have_been_read_before(server, out):
    arguments = ("export", "--log", "--out", out, "--since", "2026-03-01T00:01:00Z")
    arguments += ("--until", "2026-03-01T00:02:00Z", "--format", "csv")
    status, said, _ = await ended(server, *arguments)
    assert status == 0
    assert 0 < len(ids_of(out)[None]) < 450
    status, said, _ = await ended(server, *arguments)
    assert (status, "0 new events" in said) == (0, True)
    assert "the account's own log: read to the end before" in said


async def test_filters_narrow_the_log(server, out):
    status, *_ = await ended(
        server, "export", "--log", "--out", out, "--outcome", "denied", "--q", "login"
    )
    assert status == 0
    header = read_manifest(out).header
    assert (header.filters, header.q) == ({"outcome": "denied"}, "login")


async def test_what_cannot_be_proven_is_status_3_and_said(server, out):
    at = START + timedelta(days=1)
    rows = [{"created_at": at + timedelta(microseconds=n)} for n in range(500)]
    server.add_events("idn_1", rows)
    server.log_rules = LogRules(own_rows="none", cursor_milliseconds=True)
    status, said, err = await ended(server, "export", "--log", "--out", out)
    assert status == 3
    assert "the account's own log: not read to the end" in said
    assert "the server's cursor passes rows by" in err
    assert "run it again to go on with what is left" in err
    status, said, _ = await ended(server, "verify", out)
    assert status == 3
    assert "The log of the account could not be read to its end." in said
    assert f"To go on: canopy-async export --log --out {out}" in said


async def test_an_account_without_a_log_is_status_1(server, out):
    server.log_rules = LogRules(available=False)
    status, _, err = await ended(server, "export", "--log", "--out", out)
    assert status == 1
    assert "read the logs of its identities" in err


async def test_an_end_in_the_future_is_status_1_or_2_and_leaves_nothing(server, out):
    soon = (datetime.now(UTC) + timedelta(hours=3)).isoformat()
    status, _, err = await ended(
        server, "export", "--log", "--out", out, "--until", soon
    )
    assert status in {1, 2}
    assert "until must not be in the future" in err or "must not be in the fut" in err
    assert not out.exists()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
async def test_a_signal_ends_it_after_a_commit_and_it_goes_on(
    server, out, number, status
):
    server.seed_events("many", 4000, start=START + timedelta(days=1))
    server.faults = Faults(latency=0.05)
    async with (
        asyncio.timeout(PATIENCE),
        started(server, "export", "--log", "--out", out, "-c", "1") as process,
    ):
        await until(lambda: len(server.requests) > 12)
        process.send_signal(number)
        _, err = await process.communicate()
    assert process.returncode == status
    assert b"events of this run are kept" in err
    assert verify(out).status is Status.UNFINISHED
    server.faults = Faults()
    assert (await ended(server, "export", "--log", "--out", out))[0] == 0
    assert ids_of(out) == {None: made(server)}


def invoke(*arguments):
    env = {
        "CANOPY_ACCOUNT": "acme",
        "CANOPY_TOKEN": "tok-secret",
        "CANOPY_BASE_URL": "http://127.0.0.1:9",
        "TERMINAL_WIDTH": "300",
    }
    return CliRunner().invoke(app, [str(a) for a in arguments], env=env)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--log", "a"], "--log: is one log: it can't be used with identities"),
        (["--log", "--all"], "--log: is one log: it can't be used with identities"),
        (["--log", "--from", "f"], "--log: is one log"),
        (["--log", "--workers", "2"], "--log: is one log, which one process reads"),
        (["--log", "--dask", "tcp://x"], "--log: is one log, which one process reads"),
        (["--all", "--outcome", "denied"], "--outcome: needs --log"),
        (["a", "--action", "x"], "--action: needs --log"),
        (["--log", "--action", ""], "--action: must not be empty"),
        (["--log", "--actor-id", ""], "--actor-id: must not be empty"),
        (["--log", "--format", "xml"], "--format: must be one of"),
        (["--log", "--since", "2026-02-01", "--until", "2026-01-01"], "--since"),
        (["--log", "--look-back", "-1"], "--look-back: must be"),
    ],
)
def test_a_bad_argument_is_wrong_usage_of_its_flag(out, arguments, said):
    result = invoke("export", *arguments, "--out", out)
    assert result.exit_code == 2
    assert said in result.output
    assert not out.exists()
