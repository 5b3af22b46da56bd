"""Exports on a cluster into what fsspec can reach: here, a filesystem in memory."""

import asyncio
import functools
import gc
import os
import threading
from datetime import timedelta
from itertools import permutations
from pathlib import Path

import dask
import fsspec
import pytest
from distributed import Semaphore, Variable
from fsspec.implementations.memory import MemoryFileSystem
from support.clusters import (
    NOON,
    TOKEN_VARIABLE,
    exported,
    local_client,
    local_server,
)
from support.exports import truth
from support.manifests import as_version_1
from support.waiting import until

from canopy_async import ExportError, RetryPolicy, UnauthorizedError
from canopy_async.checkpoint import scope_of
from canopy_async.distributed import destination, driver, export, task_plan
from canopy_async.distributed.primitives import leases
from canopy_async.distributed.storage import RemoteStorage
from canopy_async.export import export as export_by_one
from canopy_async.export import iter_commits, read_header, read_manifest, verify
from canopy_async.testing import Faults

URL = "memory://bucket/out"
OTHERS = {"_manifest.ndjson", "_SHA256SUMS"}
SIZES = {"a": 120, "b": 0, "c": 310, "d": 45}


@pytest.fixture(scope="module")
def client():
    with local_client(processes=False) as made:
        yield made


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(driver, "BEAT", 0.05)


@pytest.fixture
def files():
    """The filesystem, empty."""
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    return fsspec.filesystem("memory")


@pytest.fixture
async def server():
    async with local_server() as local:
        for identity_id, size in SIZES.items():
            local.add_identity(id=identity_id)
            local.seed_events(identity_id, size)
        yield local


@pytest.fixture
def run(client, server, files):  # noqa: ARG001 - emptied for each test
    async def start(ids=SIZES, url=URL, **options):
        options = {
            "account": server.account,
            "base_url": server.base_url,
            "token": f"env:{TOKEN_VARIABLE}",
            "shard_size": 1,
        } | options
        return await asyncio.to_thread(
            functools.partial(export, client, ids, url, **options)
        )

    return start


def names(files):
    return {path.rpartition("/")[2] for path in files.ls("/bucket/out", detail=False)}


def name_few_ids(monkeypatch):
    """Let what is known of a log, and a place in it, name 50 events at most."""
    monkeypatch.setattr("canopy_async.checkpoint.MAX_IDS", 50)
    monkeypatch.setattr("canopy_async._follow.follow_checkpoint.MAX_IDS", 50)
    monkeypatch.setattr("canopy_async.export.look_back.MAX_IDS", 50)
    monkeypatch.setattr("canopy_async.export.look_back.MOST_KEPT", 22)


async def test_a_url_holds_the_same_export_as_a_directory(run, files, tmp_path):
    result = await run(split_over=100)
    assert (result.directory, result.complete) == (URL, 4)
    assert result.events == sum(SIZES.values())
    found = verify(URL)
    assert (found.ok, found.events, found.done) == (True, 475, 4)
    manifest = read_manifest(URL)
    assert names(files) == {f.name for f in manifest.files} | OTHERS
    assert read_header(URL) == manifest.header
    here = tmp_path / "here"
    files.get("/bucket/out", str(here), recursive=True)
    assert verify(here).ok
    assert read_manifest(here) == manifest


async def test_a_rerun_goes_on_with_what_is_there(server, run):
    first = await run([*SIZES, "later"], until=NOON)
    assert (first.done, list(first.failures)) == (4, ["later"])
    server.seed_events("later", 60)
    server.reset_requests()
    second = await run([*SIZES, "later"], until=NOON)
    assert (second.done, second.skipped, second.events) == (1, 4, 60)
    assert {request.identity for request in server.requests} == {"later"}
    assert verify(URL).ok


