"""An export of the account's own log: its files, its manifest, what a rerun adds."""

import asyncio
import errno
import json
import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from accountkillsim import Writer
from killedbot import write_on
from support.disks import Disk
from support.exports import FORMATS, ids_of, normal, read_back
from support.leaks import assert_quiet
from support.waiting import until

from canopy_async import (
    ExportError,
    ForbiddenError,
    FutureRangeError,
    NotFoundError,
    SessionClosedError,
    UnauthorizedError,
    UnprovenTiesError,
)
from canopy_async._account.time_parts import PartReader
from canopy_async.export import (
    Asked,
    Status,
    export,
    export_log,
    iter_commits,
    read_manifest,
    verify,
    write_report,
)
from canopy_async.testing import Faults, LocalCanopy, LogRules

START = datetime(2026, 3, 1, tzinfo=UTC)
KEY = "account:acme"
QUIET = LogRules(own_rows="none")


@pytest.fixture
async def server():
    """A server whose clock is that of this machine, with the events of five people."""
    async with LocalCanopy(log_rules=QUIET) as local:
        fill(local)
        yield local


@pytest.fixture
def out(tmp_path):
    """Where to export to."""
    return tmp_path / "out"


def fill(server, each=300, start=START, **options):
    for number in range(5):
        first = start + timedelta(seconds=number)
        server.seed_events(f"idn_{number}", each, start=first, **options)


def made(server):
    """The ids of the whole log, oldest first."""
    return [row["id"] for row in server.account_events()][::-1]


def exported(out):
    """The ids of the events in all files, in their order."""
    assert set(ids_of(out)) <= {None}, "a row belongs to an identity"
    return ids_of(out).get(None, [])


def instants_of(server):
    return [
        datetime.fromisoformat(row["created_at"]) for row in server.account_events()
    ]


@pytest.mark.parametrize("written_as", FORMATS)
async def test_every_event_is_written_once_and_oldest_first(
    server, session, out, written_as
):
    result = await export_log(session, out, format=written_as)
    rows = read_back(out, empty_is_null=written_as == "csv")
    assert list(rows) == [None]
    ids = [row["id"] for row in rows[None]]
    instants = [row["created_at"] for row in rows[None]]
    assert sorted(ids) == sorted(made(server))
    assert instants == sorted(instants)
    assert (result.events, result.done, result.complete) == (1500, 1, 1)
    found = verify(out)
    assert (found.status, found.problems, found.left) == (Status.FINISHED, (), ())
    assert (found.source, found.proof) == ("account-log", "cursor")


@pytest.mark.parametrize("order", ["desc", "asc"])
async def test_rows_are_those_of_the_server_in_either_order(
    server, session, out, order
):
    server.log_rules = LogRules(own_rows="none", order=order)
    await export_log(session, out)
    expected = [normal(row) for row in server.account_events()][::-1]
    assert read_back(out) == {None: expected}


@pytest.mark.usefixtures("server")
async def test_the_manifest_has_one_entry_with_the_proof_by_cursor(session, out):
    await export_log(session, out, severity="info")
    manifest = read_manifest(out)
    header = manifest.header
    assert (header.source, header.filters) == ("account-log", {"severity": "info"})
    assert manifest.runs[0].begin.asked == Asked(kind="log")
    assert manifest.runs[0].listed.identities == 1
    entry = manifest.identities[KEY]
    assert list(manifest.identities) == [KEY]
    assert (entry.state, entry.complete, entry.proof) == ("done", True, "cursor")
    assert entry.as_of is not None
    assert verify(out).scope == "the account's own log, events with severity=info"
    first, *_ = (out / "events-00001.jsonl").read_text().splitlines()
    assert json.loads(first)["identity_id"] is None


async def test_a_rerun_adds_what_came_and_what_was_committed_late(server, session, out):
    await export_log(session, out, look_back=600)
    newest = max(instants_of(server))
    late = server.add_event("idn_1", created_at=newest - timedelta(seconds=599))
    server.add_event("idn_2", created_at=newest - timedelta(seconds=601))
    new = server.add_event("idn_3", created_at=newest + timedelta(seconds=5))
    result = await export_log(session, out, look_back=600)
    assert (result.events, result.late) == (2, 2)
    assert exported(out)[-2:] == [late["id"], new["id"]]
    result = await export_log(session, out, look_back=600)
    assert (result.run, result.events, result.files) == (3, 0, ())
    assert verify(out).status is Status.FINISHED


