"""Following the log of a whole account, in virtual time."""

import asyncio
import json
import random
from collections import Counter
from contextlib import aclosing
from datetime import datetime, timedelta

import pytest
from support.accounts import START, AccountServer
from support.sampled import sampled
from support.scripted import simulated
from support.virtual import now, run, virtual

from canopy_async import (
    AccountFollower,
    AccountReport,
    CanopySession,
    CheckpointError,
    CheckpointStore,
    FollowCheckpoint,
    ForbiddenError,
    IncompleteReadError,
    NotFoundError,
    UnauthorizedError,
)


def session():
    return CanopySession("acme", "t0ken")


async def batches_of(canopy, seconds, **options):
    """Follow for some seconds; return the batches."""
    found = []
    async with canopy.follow_account(**options) as follower:
        try:
            async with asyncio.timeout(seconds):
                async for batch in follower:
                    found.append(batch)  # it is left by the timeout
        except TimeoutError:
            pass
    return found


def ids_of(batches):
    return [event.id for batch in batches for event in batch.events]


@virtual
async def test_new_events_come_once_and_oldest_first_within_a_poll():
    server = AccountServer()
    for number in range(50):
        server.write(f"e{number:03}", at=number * 7.0, age=number % 3)
    with simulated(server.answer):
        async with session() as canopy:
            batches = await batches_of(canopy, 400, every=30)
    assert sorted(ids_of(batches)) == [f"e{number:03}" for number in range(1, 50)]
    for batch in batches:
        dates = [event.created_at for event in batch.events]
        assert dates == sorted(dates)
        assert isinstance(batch.report, AccountReport)


@virtual
async def test_a_poll_is_one_request_a_minute():
    server = AccountServer()
    for number in range(500):
        server.write(f"e{number:03}", at=number * 10.0 - 1000)
    with simulated(server.answer):
        async with session() as canopy:
            await batches_of(canopy, 3600, deep_every=None)
    assert 55 <= len(server.asked) <= 70
    for query in server.asked[1:]:
        since = datetime.fromisoformat(query["from"])
        until = datetime.fromisoformat(query["to"])
        assert since > START - timedelta(seconds=1200)
        assert until > START
        assert query["limit"] == "200"


@virtual
async def test_the_first_run_begins_now_or_at_the_beginning_or_at_an_instant():
    server = AccountServer()
    for number in range(900):
        server.write(f"e{number:03}", at=-10.0 * number)
    with simulated(server.answer):
        async with session() as canopy:
            ended = {"until_caught_up": True}
            assert ids_of(await batches_of(canopy, 9, **ended)) == []
            whole = await batches_of(canopy, 99, start="beginning", **ended)
            since = START - timedelta(seconds=1000)
            some = await batches_of(canopy, 9, start=since, **ended)
    assert ids_of(whole) == [f"e{number:03}" for number in reversed(range(900))]
    assert ids_of(some) == [f"e{number:03}" for number in reversed(range(101))]
    assert whole[-1].report.complete


@virtual
async def test_a_backlog_is_handed_out_in_parts_oldest_first():
    server = AccountServer()
    rng = random.Random(3)
    for number in range(9_000):
        at = -rng.uniform(0, 3_000_000) if number % 3 else -rng.uniform(0, 100_000)
        server.write(f"e{number}", at=at)
    with simulated(server.answer):
        async with session() as canopy:
            batches = await batches_of(
                canopy, 999, start="beginning", until_caught_up=True
            )
    ids = ids_of(batches)
    assert len(ids) == len(set(ids)) == 9_000
    assert max(len(batch.events) for batch in batches) <= 4_000
    dates = [event.created_at for batch in batches for event in batch.events]
    assert dates == sorted(dates)
    assert len(batches[-1].checkpoint.ids) <= 4_000
    assert len(server.asked) < 3 * 9_000 / 200


@pytest.mark.parametrize("newest_first", [True, False])
@virtual
async def test_late_commits_are_found(newest_first):
    server = AccountServer(newest_first=newest_first)
    rng = random.Random(5)
    for number in range(300):
        age = rng.choice([0, 0, 1, 30, 100])
        server.write(f"e{number:03}", at=rng.uniform(100, 3000), age=age)
    server.write("very late", at=500, age=3000)
    with simulated(server.answer):
        async with session() as canopy:
            batches = await batches_of(canopy, 6000, deep_every=600)
    ids = ids_of(batches)
    assert len(ids) == len(set(ids)) == 301
    assert "very late" in set().union(*(batch.late for batch in batches))


@virtual
async def test_events_are_held_back_until_they_have_settled():
    server = AccountServer()
    server.write("e0", at=-50)
    server.write("b", at=100)
    server.write("a", at=130, age=40)
    server.write("c", at=200)
    with simulated(server.answer):
        async with session() as canopy:
            batches = await batches_of(canopy, 900, every=10, settle=60)
    assert ids_of(batches) == ["a", "b", "c"]