async def test_what_comes_is_added_each_time_and_once(server, run):
    first = await run([*SIZES])
    assert (first.run, first.new_identities, first.late) == (1, 4, 0)
    newest = truth(server, "a")["a"][-1]["created_at"]
    server.seed_events("a", 10)
    server.seed_events("b", 2)
    server.add_event("a", created_at=newest - timedelta(minutes=50))
    server.add_event("d", created_at=NOON + timedelta(minutes=1))
    second = await run([*SIZES])
    # All but the last are dated before the instant up to which the logs were read.
    assert (second.run, second.events, second.late) == (2, 14, 13)
    assert (second.done, second.complete, second.skipped) == (4, 4, 0)
    assert (second.new_identities, second.gaps) == (0, ())
    third = await run([*SIZES])
    assert (third.events, third.files, third.done, third.complete) == (0, 0, 4, 4)
    found = verify(URL)
    assert (found.is_finished, found.events, found.runs) == (True, 489, 3)


async def test_a_run_says_all_that_one_of_a_single_process_says(run):
    end = NOON - timedelta(minutes=10)
    result = await run(None, until=end)
    assert NOON - timedelta(minutes=10) < result.as_of <= NOON
    assert result.unsettled_from == result.as_of - timedelta(hours=1)
    assert (result.gone, result.failures, result.gaps) == (0, {}, ())
    begun = read_manifest(URL).runs[-1]
    assert begun.begin.asked.kind == "all"
    assert begun.begin.look_back == 3_600
    assert (begun.listed.identities, begun.listed.counted) == (4, 4)
    assert (begun.listed.complete, begun.listed.proof) == (True, "strict-key")
    assert begun.end.outcome == "finished"
    assert (begun.end.covered, begun.end.failed) == (4, 0)
    assert begun.end.as_of == result.as_of
    assert NOON - timedelta(minutes=10) < begun.end.began <= NOON <= begun.end.at


async def test_an_identity_that_the_account_lists_no_more_is_gone(server, run):
    await run(None)
    server.delete_identity("c")
    result = await run(None)
    assert (result.gone, result.done, result.failures) == (1, 3, {})
    assert read_manifest(URL).identities["c"].state == "gone"
    assert verify(URL).is_finished


async def test_an_end_in_the_future_is_refused_by_the_servers_clock(run, files):
    with pytest.raises(ValueError, match="until must not be in the future"):
        await run(until=NOON + timedelta(days=1))
    assert names(files) == set()
    await run(until=NOON)
    assert verify(URL).is_finished


async def test_an_export_of_other_identities_is_not_gone_on_with(run):
    await run(["a"])
    with pytest.raises(ExportError, match="holds an export of a selection of"):
        await run(None)
    assert verify(URL).is_finished


async def test_what_is_begun_is_in_the_manifest_before_the_first_request(server, run):
    seen = []

    def look(*_):
        if not seen:
            seen.append(read_manifest(URL).runs[-1])

    server.faults = Faults(mutate=look)
    await run(None)
    assert (seen[0].begin.asked.kind, seen[0].listed, seen[0].end) == (
        "all",
        None,
        None,
    )


async def test_a_kill_between_the_manifest_and_the_names_is_mended(
    run, files, monkeypatch
):
    """What the manifest names counts, and gets its name when it is gone on with."""

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RemoteStorage, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            await run(["a", "c"])
    data = {name for name in names(files) if "events-" in name}
    assert len(data) == 2
    assert all(name.startswith("_events-") for name in data)
    found = verify(URL)
    assert (found.status, found.problems, found.events) == ("finished", (), 430)
    assert "_SHA256SUMS" not in names(files)
    result = await run(["a", "c"])
    assert (result.run, result.events) == (2, 0)
    assert names(files) == {f.name for f in read_manifest(URL).files} | OTHERS
    assert verify(URL).is_finished


async def test_a_copy_that_a_kill_has_left_beside_its_final_name_is_deleted(run, files):
    await run(["a"])
    (entry,) = read_manifest(URL).files
    partial = f"/bucket/out/_{entry.name}.partial"
    files.pipe_file(partial, files.cat_file(f"/bucket/out/{entry.name}"))
    await run(["a"])
    assert names(files) == {entry.name} | OTHERS


