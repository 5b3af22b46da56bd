"""One session for a web app, a bot and an export: nobody starves."""

import asyncio

import pytest
from support.samples import event_row, page_body
from support.scripted import simulated
from support.virtual import now, virtual

from canopy_async import CanopySession

LATENCY = 0.05
WIDTH = 8
SECONDS = 8
CAPACITY = WIDTH / LATENCY
"""Requests per second that the session can send."""


def page_of(call):
    rows = 1_000_000
    page, take = call.page, int(call.url.query["take"])
    return page_body(
        [event_row(rows - (page - 1) * take)],
        page=page,
        take=take,
        item_count=rows,
        page_count=rows,
        has_next_page=True,
    )


async def served(call):
    await asyncio.sleep(LATENCY)
    return page_of(call)


def asks_of(calls, name):
    return [call.at for call in calls if f"/{name}/" in call.url.path]


async def read_without_end(canopy, name="long"):
    async for _ in canopy.events(name, lossless=False, take=1):
        if now() > SECONDS:
            return


async def ask_without_end(canopy, number, waits, how):
    while now() < SECONDS:
        began = now()
        await HOW[how](canopy, f"short_{number}")
        waits.append(now() - began)


async def newest(canopy, name):
    await canopy.events(name, order="desc", limit=1, take=1).collect()


async def one_page(canopy, name):
    await canopy.page(name, take=1)


async def how_many(canopy, name):
    await canopy.events(name).count()


HOW = {"newest": newest, "page": one_page, "count": how_many}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("handlers", [0, 4, 16, 64])
@virtual
async def test_a_long_read_has_its_share_beside_handlers(handlers, how):
    """Each handler waits for a turn of each of the others at most, and for one more."""
    waits = []
    with simulated(served) as calls:
        async with CanopySession("acme", "t0ken", concurrency=WIDTH) as canopy:
            await asyncio.gather(
                read_without_end(canopy),
                *(ask_without_end(canopy, n, waits, how) for n in range(handlers)),
            )
    reads = asks_of(calls, "long")
    for second in range(1, SECONDS - 1):
        mine = len([at for at in reads if second <= at < second + 1])
        # A round may begin just before a second, or just after it.
        at_the_edge = 1 if handlers else WIDTH
        assert mine >= int(CAPACITY / (handlers + 1)) - at_the_edge
    slowest = sorted(waits)[int(0.99 * len(waits))] if waits else 0.0
    assert slowest <= (handlers + 1) / CAPACITY + 2 * LATENCY + 1e-6


@virtual
async def test_a_fan_out_counts_as_one_read_beside_another():
    """However many identities it has open, and these share its turn evenly."""
    with simulated(served) as calls:
        async with CanopySession("acme", "t0ken", concurrency=WIDTH) as canopy:

            async def fan_out():
                names = [f"wide_{n}" for n in range(16)]
                options = {"lossless": False, "take": 1}
                async with canopy.fan_out(names, **options) as events:
                    async for _ in events:
                        if now() > SECONDS:
                            return

            await asyncio.gather(read_without_end(canopy), fan_out())
    mine = len(asks_of(calls, "long"))
    assert mine / len(calls) == pytest.approx(0.5, abs=0.02)
    each = [len(asks_of(calls, f"wide_{n}")) for n in range(16)]
    assert max(each) <= 1.1 * min(each)


@virtual
async def test_polls_of_a_follower_take_turns_beside_a_long_read():
    async def script(call):
        await asyncio.sleep(LATENCY)
        if "/long/" in call.url.path:
            return page_of(call)
        return page_body([event_row(7)], item_count=1)

    with simulated(script) as calls:
        async with CanopySession("acme", "t0ken", concurrency=WIDTH) as canopy:

            async def follow():
                names = [f"bot_{n}" for n in range(50)]
                options = {"every": 0.001, "idle_every": 0.001, "width": 16}
                async with canopy.follow(names, **options) as batches:
                    async for _ in batches:
                        if len(asks_of(calls, "long")) > CAPACITY:
                            return

            following = asyncio.create_task(follow())
            await read_without_end(canopy)
            following.cancel()
            await asyncio.wait([following])
    bots = [call for call in calls if "/bot_" in call.url.path]
    mine = len(asks_of(calls, "long"))
    # All polls of a follower have one turn beside the read.
    assert mine / len(calls) >= 0.45
    assert len(bots) / len(calls) >= 0.3


@virtual
async def test_a_retry_is_in_its_own_reads_turn_and_passes_by_nobody():
    async def script(call):
        await asyncio.sleep(LATENCY)
        if "/broken_" in call.url.path and call.number % 2:
            return 500
        return page_of(call)

    waits = []
    with simulated(script):
        async with CanopySession("acme", "t0ken", concurrency=2) as canopy:

            async def ask(name):
                while now() < SECONDS:
                    began = now()
                    await canopy.page(name, take=1)
                    if name == "well":
                        waits.append(now() - began)

            broken = (ask(f"broken_{n}") for n in range(8))
            await asyncio.gather(ask("well"), *broken)
    assert max(waits) <= (8 + 2) / (2 / LATENCY) + 2 * LATENCY
