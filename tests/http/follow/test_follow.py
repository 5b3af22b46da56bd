"""Following: what comes out, and what is remembered, over real HTTP."""

import asyncio
import logging
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest
from support.followers import FAST, Reader, ids
from support.leaks import assert_gone, assert_quiet
from support.waiting import until

from canopy_async import (
    CheckpointError,
    FollowCheckpoint,
    ForbiddenError,
    NotFoundError,
    RetryPolicy,
    SessionClosedError,
    UnauthorizedError,
)
from canopy_async.testing import Faults

pytestmark = pytest.mark.usefixtures("short_searches")

NOON = datetime(2026, 4, 20, 12, tzinfo=UTC)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def reading(session, *args, **options):
    return Reader(session.follow(*args, **(FAST | options)))


async def test_from_now_on_only_what_comes_is_handed_out(server, session):
    server.seed_events("idn_1", 250)
    async with reading(session, "idn_1") as reader:
        first = await reader.next()
        assert (first.identity_id, first.events, first.gap) == ("idn_1", (), None)
        added = server.add_event("idn_1")
        assert ids(await reader.next()) == [added["id"]]


async def test_from_now_on_an_empty_log_is_followed_too(server, session):
    server.add_identity(id="idn_1")
    async with reading(session, "idn_1") as reader:
        assert (await reader.next()).events == ()
        added = server.add_event("idn_1")
        batch = await reader.next()
        assert ids(batch) == [added["id"]]
        assert batch.gap is None


@pytest.mark.parametrize("count", [0, 1, 12, 300, 1_500])
async def test_from_the_beginning_the_whole_log_is_handed_out(server, session, count):
    server.add_identity(id="idn_1")
    server.seed_events("idn_1", count, tie_probability=0.3)
    seen = []
    async with reading(session, "idn_1", start="beginning") as reader:
        while True:
            batch = await reader.next()
            seen += ids(batch)
            if len(seen) == count:
                break
        added = server.add_event("idn_1")
        assert ids(await reader.next()) == [added["id"]]
    assert sorted(seen) == sorted(server.event_ids("idn_1")[:-1])
    keys = {event["id"]: event["created_at"] for event in server.events("idn_1")}
    assert [keys[id_] for id_ in seen] == sorted(keys[id_] for id_ in seen)


async def test_a_long_log_is_handed_out_in_parts_that_can_be_saved(server, session):
    server.seed_events("idn_1", 2_000, tie_probability=0.3)
    async with reading(session, "idn_1", start="beginning") as reader:
        first = await reader.next()
    assert 0 < len(first.events) <= 100
    seen = ids(first)
    text = first.checkpoint.dumps()
    async with reading(session, "idn_1", checkpoint=text) as reader:
        while len(seen) < 2_000:
            batch = await reader.next()
            assert batch.gap is None
            assert len(batch.events) <= 100
            seen += ids(batch)
    assert sorted(seen) == sorted(server.event_ids("idn_1"))


async def test_an_event_that_is_committed_late_comes_once_and_is_named(server, session):
    server.add_event("idn_1", created_at=at(0))
    async with reading(session, "idn_1") as reader:
        await reader.next()
        newer = server.add_event("idn_1", created_at=at(100))
        batch = await reader.next()
        assert ids(batch) == [newer["id"]]
        assert batch.late == frozenset()
        late = server.add_event("idn_1", created_at=at(20))
        batch = await reader.next()
        assert ids(batch) == [late["id"]]
        assert batch.late == {late["id"]}
        await reader.nothing(server)


async def test_late_events_come_before_the_newer_ones_of_their_batch(server, session):
    server.add_event("idn_1", created_at=at(100))
    async with reading(session, "idn_1") as reader:
        await reader.next()
        rows = [{"created_at": at(200)}, {"created_at": at(50)}]
        newer, late = server.add_events("idn_1", rows)
        batch = await reader.next()
        assert ids(batch) == [late["id"], newer["id"]]
        assert batch.late == {late["id"]}