async def test_an_export_of_version_1_is_gone_on_with(server, run, files, tmp_path):
    here = tmp_path / "here"
    await run(url=here)
    as_version_1(here)
    files.put(str(here), "/bucket/out", recursive=True)
    assert names(files) == {path.name for path in here.iterdir()}
    assert verify(URL).status == "unfinished"
    server.seed_events("a", 5)
    result = await run()
    assert (result.events, result.done, result.complete) == (5, 4, 4)
    assert names(files) == {f.name for f in read_manifest(URL).files} | OTHERS
    found = verify(URL)
    assert (found.is_finished, found.events) == (True, 480)


async def test_one_process_and_a_cluster_go_on_with_each_others_work(
    server, run, connect, tmp_path
):
    here = tmp_path / "here"
    seen = []

    def stop(progress):
        if progress.events > 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await run(None, url=here, split_over=100, on_progress=stop)
    for night in range(4):
        server.seed_events("a", 7)
        server.seed_events(f"new_{night}", 3)
        if night % 2:
            result = await run(None, url=here, split_over=100)
        else:
            async with connect(base_url=server.base_url) as session:
                result = await export_by_one(session, None, here)
        seen.append((result.run, result.failed, result.new_identities > 0))
        found = verify(here)
        assert (found.status, found.problems) == ("finished", ())
        assert exported(here) == truth(
            server, *SIZES, *map("new_{}".format, range(night + 1))
        )
    assert seen == [(n, 0, True) for n in (2, 3, 4, 5)]


async def test_one_process_deletes_what_tasks_have_left(server, run, connect, tmp_path):
    here = tmp_path / "here"
    await run(["a"], url=here)
    left = (
        "_events-s00001-0123abcd-00001.jsonl.partial",
        "_shard-s00001-0123abcd.json",
    )
    old = ("events-s00001-0123abcd-00001.jsonl", "shard-s00001-0123abcd.json")
    for name in (*left, *old):
        (here / name).write_bytes(b"{}")
    async with connect(base_url=server.base_url) as session:
        await export_by_one(session, ["a"], here)
    assert {path.name for path in here.iterdir()}.isdisjoint(left)
    assert verify(here).is_finished


@pytest.mark.parametrize("by_one", [True, False])
async def test_a_task_that_still_writes_does_not_fail_the_next_run(
    server, run, connect, tmp_path, monkeypatch, by_one
):
    """It gives a file another name whenever the run has just listed the directory."""
    here = tmp_path / "here"
    await run(["a"], url=here)
    names = (
        "_shard-s00001-0123abcd.json.partial",
        "_events-s00001-0123abcd-00001.jsonl.partial",
    )
    renamed = []

    def overtaken(look):
        def look_and_rename(path):
            if path != here:
                return look(path)
            found = list(look(path))
            for name, other in permutations(names):
                if (here / name).exists():
                    renamed.append((here / name).rename(here / other))
                    break
            return iter(found)

        return look_and_rename

    (here / names[0]).write_bytes(b"{}")
    monkeypatch.setattr(Path, "iterdir", overtaken(Path.iterdir))
    monkeypatch.setattr(os, "scandir", overtaken(os.scandir))
    if by_one:
        async with connect(base_url=server.base_url) as session:
            result = await export_by_one(session, ["a"], here)
    else:
        result = await run(["a"], url=here)
    assert renamed
    assert (result.done, result.failed) == (1, 0)
    assert verify(here).is_finished


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_giant_log_is_gone_on_with_in_whatever_order_it_comes(
    server, run, monkeypatch, order
):
    """What comes newest first can't be split, and is read on in one go."""
    monkeypatch.setattr(task_plan, "MOST_KEPT", 50)
    is_ignored = order == "desc"
    server.faults = Faults(ignore_order=is_ignored, default_order=order)
    server.seed_events("giant", 1_000)
    first = await run(["giant"], split_over=100)
    assert first.tasks == (2 if is_ignored else first.tasks)
    assert is_ignored or first.tasks > 5
    server.seed_events("giant", 700)
    second = await run(["giant"], split_over=100)
    assert (second.events, second.complete, second.gaps) == (700, 1, ())
    assert second.tasks > 1
    third = await run(["giant"], split_over=100)
    assert (third.events, third.complete) == (0, 1)
    found = verify(URL)
    assert (found.is_finished, found.events) == (True, 1_700)


