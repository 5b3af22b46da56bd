"""Exports on a real Dask cluster of two processes."""

import asyncio
import functools
import json
import os
import pickle
import sys
from collections import Counter
from pathlib import Path

import pytest
from distributed import Client
from support.clusters import (
    NOON,
    TOKEN_VARIABLE,
    async_token_of_environment,
    broken_token,
    exported,
    kill_the_worker_of,
    local_client,
    local_server,
    run_shard_twice,
    token_of_environment,
)
from support.exports import truth
from support.programs import installed, script
from support.waiting import until

from canopy_async import (
    ExportError,
    NotFoundError,
    RetryPolicy,
    UnauthorizedError,
)
from canopy_async.distributed import cluster_tasks, driver, export
from canopy_async.export import read_manifest, verify
from canopy_async.testing import Faults

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")

SIZES = {f"idn_{n}": n * 53 % 240 for n in range(1, 13)} | {"none": 0, "one": 1}

PATIENCE = 2.0
"""Seconds after which an answer that hangs is asked for again."""


@pytest.fixture(scope="module")
def client():
    with local_client(processes=True) as made:
        yield made


@pytest.fixture(autouse=True)
def _quick_beats(monkeypatch):
    monkeypatch.setattr(driver, "BEAT", 0.05)


@pytest.fixture
async def server():
    async with local_server() as local:
        yield local


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def logs(server):
    for identity_id, size in SIZES.items():
        server.add_identity(id=identity_id)
        server.seed_events(identity_id, size)
    return server


@pytest.fixture
def run(client, server, out):
    """Runs an export in a thread, as the call blocks."""

    async def start(ids, directory=out, **options):
        options = {
            "account": server.account,
            "base_url": server.base_url,
            "token": f"env:{TOKEN_VARIABLE}",
            "retry": RetryPolicy(base=0.001, throttled_base=0.001),
        } | options
        call = functools.partial(export, client, ids, directory, **options)
        return await asyncio.to_thread(call)

    return start


def is_of(identity_id):
    return lambda request: request.identity == identity_id


def hanging(server):
    return [r for r in server.requests if r.failure == "hang" and r.finished is None]


def names(directory):
    return {path.name for path in directory.iterdir()}


def final_names(directory):
    """What is in the directory of an export that has finished."""
    files = {file.name for file in read_manifest(directory).files}
    return files | {"_manifest.ndjson", "_SHA256SUMS"}


async def test_every_event_is_in_the_files_and_in_one_manifest(logs, run, out):
    logs.faults = Faults(latency=0.003)
    result = await run(SIZES, concurrency=3, shard_size=2)
    assert exported(out) == truth(logs, *SIZES)
    assert (result.done, result.complete, result.failed) == (14, 14, 0)
    assert (result.tasks, result.events) == (7, sum(SIZES.values()))
    assert result.requests == len(logs.requests)
    assert logs.peak_in_flight <= 3
    manifest = read_manifest(out)
    assert manifest.header.base_url == logs.base_url
    assert manifest.count("done") == len(SIZES)
    assert {entry.proof for entry in manifest.identities.values()} == {"strict-key"}
    assert names(out) == final_names(out)
    assert verify(out).ok


async def test_with_an_end_a_rerun_does_what_is_left_and_nothing_else(logs, run, out):
    first = await run([*list(SIZES)[:5], "idn_1", "later"], until=NOON)
    assert (first.done, first.failed, first.new_identities) == (5, 1, 5)
    assert isinstance(first.failures["later"], NotFoundError)
    assert read_manifest(out).identities["later"].error.type == "NotFoundError"
    assert verify(out).status == "unfinished"
    logs.seed_events("later", 30)
    logs.reset_requests()
    second = await run([*SIZES, "later"], until=NOON)
    assert (second.done, second.skipped, second.failed) == (10, 5, 0)
    assert (second.run, second.new_identities) == (2, 10)
    ids = {request.identity for request in logs.requests}
    assert ids.isdisjoint(list(SIZES)[:5])
    assert exported(out) == truth(logs, *SIZES, "later")
    third = await run([*SIZES, "later"], until=NOON)
    assert (third.done, third.skipped, third.tasks) == (0, 15, 0)
    assert verify(out).is_finished