async def test_an_event_of_the_newest_ones_instant_is_not_lost(server, session):
    server.add_event("idn_1", created_at=at(0))
    async with reading(session, "idn_1") as reader:
        await reader.next()
        tied = server.add_event("idn_1", created_at=at(0))
        batch = await reader.next()
        assert ids(batch) == [tied["id"]]
        assert batch.late == frozenset()


async def test_a_watermark_row_that_is_deleted_does_no_harm(server, session):
    server.add_event("idn_1", created_at=at(-1000))
    newest = server.add_event("idn_1", created_at=at(0))
    async with reading(session, "idn_1") as reader:
        await reader.next()
        server.delete_event("idn_1", newest["id"])
        tied = server.add_event("idn_1", created_at=at(0))
        batch = await reader.next()
        assert ids(batch) == [tied["id"]]
        assert batch.gap is None


@pytest.mark.parametrize("count", [30, 150, 450, 900])
async def test_a_burst_larger_than_a_page_is_handed_out_whole(server, session, count):
    server.seed_events("idn_1", 40)
    async with reading(session, "idn_1") as reader:
        await reader.next()
        server.faults = Faults(insert_per_request=0.5, latency=0.001)
        made = server.add_events("idn_1", [{}] * count)
        wanted = {row["id"] for row in made}
        seen = []
        while not wanted <= set(seen):
            batch = await reader.next()
            assert batch.gap is None
            seen += ids(batch)
    assert len(seen) == len(set(seen))


async def test_a_long_run_of_shuffled_ties_does_not_stall_it(server, session):
    server.faults = Faults(tie_order="shuffled", insert_per_request=0.2)
    server.add_event("idn_1", created_at=at(0))
    async with reading(session, "idn_1") as reader:
        await reader.next()
        run = server.add_events("idn_1", [{"created_at": at(60)}] * 260)
        later = server.add_event("idn_1", created_at=at(61))
        wanted = {row["id"] for row in run} | {later["id"]}
        seen = []
        while not wanted <= set(seen):
            seen += ids(await reader.next())
    assert len(seen) == len(set(seen))


async def test_retention_that_overtakes_is_said(server, session):
    server.seed_events("idn_1", 20)
    async with reading(session, "idn_1") as reader:
        first = await reader.next()
    server.add_events("idn_1", [{"created_at": at(n)} for n in range(50)])
    server.delete_oldest("idn_1", 40)
    left = server.events("idn_1")
    async with reading(session, "idn_1", checkpoint=first.checkpoint) as reader:
        batch = await reader.next()
        assert ids(batch) == [row["id"] for row in left]
        assert batch.gap is not None
        assert batch.gap.older_than == batch.events[0].created_at
        added = server.add_event("idn_1")
        batch = await reader.next()
        assert (ids(batch), batch.gap) == ([added["id"]], None)


async def test_retention_that_overtakes_a_long_catching_up_is_said(server, session):
    server.seed_events("idn_1", 20)
    async with reading(session, "idn_1") as reader:
        first = await reader.next()
    server.add_events("idn_1", [{"created_at": at(n)} for n in range(1_000)])
    server.delete_oldest("idn_1", 100)
    async with reading(session, "idn_1", checkpoint=first.checkpoint) as reader:
        batch = await reader.next()
        assert batch.gap is not None
        assert batch.gap.older_than == batch.events[0].created_at
        server.delete_oldest("idn_1", 600)
        gaps, seen = [], ids(batch)
        while server.event_ids("idn_1")[-1] not in seen:
            batch = await reader.next()
            if batch.gap:
                gaps.append(batch.gap)
                assert batch.gap.older_than == batch.events[0].created_at
            seen += ids(batch)
    assert len(gaps) <= 1
    assert set(server.event_ids("idn_1")) <= set(seen)


async def test_a_log_that_is_emptied_is_said_once(server, session):
    server.seed_events("idn_1", 2)
    server.add_event("idn_1")  # just now: nobody knows how long it is kept
    async with reading(session, "idn_1") as reader:
        await reader.next()
        server.delete_oldest("idn_1", 3)
        batch = await reader.next()
        assert batch.events == ()
        assert batch.gap is not None
        assert batch.gap.older_than is None
        await reader.nothing(server)