async def test_a_gap_before_what_is_split_is_said_once(server, run, monkeypatch):
    monkeypatch.setattr(task_plan, "MOST_KEPT", 10)
    nine_minutes_ago = NOON - timedelta(minutes=9)
    server.seed_events("giant", 50, start=nine_minutes_ago, spacing=0.1)
    await run(["giant"], split_over=100)
    server.delete_oldest("giant", 50)
    since = NOON - timedelta(minutes=5)
    server.seed_events("giant", 600, start=since, spacing=0.1)
    result = await run(["giant"], split_over=100)
    assert (result.gaps, result.events) == (("giant",), 600)
    assert result.tasks > 3
    (gap,) = [
        entry.gap
        for commit in iter_commits(URL)
        for entry in commit.identities
        if entry.gap is not None
    ]
    assert gap.older_than == truth(server, "giant")["giant"][0]["created_at"]
    assert (verify(URL).gaps, verify(URL).status) == (1, "unfinished")


async def test_what_a_failed_run_has_kept_is_said(server, run):
    server.revoke_token(server.token)
    with pytest.raises(UnauthorizedError) as error:
        await run()
    words = f"0 events of this run are kept in {URL}: run the export again to go on"
    assert words in error.value.__notes__
    end = read_manifest(URL).runs[-1].end
    assert (end.outcome, end.error.type) == ("failed", "UnauthorizedError")


async def test_the_manifest_is_written_now_and_then(run, monkeypatch):
    seen = {}

    def look(progress):
        seen[progress.done] = read_manifest(URL).count("done")

    await run(["a", "b"], on_progress=look)
    assert seen[1] == seen[2] == 0
    monkeypatch.setattr(destination, "FLUSH_EVERY", 0.0)
    await run(["c", "d"], on_progress=look)
    assert seen[1] == 3
    assert read_manifest(URL).count("done") == 4


async def test_a_run_can_be_ended_while_none_of_its_tasks_ends(server, run):
    server.faults = Faults(hang_rate=1.0)
    told = []

    def tell(progress):
        told.append(progress.tasks_done)
        if len(told) > 2 and server.in_flight:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await run(["a"], on_progress=tell)
    assert set(told) == {0}
    await until(lambda: server.in_flight == 0, "it goes on")


def variables(dask_scheduler):
    """The names of what runs have put on a scheduler."""
    return list(dask_scheduler.extensions["variables"].variables)


def refreshing():
    """How many semaphores of budgets are kept alive by what refreshes them."""
    gc.collect()
    return sum(
        isinstance(found, Semaphore)
        and found.name.endswith(("-requests", "-waiting"))
        and found.refresh_callback.is_running()
        for found in gc.get_objects()
    )


async def test_what_an_interrupted_run_has_adopted_is_kept(client, run):
    def interrupt(progress):
        if progress.tasks_done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        await run(on_progress=interrupt, until=NOON)
    manifest = read_manifest(URL)
    assert manifest.count("done") >= 2
    assert manifest.runs[0].end.outcome == "stopped"
    (note,) = stopped.value.__notes__
    assert note == (
        f"{manifest.events:,} events of this run are kept in {URL}: run the export"
        " again to go on"
    )
    await until(lambda: client.run_on_scheduler(variables) == [], "variables stay")
    await until(lambda: not refreshing(), "leases of ended tasks are refreshed")
    result = await run(until=NOON)
    assert 2 <= result.skipped < 5
    assert result.done + result.skipped == 4
    found = verify(URL)
    assert (found.ok, found.events) == (True, 475)


async def test_a_manifest_that_was_cut_short_is_gone_on_with(run, files):
    await run(["a", "c"])
    path = "/bucket/out/_manifest.ndjson"
    files.pipe_file(path, files.cat_file(path) + b'{"kind":"commit","n":3,"fi')
    assert verify(URL).status == "unfinished"
    await run()
    # After the header, and after the begin and the identities of each run.
    assert [commit.n for commit in iter_commits(URL)] == [4, 5, 9, 10, 11, 12]
    assert verify(URL).is_finished


