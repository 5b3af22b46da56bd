"""An export: what is in its files and its manifest, and what a rerun adds."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from support.exports import ids_of, read_back, truth
from support.leaks import assert_gone, assert_quiet
from support.waiting import until

from canopy_async import (
    CanopyError,
    ExportError,
    IncompleteReadError,
    NotFoundError,
    SessionClosedError,
    UnauthorizedError,
)
from canopy_async.export import (
    Status,
    export,
    iter_commits,
    read_manifest,
    verify,
)
from canopy_async.export.directory import ExportDirectory
from canopy_async.testing import Faults

SIZES = {"one": 1, "none": 0, "some": 150, "many": 900}
NOON = datetime(2026, 4, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
UNTIL = NOON + HOUR


@pytest.fixture
def logs(server):
    """Logs of all sizes."""
    for identity_id, size in SIZES.items():
        server.add_identity(id=identity_id)
        server.seed_events(identity_id, size)
    return server


@pytest.fixture
def out(tmp_path):
    """Where to export to."""
    return tmp_path / "out"


def data_files(directory):
    return {path.name: path.read_bytes() for path in directory.glob("events-*")}


async def tell(progress):
    """An async function, which a callback can't be."""


async def as_async(ids):
    for identity_id in ids:
        yield identity_id


async def test_every_event_of_every_identity_is_in_the_files(logs, session, out):
    result = await export(session, session.identities(), out)
    assert read_back(out) == truth(logs, *SIZES)
    assert (result.done, result.complete, result.failed) == (4, 4, 0)
    assert (result.skipped, result.events, result.failures) == (0, 1051, {})
    assert result.directory == out
    assert [file.name for file in result.files] == ["events-00001.jsonl"]
    assert sorted(path.name for path in out.iterdir()) == [
        "_SHA256SUMS",
        "_manifest.ndjson",
        "events-00001.jsonl",
    ]
    assert verify(out).status is Status.FINISHED


async def test_the_manifest_says_what_is_proven_of_each_identity(logs, session, out):
    await export(session, SIZES, out, q=None)
    manifest = read_manifest(out)
    assert manifest.header.account == "acme"
    assert manifest.header.base_url == logs.base_url
    assert manifest.header.format == "jsonl"
    assert manifest.header.order == "asc"
    assert manifest.header.library.startswith("canopy-async")
    assert (manifest.events, manifest.count("done"), manifest.commits) == (1051, 4, 1)
    assert manifest.bytes == (out / "events-00001.jsonl").stat().st_size
    for identity_id, size in SIZES.items():
        entry = manifest.identities[identity_id]
        ids = logs.event_ids(identity_id)
        assert (entry.events, entry.state, entry.complete) == (size, "done", True)
        assert entry.proof == "strict-key"
        assert (entry.checkpoint, entry.error) == (None, None)
        marks = (entry.first and entry.first.id, entry.last and entry.last.id)
        assert marks == ((ids[0], ids[-1]) if ids else (None, None))


@pytest.mark.parametrize("make", [list, tuple, iter, dict.fromkeys, as_async])
async def test_ids_come_from_any_iterable(logs, session, out, make):
    await export(session, make(["one", "some"]), out)
    assert read_back(out) == truth(logs, "one", "some")


async def test_an_id_that_is_named_twice_is_read_once(logs, session, out):
    result = await export(session, ["one", "some", "one", "some", "one"], out)
    assert read_back(out) == truth(logs, "one", "some")
    assert result.done == 2


@pytest.mark.parametrize("make", [list, tuple, iter, dict.fromkeys, as_async])
async def test_no_identities_are_refused_and_leave_no_directory(session, out, make):
    with pytest.raises(ValueError, match="identities must name at least one identity"):
        await export(session, make([]), out)
    assert not out.exists()
    assert session.stats.requests == 0


async def test_an_account_without_identities_makes_an_export_of_nothing(session, out):
    result = await export(session, None, out)
    assert (result.done, result.events, result.files) == (0, 0, ())
    assert read_manifest(out).identities == {}
    found = verify(out)
    assert (found.status, found.identities, found.as_of) == ("finished", 0, None)


