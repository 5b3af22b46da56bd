"""The ends of a follower that something outside of it brings about."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import pytest
from support.followers import FAST, Reader, ids
from support.leaks import assert_quiet
from support.waiting import until

from canopy_async import (
    ProtocolError,
    RetryPolicy,
    SessionClosedError,
    UnauthorizedError,
    UnorderedListError,
)
from canopy_async.testing import Faults

NOON = datetime(2026, 4, 20, 12, tzinfo=UTC)


def reading(session, identities, **options):
    return Reader(session.follow(identities, **(FAST | options)))


def tasks_of(name):
    """The tasks that run in a function of the follower's package."""
    return [
        task
        for task in asyncio.all_tasks()
        if "canopy_async/_follow" in repr(task) and name in repr(task)
    ]


async def test_a_poll_that_is_cancelled_from_outside_ends_it_with_an_error(
    server, session
):
    server.seed_events("idn_1", 3)
    server.faults = Faults(hang_rate=1)
    async with reading(session, "idn_1") as reader:
        coming = asyncio.create_task(reader.next())
        await until(lambda: server.requests and tasks_of("_poll"))
        for task in tasks_of("_poll"):
            task.cancel()
        with pytest.raises(SessionClosedError, match="cancelled from outside"):
            await coming
    await assert_quiet(server)


async def test_an_error_in_the_code_of_the_caller_ends_it_with_that_error(
    server, connect
):
    def faulty(_):
        raise KeyError("mine")

    names = ("idn_1", "idn_2")
    for name in names:
        server.seed_events(name, 1)
    session = connect(retry=RetryPolicy(jitter=faulty))
    async with reading(session, names) as reader:
        for _ in names:
            await reader.next()
        server.faults = Faults(error_rate=1)
        with pytest.raises(KeyError, match="mine"):
            await reader.next()
        assert reader.follower.failures == {}
    await assert_quiet(server)


async def test_a_listing_that_is_cancelled_from_outside_ends_it_with_an_error(
    server, session
):
    server.faults = Faults(hang_rate=1)
    async with reading(session, session.identities()) as reader:
        coming = asyncio.create_task(reader.next())
        await until(lambda: server.requests and tasks_of("Listing.run"))
        for task in tasks_of("Listing.run"):
            task.cancel()
        with pytest.raises(SessionClosedError, match="cancelled from outside"):
            await coming
    await assert_quiet(server)


async def test_a_token_that_is_refused_while_listing_stops_everything(server, connect):
    session = connect(retry=RetryPolicy(attempts=1))
    server.seed_identities(1)
    identities = session.identities()
    async with reading(session, identities, discover_every=0.02) as reader:
        await reader.next()
        server.faults = Faults(
            error_rate=1,
            error_statuses=(401,),
            only=lambda request: request.identity is None,
        )
        with pytest.raises(UnauthorizedError):
            await reader.next()
        sent = len(server.requests)
        reader.follower.add("another")  # which gets no turn
        await assert_quiet(server)
        assert len(server.requests) == sent


async def test_an_id_of_the_list_that_can_not_be_one_fails_alone_and_is_told_once(
    server, session, caplog
):
    (fine,) = server.seed_identities(1)
    server.add_identity(id="..")
    server.seed_events(fine, 1)
    identities = session.identities()
    async with reading(session, identities, discover_every=0.02) as reader:
        with caplog.at_level(logging.WARNING, "canopy_async"):
            assert (await reader.next()).identity_id == fine
            await reader.nothing(server, 12)
        assert isinstance(reader.follower.failures[".."], ProtocolError)
        told = [r for r in caplog.records if r.message == "an identity is not followed"]
        assert [record.identity_id for record in told] == [".."]


async def test_what_on_end_raises_is_raised_where_it_is_read(server, session):
    server.seed_events("idn_1", 1)

    def on_end(_):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        async for _ in session.follow("idn_1", until_caught_up=True, on_end=on_end):
            pass
    await assert_quiet(server)


async def test_one_that_is_removed_while_it_is_polled_is_polled_no_more(
    server, session
):
    for name in ("idn_1", "idn_2"):
        server.seed_events(name, 1)
    async with reading(session, ["idn_1", "idn_2"]) as reader:
        for _ in range(2):
            await reader.next()
        server.fail_next(kind="hang", only=lambda request: request.identity == "idn_1")
        coming = asyncio.create_task(reader.next())
        begun = len(server.requests)
        await until(
            lambda: [r for r in server.requests[begun:] if r.identity == "idn_1"]
        )
        reader.follower.remove("idn_1")
        await until(lambda: len(tasks_of("_poll")) <= 1)
        added = server.add_event("idn_2")
        assert ids(await coming) == [added["id"]]
        assert reader.follower.identity_ids == ("idn_2",)
        assert repr(reader.follower) == "<Follower of 1 identities so far>"


# Servers that keep an order of their own


async def test_an_unsorted_log_is_a_failure_of_its_own(server, session):
    server.seed_events("idn_1", 250)
    server.faults = Faults(unsorted=True)
    async with reading(session, "idn_1") as reader:
        coming = asyncio.create_task(reader.next())
        await until(lambda: reader.follower.failures)
        assert isinstance(reader.follower.failures["idn_1"], UnorderedListError)
        server.faults = Faults()
        assert (await coming).events == ()


@pytest.mark.parametrize("count", [90, 250])
async def test_a_server_that_ignores_the_order_is_read_newest_first(
    server, session, count
):
    server.seed_events("idn_1", count)
    server.faults = Faults(ignore_order=True)
    async with reading(session, "idn_1", start="beginning") as reader:
        batch = await reader.next()
        assert ids(batch) == server.event_ids("idn_1")
        added = server.add_event("idn_1")
        assert ids(await reader.next()) == [added["id"]]


async def test_much_of_a_server_that_ignores_the_order_is_one_batch_too(
    server, session
):
    server.add_event("idn_1", created_at=NOON.isoformat())
    server.faults = Faults(ignore_order=True)
    async with reading(session, "idn_1") as reader:
        await reader.next()
        made = server.add_events(
            "idn_1",
            [
                {"created_at": (NOON + timedelta(seconds=n)).isoformat()}
                for n in range(1, 701)
            ],
        )
        assert ids(await reader.next()) == [row["id"] for row in made]


async def test_more_than_a_batch_within_the_look_back_keeps_checkpoints_small(
    server, session
):
    made = server.add_events(
        "idn_1",
        [
            {"created_at": (NOON + timedelta(seconds=n / 4)).isoformat()}
            for n in range(5_000)
        ],
    )
    seen, sizes = [], []
    async for batch in session.follow(
        "idn_1", start="beginning", until_caught_up=True, **FAST
    ):
        seen += ids(batch)
        sizes.append(len(batch.checkpoint.ids))
    assert seen == [row["id"] for row in made]
    assert max(sizes) <= 4_100
    assert sizes[-1] <= 2_001