async def test_what_is_not_this_export_is_refused(run, files):
    files.pipe_file("/bucket/out/notes.txt", b"mine")
    with pytest.raises(ExportError, match=r"holds no export: it has 'notes\.txt'"):
        await run()
    files.rm("/bucket/out/notes.txt")
    await run(["a"])
    with pytest.raises(ExportError, match="its q is None, not 'x'"):
        await run(["a"], q="x")
    name = read_manifest(URL).files[0].name
    files.rm(f"/bucket/out/{name}")
    with pytest.raises(ExportError, match=f"{name} is missing"):
        await run()
    assert verify(URL).problems == (f"{name} can't be read: No such file or directory",)


async def test_a_manifest_that_another_one_has_changed_is_not_overwritten(run, files):
    path = "/bucket/out/_manifest.ndjson"

    def change(_):
        files.pipe_file(path, files.cat_file(path) + b"\n")

    with pytest.raises(ExportError, match="is in use: its manifest has changed"):
        await run(["a"], on_progress=change)


async def test_one_place_has_one_run_at_a_time(client, run, monkeypatch):
    monkeypatch.setattr(driver, "lease_patience", lambda: 0.1)
    other = leases(f"canopy-async-{scope_of(URL)}", 1, client)
    assert await asyncio.to_thread(other.acquire)
    asked = []
    acquire = Semaphore.acquire

    def ask(self, timeout=None):
        asked.append(timeout)
        return acquire(self, timeout=timeout)

    monkeypatch.setattr(Semaphore, "acquire", ask)
    with pytest.raises(ExportError, match="is in use: another export writes to it"):
        await run()
    # A killed driver's place in the queue is kept for so long.
    assert set(asked) == {driver.BEAT}
    await asyncio.to_thread(other.release)
    assert (await run()).done == 4


async def test_a_task_that_can_not_write_is_tried_again_and_then_reported(
    run, monkeypatch
):
    faults = [OSError("no route to the bucket")] * 2
    put_file = MemoryFileSystem.put_file

    def put(self, source, target, **options):
        if "/_events-" in target and faults:
            raise faults.pop()
        put_file(self, source, target, **options)

    monkeypatch.setattr(MemoryFileSystem, "put_file", put)
    result = await run(["a"], retries=2)
    assert (result.done, faults) == (1, [])
    faults += [OSError("no route to the bucket")] * 2
    result = await run(["a", "b"], retries=0, shard_size=2, url="memory://bucket/two")
    assert set(result.failures) == {"a", "b"}
    assert (
        "its task failed: ExportError: memory://bucket/two: OSError: no route"
        in str(result.failures["a"])
    )
    manifest = read_manifest("memory://bucket/two")
    assert (manifest.events, manifest.count("failed")) == (0, 2)
    assert manifest.runs[-1].end.failed == 2
    faults.clear()
    again = await run(["a", "b"], url="memory://bucket/two")
    assert (again.done, again.skipped) == (2, 0)
    assert verify("memory://bucket/two").ok


async def test_a_log_is_not_left_where_no_checkpoint_can_be(server, run, monkeypatch):
    """More events share an instant than one can name, where enough was read."""
    name_few_ids(monkeypatch)
    server.seed_events("a", 200, tie_probability=1.0)
    server.seed_events("a", 400)
    result = await run(["a"], split_over=250)
    assert (result.complete, result.events, result.tasks) == (1, 720, 1)
    assert verify(URL).ok


async def test_leftovers_of_a_killed_attempt_are_deleted(run, files):
    left = ("events-s00001-0123abcd-00001.jsonl", "shard-s00001-0123abcd.json")
    await run(["a"])
    for name in left:
        files.pipe_file(f"/bucket/out/{name}", b"{}")
    assert verify(URL).problems == (f"{left[0]} is not in the manifest",)
    await run()
    assert names(files).isdisjoint(left)
    assert verify(URL).ok