async def test_identities_without_events_are_done_without_a_file(server, session, out):
    server.add_identity(id="none")
    result = await export(session, ["none"], out)
    assert (result.done, result.files) == (1, ())
    assert read_manifest(out).identities["none"].complete
    server.add_event("none", created_at=datetime.now(UTC))
    again = await export(session, ["none"], out)
    assert (again.done, again.skipped, again.events) == (1, 0, 1)
    assert read_back(out) == truth(server, "none")


async def test_a_rerun_of_what_is_done_with_until_reads_and_adds_nothing(
    logs, session, out
):
    await export(session, SIZES, out, until=UNTIL)
    before = data_files(out)
    logs.add_event("one", created_at=UNTIL - HOUR)
    logs.reset_requests()
    result = await export(session, SIZES, out, until=UNTIL)
    assert (result.done, result.skipped, result.events) == (0, 4, 0)
    assert logs.requests == []
    assert data_files(out) == before
    assert verify(out).status is Status.FINISHED


async def test_a_rerun_without_until_reads_what_is_new(logs, session, out):
    first = await export(session, SIZES, out)
    before = data_files(out)
    logs.seed_events("some", 20)
    logs.add_event("none", created_at=NOON)
    logs.reset_requests()
    result = await export(session, SIZES, out)
    assert (result.run, result.done, result.skipped) == (2, 4, 0)
    assert (result.events, result.new_identities, result.late) == (21, 0, 21)
    assert len(logs.requests) < 20
    assert result.as_of >= first.as_of
    assert before.items() <= data_files(out).items()
    assert read_back(out) == truth(logs, *SIZES)
    assert verify(out).status is Status.FINISHED


@pytest.mark.usefixtures("logs")
async def test_a_rerun_that_finds_nothing_new_adds_no_file(session, out):
    await export(session, SIZES, out)
    before = data_files(out)
    for run in (2, 3):
        result = await export(session, SIZES, out)
        assert (result.run, result.done, result.complete) == (run, 4, 4)
        assert (result.events, result.late, result.files) == (0, 0, ())
    assert data_files(out) == before
    assert verify(out).status is Status.FINISHED
    assert len(read_manifest(out).runs) == 3


async def test_events_that_were_committed_late_are_found_within_the_look_back(
    server, session, out
):
    server.seed_events("a", 5, start=NOON, spacing=60)
    newest = datetime.fromisoformat(server.events("a")[-1]["created_at"])
    await export(session, ["a"], out, look_back=600)
    late = server.add_event("a", created_at=newest - timedelta(seconds=599))
    server.add_event("a", created_at=newest - timedelta(seconds=601))
    result = await export(session, ["a"], out, look_back=600)
    assert (result.events, result.late) == (1, 1)
    assert ids_of(out)["a"][-1] == late["id"]
    assert verify(out).problems == ()


@pytest.mark.usefixtures("logs")
@pytest.mark.parametrize("make", [lambda: None, lambda: ["one", "many"]])
async def test_an_end_in_the_future_of_the_server_is_refused_and_leaves_nothing(
    session, out, make
):
    await session.page("one")
    now = session.server_time
    with pytest.raises(ValueError, match="until must not be in the future"):
        await export(session, make(), out, until=now + timedelta(seconds=30))
    assert not out.exists()
    # That it is not in the future of this machine is nothing to the server.
    result = await export(session, make(), out, until=now - timedelta(seconds=30))
    assert result.unsettled_from == result.as_of - HOUR
    settled = await export(session, make(), out / "2", until=now - 2 * HOUR)
    assert settled.unsettled_from is None


async def test_an_identity_that_left_and_came_back_has_each_event_once(
    server, session, out
):
    rows = [{"id": f"e{n}", "created_at": NOON + n * HOUR / 10} for n in range(30)]
    server.add_identity(id="a")
    server.add_events("b", rows)
    await export(session, None, out)
    server.delete_identity("b")
    result = await export(session, None, out)
    assert (result.gone, result.done) == (1, 1)
    found = verify(out)
    assert (found.status, found.gone, found.identities) == ("finished", 1, 1)
    server.add_events("b", [*rows, {"id": "new", "created_at": NOON + 10 * HOUR}])
    result = await export(session, None, out)
    assert (result.events, result.new_identities, result.gone) == (1, 0, 0)
    assert ids_of(out) == {"b": server.event_ids("b")}
    found = verify(out)
    assert (found.status, found.gone, found.identities) == ("finished", 0, 2)


