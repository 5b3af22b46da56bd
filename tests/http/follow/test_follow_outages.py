"""Followers of a server that goes away and comes back: they wait and go on."""

import asyncio
import logging
import random
from contextlib import aclosing, suppress

import pytest
from support.outages import ServerOfLogs
from support.samples import page_body
from support.scripted import answer, simulated
from support.virtual import now, virtual

from canopy_async import (
    CanopySession,
    NotFoundError,
    RateLimitedError,
    RetryPolicy,
    ServerError,
    TransportError,
)

NAMES = [f"idn_{number}" for number in range(60)]
BEGAN = "no identity can be read for now, which is tried again: "
OVER = "identities can be read again, after "


@pytest.fixture
def warnings(caplog):
    """What is logged for who runs a follower, as it comes."""
    caplog.set_level(logging.WARNING, "canopy_async")
    return lambda: [record.getMessage() for record in caplog.records]


def session(**options):
    return CanopySession("acme", "t0ken", **options)


def server_of_sixty(**options):
    server = ServerOfLogs(**options)
    for name in NAMES:
        server.add(name, 3)
    return server


async def write_on(server):
    """Add an event every few seconds, to any of the logs."""
    while True:
        server.add(random.choice(NAMES))
        await asyncio.sleep(3)


async def follow_until(end, server, follower, look=None):
    """Return the ids that were handed out until an instant, by identity."""
    found = {name: [] for name in NAMES}
    writing = asyncio.create_task(write_on(server))
    async with follower, aclosing(aiter(follower)) as batches:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(end):
                async for batch in batches:
                    found[batch.identity_id] += [event.id for event in batch.events]
                    if look is not None:
                        look(follower)
                    if now() > end - 60:
                        writing.cancel()
    return found


@pytest.mark.parametrize("seconds", [2, 30, 300])
@pytest.mark.parametrize(
    ("fault", "cls"), [("refused", TransportError), ("503", ServerError)]
)
@virtual
async def test_a_follower_waits_until_an_outage_is_over_and_loses_no_event(
    warnings, seconds, fault, cls
):
    random.seed(f"{seconds} {fault}")
    server = server_of_sixty(away=(20, 20 + seconds), fault=fault)
    with simulated(server):
        async with session(retry=RetryPolicy(deadline=10)) as canopy:
            follower = canopy.follow(NAMES, start="beginning", every=5, idle_every=10)
            found = await follow_until(20 + seconds + 150, server, follower)
    assert found == server.ids()
    assert (follower.failures, follower.outage) == ({}, None)
    # One probe every ten seconds, in a long one.
    assert server.asked_in_vain <= 8 + 4 + 4 * min(seconds, 10) ** 0.5 + seconds / 5
    if seconds < 10:
        assert warnings() == []
        return
    began, over = warnings()
    assert began.startswith(f"{BEGAN}{cls.__name__}")
    assert over.startswith(OVER)
    assert float(over.split()[-2]) == pytest.approx(seconds - 10, abs=15)


@pytest.mark.parametrize("seconds", [90, 600])
@pytest.mark.parametrize(
    ("fault", "cls"), [("429+", RateLimitedError), ("503+", RateLimitedError)]
)
@virtual
async def test_a_follower_keeps_quiet_for_as_long_as_it_is_asked_to_and_goes_on(
    warnings, seconds, fault, cls
):
    random.seed(f"{seconds} {fault}")
    server = server_of_sixty(away=(20, 20 + seconds), fault=fault)
    with simulated(server) as calls:
        async with session() as canopy:
            follower = canopy.follow(NAMES, start="beginning", every=5, idle_every=10)
            found = await follow_until(20 + seconds + 150, server, follower)
    assert found == server.ids()
    assert (follower.failures, follower.outage) == ({}, None)
    assert 1 <= server.asked_in_vain <= 8
    # It goes on soon after the time that it was asked for.
    assert any(20 + seconds <= call.at < 20 + seconds + 15 for call in calls)
    began, over = warnings()
    assert began == f"{BEGAN}{cls.__name__} {fault[:-1]}"
    assert over.startswith(OVER)
    assert float(over.split()[-2]) == pytest.approx(seconds, abs=15)


@virtual
async def test_an_outage_is_told_of_while_it_lasts(warnings):
    server = server_of_sixty(away=(20, 200), fault="503+")
    seen = []
    with simulated(server):
        async with session() as canopy:
            follower = canopy.follow(NAMES, start="beginning", every=5, idle_every=10)
            reading = asyncio.create_task(follow_until(300, server, follower))
            for _ in range(28):
                await asyncio.sleep(10)
                seen.append(type(follower.outage).__name__)
            await reading
    assert seen[0] == "NoneType"
    assert set(seen[3:19]) == {"RateLimitedError"}
    assert set(seen[23:]) == {"NoneType"}
    assert len(warnings()) == 2


