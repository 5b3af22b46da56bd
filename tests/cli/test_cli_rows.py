"""The command line's rows: which of them, which fields, and in which style."""

import asyncio
import csv
import io
import json
import os
import re
import sys
from asyncio.subprocess import PIPE
from datetime import UTC, datetime, timedelta

import pytest
import typer
from support.programs import command
from support.waiting import until

from canopy_async.cli.quantities import instant_of, size_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX processes")

PATIENCE = 30
NOW = datetime(2026, 3, 15, 12, 30, tzinfo=UTC)


@pytest.fixture
def run(server):
    """Runs a command to its end; returns its status, output and error output."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("CANOPY_")}
    env |= {
        "CANOPY_ACCOUNT": server.account,
        "CANOPY_TOKEN": server.token,
        "CANOPY_BASE_URL": server.base_url,
        "COLUMNS": "160",
    }

    async def to_end(*arguments, **variables):
        async with (
            asyncio.timeout(PATIENCE),
            command(*arguments, env=env | variables, stdout=PIPE) as process,
        ):
            out, err = await process.communicate()
            return process.returncode, out.decode(), err.decode()

    return to_end


@pytest.fixture
def events(server):
    """Events of different outcomes; the newest is the last."""
    server.add_event("idn_1", action="auth.login", outcome="failure", severity="info")
    server.add_event("idn_1", action="auth.logout", outcome="success", severity="info")
    server.add_event("idn_1", action="key.made", outcome="denied", severity="critical")
    server.add_event("idn_1", action="auth.login", outcome="success", severity="notice")
    return server


async def actions(run, *options):
    status, out, err = await run("events", "idn_1", "--order", "asc", *options)
    assert (status, err) == (0, "")
    return [json.loads(line)["action"] for line in out.splitlines()]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--action", "auth.login"], ["auth.login", "auth.login"]),
        (["--action", "auth.*"], ["auth.login", "auth.logout", "auth.login"]),
        (
            ["--action", "key.made", "--action", "auth.logout"],
            ["auth.logout", "key.made"],
        ),
        (["--outcome", "denied"], ["key.made"]),
        (["--severity", "info", "--outcome", "success"], ["auth.logout"]),
        (["--outcome", "unheard-of"], []),
        (["--action", "auth.*", "--limit", "2"], ["auth.login", "auth.logout"]),
        (["--action", "auth.*", "-n", "0"], []),
    ],
)
@pytest.mark.usefixtures("events")
async def test_filters_choose_events_and_the_limit_counts_matches(
    run, options, expected
):
    assert await actions(run, *options) == expected


async def test_a_limit_of_matches_is_checked_as_any_other(run):
    status, _, err = await run("events", "idn_1", "--action", "a", "--limit", "-1")
    assert status == 2
    assert "--limit: must be 0 or more" in err


async def test_the_help_says_that_filters_cost_the_whole_read(run):
    _, out, _ = await run("events", "-h")
    assert "the server has none of these, so all of the range is read" in out


async def test_a_range_of_events(server, run):
    for hour in range(6):
        server.add_event(
            "idn_1", created_at=NOW + timedelta(hours=hour), action=f"h{hour}"
        )
    since, until = (NOW + timedelta(hours=hour) for hour in (2, 4))
    found = await actions(run, "-s", since.isoformat(), "-u", until.isoformat())
    assert found == ["h2", "h3"]


@pytest.mark.usefixtures("events")
async def test_fields_of_json_lines(run):
    _, out, _ = await run(
        "events", "idn_1", "--order", "asc", "-n", "1", "--fields", "action,outcome"
    )
    assert out == '{"action":"auth.login","outcome":"failure"}\n'


async def test_csv_has_a_header_and_is_safe_in_a_spreadsheet(server, run):
    server.add_event("idn_1", action='=1+"x",2', metadata={"a": [1]}, actor_label=None)
    _, out, _ = await run("events", "idn_1", "-o", "csv")
    header, row = csv.reader(io.StringIO(out))
    cells = dict(zip(header, row, strict=True))
    assert cells["action"] == '\'=1+"x",2'
    assert json.loads(cells["metadata"]) == {"a": [1]}
    assert cells["actor_label"] == cells["extra"] == ""
    assert cells["customer_visible"] in {"true", "false"}
    assert datetime.fromisoformat(cells["created_at"]).tzinfo is not None


async def test_csv_of_no_rows_has_its_header(server, run):
    server.add_identity(id="idn_1")
    _, out, _ = await run("events", "idn_1", "-o", "csv", "-f", "id,action")
    assert out == "id,action\n"


async def test_identities_have_fields_and_styles_too(server, run):
    server.add_identity(id="idn_1", email="a@b.example")
    _, out, _ = await run("identities", "--output", "csv", "--fields", "id,email")
    assert out == "id,email\nidn_1,a@b.example\n"
    _, out, _ = await run("identities", "--output", "table", "--fields", "email")
    assert [line.strip() for line in out.splitlines()] == ["email", "a@b.example"]


@pytest.mark.usefixtures("events")
async def test_a_follower_has_fields_and_styles_too(run):
    options = ("--start", "beginning", "--until-caught-up", "--output", "csv")
    _, out, _ = await run("follow", "idn_1", *options, "-f", "identity_id,action")
    assert out.splitlines() == [
        "identity_id,action",
        *(
            f"idn_1,{a}"
            for a in ("auth.login", "auth.logout", "key.made", "auth.login")
        ),
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--output", "xml"], "--output: must be table, json or csv"),
        (["--output", "csv", "--json"], "--output: can't be used with --json"),
        (["--fields", "nothing"], "--fields: 'nothing' is not one of id,"),
        (["--since", "soon"], "--since: must be a date or an instant"),
        (["--until", "99999999999999w"], "--until: must be a date or an instant"),
        (["--quiet", "--verbose"], "--quiet: can't be used with --verbose"),
    ],
)
async def test_what_is_wrong_is_said_of_its_option(server, run, arguments, said):
    status, out, err = await run("events", "idn_1", *arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert not server.requests


async def test_verbose_says_requests_and_retries_as_they_happen(server, run):
    server.seed_events("idn_1", 3)
    server.fail_next(status=429, retry_after=1)
    status, _, err = await run("events", "idn_1", "--verbose")
    lines = err.splitlines()
    assert status == 0
    assert all(line.startswith("canopy-async: ") for line in lines)
    assert any("429" in line and "GET " in line for line in lines)
    assert any("again in" in line for line in lines)
    assert any("no requests for" in line for line in lines)
    assert any("200" in line and "attempt 2" in line for line in lines)
    assert "idn_1" not in err


async def test_verbose_says_what_a_follower_waits_for(server, run):
    server.seed_events("idn_1", 1)
    _, _, err = await run("follow", "idn_1", "--until-caught-up", "-v")
    assert (
        "waiting for events of idn_1, from now on the first run; a look every 5 s"
        in err
    )


async def test_quiet_exports_say_nothing_on_standard_error(server, run, tmp_path):
    server.seed_events("idn_1", 3)
    out = str(tmp_path / "out")
    status, _, err = await run("export", "idn_1", "--out", out, "--quiet")
    assert (status, err) == (0, "")


async def test_a_size_has_a_unit(server, run, tmp_path):
    server.seed_events("idn_1", 2_000)
    out = tmp_path / "out"
    await run("export", "idn_1", "-o", str(out), "--max-file-bytes", "64KiB")
    assert len(list(out.glob("*.jsonl"))) > 1
    status, _, err = await run(
        "export", "idn_1", "-o", str(out), "--max-file-bytes", "much"
    )
    assert status == 2
    assert "--max-file-bytes: must be a number of bytes" in err


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("128MB", 128_000_000),
        ("64 MiB", 64 * 2**20),
        ("1.5kb", 1_500),
        ("1000", 1_000),
        ("2GiB", 2**31),
    ],
)
def test_sizes(text, size):
    assert size_of(text, "--size") == size


@pytest.mark.parametrize("text", ["", "MB", "-1", "1XB", "1e3", "1" * 40])
def test_what_is_no_size(text):
    with pytest.raises(typer.BadParameter):
        size_of(text, "--size")


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("24h", NOW - timedelta(hours=24)),
        ("7d", NOW - timedelta(days=7)),
        ("90m", NOW - timedelta(minutes=90)),
        ("2w", NOW - timedelta(days=14)),
        ("yesterday", datetime(2026, 3, 14, tzinfo=UTC)),
        ("Today", datetime(2026, 3, 15, tzinfo=UTC)),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T12:00:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_instants(text, instant):
    assert instant_of(text, "--since", now=NOW) == instant


async def test_a_failed_poll_says_its_wait_with_a_decimal(server, caplog, session):
    server.add_identity(id="idn_1")
    async with session.follow(["idn_1", "nobody"], every=0.01) as follower:
        reading = asyncio.ensure_future(read_all(follower))
        await until(lambda: "nobody" in follower.failures)
        reading.cancel()
    (said,) = (message for message in caplog.messages if "a poll failed" in message)
    assert re.search(r"the next is in \d+\.\d s", said)


async def read_all(follower):
    async for _ in follower:
        pass
