"""``canopy-async follow`` as a user runs it, in a process."""

import json
import signal
import sys
from datetime import UTC, datetime, timedelta

import pytest
from support.commands import following, polled, polls
from support.waiting import until

from canopy_async.testing import Faults

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


async def test_new_events_are_lines_of_json_that_name_their_identity(server):
    server.seed_events("idn_1", 3)
    async with following(server, "idn_1") as running:
        await until(polled(server, "idn_1"))
        row = server.add_event("idn_1")
        line = await running.line()
        assert line == row | {"identity_id": "idn_1"} | line
        assert line["id"] == row["id"]
        assert await running.end() == (0, "", "")


async def test_from_the_beginning_it_writes_all(server):
    server.seed_events("idn_1", 300)
    async with following(server, "idn_1", "--start", "beginning") as running:
        seen = [(await running.line())["id"] for _ in range(300)]
        await running.end(signal.SIGINT)
    assert sorted(seen) == sorted(server.event_ids("idn_1"))


async def test_it_goes_on_from_its_file(server, tmp_path):
    server.seed_events("idn_1", 3)
    path = tmp_path / "bot.db"
    arguments = ("idn_1", "--checkpoint", str(path))
    async with following(server, *arguments) as running:
        await until(polled(server, "idn_1"))
        server.add_event("idn_1")
        await running.line()
        await running.end()
    missed = server.add_event("idn_1")
    async with following(server, *arguments) as running:
        assert (await running.line())["id"] == missed["id"]
        await running.end()


async def test_all_identities_are_followed(server):
    names = server.seed_identities(5)
    async with following(server, "--all", "--start", "beginning") as running:
        for name in names:
            server.add_event(name)
        seen = [(await running.line())["identity_id"] for _ in names]
        await running.end()
    assert sorted(seen) == sorted(names)


async def test_one_that_was_created_while_it_was_down_is_written_whole(
    server, tmp_path
):
    names = server.seed_identities(3)
    for name in names:
        server.seed_events(name, 3)
    arguments = ("--all", "--checkpoint", str(tmp_path / "bot.db"))
    async with following(server, *arguments) as running:
        await until(lambda: all(polls(server, name) > 1 for name in names))
        await running.end()
    (created,) = server.seed_identities(1)
    server.seed_events(created, 4)
    missed = server.add_event(names[0])
    async with following(server, *arguments, "--until-caught-up") as running:
        out, err = await running.process.communicate()
    lines = [json.loads(line) for line in out.splitlines()]
    assert (running.process.returncode, err) == (0, b"")
    assert {line["id"] for line in lines} == {missed["id"], *server.event_ids(created)}
    assert len(lines) == 5


async def test_one_that_is_created_while_it_runs_is_written_whole(server):
    names = server.seed_identities(2)
    async with following(server, "--all", "--discover-every", "0.05") as running:
        await until(lambda: all(polls(server, name) for name in names))
        (created,) = server.seed_identities(1)
        server.add_events(created, [{}] * 3)
        seen = [(await running.line())["identity_id"] for _ in range(3)]
        assert await running.end() == (0, "", "")
    assert seen == [created] * 3


async def test_it_ends_when_all_is_written_and_says_what_could_not_be_read(server):
    server.seed_events("idn_1", 150)
    arguments = ("idn_1", "gone", "--until-caught-up", "--start", "beginning")
    async with following(server, *arguments) as running:
        out, err = await running.process.communicate()
    assert running.process.returncode == 3
    assert out.count(b"\n") == 150
    assert b"gone could not be read: 404" in err
    assert err.count(b"\n") == 1


async def test_it_begins_at_an_instant(server):
    noon = datetime(2026, 4, 20, 12, tzinfo=UTC)
    for minutes in range(6):
        server.add_event("idn_1", created_at=noon + timedelta(minutes=minutes))
    arguments = ("idn_1", "--until-caught-up", "--start", "2026-04-20T12:03")
    async with following(server, *arguments) as running:
        out, _ = await running.process.communicate()
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["id"] for line in lines] == server.event_ids("idn_1")[3:]


async def test_a_table_names_the_identity_above_its_events(server):
    server.seed_events("idn_1", 2)
    server.seed_events("idn_2", 2)
    arguments = ("idn_1", "idn_2", "--table", "--start", "beginning")
    async with following(server, *arguments) as running:
        lines = [await running.process.stdout.readline() for _ in range(2 + 1 + 4)]
        assert await running.end() == (0, "", "")
    lines = [line.decode().strip() for line in lines]
    assert {"idn_1", "idn_2"} <= set(lines)
    assert sum("severity" in line for line in lines) == 1


