"""One session, one event loop; and loops of other kinds than the usual one."""

import asyncio
import sys
import threading
from collections import Counter
from contextlib import suppress

import pytest
from support.scripted import answer, simulated
from support.waiting import until

from canopy_async import CanopySession, NotFoundError, RetryPolicy, ServerError
from canopy_async.testing import Faults

REQUESTS = 2_000
"""Sent in one loop."""

uvloop = pytest.importorskip("uvloop")


def in_another_loop(make):
    """What a coroutine ends with in a loop of another thread."""
    ends = []

    def run():
        try:
            ends.append(asyncio.run(asyncio.wait_for(make(), 5)))
        except BaseException as error:  # noqa: BLE001 - it is looked at
            ends.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return ends[0]


async def begin(iterable):
    return await anext(aiter(iterable))


async def call(function, *arguments):
    function(*arguments)


USES = {
    "enter": lambda canopy: canopy.__aenter__(),
    "page": lambda canopy: canopy.page("idn_1"),
    "collect": lambda canopy: canopy.events("idn_1").collect(),
    "count": lambda canopy: canopy.events("idn_1").count(),
    "iterate": lambda canopy: begin(canopy.events("idn_1")),
    "fan out": lambda canopy: canopy.fan_out(["idn_1"]).collect(),
    "follow": lambda canopy: begin(canopy.follow(["idn_1"])),
    "close": lambda canopy: canopy.aclose(),
    "cool down": lambda canopy: call(canopy.cool_down, 1),
    "narrow": lambda canopy: call(canopy.set_concurrency, 1),
    "slow down": lambda canopy: call(canopy.set_max_rate, 1),
}


@pytest.mark.parametrize("entered", [True, False])
@pytest.mark.parametrize("use", USES)
async def test_another_loop_is_refused_at_once_with_requests_under_way(
    server, connect, use, entered
):
    server.seed_events("idn_1", 50)
    server.faults = Faults(latency=0.2)
    canopy = connect()
    if entered:
        await canopy.__aenter__()
    reading = asyncio.create_task(canopy.events("idn_1").collect())
    await until(lambda: server.in_flight == 1)
    refused = await asyncio.to_thread(in_another_loop, lambda: USES[use](canopy))
    assert isinstance(refused, RuntimeError), refused
    assert "belongs to the event loop" in str(refused)
    assert not canopy.closed
    assert len(await reading) == 50


async def test_a_run_is_not_gone_on_with_in_another_loop(server, connect):
    server.seed_events("idn_1", 500)
    async with connect().events("idn_1").open() as run:
        await anext(run)
        for how in (run.next_batch, run.aclose):
            refused = await asyncio.to_thread(in_another_loop, how)
            # What is left of a page needs no loop.
            assert not isinstance(refused, RuntimeError) or "belongs" in str(refused)
        refused = await asyncio.to_thread(in_another_loop, run.next_batch)
        assert isinstance(refused, RuntimeError)
        assert len([event async for event in run]) == 400


def test_a_session_that_was_left_open_is_not_used_in_the_next_loop():
    canopy = CanopySession("acme", "t0ken")
    with simulated(lambda _: 200), asyncio.Runner() as runner:
        runner.run(canopy.page("idn_1"))
        for use in (canopy.page("idn_1"), canopy.aclose()):
            with pytest.raises(RuntimeError, match="belongs to the event loop"):
                asyncio.run(use)
        runner.run(canopy.aclose())


def test_a_session_that_was_never_used_may_be_closed_anywhere():
    canopy = CanopySession("acme", "t0ken")
    asyncio.run(canopy.aclose())
    assert canopy.closed


async def requests_with_refusals(count, **options):
    """Send many requests; some are refused. Return the session's stats."""
    statuses = Counter()

    def script(call):
        status = 404 if call.number % 7 == 0 else 200
        if call.number % 4_000 == 100:
            status = 429
        statuses[status] += 1
        return answer(429, b"", {"Retry-After": "0.01"}) if status == 429 else status

    retry = RetryPolicy(base=0.001, throttled_base=0.01)
    with simulated(script):
        async with CanopySession("acme", "t0ken", retry=retry, **options) as canopy:
            todo = iter(range(count))

            async def work():
                for number in todo:
                    with suppress(NotFoundError):
                        await canopy.page(f"idn_{number}")

            await asyncio.gather(*(work() for _ in range(50)))
            assert sum(statuses.values()) == canopy.stats.requests
            assert statuses[429]
            return canopy.stats


LOOPS = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("debug", [False, True])
def test_thousands_of_requests_with_a_rate_and_refusals_lose_no_slot(kind, debug):
    count = 1_000 if debug else REQUESTS
    with asyncio.Runner(loop_factory=LOOPS[kind], debug=debug) as runner:
        stats = runner.run(requests_with_refusals(count, max_rate=1e6))
        assert stats.requests >= count
        assert (stats.in_flight, stats.waiting) == (0, 0)
        paced = runner.run(requests_with_refusals(150, max_rate=500, concurrency=2))
        assert (paced.in_flight, paced.waiting) == (0, 0)


async def read_all(ids, sizes):
    def script(call):
        return 500 if "/bad/" in call.url.path else 200

    once = RetryPolicy(attempts=1)
    with simulated(script):
        async with CanopySession("acme", "t0ken", retry=once) as canopy:
            assert len(await canopy.events("idn_1").collect()) == 1
            fan_out = canopy.fan_out(ids, width=3)
            found = []
            async for pair in fan_out:
                found.append(pair)
                sizes.append(fan_out.progress.open)
            with pytest.raises(ServerError):
                await canopy.events("bad").collect()
            followed = canopy.follow(["idn_1"], start="beginning")
            async with followed:
                batch = await anext(aiter(followed))
    return found, batch


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
def test_with_eager_tasks_a_fan_out_keeps_its_width_and_errors_are_what_they_are():
    async def main():
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)
        sizes = []
        found, batch = await read_all([f"idn_{n}" for n in range(1_000)], sizes)
        assert len(found) == 1_000
        assert max(sizes) <= 3
        assert len(batch.events) == 1

    asyncio.run(main())