async def test_rows_that_its_own_requests_write_do_not_keep_it_from_ending(
    session, server, out
):
    server.log_rules = LogRules(own_rows="shown")
    for _ in range(3):
        await export_log(session, out)
    ids = exported(out)
    assert len(ids) == len(set(ids))
    assert set(made(server)[:1500]) <= set(ids) <= set(made(server))
    assert verify(out).status is Status.FINISHED


async def test_a_range_is_closed_and_a_rerun_sends_nothing(server, session, out):
    instants = sorted(instants_of(server))
    since, until_ = instants[200], instants[1200]
    await export_log(session, out, since=since, until=until_)
    expected = [
        row["id"]
        for row in server.account_events()[::-1]
        if since <= datetime.fromisoformat(row["created_at"]) < until_
    ]
    assert exported(out) == expected
    requests = len(server.requests)
    result = await export_log(session, out, since=since, until=until_)
    assert (result.events, result.skipped, result.done) == (0, 1, 0)
    assert len(server.requests) == requests
    assert verify(out).status is Status.FINISHED


async def test_an_end_in_the_future_of_the_server_is_refused_and_leaves_nothing(
    session, out
):
    soon = datetime.now(UTC) + timedelta(hours=1)
    with pytest.raises(FutureRangeError, match="until must not be in the future"):
        await export_log(session, out, until=soon)
    assert not out.exists()
    with pytest.raises(FutureRangeError):  # now that an answer has told the time
        await export_log(session, out, until=soon)
    assert not out.exists()


async def test_filters_choose_the_events_and_belong_to_the_export(server, session, out):
    actions = ("auth.login", "auth.logout")
    await export_log(session, out, action=actions, outcome="success")
    wanted = [
        row["id"]
        for row in server.account_events()[::-1]
        if row["action"] in actions and row["outcome"] == "success"
    ]
    assert exported(out) == wanted
    with pytest.raises(ExportError, match="its filters is"):
        await export_log(session, out, action=actions)
    result = await export_log(session, out, action=actions[::-1], outcome="success")
    assert result.run == 2
    assert verify(out).command == (
        f"canopy-async export --log --out {out} --account acme --base-url"
        f" {server.base_url} --format jsonl --action auth.login --action auth.logout"
        " --outcome success"
    )


async def test_identities_and_the_log_are_not_mixed_in_one_directory(session, tmp_path):
    await export_log(session, tmp_path / "log")
    await export(session, ["idn_1"], tmp_path / "identities")
    with pytest.raises(
        ExportError,
        match="holds an export of the account's own log, and identities can't be added",
    ):
        await export(session, ["idn_1"], tmp_path / "log")
    with pytest.raises(
        ExportError,
        match="holds an export of identities, and the account's own log can't be added",
    ):
        await export_log(session, tmp_path / "identities")
    assert verify(tmp_path / "log").status is Status.FINISHED
    assert verify(tmp_path / "identities").status is Status.FINISHED


@pytest.mark.parametrize("seed", range(4))
async def test_nights_of_a_moving_log_lose_and_double_nothing_whatever_the_server(
    connect, out, seed
):
    rng = random.Random(seed)
    rules = LogRules(
        own_rows=rng.choice(["none", "hidden"]),
        order=rng.choice(["desc", "asc"]),
        most=rng.choice([200, 50, 120]),
        over_most=rng.choice(["cut", "refused"]),
        end=rng.choice(["null", "echo"]),
        empty_rate=rng.choice([0, 0.1]),
        bounds_milliseconds=rng.random() < 0.5,
        default_window=rng.choice(["frozen", "moving"]),
        future_to=rng.choice(["answered", "refused"]),
    )
    if rules.most == 120:
        rules = attrs.evolve(rules, over_most="cut")
    async with LocalCanopy(seed=seed, log_rules=rules) as server:
        session = connect(token=server.token, base_url=server.base_url)
        writer = Writer(server, rng)
        while writer.written < 600:
            writer.write()
        for _ in range(2):
            writing = asyncio.create_task(write_on(writer, rng))
            await export_log(session, out)
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing
        await export_log(session, out)
        there = set(made(server))
    ids = exported(out)
    assert len(ids) == len(set(ids))
    assert there == set(ids)
    assert writer.late > 0
    assert verify(out).status is Status.FINISHED