async def test_a_server_that_falls_away_leaves_what_can_be_gone_on_with(server, run):
    server.faults = Faults(error_rate=1.0, only=lambda request: request.page > 2)
    quick = RetryPolicy(attempts=2, base=0.001, throttled_base=0.001)
    first = await run(["c"], retry=quick)
    assert first.failed == 1
    entry = read_manifest(URL).identities["c"]
    server.faults = Faults()
    second = await run(["c"])
    assert second.events == 310 - entry.events < 310
    assert verify(URL).ok


async def test_requests_per_second_hold_over_tasks_of_one_request(server, run):
    """Each may begin as soon as another one has ended."""
    server.reset_requests()
    await run(server.seed_identities(8), concurrency=2, max_rate=15)
    starts = sorted(request.started for request in server.requests)
    assert len(starts) == 8
    # What is beyond the rate is one for each request that may be in flight.
    assert all(b - a > 4 / 15 - 0.02 for a, b in zip(starts, starts[5:], strict=False))


async def test_a_second_run_gets_its_share_of_what_the_first_one_holds(server, run):
    """The first one has enough to ask for until the second one has ended."""
    server.seed_events("long", 1_000)
    server.faults = Faults(
        latency=0.02, insert_per_request=250, only=lambda r: r.identity == "long"
    )
    first = asyncio.create_task(run(["long"], concurrency=4))
    await until(lambda: server.peak_in_flight == 4, "not all leases are used")
    await run(["c"], "memory://bucket/two", concurrency=4)
    assert not first.done()
    server.faults = Faults()
    assert (await first).complete == 1
    assert server.peak_in_flight == 4


async def test_a_task_that_may_have_lost_its_leases_ends(server, run, monkeypatch):
    """Others count on what it sends no more; another attempt reads it again."""
    server.seed_events("long", 3_000)
    server.faults = Faults(latency=0.02)
    get = Variable.get

    def far(self, **options):
        # The beats of the first attempt, which are not in its own thread.
        if threading.current_thread().name.startswith("asyncio") and not ended:
            raise OSError("no route to the scheduler")
        if len(server.requests) > 5:
            ended.append(len(server.requests))
        return get(self, **options)

    ended = []
    monkeypatch.setattr(Variable, "get", far)
    with dask.config.set({"distributed.scheduler.locks.lease-timeout": "200ms"}):
        result = await run(["long"], concurrency=1)
    assert 5 < ended[0] < 20
    # It may notice a few requests late, and sends no more from then on.
    assert ended[0] <= len(server.requests) - result.requests < 20
    assert (result.complete, result.events) == (1, 3_000)
    assert verify(URL).ok


async def test_one_log_that_can_not_be_left_does_not_hold_up_others(
    server, run, monkeypatch
):
    """It fails among more events of one instant than a checkpoint can name."""
    name_few_ids(monkeypatch)
    server.seed_events("bad", 300, tie_probability=1.0)
    server.seed_events("bad", 30)
    server.faults = Faults(
        error_rate=1.0, only=lambda r: r.identity == "bad" and r.page * r.take > 250
    )
    quick = RetryPolicy(attempts=1)
    first = await run(["bad", *SIZES], shard_size=5, retries=0, retry=quick, until=NOON)
    assert (first.done, list(first.failures)) == (4, ["bad"])
    entry = read_manifest(URL).identities["bad"]
    assert (entry.state, entry.events) == ("failed", 0)
    server.faults = Faults()
    second = await run(["bad", *SIZES], until=NOON)
    assert (second.complete, second.skipped, second.events) == (1, 4, 330)
    assert verify(URL).ok


async def test_whatever_a_filesystem_raises_is_an_export_error(run, monkeypatch):
    class ElsewhereError(Exception):
        """Of no class that a caller knows."""

    def fail(*_, **__):
        raise ElsewhereError("no such bucket")

    monkeypatch.setattr(MemoryFileSystem, "makedirs", fail)
    with pytest.raises(ExportError, match=f"{URL}: ElsewhereError: no such bucket"):
        await run()
