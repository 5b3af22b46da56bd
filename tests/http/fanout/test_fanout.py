"""Many identities under one budget: what comes out, in which order, at what cost."""

import asyncio
import gc
import itertools
from collections import Counter

import pytest
from support.waiting import until

from canopy_async import (
    Checkpoint,
    CheckpointError,
    FanOutError,
    IdentityBatch,
    IdentityEvent,
    NotFoundError,
    RetryPolicy,
    ServerError,
    UnauthorizedError,
)
from canopy_async.testing import Faults

pytestmark = pytest.mark.usefixtures("short_searches")

SIZES = {"one": 1, "none": 0, "some": 150, "many": 900, "full": 100}


@pytest.fixture
def logs(server):
    """Logs of all sizes."""
    for identity_id, size in SIZES.items():
        if size:
            server.seed_events(identity_id, size)
        else:
            server.add_identity(id=identity_id)
    return server


def by_identity(pairs):
    found = {}
    for identity_id, event in pairs:
        found.setdefault(identity_id, []).append(event.id)
    return found


def truth(server, *ids):
    logs = {i: server.event_ids(i, order="asc") for i in ids or SIZES}
    return {i: log for i, log in logs.items() if log}


def identities_asked(server):
    return [request.identity for request in server.requests]


@pytest.mark.parametrize("width", [1, 2, 16])
async def test_every_event_of_every_identity_comes_in_its_logs_order(
    logs, session, width
):
    logs.faults = Faults(latency=0.001, jitter=0.004)
    fan_out = session.fan_out(SIZES, order="asc", width=width)
    assert by_identity(await fan_out.collect()) == truth(logs)
    assert fan_out.progress.done == fan_out.progress.complete == len(SIZES)
    assert fan_out.progress.events == sum(SIZES.values())
    assert fan_out.progress.requests == len(logs.requests)
    assert (fan_out.reports, fan_out.failures, fan_out.checkpoints) == ({}, {}, {})


async def as_async(ids):
    for identity_id in ids:
        yield identity_id


@pytest.mark.parametrize("make", [list, tuple, iter, dict.fromkeys, as_async])
async def test_ids_come_from_any_iterable(logs, session, make):
    pairs = await session.fan_out(make(["one", "some"]), order="asc").collect()
    assert by_identity(pairs) == truth(logs, "one", "some")


async def test_the_list_of_identities_feeds_it(logs, session):
    pairs = await session.fan_out(session.identities(), order="asc").collect()
    assert by_identity(pairs) == truth(logs)


async def test_an_event_unpacks_as_a_pair_and_so_does_a_batch(logs, session):
    async for pair in session.fan_out(["one"]):
        identity_id, event = pair
        assert isinstance(pair, IdentityEvent)
        assert (identity_id, event) == (pair.identity_id, pair.event)
    async with session.fan_out(["some"], order="asc") as fan_out:
        ids = []
        while (batch := await fan_out.next_batch()) is not None:
            assert isinstance(batch, IdentityBatch)
            assert batch.identity_id == "some"
            ids += [event.id for event in batch.events]
            assert fan_out.progress.events == len(ids)
        assert await fan_out.next_batch() is None
    assert ids == logs.event_ids("some")


async def test_the_options_are_those_of_events(logs, session):
    pairs = await session.fan_out(["many", "some"], order="desc", limit=3).collect()
    expected = {i: logs.event_ids(i, order="desc")[:3] for i in ("many", "some")}
    assert by_identity(pairs) == expected
    assert len(logs.requests) == 2


async def test_an_id_that_is_named_twice_is_read_twice(server, session):
    server.seed_events("one", 1)
    pairs = await session.fan_out(["one", "one"]).collect()
    assert [identity_id for identity_id, _ in pairs] == ["one", "one"]


async def test_small_logs_are_one_request_each(server, session):
    ids = server.seed_identities(200)
    for identity_id in ids[:50]:
        server.seed_events(identity_id, 3)
    fan_out = session.fan_out(ids)
    assert len(await fan_out.collect()) == 150
    assert Counter(identities_asked(server)) == Counter(ids)
    assert fan_out.progress.complete == 200


@pytest.mark.parametrize("width", [1, 5])
async def test_no_more_than_the_width_are_open(server, connect, width):
    ids = server.seed_identities(60)
    server.faults = Faults(latency=0.002, jitter=0.002)
    await connect(concurrency=32).fan_out(ids, width=width).collect()
    assert server.peak_in_flight == width


