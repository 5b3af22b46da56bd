"""Exports on a cluster from a server that goes away, or that asks for quiet."""

import asyncio
import functools

import pytest
from support.clusters import TOKEN_VARIABLE, exported, local_client, local_server
from support.exports import truth
from support.waiting import until

from canopy_async import (
    ExportError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    RetryPolicy,
    ServerError,
    TransportError,
)
from canopy_async.distributed import driver, export
from canopy_async.distributed.suspect_tasks import Suspects
from canopy_async.distributed.work import Outcome
from canopy_async.export import Status, read_manifest, verify
from canopy_async.testing import Faults

SIZES = {f"idn_{number}": number * 37 % 330 for number in range(1, 25)}


@pytest.fixture(scope="module")
def client():
    with local_client(processes=False) as made:
        yield made


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(driver, "BEAT", 0.05)


@pytest.fixture
async def server():
    async with local_server() as local:
        for identity_id, size in SIZES.items():
            local.add_identity(id=identity_id)
            local.seed_events(identity_id, size)
        yield local


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def run(client, server, out):
    async def start(ids=SIZES, **options):
        options = {
            "account": server.account,
            "base_url": server.base_url,
            "token": f"env:{TOKEN_VARIABLE}",
            "concurrency": 4,
            "retry": RetryPolicy(base=0.05, throttled_base=0.05, deadline=30),
        } | options
        call = functools.partial(export, client, ids, out, **options)
        return await asyncio.to_thread(call)

    return start


async def in_the_middle(server, export):
    """Wait until an export has had some answers, and is far from its end."""
    await until(lambda: len(server.requests) >= 12 or export.done())
    assert not export.done()


async def check_that_the_rest_is_left_and_a_rerun_reads_it(server, run, out):
    broken = verify(out)
    assert (broken.status, broken.problems) == (Status.UNFINISHED, ())
    manifest = read_manifest(out)
    assert manifest.runs[-1].end.outcome == "failed"
    assert manifest.count("failed") == 0
    server.faults = Faults()
    result = await run()
    assert (result.failed, result.complete) == (0, len(SIZES))
    assert exported(out) == truth(server, *SIZES)
    assert verify(out).status is Status.FINISHED
    return manifest


@pytest.mark.parametrize("seconds", [0.5, 2.0])
async def test_it_outlasts_an_outage_and_has_each_event_once(server, run, out, seconds):
    server.faults = Faults(latency=0.02)
    exporting = asyncio.create_task(run())
    await in_the_middle(server, exporting)
    async with server.outage():
        await asyncio.sleep(seconds)
        assert not exporting.done()
    result = await exporting
    assert (result.failed, result.complete) == (0, len(SIZES))
    assert exported(out) == truth(server, *SIZES)
    assert verify(out).status is Status.FINISHED


async def test_an_outage_that_outlasts_the_patience_is_one_error(server, run, out):
    server.faults = Faults(latency=0.02)
    impatient = RetryPolicy(base=0.05, deadline=0.5)
    exporting = asyncio.create_task(run(retry=impatient))
    await in_the_middle(server, exporting)
    async with server.outage():
        with pytest.raises(TransportError) as caught:
            await exporting
    assert caught.value.concerns_all
    assert "run the export again to go on" in "".join(caught.value.__notes__)
    await check_that_the_rest_is_left_and_a_rerun_reads_it(server, run, out)


async def test_what_a_task_has_read_before_an_outage_is_kept(server, run, out):
    """A page of the only task's last identity does not come; what it has read is."""
    server.faults = Faults(latency=0.02)
    impatient = RetryPolicy(base=0.05, deadline=0.5)
    exporting = asyncio.create_task(run(retry=impatient, shard_size=len(SIZES)))
    await until(lambda: len(server.requests) >= 40 or exporting.done())
    async with server.outage():
        with pytest.raises(TransportError):
            await exporting
    left = await check_that_the_rest_is_left_and_a_rerun_reads_it(server, run, out)
    assert left.count("done") > 0
    assert left.events > 500


