"""Every way out of a read: nothing is left behind, whichever one takes."""

import asyncio
import gc
import weakref
from contextlib import aclosing

import pytest
from support.leaks import assert_gone, assert_quiet
from support.seeded import copies_of
from support.waiting import until

from canopy_async import (
    ForbiddenError,
    NotFoundError,
    ProtocolError,
    RetryPolicy,
    RetryScheduled,
    ServerError,
    SessionClosedError,
)
from canopy_async.testing import Faults

pytestmark = pytest.mark.usefixtures("short_searches")

LOG = 600


def seed(server):
    server.seed_events("idn_1", LOG, tie_probability=0)


class DeliberateError(Exception):
    """Raised by the body of a loop."""


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return copies_of(tmp_path_factory.mktemp("leaving") / "rows.db", seed)


@pytest.fixture
def log(server):
    """A log of many pages, served slowly enough to be left in the middle."""
    server.faults = Faults(latency=0.001, jitter=0.003)
    return server


@pytest.fixture
async def canopy(log, connect):
    """A session whose end is checked: after the test nothing is left."""
    session = connect(concurrency=4, retry=RetryPolicy(attempts=1))
    yield session
    await assert_gone(session, log)


@pytest.fixture
def stuck(log):
    """From the second page on nothing is answered."""
    log.faults = Faults(hang_rate=1, only=lambda request: request.page > 1)
    return log


async def test_leaving_a_stream_by_break_is_cleaned_up_by_the_next_turns(log, canopy):
    seen = 0
    async for _ in canopy.events("idn_1", take=20):
        seen += 1
        if seen == 30:
            break
    await assert_quiet(log)
    assert seen == 30
    assert len(log.requests) < LOG / 20


async def test_leaving_a_stream_by_break_while_requests_hang(stuck, canopy):
    async for _ in canopy.events("idn_1", take=20):
        break
    await assert_quiet(stuck)


async def test_leaving_a_run_by_break_ends_with_its_block(log, canopy):
    async with canopy.events("idn_1", take=20).open() as run:
        async for _ in run:
            break
    await assert_quiet(log)


async def test_the_end_of_a_runs_block_awaits_its_tasks(stuck, canopy):
    async def read_on(run):
        async for _ in run:
            pass

    async with canopy.events("idn_1", take=20).open() as run:
        reading = asyncio.create_task(read_on(run))
        await until(lambda: len(stuck.requests) > 1)
        reading.cancel()
        await asyncio.wait([reading])
        assert canopy.stats.in_flight > 0
    assert canopy.stats.in_flight == 0
    assert not [task for task in asyncio.all_tasks() if "_fetch" in repr(task)]
    await assert_quiet(stuck)


@pytest.mark.parametrize("how", ["next_batch", "anext"])
async def test_a_run_that_is_dropped_outside_of_a_block_asks_for_nothing_more(
    log, canopy, how
):
    log.faults = Faults(latency=0.01)
    run = canopy.events("idn_1", take=5).open()
    await (run.next_batch() if how == "next_batch" else anext(run))
    asked = canopy.stats.requests
    left = weakref.ref(run)
    del run
    assert left() is None
    await assert_quiet(log)
    assert canopy.stats.requests == asked <= 6
    assert canopy.stats.waiting == 0


async def test_a_run_that_is_dropped_while_its_requests_hang_ends_them(stuck, canopy):
    run = canopy.events("idn_1", take=20).open()
    await run.next_batch()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run.next_batch(), 0.1)
    assert canopy.stats.in_flight > 0
    del run
    await assert_quiet(stuck)
    assert canopy.stats.in_flight == 0


async def test_an_exception_in_the_body_of_a_stream_passes_through(log, canopy):
    async def read_some():
        async for _ in canopy.events("idn_1", take=20):
            raise DeliberateError

    with pytest.raises(DeliberateError):
        await read_some()
    await assert_quiet(log)


async def test_an_exception_in_the_body_of_a_run_passes_through(log, canopy):
    async def read():
        async with canopy.events("idn_1", take=20).open() as run:
            async for _ in run:
                raise DeliberateError

    with pytest.raises(DeliberateError):
        await read()
    await assert_quiet(log)