async def test_the_sessions_gate_is_the_one_budget(server, connect):
    for number in range(8):
        server.seed_events(f"idn_{number}", 500)
    server.faults = Faults(latency=0.002)
    session = connect(concurrency=3)
    ids = [f"idn_{number}" for number in range(8)]
    await session.fan_out(ids, width=8).collect()
    assert server.peak_in_flight == session.stats.peak_in_flight == 3


@pytest.mark.parametrize("make", [iter, as_async])
async def test_ids_are_pulled_when_there_is_room_for_them(server, session, make):
    for number in range(20):
        server.seed_events(f"idn_{number}", 2)
    pulled = []

    def ids():
        for number in range(20):
            pulled.append(number)
            yield f"idn_{number}"

    fan_out = session.fan_out(make(ids()), width=4)
    assert pulled == []
    async with fan_out:
        for taken in range(1, 12):
            await fan_out.next_batch()
            await until(lambda: session.stats.in_flight == 0)
            assert len(pulled) <= taken + 4
            assert fan_out.progress.open <= 4


async def test_a_giant_starves_no_one_and_is_starved_by_no_one(server, connect):
    server.seed_events("giant", 9_000)
    small = server.seed_identities(45)
    server.faults = Faults(latency=0.002)
    session = connect(concurrency=4)
    await session.fan_out(["giant", *small], width=4).collect()
    asked = identities_asked(server)
    last_small = max(i for i, name in enumerate(asked) if name != "giant")
    share = asked[:last_small].count("giant") / last_small
    assert 0.2 < share < 0.8
    assert asked[last_small:].count("giant") > 10


async def test_many_giants_let_a_small_one_through_at_its_turn(server, connect):
    giants = [f"giant_{number}" for number in range(7)]
    for identity_id in giants:
        server.seed_events(identity_id, 1_200)
    server.seed_events("small", 1)
    server.faults = Faults(latency=0.002)
    session = connect(concurrency=4)
    await session.fan_out([*giants, "small"], width=8).collect()
    # One round of page 1 of each, and at most what was let through before.
    assert identities_asked(server).index("small") < 16


async def test_events_of_giants_alternate_by_pages(server, session):
    for name in "ab":
        server.seed_events(name, 1_000)
    async with session.fan_out(["a", "b"], width=2) as fan_out:
        order = []
        while (batch := await fan_out.next_batch()) is not None:
            order.append(batch.identity_id)
            await asyncio.sleep(0.01)  # the reader is what is slow
    runs = [len(list(same)) for _, same in itertools.groupby(order[5:-5])]
    assert max(runs) <= 2


async def test_what_is_held_ready_is_bounded_for_all_together(
    server, connect, monkeypatch
):
    monkeypatch.setattr("canopy_async._fanout.workers.READY_BYTES", 300_000)
    ids = [f"idn_{number}" for number in range(10)]
    for identity_id in ids:
        server.seed_events(identity_id, 1_000)
    session = connect(concurrency=4)
    async with session.fan_out(ids, width=10) as fan_out:
        await fan_out.next_batch()
        # Nobody takes anything.
        await until(lambda: len(server.requests) >= 10 and not session.stats.in_flight)
        # 300 kB are about four pages; each identity may have one, and one more.
        assert len(server.requests) <= 10 + 4 + 2 * 4
        while await fan_out.next_batch() is not None:
            pass
    assert fan_out.progress.complete == 10
    assert fan_out.progress.events == 10_000


async def test_raise_stops_at_the_first_failure_and_names_it(server, session):
    ids = server.seed_identities(300)
    server.faults = Faults(latency=0.001)
    fan_out = session.fan_out([*ids[:20], "gone", *ids[20:]])
    with pytest.raises(NotFoundError) as caught:
        await fan_out.collect()
    assert caught.value.__notes__ == ["while the events of identity 'gone' were read"]
    assert fan_out.failures == {"gone": caught.value}
    assert isinstance(caught.value.checkpoint, Checkpoint)
    assert len(server.requests) < 60
    assert "gone" in fan_out.checkpoints