async def test_retention_that_deletes_what_was_seen_is_no_gap(server, session):
    server.seed_events("idn_1", 20, spacing=1)
    async with reading(session, "idn_1") as reader:
        await reader.next()
        server.delete_oldest("idn_1", 19)
        added = server.add_event("idn_1")
        batch = await reader.next()
        assert (ids(batch), batch.gap) == ([added["id"]], None)


async def test_many_identities_are_followed_at_once(server, session):
    names = [f"idn_{n}" for n in range(40)]
    for name in names:
        server.seed_events(name, 30)
    async with reading(session, names) as reader:
        firsts = [await reader.next() for _ in names]
        assert {batch.identity_id for batch in firsts} == set(names)
        made = {name: server.add_event(name)["id"] for name in names}
        batches = [await reader.next() for _ in names]
        assert {batch.identity_id: batch.events[0].id for batch in batches} == made


async def test_ids_can_be_added_and_removed_while_it_runs(server, session):
    for name in ("idn_1", "idn_2"):
        server.seed_events(name, 3)
    async with reading(session, "idn_1") as reader:
        await reader.next()
        reader.follower.add("idn_2")
        reader.follower.add("idn_2")
        assert (await reader.next()).identity_id == "idn_2"
        assert reader.follower.identity_ids == ("idn_1", "idn_2")
        reader.follower.remove("idn_1")
        reader.follower.remove("idn_1")
        server.add_event("idn_1")
        added = server.add_event("idn_2")
        assert ids(await reader.next()) == [added["id"]]
        await reader.nothing(server)


async def test_one_that_is_added_again_goes_on_where_it_was_left(server, session):
    server.seed_events("idn_1", 3)
    async with reading(session, "idn_1") as reader:
        await reader.next()
        reader.follower.remove("idn_1")
        missed = server.add_event("idn_1")
        reader.follower.add("idn_1")
        assert ids(await reader.next()) == [missed["id"]]


async def test_anothers_404_does_not_stop_the_others(server, session, caplog):
    server.seed_events("idn_1", 3)
    with caplog.at_level(logging.CRITICAL, "canopy_async"):
        async with reading(session, ["gone", "idn_1"]) as reader:
            assert (await reader.next()).identity_id == "idn_1"
            added = server.add_event("idn_1")
            assert ids(await reader.next()) == [added["id"]]
            failures = reader.follower.failures
            assert list(failures) == ["gone"]
            assert isinstance(failures["gone"], NotFoundError)
            server.add_identity(id="gone")
            assert (await reader.next()).identity_id == "gone"
            server.add_event("gone")
            await reader.next()
            assert failures == {}


async def test_a_failed_poll_changes_nothing_and_is_repeated(server, connect, caplog):
    session = connect(retry=RetryPolicy(attempts=1))
    server.seed_events("idn_1", 3)
    async with reading(session, "idn_1") as reader:
        first = await reader.next()
        server.faults = Faults(error_rate=1)
        server.fail_next(3, status=500)
        added = server.add_event("idn_1")

        async def recover():
            await until(lambda: list(reader.follower.failures) == ["idn_1"])
            assert reader.follower.checkpoints == {"idn_1": first.checkpoint}
            server.faults = Faults()

        recovering = asyncio.create_task(recover())
        assert ids(await reader.next()) == [added["id"]]
        await recovering
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_a_401_stops_everything(server, connect):
    server.seed_events("idn_1", 3)
    server.seed_events("idn_2", 3)
    session = connect(server.issue_token(uses=5))
    async with reading(session, ["idn_1", "idn_2"]) as reader:
        for _ in range(2):
            await reader.next()
        with pytest.raises(UnauthorizedError):
            await reader.next()
    await assert_quiet(server)