@pytest.mark.parametrize("format_name", ["jsonl.gz", "parquet"])
async def test_a_giant_log_is_split_and_its_seams_are_proven(
    server, run, out, format_name
):
    """It gets events, and loses its oldest ones, all the while."""
    server.seed_events("giant", 3_000, tie_probability=0.4)
    server.seed_events("small", 20)
    before = server.event_ids("giant")
    server.faults = Faults(
        insert_per_request=1.5, delete_per_request=0.5, only=is_of("giant")
    )
    result = await run(["giant", "small"], split_over=400, format=format_name)
    assert (result.complete, result.failures) == (2, {})
    assert result.tasks > 6
    found = [row["id"] for row in exported(out)["giant"]]
    assert len(found) == len(set(found))
    stayed = set(before) & set(server.event_ids("giant"))
    assert stayed <= set(found)
    assert 2_000 < len(stayed) < 3_000
    entry = read_manifest(out).identities["giant"]
    assert (entry.events, entry.state, entry.complete) == (len(found), "done", True)
    assert entry.proof == "strict-key"
    assert verify(out).ok


async def test_parts_share_the_bounds_of_the_whole_export(server, run, out):
    server.seed_events("giant", 2_000)
    rows = truth(server, "giant")["giant"]
    since, until_ = rows[150]["created_at"], rows[1_700]["created_at"]
    await run(["giant"], split_over=300, since=since, until=until_)
    wanted = [row for row in rows if since <= row["created_at"] < until_]
    assert exported(out)["giant"] == wanted
    assert verify(out).ok


async def test_a_part_that_fails_leaves_a_log_that_can_be_gone_on_with(
    server, run, out
):
    server.seed_events("giant", 2_000)
    rows = truth(server, "giant")["giant"]

    def spoil(_, request):
        # What lies there is in a part that another task reads.
        if request.take > 1 and request.page * request.take > 1_300:
            raise LookupError

    server.faults = Faults(mutate=spoil)
    quick = RetryPolicy(attempts=1)
    first = await run(["giant"], split_over=400, retry=quick)
    assert first.failed == 1
    entry = read_manifest(out).identities["giant"]
    assert (entry.state, entry.complete) == ("failed", False)
    assert 400 <= entry.events <= 1_300
    assert exported(out)["giant"] == rows[: entry.events]
    assert verify(out).ok
    server.faults = Faults()
    second = await run(["giant"], split_over=400)
    assert (second.done, second.events) == (1, 2_000 - entry.events)
    assert exported(out)["giant"] == rows
    assert read_manifest(out).identities["giant"].complete
    assert verify(out).ok


async def test_what_is_read_behind_a_failed_part_leaves_nothing(
    server, run, out, monkeypatch
):
    """It is being read when the other fails, and put away after that."""
    monkeypatch.setattr(driver, "BEAT", 0.5)
    server.seed_events("giant", 4_000)

    def spoil(_, request):
        if request.take > 1 and 500 < request.page * request.take < 800:
            raise LookupError

    server.faults = Faults(mutate=spoil, latency=0.02)
    quick = RetryPolicy(attempts=1)
    result = await run(["giant"], split_over=400, retry=quick)
    assert list(result.failures) == ["giant"]
    assert names(out) == final_names(out)
    await until(lambda: server.in_flight == 0)
    assert verify(out).problems == ()


async def test_a_killed_worker_loses_nothing_and_doubles_nothing(
    logs, run, client, out
):
    logs.seed_events("big", 900)
    # Its shard has read the others by then, and a part of this one.
    logs.fail_next(kind="hang", only=lambda r: r.identity == "big" and r.page > 4)
    whole = asyncio.create_task(run([*SIZES, "big"], shard_size=5, width=1))
    await until(lambda: hanging(logs), "nothing hangs")
    kill_the_worker_of(client, hanging(logs)[0])
    result = await whole
    assert (result.done, result.failures) == (15, {})
    assert exported(out) == truth(logs, *SIZES, "big")
    assert names(out) == final_names(out)
    assert verify(out).ok
    client.wait_for_workers(2)