async def test_collect_goes_on_and_keeps_the_failures(logs, session):
    fan_out = session.fan_out(["gone", *SIZES, "lost"], on_error="collect", order="asc")
    pairs = [pair async for pair in fan_out]
    assert by_identity(pairs) == truth(logs)
    assert {i: type(e) for i, e in fan_out.failures.items()} == {
        "gone": NotFoundError,
        "lost": NotFoundError,
    }
    assert (fan_out.progress.done, fan_out.progress.failed) == (len(SIZES), 2)
    assert set(fan_out.reports) == set(fan_out.checkpoints) == {"gone", "lost"}
    asked = Counter(identities_asked(logs))
    assert asked["gone"] == asked["lost"] == 1  # not retried


async def test_a_kept_failure_holds_no_frames(session):
    fan_out = session.fan_out(["gone"], on_error="collect")
    assert [pair async for pair in fan_out] == []
    error = fan_out.failures["gone"]
    assert (error.__traceback__, error.__context__, error.__cause__) == (None,) * 3


async def test_a_list_is_never_a_part_that_looks_like_all(server, session):
    server.seed_events("one", 1)
    with pytest.raises(FanOutError, match="1 identities could not be read") as caught:
        await session.fan_out(["one", "gone"], on_error="collect").collect()
    assert set(caught.value.failures) == {"gone"}


@pytest.mark.parametrize("on_error", ["raise", "collect"])
async def test_a_401_stops_everything(server, connect, on_error):
    ids = server.seed_identities(300)
    session = connect(server.issue_token(uses=30))
    fan_out = session.fan_out(ids, on_error=on_error)
    with pytest.raises(UnauthorizedError):
        await fan_out.collect()
    assert len(server.requests) < 60
    assert fan_out.failures == {}
    assert fan_out.progress.done <= 30


async def test_what_was_cut_short_is_resumed_without_loss_or_repeat(
    logs, connect, quick
):
    session = connect(retry=quick)
    broken = {"on": True}
    logs.faults = Faults(
        error_rate=1,
        error_statuses=(500,),
        only=lambda r: broken["on"] and r.identity == "many" and r.page > 2,
    )
    first = session.fan_out(SIZES, on_error="collect", order="asc", concurrency=1)
    pairs = [pair async for pair in first]
    assert isinstance(first.failures["many"], ServerError)
    assert set(first.checkpoints) == {"many"}
    assert 0 < len(by_identity(pairs)["many"]) < SIZES["many"]
    broken["on"] = False
    rest = session.fan_out(first.checkpoints, resume=first.checkpoints, order="asc")
    pairs += await rest.collect()
    assert by_identity(pairs) == truth(logs)


async def test_places_may_be_told_while_ids_are_pulled(logs, session):
    first = session.fan_out(["some"], order="asc")
    read = 0
    async with first:
        async for _ in first:
            read += 1
            if read == 40:
                break
    places = {}

    async def ids():
        places.update(first.checkpoints)
        yield "some"

    rest = session.fan_out(ids(), resume=places, order="asc")
    found = [event.id async for _, event in rest]
    assert found == logs.event_ids("some")[40:]


@pytest.mark.parametrize("cut", [1, 40, 100, 130, 333, 1_000])
async def test_a_fan_out_that_was_left_is_resumed_where_it_was(logs, session, cut):
    ids = iter(SIZES)
    pairs = []
    async with session.fan_out(ids, order="asc", width=2) as first:
        async for pair in first:
            pairs.append(pair)
            if len(pairs) == cut:
                break
    left = {
        identity_id: checkpoint and checkpoint.dumps()
        for identity_id, checkpoint in first.checkpoints.items()
    }
    assert len(left) <= 2
    rest = session.fan_out(itertools.chain(left, ids), resume=left, order="asc")
    pairs += await rest.collect()
    assert by_identity(pairs) == truth(logs)


async def test_a_checkpoint_of_another_identity_fails_that_one_only(logs, session):
    async with session.events("many", order="asc").open() as run:
        await anext(run)
        place = run.checkpoint
    fan_out = session.fan_out(
        ["one", "some"], resume={"one": place}, order="asc", on_error="collect"
    )
    pairs = [pair async for pair in fan_out]
    assert by_identity(pairs) == truth(logs, "some")
    assert isinstance(fan_out.failures["one"], CheckpointError)


async def test_reports_of_what_is_not_proven_are_kept_up_to_a_ceiling(
    server, session, monkeypatch
):
    monkeypatch.setattr("canopy_async._fanout.tally.MAX_REPORTS", 3)
    ids = server.seed_identities(5)
    fan_out = session.fan_out(ids, lossless=False)
    await fan_out.collect()
    assert list(fan_out.reports) == ids[:3]
    assert (fan_out.progress.done, fan_out.progress.complete) == (5, 0)