async def test_an_empty_log_is_finished_without_a_file(connect, out):
    async with LocalCanopy(log_rules=QUIET) as empty:
        session = connect(token=empty.token, base_url=empty.base_url)
        result = await export_log(session, out)
        assert (result.events, result.files, result.complete) == (0, (), 1)
        assert verify(out).status is Status.FINISHED
        row = empty.add_event("idn_1")
        await export_log(session, out)
        assert exported(out) == [row["id"]]


async def test_a_log_with_long_gaps_and_bursts_is_read_with_few_requests(connect, out):
    async with LocalCanopy(log_rules=QUIET) as server:
        for years in (9, 4, 1):
            fill(server, start=datetime.now(UTC) - timedelta(days=365 * years))
        burst = datetime.now(UTC) - timedelta(days=3)
        server.add_events("idn_1", [{"created_at": burst} for _ in range(700)])
        session = connect(token=server.token, base_url=server.base_url)
        await export_log(session, out)
        assert sorted(exported(out)) == sorted(made(server))
        pages = len(made(server)) / 200
        assert len(server.requests) < 3 * pages + 40


async def test_a_part_that_cannot_be_proven_fails_and_is_read_by_the_next_run(
    server, session, out
):
    newest = max(instants_of(server))
    busy = newest + timedelta(hours=1)
    server.add_events(
        "idn_1",
        [{"created_at": busy + timedelta(microseconds=n)} for n in range(500)],
    )
    server.log_rules = LogRules(own_rows="none", cursor_milliseconds=True)
    result = await export_log(session, out)
    assert isinstance(result.failures[KEY], UnprovenTiesError)
    entry = read_manifest(out).identities[KEY]
    assert (entry.state, entry.complete) == ("failed", False)
    assert exported(out) == made(server)[: entry.events]
    found = verify(out)
    assert found.status is Status.UNFINISHED
    assert found.left == ("The log of the account could not be read to its end.",)
    server.log_rules = QUIET
    result = await export_log(session, out)
    assert (result.failures, result.complete) == ({}, 1)
    assert sorted(exported(out)) == sorted(made(server))
    assert len(exported(out)) == len(set(exported(out)))
    assert verify(out).status is Status.FINISHED


async def test_an_account_without_a_log_ends_it_and_says_what_to_use(
    server, session, out
):
    server.log_rules = LogRules(available=False)
    with pytest.raises(NotFoundError, match="with events\\(\\) or fan_out"):
        await export_log(session, out)
    assert read_manifest(out).runs[0].end.outcome == "failed"
    assert verify(out).status is Status.UNFINISHED
    assert "The log of the account is not begun." in verify(out).left
    server.log_rules = QUIET
    await export_log(session, out)
    assert verify(out).status is Status.FINISHED


async def test_a_token_that_may_not_read_the_log_ends_it(server, session, out):
    server.fail_next(status=403)
    with pytest.raises(ForbiddenError):
        await export_log(session, out)


async def test_a_refused_token_ends_it_after_a_commit(server, connect, out):
    session = connect(token=server.issue_token(uses=6), concurrency=1)
    with pytest.raises(UnauthorizedError) as caught:
        await export_log(session, out, commit_every=0.001)
    events = read_manifest(out).events
    kept = f"{events:,} events of this run are kept"
    assert any(kept in note for note in caught.value.__notes__)
    await export_log(connect(), out)
    assert exported(out) == made(server)


async def test_a_cancelled_export_has_committed_what_was_handed_out(
    server, connect, out
):
    fill(server, 700, start=START + timedelta(days=9))
    session = connect(concurrency=1)
    server.faults = Faults(latency=0.005)
    seen = []
    exporting = asyncio.create_task(export_log(session, out, on_progress=seen.append))
    await until(lambda: seen and seen[-1].events > 2_000)
    exporting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await exporting
    events = read_manifest(out).events
    assert 2_000 < events < 5_000
    assert exported(out) == made(server)[:events]
    assert read_manifest(out).identities[KEY].proof == "cursor"
    assert verify(out).status is Status.UNFINISHED
    assert "The log of the account is not read to its end." in verify(out).left
    await assert_quiet(server)
    server.faults = Faults()
    result = await export_log(connect(), out)
    assert result.events == 5_000 - events
    assert exported(out) == made(server)
    assert verify(out).status is Status.FINISHED