@pytest.mark.parametrize("status", [429, 503])
async def test_a_long_retry_after_ends_it_and_says_when_to_come_back(
    server, run, out, status
):
    server.faults = Faults(latency=0.02)
    exporting = asyncio.create_task(run())
    await in_the_middle(server, exporting)
    server.faults = Faults(error_rate=1.0, error_statuses=(status,), retry_after=90)
    asked = len(server.requests)
    with pytest.raises(RateLimitedError, match="retry after 90 s") as caught:
        await exporting
    assert (caught.value.concerns_all, caught.value.status) == (True, status)
    # Those that are in flight, and the first of tasks that begin before all know.
    assert len(server.requests) <= asked + 24
    await check_that_the_rest_is_left_and_a_rerun_reads_it(server, run, out)


@pytest.mark.parametrize(("status", "cls"), [(502, ServerError), (403, ForbiddenError)])
async def test_what_all_tasks_of_one_identity_end_with_is_one_error(
    server, run, out, status, cls
):
    only_once = RetryPolicy(base=0.01, deadline=0.2)
    server.faults = Faults(error_rate=1.0, error_statuses=(status,))
    with pytest.raises(cls) as caught:
        await run(retry=only_once, shard_size=1)
    assert caught.value.concerns_all
    manifest = await check_that_the_rest_is_left_and_a_rerun_reads_it(server, run, out)
    assert manifest.identities == {}


@pytest.mark.parametrize("status", [502, 403])
async def test_what_a_few_tasks_of_one_identity_end_with_is_their_own_failure(
    server, run, out, status
):
    bad = {"idn_3", "idn_17", "idn_24"}
    server.faults = Faults(
        error_rate=1.0,
        error_statuses=(status,),
        only=lambda request: request.identity in bad,
    )
    result = await run(retry=RetryPolicy(base=0.01, deadline=0.2), shard_size=1)
    assert set(result.failures) == bad
    assert result.complete == len(SIZES) - 3
    assert set(exported(out)) == set(SIZES) - bad


def ended(name, error=None):
    if error is None:
        return Outcome(done=1)
    return Outcome(failures={name: error})


def error_of(status):
    cls = ServerError if status >= 500 else ForbiddenError
    return cls("no", status=status)


def test_two_tasks_that_fail_by_themselves_at_the_end_are_no_outage():
    """Others have read their identities while these two were failing."""
    suspects = Suspects(60)
    assert suspects.release(10.0) == []
    assert not suspects.hold(ended("a", error_of(503)), 65.0)
    assert suspects.verdict(at_end=True) is None
    # Nothing was read since these two began to fail.
    assert suspects.hold(ended("b", error_of(503)), 75.0)
    assert suspects.verdict(at_end=True) is None
    assert suspects.hold(ended("c", error_of(500)), 76.0)
    assert suspects.verdict(at_end=False) is None
    assert suspects.verdict(at_end=True).concerns_all


def test_what_is_held_back_is_given_back_once_another_task_has_read():
    suspects = Suspects(60)
    failed = [ended("a", error_of(403)), ended("b", error_of(403))]
    assert all(suspects.hold(outcome, 1.0) for outcome in failed)
    assert not suspects.hold(ended("c", error_of(500)), 1.0), "another kind"
    assert suspects.release(2.0) == failed
    assert not suspects.hold(ended("d", error_of(403)), 1e6)
    assert suspects.verdict(at_end=True) is None


@pytest.mark.parametrize(
    "outcome",
    [
        ended("a", NotFoundError("no", status=404)),
        ended("a", ExportError("its task failed")),
        Outcome(done=1, failures={"a": error_of(403)}),
        Outcome(failures={"a": error_of(403), "b": error_of(503)}),
        Outcome(failures={"a": error_of(403)}, left=("b",)),
    ],
)
def test_what_can_not_concern_all_is_not_held_back(outcome):
    assert not Suspects(60).hold(outcome, 1.0)