async def test_an_error_of_the_ids_is_not_an_identitys(server, session):
    server.seed_events("one", 1)

    def ids():
        yield "one"
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        await session.fan_out(ids(), on_error="collect").collect()


@pytest.mark.parametrize(("found", "error"), [(7, TypeError), ("..", ValueError)])
async def test_what_is_no_id_stops_the_read(session, found, error):
    with pytest.raises(error):
        await session.fan_out(["idn", found][1:], on_error="collect").collect()


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (("idn_1",), {}, TypeError),
        ((b"idn_1",), {}, TypeError),
        ((7,), {}, TypeError),
        ((None,), {}, TypeError),
        (([],), {"on_error": "ignore"}, ValueError),
        (([],), {"on_error": None}, TypeError),
        (([],), {"width": 0}, ValueError),
        (([],), {"width": 1.5}, TypeError),
        (([],), {"take": 101}, ValueError),
        (([],), {"lossless": 1}, TypeError),
        (([],), {"order": 7}, TypeError),
        (([],), {"resume": "text"}, TypeError),
        (([],), {"nonsense": 1}, TypeError),
    ],
)
async def test_bad_arguments_raise_at_the_call(session, arguments, options, error):
    with pytest.raises(error):
        session.fan_out(*arguments, **options)


async def test_it_is_one_pass_read_with_async_for(session):
    fan_out = session.fan_out([])
    with pytest.raises(TypeError, match="async for"):
        iter(fan_out)
    assert await fan_out.collect() == []
    with pytest.raises(RuntimeError, match="one pass"):
        await fan_out.collect()


async def test_no_batch_is_taken_out_of_a_fan_out_that_is_iterated(server, session):
    server.seed_events("idn_1", 5)
    async with session.fan_out(["idn_1"], order="asc") as fan_out:
        pairs = aiter(fan_out)
        first = await anext(pairs)
        with pytest.raises(RuntimeError, match="async for"):
            await fan_out.next_batch()
        rest = [pair async for pair in pairs]
    assert [pair.event.id for pair in (first, *rest)] == server.event_ids("idn_1")


async def test_two_readers_at_once_are_refused(server, session):
    server.seed_events("idn_1", 1)
    server.faults = Faults(hang_rate=1)
    async with session.fan_out(["idn_1"]) as fan_out:
        reading = asyncio.create_task(fan_out.next_batch())
        await until(lambda: server.in_flight == 1)
        with pytest.raises(RuntimeError, match="another task"):
            await fan_out.next_batch()
        reading.cancel()
        await asyncio.wait([reading])


async def test_a_batch_that_is_waited_for_too_shortly_is_not_lost(logs, session):
    logs.faults = Faults(latency=0.01)
    found = []
    async with session.fan_out(SIZES, order="asc", width=2) as fan_out:
        while True:
            try:
                batch = await asyncio.wait_for(fan_out.next_batch(), 0.004)
            except TimeoutError:
                continue
            if batch is None:
                break
            found += [(batch.identity_id, event) for event in batch.events]
    assert by_identity(found) == truth(logs)


async def test_transient_failures_cost_nothing_but_retries(logs, connect):
    logs.faults = Faults(
        error_rate=0.3, error_statuses=(500,), only=lambda r: r.attempt == 1
    )
    session = connect(retry=RetryPolicy(base=0.001))
    fan_out = session.fan_out(SIZES, order="asc")
    assert by_identity(await fan_out.collect()) == truth(logs)
    assert fan_out.progress.requests == len(logs.requests) == session.stats.requests


async def test_memory_is_that_of_the_width_whatever_the_number_of_ids(server, session):
    server.seed_events("idn_1", 1)
    objects = []

    def ids():
        for number in range(1, 2_001):
            yield "idn_1"
            if number % 400 == 0:
                server.reset_requests()  # its records are in the same process
                gc.collect()
                objects.append(len(gc.get_objects()))

    async for _ in session.fan_out(ids()):
        pass
    assert len(objects) == 5
    # The first 400 fill what is kept once; a leak of one object each would be 1 200.
    # How many requests are in flight when it is counted makes a difference of its own.
    assert min(objects[-2:]) - min(objects[1:3]) < 500
