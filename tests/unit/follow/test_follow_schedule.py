"""The times of polls, in virtual time: intervals, jitter, backoff, fairness, budget."""

import asyncio
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from support.samples import event_row, page_body
from support.scripted import answer, simulated
from support.virtual import now, run, virtual

from canopy_async import CanopySession, NotFoundError, RetryPolicy, SessionClosedError

ONE_ROW = page_body([event_row(1)], take=10)


def identity_of(call):
    return call.url.path.split("/")[-2]


def session(**options):
    options.setdefault("retry", RetryPolicy(attempts=1))
    return CanopySession("acme", "token", **options)


async def follow_for(seconds, follower, process=None):
    """Read a follower for so long; return the batches with their instants."""
    batches = []
    try:
        async with asyncio.timeout(seconds):
            async for batch in follower:
                batches.append((now(), batch))
                if process is not None:
                    await process(batch)
    except TimeoutError:
        pass
    return batches


def gaps(calls):
    return [after.at - before.at for before, after in pairwise(calls)]


def growing():
    """Logs that have one more event at each poll, minutes after the one before."""
    lengths = defaultdict(int)
    begin = datetime(2026, 1, 1, tzinfo=UTC)

    def script(call):
        name = identity_of(call)
        take = int(call.url.query["take"])
        lengths[name] += call.page == 1
        newest = lengths[name] - (call.page - 1) * take
        rows = [
            event_row(n, created_at=(begin + timedelta(minutes=5 * n)).isoformat())
            for n in range(newest, max(0, newest - take), -1)
        ]
        return page_body(
            rows,
            page=call.page,
            take=take,
            item_count=lengths[name],
            has_previous_page=call.page > 1,
            has_next_page=newest > take,
            page_count=-(-lengths[name] // take),
        )

    return script


@virtual
async def test_an_idle_log_is_polled_less_and_less_often():
    with simulated(lambda _: ONE_ROW) as calls:
        async with session() as canopy:
            batches = await follow_for(900, canopy.follow("idn_1"))
    assert len(batches) == 1
    waits = gaps(calls)
    assert 4.5 <= waits[0] <= 5.5
    assert all(6.75 <= wait <= 8.25 for wait in waits[1:2])
    assert all(54 <= wait <= 66 for wait in waits[8:])


@virtual
async def test_a_busy_log_is_polled_at_the_pace_that_is_asked_for():
    with simulated(growing()) as calls:
        async with session() as canopy:
            await follow_for(100, canopy.follow("idn_1", every=2))
    waits = gaps(calls)
    assert len(waits) > 40
    assert all(1.8 <= wait <= 2.2 for wait in waits)


@virtual
async def test_an_event_brings_a_slow_one_back_to_its_pace():
    grow = growing()

    def script(call):
        if 600 < now() < 700:
            return grow(call)
        return page_body([], take=int(call.url.query["take"]), page_count=0)

    with simulated(script) as calls:
        async with session() as canopy:
            await follow_for(699, canopy.follow("idn_1"))
    late = [call for call in calls if call.at > 600]
    assert min(gaps(calls[8 : -len(late)])) > 50
    assert all(4.5 <= wait <= 5.5 for wait in gaps(late))


@virtual
async def test_jitter_takes_many_out_of_step():
    names = [f"idn_{n}" for n in range(50)]
    with simulated(lambda _: ONE_ROW) as calls:
        async with session() as canopy:
            await follow_for(300, canopy.follow(names))
    late = [call.at for call in calls if call.at > 200]
    seconds = Counter(int(at) for at in late)
    assert max(seconds.values()) < 15


@virtual
async def test_failures_wait_longer_each_time_up_to_the_cap():
    with simulated(lambda _: 404) as calls:
        async with session() as canopy:
            follower = canopy.follow("idn_1")
            batches = await follow_for(600, follower)
    assert batches == []
    waits = gaps(calls)
    assert all(0.89 < waits[n] / 2**n / 10 < 1.11 for n in range(3))
    assert all(54 <= wait <= 66 for wait in waits[4:])


@virtual
async def test_one_that_is_gone_is_told_of_once_and_asked_ever_less(caplog):
    day = 24 * 3600.0
    with simulated(lambda _: 404) as calls:
        async with session() as canopy:
            follower = canopy.follow("idn_1")
            await follow_for(2 * day, follower)
    waits = gaps(calls)
    assert len(calls) < 100
    assert all(3200 < wait < 4000 for wait in waits[-20:])
    assert isinstance(follower.failures["idn_1"], NotFoundError)
    assert len(caplog.records) == 1


@virtual
async def test_one_that_is_back_is_polled_at_its_pace_again():
    def script(call):
        return 404 if now() < 30_000 else growing_log(call)

    growing_log = growing()
    with simulated(script) as calls:
        async with session() as canopy:
            batches = await follow_for(36_000, canopy.follow("idn_1", every=2))
    assert batches[0][0] < 30_000 * 1.15
    late = [call for call in calls if call.at > batches[0][0]]
    assert all(wait < 2.5 for wait in gaps(late))


@virtual
async def test_between_polls_the_process_sleeps():
    woken_at = asyncio.get_running_loop().woken_at
    with simulated(lambda _: ONE_ROW) as calls:
        async with session() as canopy:
            follower = canopy.follow("idn_1", every=600, idle_every=600)
            await follow_for(6 * 3600, follower)
    assert len(calls) > 30
    assert len(woken_at) <= 3 * len(calls)  # each poll, its deadline, and one to spare


@virtual
async def test_nothing_wakes_a_process_that_has_nothing_to_follow():
    async with session() as canopy:
        assert await follow_for(3600, canopy.follow([])) == []
    assert asyncio.get_running_loop().woken_at == [3600]


@virtual
async def test_closing_the_session_ends_at_once_what_waits_for_a_poll():
    with simulated(lambda _: ONE_ROW) as calls:
        async with session() as canopy:
            batches = aiter(canopy.follow("idn_1", every=600))
            await anext(batches)
            waiting = asyncio.create_task(anext(batches))
            await asyncio.sleep(100.25)
            await canopy.aclose()
            with pytest.raises(SessionClosedError):
                await waiting
            assert now() == 100.25
    assert len(calls) == 1


@virtual
async def test_what_was_closed_while_a_batch_was_processed_ends_after_that_batch():
    with simulated(lambda _: ONE_ROW) as calls:
        async with session() as canopy:
            batches = aiter(canopy.follow(["idn_1", "idn_2"], every=600))
            await anext(batches)
            await canopy.aclose()
            with pytest.raises(SessionClosedError):
                await anext(batches)
            assert now() == 0
    assert len(calls) <= 2


@virtual
async def test_a_session_that_is_closed_after_the_last_batch_leaves_a_normal_end():
    with simulated(lambda _: ONE_ROW):
        async with session() as canopy:
            batches = aiter(canopy.follow("idn_1", until_caught_up=True))
            await anext(batches)
            await canopy.aclose()
            assert await anext(batches, None) is None


@virtual
async def test_what_the_server_asks_to_wait_is_a_floor():
    with simulated(lambda _: answer(500, b"", {"Retry-After": "50"})) as calls:
        async with session() as canopy:
            await follow_for(200, canopy.follow("idn_1", every=1))
    assert all(wait >= 45 for wait in gaps(calls))


@virtual
async def test_a_slow_reader_slows_the_polls():
    most = 0

    async def process(_):
        nonlocal most
        await asyncio.sleep(3)
        most = max(most, len(calls) - len(seen))
        seen.append(1)

    seen = []
    names = [f"idn_{n}" for n in range(100)]
    with simulated(growing()) as calls:
        async with session() as canopy:
            follower = canopy.follow(names, width=4)
            batches = await follow_for(300, follower, process)
    assert len(batches) == pytest.approx(100, abs=2)
    assert most <= 5


@virtual
async def test_everybody_has_a_turn():
    names = [f"idn_{n}" for n in range(60)]

    async def script(call):
        await asyncio.sleep(0.5)
        return grow(call)

    grow = growing()
    with simulated(script) as calls:
        async with session(concurrency=4) as canopy:
            await follow_for(120, canopy.follow(names, every=1, width=4))
    turns = Counter(identity_of(call) for call in calls)
    assert set(turns) == set(names)
    assert max(turns.values()) - min(turns.values()) <= 2


@virtual
async def test_no_more_are_polled_at_a_time_than_asked_for():
    running = most = 0

    async def script(_):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1)
        running -= 1
        return ONE_ROW

    with simulated(script):
        async with session(concurrency=50) as canopy:
            names = [f"idn_{n}" for n in range(100)]
            await follow_for(60, canopy.follow(names, width=7))
    assert most == 7


async def idle_rate(identities, minutes=10):
    """Requests per minute of idle identities, from the tenth minute on."""

    async def script(_):
        await asyncio.sleep(0.05)
        return ONE_ROW

    names = [f"idn_{n}" for n in range(identities)]
    with simulated(script) as calls:
        async with session() as canopy:
            await follow_for(60 * (10 + minutes), canopy.follow(names))
    first = sum(call.at < 60 for call in calls)
    late = sum(call.at >= 600 for call in calls)
    takes = {int(call.url.query["take"]) for call in calls if call.at >= 600}
    return first, late / minutes, takes


def test_idle_identities_fit_a_budget():
    first, rate, takes = run(idle_rate(100))
    assert rate < 105
    assert first < 600
    assert takes == {10}


@virtual
async def test_tasks_do_not_grow_with_the_identities():
    names = [f"idn_{n}" for n in range(500)]
    most = 0

    def script(_):
        nonlocal most
        most = max(most, len(asyncio.all_tasks()))
        return ONE_ROW

    with simulated(script):
        async with session() as canopy:
            await follow_for(30, canopy.follow(names, width=16))
    assert most < 60


if __name__ == "__main__":
    print(*run(idle_rate(1_000)))  # run as a script