async def test_one_that_can_not_be_polled_is_told_of_once(server):
    server.seed_events("idn_1", 2)
    async with following(server, "gone", "idn_1") as running:
        await until(polled(server, "idn_1"))
        await until(lambda: sum(r.identity == "gone" for r in server.requests) > 1)
        status, out, err = await running.end()
    assert (status, out) == (0, "")
    assert err.count("\n") == 1
    assert "404" in err


async def test_an_outage_is_told_of_once_and_so_is_its_end(server):
    for identity in ("idn_1", "idn_2", "idn_3"):
        server.seed_events(identity, 2)
    names = ("idn_1", "idn_2", "idn_3")
    async with following(server, *names, "--patience", "0.2") as running:
        for name in names:
            await until(polled(server, name))
        server.faults = Faults(error_rate=1.0, error_statuses=(503,))
        began = await running.process.stderr.readline()
        while b"a poll failed" in began:  # before it was known to concern all
            began = await running.process.stderr.readline()
        server.faults = Faults()
        over = await running.process.stderr.readline()
        status, out, err = await running.end()
    assert (status, out, err) == (0, "", "")
    assert b"no identity can be read for now" in began
    assert b"503" in began
    assert b"can be read again, after " in over
    assert over.rstrip().endswith(b" s")


async def test_a_gap_is_told_of(server, tmp_path):
    server.seed_events("idn_1", 3)
    arguments = ("idn_1", "--checkpoint", str(tmp_path / "bot.db"))
    async with following(server, *arguments) as running:
        await until(polled(server, "idn_1", 2))  # it has saved the first
        await running.end()
    server.seed_events("idn_1", 5)
    server.delete_oldest("idn_1", 6)
    async with following(server, *arguments) as running:
        await running.line()
        _, _, err = await running.end()
    assert "may be missing" in err


async def test_settled_events_are_in_order(server):
    noon = datetime(2026, 4, 20, 12, tzinfo=UTC)
    server.add_event("idn_1", created_at=noon)
    async with following(server, "idn_1", "--settle", "1") as running:
        await until(polled(server, "idn_1"))
        newer = server.add_event("idn_1", created_at=noon + timedelta(seconds=0.4))
        await until(polled(server, "idn_1", polls(server, "idn_1") + 2))
        older = server.add_event("idn_1", created_at=noon + timedelta(seconds=0.2))
        seen = [(await running.line())["id"] for _ in range(2)]
        await running.end()
    assert seen == [older["id"], newer["id"]]


async def test_events_that_seem_to_be_missing_are_told_of(server):
    server.seed_events("idn_1", 3)
    async with following(server, "idn_1") as running:
        await until(lambda: len(server.requests) > 5)
        server.add_event("idn_1", created_at=datetime(2020, 1, 1, tzinfo=UTC))
        said = await running.process.stderr.readline()
        status, out, err = await running.end()
    assert (status, out, err) == (0, "", "")
    assert "1 more events of idn_1 seem" in said.decode()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--all"),
        (("..",), "IDENTITY"),
        (("idn_1", "--start", "then"), "start must be one of"),
        (("idn_1", "--every", "0"), "every must be"),
        (("--all", "--discover-every", "0"), "discover_every must be"),
        (("idn_1", "--settle", "-1"), "settle must be"),
    ],
)
async def test_wrong_usage_is_said(server, arguments, said):
    async with following(server, *arguments) as running:
        out, err = await running.process.communicate()
    assert (running.process.returncode, out) == (2, b"")
    assert said in err.decode()


async def test_a_401_and_a_wrong_file_end_it_with_status_1(server, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    async with following(server, "idn_1", "--checkpoint", str(path)) as running:
        _, err = await running.process.communicate()
    assert running.process.returncode == 1
    assert "not a store of checkpoints" in err.decode()
    assert path.read_text() == "mine"
    server.seed_events("idn_1", 1)
    server.revoke_token(server.token)
    async with following(server, "idn_1") as running:
        _, err = await running.process.communicate()
    assert running.process.returncode == 1
    assert err.decode().startswith("canopy-async: 401")
