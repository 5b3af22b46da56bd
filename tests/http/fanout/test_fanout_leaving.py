"""Every way out of a fan-out, with hundreds of reads open: nothing is left behind."""

import asyncio
from contextlib import aclosing

import pytest
from support.leaks import assert_gone, assert_quiet
from support.seeded import copies_of
from support.waiting import until

from canopy_async import NotFoundError, RetryPolicy, SessionClosedError
from canopy_async.testing import Faults

pytestmark = pytest.mark.usefixtures("short_searches")

WIDTH = 200


def seed(server):
    for identity_id in server.seed_identities(WIDTH + 100)[:10]:
        server.seed_events(identity_id, 150)


class DeliberateError(Exception):
    """Raised by the body of a loop."""


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return copies_of(tmp_path_factory.mktemp("leaving") / "rows.db", seed)


@pytest.fixture
def ids(server):
    """Identities: of the first ten page 1 is answered, of the others nothing."""
    ids = [f"idn_{number}" for number in range(1, WIDTH + 101)]
    assert all(map(server.has_identity, ids))
    silent = {*ids[10:]}
    server.faults = Faults(
        hang_rate=1, only=lambda r: r.page > 1 or r.identity in silent
    )
    return ids


@pytest.fixture
async def canopy(server, connect):
    """A session whose end is checked: after the test nothing is left."""
    session = connect(concurrency=150, retry=RetryPolicy(attempts=1))
    yield session
    assert session.stats.in_flight == session.stats.waiting == 0
    await assert_gone(session, server)


async def all_in_flight(server):
    await until(lambda: server.in_flight == 150)


async def test_a_bare_break_is_cleaned_up_by_the_next_turns(server, canopy, ids):
    async for _ in canopy.fan_out(ids, width=WIDTH):
        await all_in_flight(server)
        break
    await assert_quiet(server)


async def test_the_end_of_a_block_awaits_everything(server, canopy, ids):
    async with canopy.fan_out(ids, width=WIDTH) as fan_out:
        async for _ in fan_out:
            await all_in_flight(server)
            break
    assert canopy.stats.in_flight == 0
    assert not [t for t in asyncio.all_tasks() if "canopy_async/_fanout" in repr(t)]
    assert fan_out.progress.open == 0
    await assert_quiet(server)


async def test_closing_its_iterator_awaits_everything(server, canopy, ids):
    async with aclosing(aiter(canopy.fan_out(ids, width=WIDTH))) as events:
        async for _ in events:
            await all_in_flight(server)
            break
    assert canopy.stats.in_flight == 0


async def test_an_exception_in_the_body_passes_through(server, canopy, ids):
    async def read():
        async with canopy.fan_out(ids, width=WIDTH) as fan_out:
            async for _ in fan_out:
                await all_in_flight(server)
                raise DeliberateError

    with pytest.raises(DeliberateError):
        await read()
    assert canopy.stats.in_flight == 0


@pytest.mark.parametrize("how", ["iterate", "next_batch", "collect"])
async def test_cancelling_the_reader_is_a_cancellation(server, canopy, ids, how):
    async def read():
        async with canopy.fan_out(ids[10:], width=WIDTH) as fan_out:
            match how:
                case "iterate":
                    async for _ in fan_out:
                        pass
                case "collect":
                    await fan_out.collect()
                case _:
                    await fan_out.next_batch()

    reading = asyncio.create_task(read())
    await all_in_flight(server)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert canopy.stats.in_flight == 0


async def test_cancelling_twice_still_awaits_everything(server, canopy, ids):
    async def read():
        async for _ in canopy.fan_out(ids[10:], width=WIDTH):
            pass

    reading = asyncio.create_task(read())
    await all_in_flight(server)
    reading.cancel()
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])
    assert canopy.stats.in_flight == 0


async def test_an_identity_that_fails_ends_the_others(server, canopy, ids):
    async def some():
        for identity_id in ids[10:159]:
            yield identity_id
        await until(lambda: server.in_flight == 149)
        yield "gone"

    async with canopy.fan_out(some(), width=WIDTH) as fan_out:
        with pytest.raises(NotFoundError):
            await fan_out.next_batch()
        assert canopy.stats.in_flight == 0
        with pytest.raises(NotFoundError):
            await fan_out.next_batch()


