"""``canopy-async log`` and ``canopy-async show`` as a user runs them, in a process."""

import asyncio
import json
import os
import signal
import sys
from datetime import UTC, datetime, timedelta

import pytest
from support.programs import command
from support.waiting import until

from canopy_async.testing import LocalCanopy, LogRules

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

PATIENCE = 30
START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
async def server():
    async with LocalCanopy(log_rules=LogRules(own_rows="none")) as local:
        for number in range(3):
            start = START + timedelta(seconds=number)
            local.seed_events(f"idn_{number}", 150, start=start)
        yield local


def environment(server):
    env = {k: v for k, v in os.environ.items() if not k.startswith("CANOPY_")}
    return env | {
        "CANOPY_ACCOUNT": server.account,
        "CANOPY_TOKEN": server.token,
        "CANOPY_BASE_URL": server.base_url,
        "COLUMNS": "120",
    }


async def ended(server, *arguments):
    async with (
        asyncio.timeout(PATIENCE),
        command(*arguments, env=environment(server)) as process,
    ):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def ids_in(out):
    return [json.loads(line)["id"] for line in out.splitlines()]


def ids_of(rows):
    return [row["id"] for row in rows]


async def test_the_log_is_written_newest_first(server):
    status, out, err = await ended(server, "log")
    assert (status, err) == (0, "")
    assert ids_in(out) == ids_of(server.account_events())


async def test_the_newest_twenty_that_were_denied_are_one_request(server):
    status, out, _ = await ended(server, "log", "--outcome", "denied", "--limit", "20")
    denied = [r for r in server.account_events() if r["outcome"] == "denied"]
    assert status == 0
    assert ids_in(out) == ids_of(denied)[:20]
    assert len(server.requests) == 1


async def test_filters_and_bounds_are_options(server):
    since = "2026-03-01T00:30:00Z"
    arguments = ("--since", since, "--action", "auth.login", "--action", "auth.logout")
    status, out, _ = await ended(server, "log", *arguments)
    wanted = [
        row
        for row in server.account_events()
        if row["created_at"] >= since and row["action"] in ("auth.login", "auth.logout")
    ]
    assert status == 0
    assert ids_in(out) == ids_of(wanted)
    query = server.requests[0].query
    assert query["from"] == "2026-03-01T00:30:00.000Z"


async def test_a_table_shows_what_happened(server):
    status, out, _ = await ended(server, "log", "--limit", "3", "--table")
    assert status == 0
    assert "created_at" in out
    assert len(out.splitlines()) == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--action", ""], "--action: must not be empty"),
        (["--since", "soon"], "--since: must be a date"),
        (["--limit", "-1"], "--limit: must be 0 or more"),
        (["--severity", ""], "--severity: must not be empty"),
        (["--checkpoint", "x"], "--checkpoint: needs --follow"),
        (["--every", "5"], "--every: needs --follow"),
        (["--start", "now"], "--start: needs --follow"),
        (["--until-caught-up"], "--until-caught-up: needs --follow"),
        (["--follow", "--since", "2026-01-01"], "--since: can't be used with --follow"),
        (["--follow", "--limit", "3"], "--limit: can't be used with --follow"),
        (["--follow", "--start", "soon"], "start must be one of"),
    ],
)
async def test_wrong_usage_names_the_option(server, arguments, said):
    status, out, err = await ended(server, "log", *arguments)
    assert (status, out) == (2, "")
    assert said.split(": ")[-1] in " ".join(err.replace("│", " ").split())
    assert server.requests == []


async def test_an_account_without_this_log_is_told_what_to_read(server):
    server.log_rules = LogRules(available=False)
    for arguments in (("log",), ("log", "--follow"), ("show", "evt_1")):
        status, out, err = await ended(server, *arguments)
        assert (status, out) == (1, "")
        assert "fan_out()" in err
        assert len(err.splitlines()) == 1


async def test_the_log_is_followed_from_where_it_was_left(server, tmp_path):
    follow = ("log", "--follow", "--until-caught-up", "--start", "beginning")
    keep = ("--checkpoint", str(tmp_path / "log.db"))
    status, out, err = await ended(server, *follow, *keep)
    assert (status, err) == (0, "")
    dates = [json.loads(line)["created_at"] for line in out.splitlines()]
    assert dates == sorted(dates)
    assert sorted(ids_in(out)) == sorted(ids_of(server.account_events()))
    new = server.add_event("idn_1")
    status, out, _ = await ended(server, *follow, *keep)
    assert ids_in(out) == [new["id"]]


async def test_following_writes_what_comes_until_it_is_told_to_end(server):
    async with (
        asyncio.timeout(PATIENCE),
        command(
            "log", "--follow", "--every", "0.05", env=environment(server)
        ) as process,
    ):
        await until(lambda: any(request.finished for request in server.requests))
        new = server.add_event("idn_1")
        line = json.loads(await process.stdout.readline())
        assert line["id"] == new["id"]
        assert "identity_id" not in line
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")


async def test_an_event_is_shown_with_those_it_belongs_to(server):
    for number in range(4):
        server.add_event(
            "idn_1",
            id=f"evt_{number}",
            created_at=START + timedelta(days=2, seconds=number),
            correlation_id="c-1",
            actor_id="usr_1",
            actor_label="Ada\x1b[31m",
        )
    status, out, err = await ended(server, "show", "evt_2")
    assert (status, err) == (0, "")
    shown = json.loads(out)
    assert shown["event"]["id"] == "evt_2"
    assert ids_of(shown["related_by_correlation"]) == ["evt_0", "evt_1", "evt_3"]
    assert ids_of(shown["related_by_actor"]) == ["evt_3", "evt_1", "evt_0"]
    status, out, _ = await ended(server, "show", "evt_2", "--table")
    assert status == 0
    assert "correlation_id" in out
    assert "Other events of the same request" in out
    assert "\x1b" not in out


async def test_an_event_that_is_not_there_is_an_error_in_one_line(server):
    status, out, err = await ended(server, "show", "evt_nowhere")
    assert (status, out) == (1, "")
    assert "404" in err
    assert len(err.splitlines()) == 1
    status, _, err = await ended(server, "show", "..")
    assert status == 2
    assert "EVENT_ID" in err
