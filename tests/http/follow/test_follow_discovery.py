"""Identities that appear: which are followed, and where each of them begins."""

import asyncio
import logging
from contextlib import suppress

import pytest
from accountsim import Case, simulate
from support.followers import FAST, Reader, ids
from support.samples import page_body
from support.scripted import simulated
from support.virtual import now, run, virtual
from support.waiting import until

from canopy_async import (
    CanopySession,
    CheckpointError,
    CheckpointStore,
    Identity,
    RetryPolicy,
    ServerError,
    SessionClosedError,
)
from canopy_async.testing import Faults

pytestmark = pytest.mark.usefixtures("short_searches")


def reading(session, identities, **options):
    return Reader(session.follow(identities, **(FAST | options)))


async def batches(reader, count):
    """The next batches, by identity."""
    found = [await reader.next() for _ in range(count)]
    return {batch.identity_id: batch for batch in found}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "bot.db"


@pytest.fixture
def three(server):
    """Three identities of three events each."""
    names = server.seed_identities(3)
    for name in names:
        server.seed_events(name, 3)
    return names


async def run_once(session, path, identities, **options):
    """Follow until all are caught up, saving everything; return ids by identity."""
    seen = {}
    async with CheckpointStore(path) as store:
        async for batch in session.follow(
            identities, checkpoints=store, until_caught_up=True, **options
        ):
            seen.setdefault(batch.identity_id, []).extend(ids(batch))
            await store.save(batch)
    return seen


# Which


@pytest.mark.parametrize(
    "kind", ["id", "identity", "list", "set", "generator", "async"]
)
async def test_identities_are_named_in_many_ways(server, session, kind):
    server.seed_events("idn_1", 1)

    async def one_by_one():
        yield Identity(id="idn_1")

    named = {
        "id": "idn_1",
        "identity": Identity(id="idn_1"),
        "list": [Identity(id="idn_1")],
        "set": {"idn_1"},
        "generator": (name for name in ["idn_1"]),
        "async": one_by_one(),
    }[kind]
    async with reading(session, named, start="beginning") as reader:
        batch = await reader.next()
        assert (batch.identity_id, ids(batch)) == ("idn_1", server.event_ids("idn_1"))
        assert reader.follower.identity_ids == ("idn_1",)


async def test_what_can_not_be_an_identity_is_refused(session):
    for wrong in (3, None, [3], [None], b"idn_1"):
        with pytest.raises(TypeError):
            session.follow(wrong)
    for wrong, error in ((3, TypeError), ("..", ValueError)):
        async with reading(session, iter([wrong])) as reader:
            with pytest.raises(error):
                await reader.next()


async def test_what_a_source_raises_is_raised(server, session):
    server.seed_events("idn_1", 1)

    async def broken():
        yield "idn_1"
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        async for _ in session.follow(broken(), **FAST):
            pass


async def test_a_source_that_never_ends_is_followed_as_it_comes(server, session):
    for name in ("idn_1", "idn_2"):
        server.seed_events(name, 1)
    coming = asyncio.Queue()
    coming.put_nowait("idn_1")

    async def feed():
        while True:
            yield await coming.get()

    async with reading(session, feed()) as reader:
        assert (await reader.next()).identity_id == "idn_1"
        coming.put_nowait("idn_2")
        assert (await reader.next()).identity_id == "idn_2"
        await session.aclose()
        with pytest.raises(SessionClosedError):
            await reader.next()


async def test_those_that_are_created_are_found_and_begin_at_their_beginning(
    server, session, three
):
    identities = session.identities()
    async with reading(session, identities, discover_every=0.02) as reader:
        assert all(b.events == () for b in (await batches(reader, 3)).values())
        assert set(reader.follower.identity_ids) == set(three)
        (created,) = server.seed_identities(1)
        made = server.add_events(created, [{}] * 5)
        batch = await reader.next()
        while not batch.events:
            batch = await reader.next()
        assert batch.identity_id == created
        assert sorted(ids(batch)) == sorted(row["id"] for row in made)


@virtual
async def test_listing_takes_no_more_than_a_tenth_of_the_time():
    async def answer(call):
        if call.url.path.endswith("/identities"):
            await asyncio.sleep(0.5)
            listed.append(now())
        return page_body([], page_count=0, item_count=0)

    listed = []
    with simulated(answer):
        async with CanopySession("acme", "token") as canopy:
            with suppress(TimeoutError):
                async with asyncio.timeout(60):
                    async for _ in canopy.follow(
                        canopy.identities(), discover_every=0.001
                    ):
                        pass
    assert 8 <= len(listed) <= 12


async def test_one_that_was_removed_is_not_found_again(server, session, three):
    identities = session.identities()
    async with reading(session, identities, discover_every=0.02) as reader:
        await batches(reader, 3)
        reader.follower.remove(three[0])
        server.reset_requests()
        await reader.nothing(server, 40)
        assert sum(r.identity is None for r in server.requests) > 1
        assert three[0] not in reader.follower.identity_ids
        assert not any(r.identity == three[0] for r in server.requests[5:])


@pytest.mark.usefixtures("three")
async def test_a_listing_that_fails_is_told_and_tried_again(server, connect, caplog):
    session = connect(retry=RetryPolicy(attempts=1))
    identities = session.identities()
    async with reading(session, identities, discover_every=0.02) as reader:
        await batches(reader, 3)
        with caplog.at_level(logging.CRITICAL, "canopy_async"):
            server.faults = Faults(error_rate=1)
            waiting = asyncio.create_task(reader.next())
            await until(lambda: reader.follower.listing_failure is not None)
        (created,) = server.seed_identities(1)
        server.faults = Faults()
        assert (await waiting).identity_id == created
        assert reader.follower.listing_failure is None