async def test_a_closed_session_ends_it_after_a_commit(server, connect, out):
    session = connect(concurrency=1)
    server.faults = Faults(latency=0.005)
    seen = []
    exporting = asyncio.create_task(export_log(session, out, on_progress=seen.append))
    await until(lambda: len(server.requests) > 3)
    await session.aclose()
    with pytest.raises(SessionClosedError):
        await exporting
    server.faults = Faults()
    await export_log(connect(), out)
    assert exported(out) == made(server)


async def test_what_was_read_is_final_after_so_many_seconds(server, connect, out):
    fill(server, 1000, start=START + timedelta(days=9))
    session = connect(concurrency=1)
    server.faults = Faults(latency=0.005)
    await export_log(session, out, commit_every=0.02)
    commits = list(iter_commits(out))
    assert len(commits) > 3
    assert {e.id for commit in commits for e in commit.identities} == {KEY}
    assert {e.proof for commit in commits for e in commit.identities} == {"cursor"}
    assert exported(out) == made(server)
    assert verify(out).status is Status.FINISHED


async def test_a_full_disk_ends_it_and_another_run_goes_on(server, session, out):
    full = OSError(errno.ENOSPC, "No space left on device")
    disk = Disk(out, lambda step: full if step.name.startswith("_events") else None)
    with disk.watching(), pytest.raises(ExportError, match="No space left on device"):
        await export_log(session, out)
    assert verify(out).status is Status.UNFINISHED
    await export_log(session, out)
    assert exported(out) == made(server)
    assert verify(out).status is Status.FINISHED


async def test_progress_counts_the_log_as_one(session, out):
    seen = []
    await export_log(session, out, on_progress=seen.append)
    assert (seen[-1].total, seen[-1].done, seen[-1].complete) == (1, 1, 1)
    assert (seen[-1].events, seen[-1].failed) == (1500, 0)
    assert seen[-1].requests >= 8


async def test_slices_are_read_side_by_side(server, connect, out):
    fill(server, 700, start=START + timedelta(days=9))
    server.faults = Faults(latency=0.03)
    await export_log(connect(concurrency=8), out)
    assert server.peak_in_flight > 4
    assert exported(out) == made(server)


async def test_memory_is_bounded_by_parts_not_by_the_log(
    server, connect, out, monkeypatch
):
    fill(server, 1300, start=START + timedelta(days=9))
    held = []
    read = PartReader.read

    async def spy(parts, *bounds, **options):
        rows, report = await read(parts, *bounds, **options)
        held.append(len(rows))
        return rows, report

    monkeypatch.setattr(PartReader, "read", spy)
    await export_log(connect(concurrency=1), out)
    assert exported(out) == made(server)
    assert sum(held) >= 8_000
    assert max(held) <= 4_001


async def test_a_report_speaks_of_one_log(session, out, tmp_path):
    await export_log(session, out)
    written = write_report(out, tmp_path / "report.html")
    assert (written.events, written.status) == (1500, Status.FINISHED)
    page = (tmp_path / "report.html").read_text()
    assert "One log: the account&#39;s own, and not those of its identities." in page
    assert "cursor" in page


async def test_a_row_of_an_identity_among_those_of_the_log_is_damage(session, out):
    await export_log(session, out)
    path = out / "events-00001.jsonl"
    text = path.read_text().replace('"identity_id":null', '"identity_id":"idn_1"', 1)
    path.write_text(text)
    assert verify(out).status is Status.DAMAGED


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"format": "xml"}, (ValueError, "format must be one of")),
        (
            {"look_back": 8 * 86_400},
            (ValueError, "look_back must be at most seven days"),
        ),
        ({"since": datetime(2026, 1, 1)}, (ValueError, "since")),  # naive
        ({"action": ""}, (ValueError, "action must not be empty")),
        ({"action": "a,b"}, (ValueError, "action must not hold a comma")),
        ({"severity": ""}, (ValueError, "severity must not be empty")),
        ({"since": START, "until": START}, (ValueError, "until")),
        ({"max_file_bytes": 0}, (ValueError, "max_file_bytes")),
        ({"commit_every": 0}, (ValueError, "commit_every")),
        ({"umask": -1}, (ValueError, "umask")),
        ({"on_progress": 3}, (TypeError, "on_progress")),
        ({"actor_id": 3}, (TypeError, "actor_id")),
    ],
)
async def test_bad_arguments_are_refused_before_anything_is_done(
    server, session, out, options, refusal
):
    error, words = refusal
    with pytest.raises(error, match=words):
        await export_log(session, out, **options)
    assert not out.exists()
    assert not server.requests