@pytest.mark.parametrize("how", ["stream", "run", "pages", "collect", "page", "count"])
async def test_cancelling_the_reader_is_a_cancellation_and_nothing_else(
    log, canopy, how
):
    log.faults = Faults(hang_rate=1)
    reading = asyncio.create_task(read(canopy, how))
    await until(lambda: log.in_flight > 0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert reading.cancelled()
    await assert_quiet(log)
    assert canopy.stats.in_flight == canopy.stats.waiting == 0


async def test_cancelling_a_reader_in_the_middle_of_its_pages(stuck, canopy):
    seen = []

    async def read_on():
        async for event in canopy.events("idn_1", take=20):
            seen.append(event)  # what was seen when it was left

    reading = asyncio.create_task(read_on())
    await until(lambda: len(seen) >= 18 and stuck.in_flight > 0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await assert_quiet(stuck)


@pytest.mark.parametrize("how", ["stream", "run", "pages", "collect", "page", "count"])
async def test_a_timeout_around_a_read_is_a_timeout(log, canopy, how):
    log.faults = Faults(hang_rate=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await read(canopy, how)
    await assert_quiet(log)


async def test_a_run_can_be_read_on_after_a_timeout_and_loses_nothing(log, canopy):
    log.faults = Faults(latency=0.01)
    expected = log.event_ids("idn_1", order="asc")
    seen = []
    async with canopy.events("idn_1", order="asc", take=100).open() as run:
        while len(seen) < LOG:
            try:
                async with asyncio.timeout(0.004):
                    event = await anext(run)
            except TimeoutError:
                continue
            seen.append(event.id)
    assert seen == expected


@pytest.mark.parametrize("page", [1, 2, 7])
@pytest.mark.parametrize("how", ["stream", "run", "pages", "collect"])
async def test_an_error_on_any_page_ends_the_read_and_the_other_requests(
    log, canopy, how, page
):
    log.fail_next(10_000, status=403, only=lambda r: _start(r) >= (page - 1) * 20)
    with pytest.raises(ForbiddenError):
        await read(canopy, how)
    await assert_quiet(log)


async def test_the_rows_before_an_error_are_handed_out(log, canopy):
    seen = []

    async def read_on():
        async for event in canopy.events("idn_1", order="asc", take=20):
            seen.append(event.id)  # what was seen when it failed

    log.fail_next(10_000, status=500, only=lambda request: _start(request) >= 140)
    with pytest.raises(ServerError):
        await read_on()
    expected = log.event_ids("idn_1", order="asc")
    assert len(seen) >= 100
    assert seen == expected[: len(seen)]
    await assert_quiet(log)


async def test_a_broken_row_ends_the_read(log, canopy):
    log.faults = Faults(
        bad_row={"customer_visible": "false"}, only=lambda r: _start(r) >= 60
    )
    with pytest.raises(ProtocolError, match=r"page \d+: items\[\d+\].customer_visible"):
        await read(canopy, "stream")
    await assert_quiet(log)


async def test_an_unknown_identity_is_not_found_and_leaves_nothing(log, canopy):
    with pytest.raises(NotFoundError):
        await canopy.events("idn_unknown").collect()
    await assert_quiet(log)


@pytest.mark.parametrize(
    "how", ["stream", "run", "pages", "collect", "page", "count", "first", "identities"]
)
async def test_closing_the_session_under_a_read_says_so(log, canopy, how):
    log.faults = Faults(hang_rate=1)
    reading = asyncio.create_task(read(canopy, how))
    await until(lambda: log.in_flight > 0)
    await canopy.aclose()
    with pytest.raises(SessionClosedError):
        await reading
    await assert_gone(canopy, log)


@pytest.mark.parametrize("how", ["stream", "run", "pages", "collect"])
async def test_closing_the_session_in_the_middle_of_a_read_says_so(stuck, canopy, how):
    reading = asyncio.create_task(read(canopy, how))
    await until(lambda: len(stuck.requests) >= 3)
    await canopy.aclose()
    with pytest.raises(SessionClosedError):
        await reading
    await assert_gone(canopy, stuck)


async def test_closing_the_session_in_the_body_of_a_read_says_so_at_the_next_page(
    log, canopy
):
    seen = []

    async def read_on():
        async for event in canopy.events("idn_1", take=20):
            seen.append(event)
            if len(seen) == 5:
                await canopy.aclose()

    with pytest.raises(SessionClosedError):
        await read_on()
    assert 5 <= len(seen) < 200
    await assert_gone(canopy, log)


async def test_closing_reaches_reads_that_wait_for_their_turn(log, connect):
    log.faults = Faults(hang_rate=1)
    canopy = connect(concurrency=1)
    readings = [
        asyncio.create_task(read(canopy, how))
        for how in ("page", "stream", "run", "page")
    ]
    await until(lambda: canopy.stats.waiting == 3)
    await canopy.aclose()
    results = await asyncio.gather(*readings, return_exceptions=True)
    assert {type(result) for result in results} == {SessionClosedError}
    assert canopy.stats.in_flight == canopy.stats.waiting == 0
    await assert_gone(canopy, log)


@pytest.mark.parametrize("status", [500, 503])
async def test_closing_reaches_reads_between_their_attempts(log, connect, status):
    log.fail_next(10_000, status=status)
    policy = RetryPolicy(base=1000, throttled_base=1000, cap=1000, deadline=1e6)
    seen = []
    canopy = connect(concurrency=2, retry=policy, hooks=[seen.append])
    readings = [asyncio.create_task(read(canopy, how)) for how in ("page", "stream")]
    await until(lambda: any(isinstance(record, RetryScheduled) for record in seen))
    await canopy.aclose()
    results = await asyncio.gather(*readings, return_exceptions=True)
    assert {type(result) for result in results} == {SessionClosedError}
    await assert_gone(canopy, log)


async def test_cancelling_a_reader_whose_session_is_being_closed(log, canopy):
    log.faults = Faults(hang_rate=1)
    reading = asyncio.create_task(read(canopy, "stream"))
    await until(lambda: log.in_flight > 0)
    closing = asyncio.create_task(canopy.aclose())
    reading.cancel()
    with pytest.raises((asyncio.CancelledError, SessionClosedError)):
        await reading
    await closing
    await assert_gone(canopy, log)


async def test_a_stream_that_is_never_iterated_sends_nothing(log, canopy):
    canopy.events("idn_1")
    canopy.events("idn_1").pages()
    gc.collect()
    await assert_quiet(log)
    assert not log.requests


async def test_a_run_that_is_opened_and_never_iterated_sends_nothing(log, canopy):
    canopy.events("idn_1").open()
    async with canopy.events("idn_1").open():
        pass
    gc.collect()
    await assert_quiet(log)
    assert not log.requests


async def test_a_run_after_the_session_is_closed_says_so(log, canopy):
    stream = canopy.events("idn_1")
    await canopy.aclose()

    async def use_run():
        async with stream.open() as run:
            await anext(run)

    for reading in (use_run(), stream.collect(), stream.first(), stream.count()):
        with pytest.raises(SessionClosedError):
            await reading
    with pytest.raises(SessionClosedError):
        canopy.events("idn_1")
    with pytest.raises(SessionClosedError):
        canopy.identities()
    with pytest.raises(SessionClosedError):
        await canopy.page("idn_1")
    assert not log.requests


async def test_a_run_is_over_after_an_error(log, canopy):
    log.fail_next(10_000, status=403)
    async with canopy.events("idn_1").open() as run:
        with pytest.raises(ForbiddenError):
            await anext(run)
        with pytest.raises(StopAsyncIteration):
            await anext(run)
    await assert_quiet(log)


async def test_a_generator_of_pages_can_be_closed_in_time(log, canopy):
    async with aclosing(canopy.events("idn_1", take=20).pages()) as pages:
        async for _ in pages:
            break
    await assert_quiet(log)


async def test_many_reads_left_at_once_leave_nothing(log, canopy):
    async def glance(n):
        async for _ in canopy.events("idn_1", take=20):
            n -= 1
            if n <= 0:
                return

    await asyncio.gather(*(glance(n * 10) for n in range(1, 9)))
    await assert_quiet(log)
    assert canopy.stats.in_flight == canopy.stats.waiting == 0


async def test_a_session_closes_with_the_exception_of_its_block(log, connect):
    async def use():
        async with connect() as canopy:
            async for _ in canopy.events("idn_1", take=20):
                raise DeliberateError

    with pytest.raises(DeliberateError):
        await use()
    await assert_quiet(log)


def _start(request):
    return (request.page - 1) * request.take


async def read(canopy, how):
    """Read to the end in one of the ways there are."""
    stream = canopy.events("idn_1", take=20)
    match how:
        case "stream":
            async for _ in stream:
                pass
        case "run":
            async with stream.open() as run:
                async for _ in run:
                    pass
        case "pages":
            async for _ in stream.pages():
                pass
        case "page":
            await canopy.page("idn_1")
        case "identities":
            await canopy.identities().collect()
        case _:
            await getattr(stream, how)()


@pytest.mark.parametrize("lossless", [True, False])
async def test_a_read_that_has_ended_is_freed_without_a_collection(canopy, lossless):
    run = canopy.events("idn_1", lossless=lossless).open()
    async with run:
        assert sum([1 async for _ in run]) == LOG
    freed = weakref.ref(run)
    gc.collect()
    gc.disable()
    try:
        del run
        await asyncio.sleep(0)
        assert freed() is None
    finally:
        gc.enable()