async def test_identities_that_a_filter_does_not_leave_are_not_asked_for(
    server, session, out
):
    for name in ("ada", "bob"):
        server.add_identity(id=name, email=f"{name}@example.org")
        server.seed_events(name, 3)
    await export(session, session.identities(q="ada"), out)
    assert read_back(out) == truth(server, "ada")
    asked = read_manifest(out).runs[0].begin.asked
    assert (asked.kind, asked.filter) == ("listing", {"q": "ada"})
    for other in (None, ["ada"], session.identities(q="bob")):
        with pytest.raises(ExportError, match="it can't be continued as"):
            await export(session, other, out)


@pytest.mark.usefixtures("logs")
async def test_what_ends_a_run_says_what_it_kept_and_that_it_goes_on(session, out):
    async def ids():
        yield "some"
        raise TimeoutError

    with pytest.raises(TimeoutError) as caught:
        await export(session, ids(), out, width=1)
    (note,) = caught.value.__notes__
    assert (
        note
        == f"150 events of this run are kept in {out}: run the export again to go on"
    )
    (run,) = read_manifest(out).runs
    assert (run.end.outcome, run.end.events, run.listed) == ("failed", 150, None)
    assert run.end.error.type == "TimeoutError"


async def test_a_manifest_tells_of_each_run(logs, session, out):
    first = await export(session, None, out, look_back=60)
    logs.seed_events("new", 7)
    second = await export(session, None, out, look_back=90)
    manifest = read_manifest(out)
    runs = manifest.runs
    assert [run.begin.run for run in runs] == [1, 2] == [first.run, second.run]
    assert [run.begin.look_back for run in runs] == [60, 90]
    assert [run.end.outcome for run in runs] == ["finished", "finished"]
    assert [run.end.events for run in runs] == [1051, 7]
    assert [run.end.covered for run in runs] == [4, 5]
    assert [run.end.new_identities for run in runs] == [4, 1]
    assert [run.end.as_of for run in runs] == [first.as_of, second.as_of]
    assert [run.listed.identities for run in runs] == [4, 5]
    assert [run.listed.counted for run in runs] == [4, 5]
    names = sorted([*SIZES, "new"])
    text = "".join(f"{name}\n" for name in names)
    assert runs[1].listed.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert all(run.listed.complete for run in runs)
    # By the server's clock, which is far from that of this machine.
    for run in runs:
        assert run.end.began <= run.end.as_of + timedelta(seconds=1)
        assert run.end.at > run.begin.at + timedelta(days=1000)
    assert manifest.as_of == second.as_of


async def test_a_rerun_reads_ids_that_were_not_named_before(logs, session, out):
    await export(session, ["one", "none"], out)
    result = await export(session, SIZES, out)
    assert (result.done, result.skipped, result.new_identities) == (4, 0, 2)
    assert read_back(out) == truth(logs, *SIZES)
    assert [file.name for file in result.files] == ["events-00002.jsonl"]


async def test_what_could_not_be_read_is_collected_and_tried_again(logs, session, out):
    result = await export(session, ["one", "later", "some"], out)
    assert isinstance(result.failures["later"], NotFoundError)
    assert (result.done, result.failed) == (2, 1)
    entry = read_manifest(out).identities["later"]
    assert (entry.state, entry.events, entry.complete) == ("failed", 0, False)
    assert entry.error.type == "NotFoundError"
    assert "404" in entry.error.message
    logs.seed_events("later", 30)
    result = await export(session, ["one", "later", "some"], out)
    assert (result.done, result.skipped, result.failed) == (3, 0, 0)
    assert read_back(out) == truth(logs, "one", "later", "some")
    entry = read_manifest(out).identities["later"]
    assert (entry.state, entry.events, entry.error) == ("done", 30, None)