async def test_an_error_of_the_ids_ends_everything(server, canopy, ids):
    async def some():
        for identity_id in ids[10:]:
            yield identity_id
        await all_in_flight(server)
        raise DeliberateError

    async with canopy.fan_out(some(), width=len(ids)) as fan_out:
        with pytest.raises(DeliberateError):
            await fan_out.next_batch()
        assert canopy.stats.in_flight == 0


@pytest.mark.parametrize("on_error", ["raise", "collect"])
async def test_closing_the_session_is_session_closed(server, canopy, ids, on_error):
    async def read():
        async for _ in canopy.fan_out(ids[10:], width=WIDTH, on_error=on_error):
            pass

    reading = asyncio.create_task(read())
    await all_in_flight(server)
    await canopy.aclose()
    with pytest.raises(SessionClosedError):
        await reading


@pytest.mark.parametrize("first", [0, 3])
async def test_closing_the_session_ends_waiting_for_ids(server, canopy, ids, first):
    waiting = asyncio.Event()

    async def some():
        for identity_id in ids[:first]:
            yield identity_id
        waiting.set()
        await asyncio.Event().wait()

    reading = asyncio.create_task(canopy.fan_out(some(), width=WIDTH).collect())
    await waiting.wait()
    await canopy.aclose()
    with pytest.raises(SessionClosedError):
        await reading
    await assert_quiet(server)


async def test_a_session_that_was_closed_between_batches(server, canopy, ids):
    async with canopy.fan_out(ids, width=WIDTH) as fan_out:
        assert await fan_out.next_batch() is not None
        await canopy.aclose()
        with pytest.raises(SessionClosedError):
            await fan_out.next_batch()
        await assert_quiet(server)


async def test_closing_it_from_another_task_ends_the_reading(server, canopy, ids):
    async with canopy.fan_out(ids[10:], width=WIDTH) as fan_out:
        reading = asyncio.create_task(fan_out.next_batch())
        await all_in_flight(server)
        await fan_out.aclose()
        await fan_out.aclose()
        assert await reading is None
        assert await fan_out.next_batch() is None
    assert await fan_out.next_batch() is None


async def test_a_fan_out_that_was_not_entered_begins_nothing_that_would_be_left(
    server, canopy, ids
):
    before = asyncio.all_tasks()
    fan_out = canopy.fan_out(ids, width=WIDTH)
    with pytest.raises(RuntimeError, match="use 'async with"):
        await fan_out.next_batch()
    del fan_out
    assert asyncio.all_tasks() == before
    assert server.requests == []


async def test_leaving_ends_the_listing_that_feeds_it(server, canopy):
    server.seed_identities(WIDTH)
    server.faults = Faults(
        hang_rate=1, only=lambda r: r.identity is not None or r.page > 1
    )
    async with canopy.fan_out(canopy.identities(take=20), width=WIDTH) as fan_out:
        reading = asyncio.create_task(fan_out.next_batch())
        await until(lambda: server.in_flight > 20)
        reading.cancel()
        await asyncio.wait([reading])
    assert canopy.stats.in_flight == 0


async def test_a_generator_of_the_callers_can_be_read_on(canopy, ids):
    async def some():
        for identity_id in ids:
            yield identity_id

    source = some()
    async with canopy.fan_out(source, width=3) as fan_out:
        await fan_out.next_batch()
    assert len(fan_out.checkpoints) == 3
    assert await anext(source) == ids[3]
    await source.aclose()


async def test_one_that_is_never_read_sends_nothing(server, canopy, ids):
    canopy.fan_out(ids)
    async with canopy.fan_out(ids):
        pass
    assert server.requests == []


async def test_a_task_that_is_cancelled_from_outside_is_never_taken_for_an_end(
    server, connect
):
    """Whichever task it is: all is read, or it is said that it was not."""
    logs = server.seed_identities(5)
    for identity_id in logs:
        server.seed_events(identity_id, 400)
    raised = 0
    for at in range(8):
        before = asyncio.all_tasks()
        events = []
        try:
            async with connect().fan_out(logs) as fan_out:
                events += (await fan_out.next_batch()).events
                begun = [*(asyncio.all_tasks() - before)]
                begun.sort(key=lambda task: int(task.get_name().removeprefix("Task-")))
                begun[at % len(begun)].cancel()
                while (batch := await fan_out.next_batch()) is not None:
                    events += batch.events
        except SessionClosedError:
            raised += 1
        else:
            assert len(events) == 2000
    assert raised