@virtual
async def test_a_checkpoint_goes_on_where_it_was_left():
    server = AccountServer()
    for number in range(100):
        server.write(f"e{number:03}", at=number * 10.0)
    with simulated(server.answer):
        async with session() as canopy:
            first = await batches_of(canopy, 300, start="beginning")
            text = first[-1].checkpoint.dumps()
            second = await batches_of(canopy, 1000, checkpoint=text)
    assert ids_of(first + second) == [f"e{number:03}" for number in range(100)]


@virtual
async def test_a_follower_that_was_away_for_long_reads_the_backlog_in_parts():
    server = AccountServer()
    server.write("e", at=0)
    for number in range(5_000):
        server.write(f"e{number}", at=100 + number / 8)
    with simulated(server.answer):
        async with session() as canopy:
            first = await batches_of(canopy, 50, start="beginning")
            await asyncio.sleep(1_000)
            checkpoint = first[-1].checkpoint
            second = await batches_of(
                canopy, 500, checkpoint=checkpoint, until_caught_up=True
            )
    assert len(second) > 1
    assert sorted(ids_of(second)) == sorted(f"e{number}" for number in range(5_000))


@pytest.mark.parametrize("seed", sampled(range(8), 0, 1, 3, 4))
def test_killed_again_and_again_it_loses_and_repeats_nothing(seed):
    lost, repeated, kills = run(killed(seed))
    assert (lost, repeated) == (0, 0)
    assert kills > 10


async def killed(seed):
    """Follow, killed at any step; events and checkpoint are kept together, or not."""
    rng = random.Random(seed)
    server = AccountServer(newest_first=seed % 4 != 3, tells_time=seed % 2 == 0)
    count = 4_500 if seed == 4 else rng.choice([50, 400])
    for number in range(count):
        age = rng.choice([0, 0, 0, 5, 90])
        server.write(f"e{number}", at=rng.uniform(-2_000, 1_000), age=age)
    kept, saved, kills = [], None, 0
    with simulated(server.answer):
        while now() < 2_000:
            lifetime = now() + rng.expovariate(1 / 150)
            async with session() as canopy:
                follower = canopy.follow_account(
                    start="beginning", checkpoint=saved, every=20
                )
                async with aclosing(follower):
                    try:
                        async with asyncio.timeout_at(lifetime):
                            async for batch in follower:
                                if rng.random() < 0.2:
                                    break  # killed before it was kept
                                kept += [event.id for event in batch.events]
                                saved = batch.checkpoint.dumps()
                                await asyncio.sleep(rng.choice([0, 0, 3]))
                    except TimeoutError:
                        pass
            kills += 1
            await asyncio.sleep(rng.choice([0.1, 0.1, 30]))
    counted = Counter(kept)
    return [count - len(counted), len(kept) - len(counted), kills]


@virtual
async def test_checkpoints_are_kept_in_a_store_beside_those_of_identities(tmp_path):
    server = AccountServer()
    for number in range(60):
        server.write(f"e{number:03}", at=number * 10.0)
    found = []
    with simulated(server.answer):
        for _ in range(3):
            async with (
                session() as canopy,
                CheckpointStore(tmp_path / "bot.db") as store,
            ):
                follower = canopy.follow_account(
                    start="beginning", checkpoints=store, until_caught_up=True
                )
                async for batch in follower:
                    found.append(batch)
                    assert batch.identity_id == follower.key == "account:acme"
                    await store.save(batch)
            await asyncio.sleep(300)
    assert ids_of(found) == [f"e{number:03}" for number in range(60)]


@virtual
async def test_an_identity_in_the_store_does_not_make_the_account_a_later_one(tmp_path):
    server = AccountServer()
    server.write("e", at=-100)
    with simulated(server.answer):
        async with session() as canopy, CheckpointStore(tmp_path / "bot.db") as store:
            other = FollowCheckpoint(scope="other")
            saved = await batches_of(canopy, 1, start="now")
            await store.save(
                type(saved[0])(identity_id="idn_1", events=(), checkpoint=other)
            )
            batches = await batches_of(canopy, 100, checkpoints=store)
    assert ids_of(batches) == []


@virtual
async def test_events_may_be_read_one_by_one():
    server = AccountServer()
    for number in range(30):
        server.write(f"e{number:03}", at=number)
    seen = []
    with simulated(server.answer):
        async with session() as canopy:
            await asyncio.sleep(50)
            follower = canopy.follow_account(start="beginning")
            assert follower.checkpoint is None
            async for event in follower.events():
                seen.append(event.id)
                if len(seen) == 12:
                    break
            assert len(follower.checkpoint.ids) == 12
            rest = await batches_of(
                canopy, 9, checkpoint=follower.checkpoint, until_caught_up=True
            )
    assert seen + ids_of(rest) == [f"e{number:03}" for number in range(30)]