async def test_one_that_fails_again_keeps_its_rows_and_its_place(
    logs, connect, quick, out
):
    session = connect(retry=quick, concurrency=1)
    for first_bad_page in (4, 7):
        logs.faults = Faults(
            error_rate=1.0,
            only=lambda r, page=first_bad_page: r.identity == "many" and r.page >= page,
        )
        result = await export(session, ["many"], out)
        assert list(result.failures) == ["many"]
        assert read_manifest(out).identities["many"].known is not None
        assert verify(out).status is Status.UNFINISHED
    logs.faults = Faults(error_rate=1.0)  # not even its beginning is found
    assert (await export(session, ["many"], out)).events == 0
    logs.faults = Faults()
    result = await export(session, ["many"], out)
    assert 0 < result.events < 900
    assert read_back(out) == truth(logs, "many")
    assert read_manifest(out).identities["many"].complete
    assert verify(out).status is Status.FINISHED


async def test_a_read_that_cant_be_proven_is_a_failure_and_its_rows_are_kept(
    server, session, out
):
    server.seed_events("moving", 600)
    server.faults = Faults(unsorted=True, only=lambda r: r.page > 2)
    result = await export(session, ["moving"], out)
    assert isinstance(result.failures["moving"], IncompleteReadError)
    entry = read_manifest(out).identities["moving"]
    assert (entry.state, entry.complete) == ("failed", False)
    assert 0 < entry.events == len(ids_of(out)["moving"])
    server.faults = Faults()
    await export(session, ["moving"], out)
    assert read_back(out) == truth(server, "moving")


async def test_what_was_proven_of_one_that_failed_is_said_and_gone_on_with(
    server, connect, out, quick
):
    server.seed_events("broken", 600)
    server.faults = Faults(error_rate=1, only=lambda r: r.page > 2)
    async with connect(retry=quick) as session:
        await export(session, ["broken"], out)
    entry = read_manifest(out).identities["broken"]
    assert (entry.state, entry.complete) == ("failed", False)
    assert entry.proof == "strict-key"
    assert entry.events > 0
    server.faults = Faults()
    await export(connect(), ["broken"], out)
    entry = read_manifest(out).identities["broken"]
    assert (entry.state, entry.complete, entry.proof) == ("done", True, "strict-key")
    assert read_back(out) == truth(server, "broken")


async def test_what_goes_on_behind_a_fence_that_fell_is_done_and_not_proven(
    server, connect, out, quick
):
    """Whether a fence held can only be told by the read that raised it."""
    server.seed_events("fenced", 200)
    server.faults = Faults(take_ignored=20)
    server.fail_next(4, status=500, only=lambda r: (r.page, r.take) == (5, 20))
    async with connect(retry=quick) as session:
        await export(session, ["fenced"], out)
    entry = read_manifest(out).identities["fenced"]
    assert (entry.state, entry.complete, entry.proof) == ("failed", False, "none")
    assert entry.events > 0
    result = await export(connect(), ["fenced"], out)
    entry = read_manifest(out).identities["fenced"]
    assert (entry.state, entry.complete, entry.proof) == ("done", False, "none")
    assert (result.done, result.complete) == (1, 0)
    assert read_back(out) == truth(server, "fenced")


async def test_a_range_and_a_search_are_those_of_events(logs, session, out):
    rows = logs.events("many")
    since, until_ = (datetime.fromisoformat(rows[n]["created_at"]) for n in (200, 700))
    result = await export(session, ["many"], out, since=since, until=until_, q="login")
    expected = await session.events(
        "many", since=since, until=until_, q="login", order="asc"
    ).collect()
    assert ids_of(out)["many"] == [event.id for event in expected]
    assert 0 < result.events < 500
    header = read_manifest(out).header
    assert (header.since, header.until, header.q) == (since, until_, "login")
    assert verify(out).ok


async def test_files_are_closed_at_their_size_and_their_names_sort(
    logs, session, out, chunks_of
):
    chunks_of(300)
    logs.seed_events("big", 2_000)
    result = await export(session, ["many", "big"], out, max_file_bytes=250_000)
    names = [file.name for file in result.files]
    assert names == [f"events-0000{n + 1}.jsonl" for n in range(len(names))]
    assert len(names) > 2
    assert all(250_000 <= file.bytes < 1_500_000 for file in result.files[:-1])
    assert read_back(out) == truth(logs, "many", "big")
    commits = list(iter_commits(out))
    first = commits[0].n  # after the header and the begin of the run
    assert [commit.n for commit in commits] == list(range(first, first + len(commits)))
    assert first == 3
    assert read_manifest(out).identities["big"].events == 2_000