async def test_a_403_is_a_failure_of_its_own(server, connect, caplog):
    server.seed_events("idn_1", 3)
    session = connect(server.issue_token("identity"))
    with caplog.at_level(logging.CRITICAL, "canopy_async"):
        async with reading(session, "idn_1") as reader:
            await reader.nothing(server)
    assert isinstance(reader.follower.failures["idn_1"], ForbiddenError)


async def test_closing_the_session_is_said_also_between_polls(server, connect):
    server.seed_events("idn_1", 3)
    session = connect()
    async with reading(session, "idn_1", every=300) as reader:
        await reader.next()
        waiting = asyncio.create_task(reader.next())
        await asyncio.sleep(0)
        await session.aclose()
        with pytest.raises(SessionClosedError):
            await waiting
    await assert_gone(session, server)


@pytest.mark.parametrize("leave", ["break", "raise", "cancel", "aclose"])
async def test_nothing_is_left_running(server, connect, leave):
    session = connect()
    names = [f"idn_{n}" for n in range(20)]
    for name in names:
        server.seed_events(name, 3)
    server.faults = Faults(latency=0.02)
    follower = session.follow(names, **FAST)

    async def read():
        async for _ in follower:
            if leave == "break":
                break
            if leave == "raise":
                raise KeyError
            if leave == "aclose":
                await follower.aclose()

    task = asyncio.create_task(read())
    if leave == "cancel":
        await until(lambda: server.requests)
        task.cancel()
    (ended,) = await asyncio.gather(task, return_exceptions=True)
    expected = {"raise": KeyError, "cancel": asyncio.CancelledError}
    assert type(ended) is expected.get(leave, type(None))
    await assert_gone(session, server)


async def test_leaving_its_block_ends_it(server, connect):
    session = connect()
    server.seed_events("idn_1", 3)
    async with session.follow("idn_1", **FAST) as follower:
        async for _ in follower:
            break
    await assert_gone(session, server)


async def test_events_come_one_by_one_with_the_place_after_each(server, session):
    server.seed_events("idn_1", 10)
    follower = session.follow("idn_1", start="beginning", **FAST)
    seen = []
    async with follower, aclosing(follower.events()) as events:
        async for event in events:
            seen.append(event.id)
            if len(seen) == 4:
                break
        text = follower.checkpoints["idn_1"].dumps()
    async with reading(session, "idn_1", checkpoint=text) as reader:
        seen += ids(await reader.next())
    assert seen == server.event_ids("idn_1")


@pytest.mark.parametrize("is_added_again", [False, True])
async def test_events_of_one_that_is_removed_are_not_handed_out(
    server, session, is_added_again
):
    server.seed_events("idn_1", 10)
    server.seed_events("idn_2", 1)
    follower = session.follow("idn_1", start="beginning", **FAST)
    seen = []
    async with follower, aclosing(follower.events()) as events:
        async for event in events:
            seen.append(event.id)
            if len(seen) == 3:
                follower.remove("idn_1")
                follower.add("idn_1" if is_added_again else "idn_2")
            if len(seen) == (10 if is_added_again else 4):
                break
    rest = server.event_ids("idn_1" if is_added_again else "idn_2")
    assert seen == server.event_ids("idn_1")[:3] + (
        rest[3:] if is_added_again else rest
    )


async def test_a_batch_that_is_processed_holds_up_its_identity_only(server, session):
    for name in ("idn_1", "idn_2"):
        server.seed_events(name, 3)
    async with reading(session, ["idn_1", "idn_2"], width=2) as reader:
        first = await reader.next()
        await asyncio.sleep(0.1)  # ten times as long as between two polls
        polled = [r.identity for r in server.requests if r.identity]
        assert polled.count(first.identity_id) == 1


async def test_an_idle_log_costs_one_small_request_a_poll(server, session):
    server.seed_events("idn_1", 500, spacing=30)
    async with reading(session, "idn_1") as reader:
        await reader.next()
        server.reset_requests()
        await reader.nothing(server)
    assert {r.page for r in server.requests} == {1}
    assert all(r.take <= 20 for r in server.requests)