@virtual
async def test_single_identities_are_told_of_before_and_after_an_outage(warnings):
    server = server_of_sixty(away=(20, 200), fault="503+")

    def script(call):
        lost = "/idn_1/" in call.url.path or ("/idn_2/" in call.url.path and now() > 90)
        return 404 if lost and not server.is_away(now()) else server(call)

    with simulated(script):
        async with session() as canopy:
            follower = canopy.follow(NAMES, start="beginning", every=5, idle_every=10)
            with suppress(TimeoutError):
                async with follower, asyncio.timeout_at(300):
                    async for _ in follower:
                        pass
            failed = follower.failures
    assert sorted(failed) == ["idn_1", "idn_2"]
    assert all(isinstance(error, NotFoundError) for error in failed.values())
    kinds = [text.split(",")[0].split(": ")[0] for text in warnings()]
    assert kinds[0] == "a poll failed"
    assert kinds[1] == BEGAN.split(",", maxsplit=1)[0]
    assert kinds.count(OVER.split(",", maxsplit=1)[0]) == 1
    # One of the two was gone before, and was told of then, too.
    assert kinds.count("a poll failed") == 3
    assert len(kinds) == 5


@virtual
async def test_an_answer_from_before_an_outage_is_not_taken_for_its_end(warnings):
    """A slow reader gets to it only while the server is away."""
    server = ServerOfLogs(away=(1, 200), fault="503+")
    server.add("idn_1", 3)
    server.add("idn_2", 3)
    with simulated(server):
        async with session() as canopy:
            follower = canopy.follow(
                ["idn_1", "idn_2"], start="beginning", every=5, idle_every=5
            )
            async with follower, aclosing(aiter(follower)) as batches:
                first = await anext(batches)
                second = await anext(batches)
                assert {first.identity_id, second.identity_id} == {"idn_1", "idn_2"}
                # The one that was read first is polled again, in vain.
                await asyncio.sleep(50)
                assert warnings() == [f"{BEGAN}RateLimitedError 503"]
                coming = asyncio.create_task(anext(batches))
                await asyncio.sleep(50)
                assert len(warnings()) == 1
                assert follower.outage is not None
                coming.cancel()
                await asyncio.wait([coming])


@virtual
async def test_a_listing_and_polls_that_fail_in_one_outage_are_one_warning(warnings):
    server = server_of_sixty(away=(20, 200), fault="503+")

    async def script(call):
        if "/audit" in call.url.path:
            return await server(call)
        if server.is_away(now()):
            return answer(503, b"", {"Retry-After": "100"})
        rows = [{"id": name} for name in NAMES]
        return page_body(rows, item_count=60, page_count=1)

    with simulated(script):
        async with session() as canopy:
            follower = canopy.follow(
                canopy.identities(), every=5, idle_every=10, discover_every=7
            )
            with suppress(TimeoutError):
                async with follower, asyncio.timeout_at(300):
                    async for _ in follower:
                        pass
    assert follower.listing_failure is None
    assert len(warnings()) == 2
    assert warnings()[1].startswith(OVER)


@pytest.mark.parametrize(
    ("fault", "cls"), [("refused", TransportError), ("503+", RateLimitedError)]
)
@virtual
async def test_an_outage_ends_following_until_caught_up_and_the_rest_is_left(
    fault, cls
):
    server = server_of_sixty(away=(0.1, 1_000), fault=fault)
    saved, found, ended = {}, {name: [] for name in NAMES}, []

    async def follow_to_the_end():
        async with session(retry=RetryPolicy(deadline=10)) as canopy:
            follower = canopy.follow(
                NAMES,
                start="beginning",
                until_caught_up=True,
                checkpoints=dict.fromkeys(NAMES) | saved,
                on_end=ended.append,
            )
            async with follower:
                async for batch in follower:
                    found[batch.identity_id] += [event.id for event in batch.events]
                    saved[batch.identity_id] = batch.checkpoint.dumps()
        return follower

    with simulated(server):
        with pytest.raises(cls) as caught:
            await follow_to_the_end()
        assert caught.value.concerns_all
        assert 0 < len(ended) < 60
        assert all(outcome.error is None for outcome in ended)
        assert server.asked_in_vain <= 8 + 4 + 4 * 10**0.5
        await asyncio.sleep(1_000)
        follower = await follow_to_the_end()
    assert found == server.ids()
    assert follower.failures == {}