async def test_a_listing_that_fails_ends_what_is_to_end(server, connect):
    session = connect(retry=RetryPolicy(attempts=1))
    server.faults = Faults(error_rate=1)
    with pytest.raises(ServerError):
        async for _ in session.follow(session.identities(), until_caught_up=True):
            pass


# Where each begins


async def test_one_that_was_created_meanwhile_begins_at_its_beginning(
    server, session, three, path
):
    first = await run_once(session, path, session.identities())
    assert first == {name: [] for name in three}
    (created,) = server.seed_identities(1)
    server.seed_events(created, 150)
    added = server.add_event(three[0])
    second = await run_once(session, path, session.identities())
    assert sorted(second.pop(created)) == sorted(server.event_ids(created))
    assert second == {three[0]: [added["id"]], three[1]: [], three[2]: []}


async def test_a_first_run_without_identities_is_the_first_run(server, session, path):
    assert await run_once(session, path, session.identities()) == {}
    (created,) = server.seed_identities(1)
    server.seed_events(created, 3)
    second = await run_once(session, path, session.identities())
    assert second == {created: server.event_ids(created)}


async def test_one_of_the_first_run_begins_where_start_says_though_it_was_cut_short(
    server, session, three, path
):
    async with CheckpointStore(path) as store:
        follower = session.follow(session.identities(), checkpoints=store, **FAST)
        async with follower, asyncio.timeout(20):
            seen = []
            async for batch in follower:
                seen.append(batch.identity_id)
                if len(seen) == 1:
                    await store.save(batch)
                if len(seen) == 3:
                    break
            while await store.load_first_run() is None:  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.01)
        assert await store.load_first_run() == set(three) - {seen[0]}
    (created,) = server.seed_identities(1)
    server.seed_events(created, 3)
    second = await run_once(session, path, session.identities())
    assert second.pop(created) == server.event_ids(created)
    assert second == {name: [] for name in three}


async def test_a_first_run_that_ended_before_all_were_listed_is_begun_again(
    server, session, three, path
):
    async def stuck():
        yield three[0]
        await asyncio.sleep(60)

    async with CheckpointStore(path) as store:
        async with reading(session, stuck(), checkpoints=store) as reader:
            await store.save(await reader.next())
        assert await store.load_first_run() is None
    second = await run_once(session, path, session.identities())
    assert second == {name: [] for name in three}
    (created,) = server.seed_identities(1)
    server.seed_events(created, 3)
    third = await run_once(session, path, session.identities())
    assert third.pop(created) == server.event_ids(created)
    assert third == {name: [] for name in three}


async def test_a_name_that_is_new_in_a_list_begins_at_its_beginning(
    server, session, three, path
):
    await run_once(session, path, three[:2])
    second = await run_once(session, path, three)
    assert second[three[2]] == server.event_ids(three[2])


@pytest.mark.usefixtures("three")
async def test_a_first_run_from_the_beginning_is_over_for_those_who_come_later(
    server, session, path
):
    await run_once(session, path, session.identities(), start="beginning")
    (created,) = server.seed_identities(1)
    server.seed_events(created, 3)
    second = await run_once(session, path, session.identities(), start="now")
    assert second[created] == server.event_ids(created)


async def test_a_mapping_tells_the_first_run_by_what_is_in_it(session, three):
    known = {}
    async with reading(session, three[0], checkpoints={}) as reader:
        batch = await reader.next()
        assert batch.events == ()
        known[three[0]] = batch.checkpoint
    known[three[1]] = None  # it was there, and had no checkpoint yet
    async with reading(session, three, checkpoints=known) as reader:
        found = await batches(reader, 3)
    assert {name: len(batch.events) for name, batch in found.items()} == {
        three[0]: 0,
        three[1]: 0,
        three[2]: 3,
    }


async def test_a_mapping_is_asked_when_an_identity_begins(session, three):
    asked = []

    class Lazy(dict):
        def get(self, key, default=None):
            asked.append(key)
            return super().get(key, default)

    follower = session.follow(
        iter(three),
        checkpoints=Lazy(),
        start="beginning",
        width=1,
        until_caught_up=True,
    )
    assert asked == []
    async for batch in follower:
        assert batch.identity_id in asked
    wrong = Lazy({three[1]: "{}"})
    with pytest.raises(CheckpointError):
        session.follow(three, checkpoints=wrong)
    with pytest.raises(CheckpointError):
        async for _ in session.follow(iter(three), checkpoints=wrong):
            pass


async def test_one_that_is_added_by_hand_begins_where_it_is_told(session, three):
    async with reading(session, three[0]) as reader:
        await reader.next()
        reader.follower.add(three[1])
        assert (await reader.next()).events == ()
        reader.follower.add(three[2], start="beginning")
        assert len((await reader.next()).events) == 3
        with pytest.raises(ValueError, match="start"):
            reader.follower.add("idn_x", start="then")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lifetime": 5.0},
        {"present": 0},
        {"ends": True},
        {"ends": True, "start": "beginning"},
    ],
)
def test_whoever_appears_and_whenever_it_is_killed_each_event_comes_once(options):
    outcome = run(simulate(Case(seed=3, seconds=200.0, **options)))
    assert outcome.later >= 5
    assert outcome.lives > 2
    assert outcome.owed > 50
    assert outcome.lost == outcome.repeated == outcome.flooded == 0