async def test_an_idle_log_with_a_full_overlap_costs_one_request_mostly(
    server, session
):
    server.add_events("idn_1", [{"created_at": at(n / 10)} for n in range(400)])
    async with reading(session, "idn_1") as reader:
        first = await reader.next()
        assert len(first.checkpoint.ids) == 400
        server.reset_requests()
        await reader.nothing(server, 20)
    first_pages = sum(r.page == 1 for r in server.requests)
    assert len(server.requests) < 2 * first_pages


async def test_a_row_behind_a_full_overlap_is_found_in_the_end(server, session):
    rows = server.add_events("idn_1", [{"created_at": at(n / 10)} for n in range(400)])
    async with reading(session, "idn_1") as reader:
        await reader.next()
        # One comes as another goes: the count stays as it was.
        server.delete_event("idn_1", rows[0]["id"])
        late = server.add_event("idn_1", created_at=at(5))
        batch = await reader.next()
        assert (ids(batch), batch.late) == ([late["id"]], {late["id"]})


async def test_checkpoints_are_taken_from_a_mapping(server, session):
    for name in ("idn_1", "idn_2"):
        server.seed_events(name, 3)
    async with reading(session, "idn_1") as reader:
        known = await reader.next()
    missed = server.add_event("idn_1")
    saved = {"idn_1": known.checkpoint.dumps(), "idn_2": None, "other": "unused"}
    async with reading(session, ["idn_1", "idn_2"], checkpoints=saved) as reader:
        batches = [await reader.next(), await reader.next()]
    assert {b.identity_id: ids(b) for b in batches} == {
        "idn_1": [missed["id"]],
        "idn_2": [],
    }


async def test_a_checkpoint_of_another_log_is_refused(server, session):
    server.seed_events("idn_1", 3)
    async with reading(session, "idn_1") as reader:
        known = (await reader.next()).checkpoint
    with pytest.raises(CheckpointError, match="another log"):
        session.follow("idn_2", checkpoint=known)
    with pytest.raises(CheckpointError, match="another log"):
        session.follow("idn_1", checkpoint=known, q="role")
    with pytest.raises(CheckpointError):
        session.follow("idn_1", checkpoint="{}")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"start": "then"}, ValueError),
        ({"every": 0}, ValueError),
        ({"idle_every": "x"}, TypeError),
        ({"overlap": 86_401}, ValueError),
        ({"overlap": -1}, ValueError),
        ({"overlap": 0}, ValueError),
        ({"deep_overlap": 86_401}, ValueError),
        ({"deep_overlap": "x"}, TypeError),
        ({"deep_every": -1}, ValueError),
        ({"deep_every": False}, TypeError),
        ({"settle": 86_401}, ValueError),
        ({"settle": -1}, ValueError),
        ({"settle": True}, TypeError),
        ({"width": 0}, ValueError),
        ({"q": 3}, TypeError),
        ({"checkpoints": 3}, TypeError),
        ({"checkpoint": 3}, TypeError),
        ({"checkpoint": "", "checkpoints": {}}, ValueError),
    ],
)
async def test_wrong_arguments_are_refused_at_the_call(session, options, error):
    with pytest.raises((error, CheckpointError)):
        session.follow("idn_1", **options)


async def test_wrong_ids_are_refused_at_the_call(session):
    for wrong in ("", "..", ["ok", ""]):
        with pytest.raises(ValueError, match="identity_id"):
            session.follow(wrong)
    with pytest.raises(TypeError):
        session.follow([1])
    with pytest.raises(ValueError, match="one identity"):
        session.follow(["idn_1"], checkpoint=FollowCheckpoint(scope=""))


async def test_it_is_one_pass(server, session):
    server.seed_events("idn_1", 3)
    async with session.follow("idn_1", **FAST) as follower:
        async for _ in follower:
            break
        with pytest.raises(RuntimeError, match="one pass"):
            aiter(follower)
        with pytest.raises(RuntimeError, match="one pass"):
            follower.events()
    with pytest.raises(TypeError, match="async for"):
        iter(follower)