async def test_what_tasks_have_read_outlives_a_killed_driver(logs, run, client, out):
    """Its tasks go on, and leave records that the next run adopts."""
    logs.fail_next(2, kind="hang", only=lambda request: request.page == 1)
    victim = script(
        Path(__file__).parents[1] / "crash" / "distributed_victim.py",
        client.scheduler.address,
        logs.base_url,
        out,
        json.dumps(
            {
                "shard_size": -(-len(SIZES) // 3),
                "width": 1,
                "timeout": PATIENCE,
                "until": NOON.isoformat(),
            }
        ),
        *SIZES,
        env=os.environ,
        stdout=1,
        stderr=2,
    )
    async with victim:  # it is killed at the end of the block
        await until(lambda: len(hanging(logs)) == 2, "nothing hangs")
    assert not list(out.glob("events-*"))
    # What hangs is sent again.
    await until(lambda: len(list(out.glob("_shard-*.json"))) == 2, "no record")
    assert not list(out.glob("events-*"))
    assert read_manifest(out).identities == {}
    assert verify(out).status == "unfinished"
    logs.reset_requests()
    result = await run(SIZES, until=NOON)
    assert result.skipped > 0
    assert result.done + result.skipped == len(SIZES)
    read_twice = {request.identity for request in logs.requests}
    assert len(read_twice) == result.done
    assert exported(out) == truth(logs, *SIZES)
    assert names(out) == final_names(out)
    assert verify(out).is_finished


async def test_a_driver_that_is_interrupted_ends_its_tasks(logs, run, out):
    logs.faults = Faults(latency=0.01)

    def interrupt(progress):
        if progress.tasks_done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await run(SIZES, shard_size=1, width=1, on_progress=interrupt, until=NOON)
    await until(lambda: logs.in_flight == 0)
    sent = len(logs.requests)
    done = verify(out).done
    assert 1 <= done < len(SIZES)
    result = await run(SIZES, until=NOON)
    assert result.skipped >= done
    assert len(logs.requests) > sent
    assert exported(out) == truth(logs, *SIZES)
    assert verify(out).ok


async def test_a_refused_token_ends_everything(logs, run, out):
    logs.revoke_token(logs.token)
    with pytest.raises(UnauthorizedError):
        await run(SIZES, shard_size=1)
    await until(lambda: logs.in_flight == 0)
    assert len(logs.requests) <= 16
    assert read_manifest(out).identities == {}


@pytest.mark.parametrize(
    "token",
    [
        token_of_environment,
        async_token_of_environment,
        "support.clusters:token_of_environment",
    ],
)
async def test_the_token_may_come_from_a_function(logs, run, out, token):
    await run(["one"], token=token)
    assert exported(out) == truth(logs, "one")


async def test_without_a_token_on_the_workers_it_says_so(logs, run):
    with pytest.raises(ExportError, match="NOT_SET_ANYWHERE is not set on a worker"):
        await run(SIZES, token="env:NOT_SET_ANYWHERE")
    with pytest.raises(ExportError, match=r"no token from .*: RuntimeError") as error:
        await run(SIZES, token=broken_token)
    assert "s3cr3t" not in str(error.value)
    assert logs.requests == []


def state_of(dask_scheduler):
    """All that a scheduler holds of its tasks, as text."""
    return [
        (ts.key, repr(ts), repr(ts.run_spec), pickle.dumps(ts.run_spec))
        for ts in dask_scheduler.tasks.values()
    ]


async def test_the_token_is_nowhere_in_the_cluster(logs, run, client):
    logs.fail_next(2, kind="hang", only=lambda request: request.page == 1)
    whole = asyncio.create_task(run(SIZES, timeout=PATIENCE))
    await until(lambda: len(hanging(logs)) == 2, "nothing hangs")
    state = await asyncio.to_thread(client.run_on_scheduler, state_of)
    assert any("canopy-async" in key for key, *_ in state)
    await whole
    logs_of_all = [client.get_scheduler_logs(), client.get_worker_logs()]
    text = repr((state, logs_of_all))
    assert TOKEN_VARIABLE in text
    assert logs.token not in text


async def test_requests_per_second_hold_over_all_workers(logs, run):
    await run(list(SIZES)[:10], max_rate=30, concurrency=4, shard_size=3)
    starts = sorted(request.started for request in logs.requests)
    assert len(starts) >= 15
    for first in range(len(starts) - 10):
        # Each of the two workers has its half, and may send one at once.
        assert starts[first + 10] - starts[first] > 8 / 30 - 0.02


async def test_a_cooldown_that_one_worker_sees_is_kept_by_all(server, run):
    server.seed_events("a", 4_000)
    server.seed_events("b", 4_000)
    server.faults = Faults(latency=0.005)

    def both_are_read(_):
        counts = Counter(request.identity for request in server.requests)
        return min(counts["a"], counts["b"]) > 2

    server.fail_next(status=429, retry_after=2, only=both_are_read)
    await run(["a", "b"], concurrency=2, shard_size=1)
    refused = next(r for r in server.requests if r.status == 429)
    others = [
        request.started - refused.finished
        for request in server.requests
        if request.identity != refused.identity
    ]
    assert any(seconds < 0 for seconds in others)
    assert any(seconds > 2 for seconds in others)
    assert not any(1 < seconds < 2 for seconds in others)


async def test_leases_that_nobody_needs_are_taken_up_by_others(server, run):
    server.seed_events("short", 10)
    server.seed_events("long", 9_000)
    server.faults = Faults(latency=0.01)
    await run(["short", "long"], concurrency=6, shard_size=1)
    by_time = Counter()
    for request in server.requests:
        by_time[request.started] += 1
        by_time[request.finished] -= 1
    in_flight = peak = 0
    for _, change in sorted(by_time.items()):
        in_flight += change
        peak = max(peak, in_flight)
    assert peak == server.peak_in_flight == 6


async def test_two_attempts_of_every_task_count_as_one(server, run, out, monkeypatch):
    """As where a worker is lost that has finished, or is taken for lost."""
    monkeypatch.setattr(cluster_tasks, "run_shard", run_shard_twice)
    server.seed_events("giant", 1_500)
    server.seed_events("small", 150)
    result = await run(["giant", "small"], split_over=300)
    assert result.events == 1_650
    assert len(server.requests) > 2 * 16
    assert exported(out) == truth(server, "giant", "small")
    assert names(out) == final_names(out)
    assert verify(out).ok


@pytest.mark.usefixtures("logs")
async def test_workers_that_write_elsewhere_are_noticed(run):
    """Each process has a memory of its own, which is no place to share."""
    with pytest.raises(ExportError, match="must see the same directory"):
        await run(["one"], "memory://elsewhere")
    assert read_manifest("memory://elsewhere").events == 0


async def test_the_command_line_runs_on_a_cluster_that_is_there(logs, client, out):
    """Its own process has no token: only the workers do."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("CANOPY_")}
    env |= {"CANOPY_ACCOUNT": logs.account, "CANOPY_BASE_URL": logs.base_url}
    place = ("--dask", client.scheduler.address, "--out", out)
    token = ("--token-from", f"env:{TOKEN_VARIABLE}")
    async with installed("export", *SIZES, *place, *token, env=env) as process:
        said, err = (text.decode() for text in await process.communicate())
    assert (process.returncode, err) == (0, "")
    assert "identities: 14 read, 14 proven complete, 0 failed, 14 new\n" in said
    assert "\nCovered as of " in said
    assert exported(out) == truth(logs, *SIZES)
    assert verify(out).ok


def test_a_client_that_can_not_be_used_is_refused(out):
    with pytest.raises(TypeError, match=r"client must be a distributed\.Client"):
        export("tcp://127.0.0.1:1", ["a"], out, account="acme")
    assert not out.exists()


async def test_an_asynchronous_client_is_refused(client, out):
    async with Client(client.scheduler.address, asynchronous=True) as other:
        with pytest.raises(TypeError, match="client must be synchronous"):
            export(other, ["a"], out, account="acme")