async def test_what_was_read_is_final_after_so_many_seconds(logs, session, out):
    logs.fail_next(kind="hang", only=lambda r: r.identity == "one")
    exporting = asyncio.create_task(
        export(session, ["some", "one"], out, width=2, commit_every=0.05)
    )
    # In one file or in two: the seconds may be over between two pages.
    read = {"some": logs.event_ids("some")}
    await until(lambda: out.exists() and ids_of(out) == read)
    assert not exporting.done()
    exporting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await exporting


async def test_many_that_end_are_committed_though_they_have_no_events(
    server, session, out, monkeypatch
):
    monkeypatch.setattr("canopy_async.export.log_reader.MAX_ENDED", 40)
    ids = server.seed_identities(100)
    for identity_id in ids[::10]:
        server.seed_events(identity_id, 2)
    await export(session, ids, out)
    assert read_manifest(out).count("done") == 100
    assert read_manifest(out).commits >= 2


async def test_more_events_of_one_instant_than_a_checkpoint_holds_are_no_end(
    server, session, out, chunks_of, monkeypatch
):
    monkeypatch.setattr("canopy_async._follow.follow_checkpoint.MAX_IDS", 150)
    monkeypatch.setattr("canopy_async.export.look_back.MAX_IDS", 150)
    monkeypatch.setattr("canopy_async.export.look_back.MOST_KEPT", 60)
    chunks_of(50)
    server.seed_events("a", 200)
    server.seed_events("a", 450, tie_probability=1.0)
    server.seed_events("a", 200)
    await export(session, ["a"], out, max_file_bytes=1)
    assert read_back(out) == truth(server, "a")
    counts = [commit.identities[0].events for commit in iter_commits(out)]
    assert len(counts) > 2
    assert max(counts) >= 300  # no commit among those that are too many
    assert verify(out).ok


async def test_a_cancelled_export_has_committed_what_was_handed_out(logs, session, out):
    logs.seed_events("big", 3_000)
    logs.faults = Faults(latency=0.002)
    seen = []

    async def run():
        await export(session, ["some", "big"], out, on_progress=seen.append)

    exporting = asyncio.create_task(run())
    await until(lambda: seen and seen[-1].events > 500)
    exporting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await exporting
    events = read_manifest(out).events
    assert 500 < events < 3_150
    assert sum(map(len, ids_of(out).values())) == events
    assert not list(out.glob("*.partial"))
    assert verify(out).status is Status.UNFINISHED
    await assert_quiet(logs)
    result = await export(session, ["some", "big"], out)
    assert result.events == 3_150 - events
    assert read_back(out) == truth(logs, "some", "big")


async def test_a_refused_token_stops_it_after_a_commit(logs, connect, out):
    token = logs.issue_token(uses=8)
    session = connect(token=token, concurrency=1)
    with pytest.raises(UnauthorizedError):
        await export(session, ["some", "many"], out, width=1)
    events = read_manifest(out).events
    assert 0 < events < 1_050
    assert read_manifest(out).count("open") == 1
    result = await export(connect(), ["some", "many"], out)
    assert result.events == 1_050 - events
    assert read_back(out) == truth(logs, "some", "many")


async def test_what_the_identities_raise_stops_it_after_a_commit(logs, session, out):
    async def ids():
        yield "some"
        yield "many"
        raise TimeoutError("the list broke off")

    with pytest.raises(TimeoutError, match="broke off"):
        await export(session, ids(), out, width=1)
    assert read_manifest(out).count("done") == 2
    assert read_back(out) == truth(logs, "some", "many")


async def test_an_id_that_cant_be_one_stops_it_after_a_commit(logs, session, out):
    with pytest.raises(ValueError, match="identity_id must not be empty"):
        await export(session, ["some", ".."], out, width=1)
    assert read_back(out) == truth(logs, "some")