@virtual
async def test_retention_that_overtakes_the_follower_is_a_gap():
    server = AccountServer()
    for number in range(40):
        server.write(f"e{number:03}", at=number * 100.0)
    with simulated(server.answer):
        async with session() as canopy:
            first = await batches_of(canopy, 500, start="beginning")
            await asyncio.sleep(3_000)
            server.deleted = {f"e{number:03}" for number in range(30)}
            checkpoint = first[-1].checkpoint
            second = await batches_of(canopy, 100, checkpoint=checkpoint)
    assert second[0].gap is not None
    assert second[0].gap.older_than == second[0].events[0].created_at


@virtual
async def test_quiet_hours_are_no_gap():
    server = AccountServer()
    server.write("e0", at=0)
    server.write("e1", at=9_000)
    with simulated(server.answer):
        async with session() as canopy:
            batches = await batches_of(canopy, 25_000, start="beginning")
    assert ids_of(batches) == ["e0", "e1"]
    assert {batch.gap for batch in batches} == {None}


@virtual
async def test_a_failed_poll_is_tried_again_and_loses_nothing():
    server = AccountServer()
    for number in range(80):
        server.write(f"e{number:03}", at=number * 10.0)
    server.fails = lambda call: 500 if 200 < call.at < 400 else None
    with simulated(server.answer):
        async with session() as canopy:
            batches = await batches_of(canopy, 2_000, start="beginning", every=30)
    assert ids_of(batches) == [f"e{number:03}" for number in range(80)]


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, UnauthorizedError), (403, ForbiddenError), (404, NotFoundError)],
)
@virtual
async def test_a_log_that_can_not_be_read_ends_the_follower(status, error):
    with simulated(lambda _: status):
        async with session() as canopy:
            with pytest.raises(error) as raised:
                await batches_of(canopy, 500)
    assert status == 401 or "fan_out()" in str(raised.value)


@virtual
async def test_a_poll_that_fails_ends_a_follower_that_was_to_read_to_the_end():
    server = AccountServer()
    server.write("e")

    def contradicting(call):
        made = server.answer(call)
        page = json.loads(made.body)
        (row,) = page["items"]
        page["items"].append(row | {"created_at": "2026-02-01T00:00:00.000Z"})
        return json.dumps(page).encode()

    with simulated(contradicting):
        async with session() as canopy:
            follower = canopy.follow_account(start="beginning", until_caught_up=True)
            with pytest.raises(IncompleteReadError):
                async for _ in follower:
                    pass
            assert follower.checkpoint is None


@virtual
async def test_what_can_not_be_followed_is_refused_at_the_call():
    async with session() as canopy:
        for options, error in (
            ({"every": 0}, ValueError),
            ({"overlap": -1}, ValueError),
            ({"start": "yesterday"}, ValueError),
            ({"start": datetime(2026, 1, 1)}, ValueError),
            ({"action": ""}, ValueError),
            ({"until_caught_up": 1}, TypeError),
            ({"checkpoints": {}}, TypeError),
            ({"checkpoint": "{}"}, CheckpointError),
        ):
            with pytest.raises(error):
                canopy.follow_account(**options)
        checkpoint = FollowCheckpoint(scope="x")
        with pytest.raises(CheckpointError, match="another log"):
            canopy.follow_account(checkpoint=checkpoint)
        with pytest.raises(ValueError, match="not both"):
            canopy.follow_account(checkpoint=checkpoint, checkpoints=object())


@virtual
async def test_it_follows_one_log_only():
    async with session() as canopy:
        follower = canopy.follow_account()
        assert isinstance(follower, AccountFollower)
        assert "acme" in repr(follower)
        with pytest.raises(TypeError, match="one log"):
            follower.add("idn_1")
        with pytest.raises(TypeError, match="one log"):
            follower.remove("idn_1")


@virtual
async def test_filters_are_sent_with_each_poll():
    server = AccountServer()
    server.write("e", at=10)
    with simulated(server.answer):
        async with session() as canopy:
            await batches_of(canopy, 300, severity="critical", action=["a", "b"])
    assert len(server.asked) > 3
    for query in server.asked:
        assert query["severity"] == "critical"
        assert query.getall("action") == ["a", "b"]


@pytest.mark.parametrize("name", ["since", "until", "limit", "actor"])
async def test_an_unknown_filter_is_refused_at_the_call(name):
    with pytest.raises(TypeError, match=rf"follow_account\(\) got .* '{name}'"):
        session().follow_account(**{name: None})