async def test_a_closed_session_stops_it_after_a_commit(logs, session, out):
    logs.faults = Faults(latency=0.002)
    seen = []
    exporting = asyncio.create_task(
        export(session, SIZES, out, on_progress=seen.append, width=2)
    )
    await until(lambda: seen and seen[-1].events > 100)
    await session.aclose()
    with pytest.raises(SessionClosedError):
        await exporting
    assert read_manifest(out).events > 100


async def test_it_leaves_nothing_running(logs, session, out):
    await export(session, session.identities(), out)
    await assert_gone(session, logs)


async def test_progress_is_told_and_ends_with_all(logs, session, out):
    seen = []
    await export(session, SIZES, out, on_progress=seen.append)
    assert [p.events for p in seen] == sorted(p.events for p in seen)
    last = seen[-1]
    assert (last.done, last.complete, last.failed, last.open) == (4, 4, 0, 0)
    assert (last.events, last.files) == (1051, 1)
    assert last.bytes == read_manifest(out).bytes
    assert last.requests == len(logs.requests)
    await export(session, SIZES, out, on_progress=seen.append)
    assert (seen[-1].skipped, seen[-1].done, seen[-1].events) == (0, 4, 0)


async def test_what_a_callback_raises_ends_it_after_a_commit(server, session, out):
    server.seed_events("some", 10)

    def refuse(_):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        await export(session, ["some"], out, on_progress=refuse)
    assert read_manifest(out).events > 0


async def test_memory_is_bounded_by_chunks_not_by_logs(
    logs, session, out, chunks_of, monkeypatch
):
    chunks_of(200)
    written = []
    write = ExportDirectory.write

    def spy(directory, batches, rows):
        assert rows == b"".join(batches).count(b"\n")
        written.append(rows)
        write(directory, batches, rows)

    monkeypatch.setattr(ExportDirectory, "write", spy)
    logs.seed_events("big", 2_000)
    await export(session, ["big", "many"], out)
    assert sum(written) == 2_900
    # A chunk is full at 200, and the last page of it has 100 rows at most.
    assert max(written) < 300


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (
            {"format": "xml"},
            ValueError,
            "format must be one of 'csv', 'csv-bom', 'jsonl'",
        ),
        ({"format": None}, TypeError, "format must be a str"),
        ({"width": 0}, ValueError, "width must be 1 or more"),
        ({"max_file_bytes": 0}, ValueError, "max_file_bytes must be 1 or more"),
        ({"max_file_bytes": 1.5}, TypeError, "max_file_bytes must be an int"),
        ({"commit_every": 0}, ValueError, "commit_every must be a finite number"),
        ({"since": "2026-01-01"}, TypeError, "since must be a datetime"),
        (
            {
                "since": datetime(2026, 1, 2, tzinfo=UTC),
                "until": datetime(2026, 1, 1, tzinfo=UTC),
            },
            ValueError,
            "since",
        ),
        ({"q": 3}, TypeError, "q must be a str"),
        ({"look_back": -1}, ValueError, "look_back must be a finite number"),
        ({"look_back": 8 * 86_400}, ValueError, "look_back must be at most seven days"),
        ({"look_back": "1h"}, TypeError, "look_back must be a number"),
        ({"directory": ""}, ValueError, "directory must not be empty"),
        ({"directory": b"out"}, TypeError, "directory must be a str or a path"),
        ({"on_progress": "print"}, TypeError, "on_progress must be a plain function"),
        ({"on_progress": tell}, TypeError, "on_progress .* not an async one"),
        ({"on_progress": dict}, TypeError, "on_progress .* not the class dict"),
        ({"identities": "one"}, TypeError, "identity_ids must be an iterable"),
        ({"identities": 7}, TypeError, "identity_ids must be an iterable"),
    ],
)
async def test_bad_arguments_are_refused_before_anything_is_done(
    session, out, options, error, words
):
    arguments = {"identities": ["one"], "directory": out} | options
    with pytest.raises(error, match=words):
        await export(session, **arguments)
    assert not out.exists()
    assert session.stats.requests == 0


async def test_errors_are_those_of_the_library(session, out):
    out.write_text("not a directory")
    with pytest.raises(CanopyError, match="out: File exists"):
        await export(session, ["one"], out)
    assert out.read_text() == "not a directory"
