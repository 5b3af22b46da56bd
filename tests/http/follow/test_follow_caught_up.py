"""Following that ends: every log polled to its end once, and what is told of it."""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from support.leaks import assert_gone
from support.waiting import until

from canopy_async import (
    FollowCheckpoint,
    NotFoundError,
    Proof,
    RetryPolicy,
    ServerError,
    UnauthorizedError,
)
from canopy_async.testing import Faults

pytestmark = pytest.mark.usefixtures("short_searches")

NOON = datetime(2026, 4, 20, 12, tzinfo=UTC)
HOUR = 3600.0


def at(seconds):
    return NOON + timedelta(seconds=seconds)


class Night:
    """One run: its batches, how each identity ended, and what it would save."""

    def __init__(self, session, identities, saved=None, **options):
        self.saved = {} if saved is None else saved
        self.batches = []
        self.ends = {}
        options = {"start": "beginning", "overlap": HOUR} | options
        self.follower = session.follow(
            identities,
            until_caught_up=True,
            checkpoints=self.saved,
            on_end=self._ended,
            **options,
        )

    def _ended(self, outcome):
        assert outcome.identity_id not in self.ends
        self.ends[outcome.identity_id] = outcome

    async def run(self, *, batches=None):
        """Read to the end, or so many batches."""
        async with asyncio.timeout(30), self.follower:
            async for batch in self.follower:
                assert batch.identity_id not in self.ends
                self.batches.append(batch)
                self.saved[batch.identity_id] = batch.checkpoint.dumps()
                if len(self.batches) == batches:
                    break
        return self

    def ids(self, identity_id):
        return [
            event.id
            for batch in self.batches
            if batch.identity_id == identity_id
            for event in batch.events
        ]


@pytest.mark.parametrize("rows", [0, 1, 99, 100, 101, 300, 501, 1_500])
async def test_a_log_is_read_to_its_end_and_proven(server, session, rows):
    server.add_identity(id="idn_1")
    server.seed_events("idn_1", rows, tie_probability=0.3)
    night = await Night(session, "idn_1").run()
    assert sorted(night.ids("idn_1")) == sorted(server.event_ids("idn_1"))
    dates = [event.created_at for batch in night.batches for event in batch.events]
    assert dates == sorted(dates)
    assert all(batch.report is None for batch in night.batches[:-1])
    report = night.batches[-1].report
    assert (report.complete, report.proof) == (True, Proof.STRICT_KEY)
    assert report.requests == len(server.requests)
    outcome = night.ends["idn_1"]
    assert (outcome.report, outcome.error) == (report, None)
    assert outcome.checkpoint.dumps() == night.saved["idn_1"]


async def test_a_first_read_costs_what_a_fan_out_does(server, session):
    names = [f"idn_{n}" for n in range(6)]
    for n, name in enumerate(names):
        server.add_identity(id=name)
        server.seed_events(name, 80 * n)
    async for _ in session.fan_out(names, order="asc"):
        pass
    read = len(server.requests)
    server.reset_requests()
    await Night(session, names).run()
    assert len(server.requests) == read


async def test_the_next_run_brings_what_is_new_and_nothing_twice(server, session):
    names = server.seed_identities(6)
    for n, name in enumerate(names):
        server.seed_events(name, 60 * n, spacing=600)
    first = await Night(session, session.identities()).run()
    known = {name: set(server.event_ids(name)) for name in names}
    new = server.add_event(names[1])
    newest = max(e["created_at"] for e in server.events(names[2]))
    dated = datetime.fromisoformat(newest) - timedelta(minutes=50)
    late = server.add_event(names[2], created_at=dated)
    (created,) = server.seed_identities(1)
    server.seed_events(created, 250)
    server.reset_requests()
    second = await Night(session, session.identities(), first.saved).run()
    assert second.ids(names[1]) == [new["id"]]
    assert second.ids(names[2]) == [late["id"]]
    (batch,) = [b for b in second.batches if b.identity_id == names[2]]
    assert batch.late == {late["id"]}
    assert sorted(second.ids(created)) == sorted(server.event_ids(created))
    for name in (names[0], *names[3:]):
        assert set(server.event_ids(name)) == known[name]
        assert second.ids(name) == []
        assert sum(r.identity == name for r in server.requests) == 1
        assert second.ends[name].report.complete


@pytest.mark.parametrize("stop", [1, 2, 7, 14])
async def test_a_first_read_goes_on_where_it_was_stopped(server, session, stop):
    server.seed_events("idn_1", 1_500, spacing=60, tie_probability=0.3)
    night = await Night(session, "idn_1").run(batches=stop)
    assert night.ends == {}
    # Far behind the front no late event is looked for: the last instant is enough.
    checkpoint = FollowCheckpoint.loads(night.saved["idn_1"])
    assert len(checkpoint.ids) < (20 if stop < 14 else 200)
    added = server.add_event("idn_1")
    rest = await Night(session, "idn_1", night.saved).run()
    seen = night.ids("idn_1") + rest.ids("idn_1")
    assert sorted(seen) == sorted(server.event_ids("idn_1"))
    assert seen[-1] == added["id"]
    assert rest.ends["idn_1"].report.complete
    again = await Night(session, "idn_1", night.saved).run()
    assert again.ids("idn_1") == []


async def test_a_dense_log_that_is_stopped_keeps_the_ids_of_its_look_back(
    server, session
):
    server.add_events("idn_1", [{"created_at": at(n)} for n in range(3_000)])
    night = await Night(session, "idn_1", overlap=600.0, deep_overlap=600.0).run()
    checkpoint = FollowCheckpoint.loads(night.saved["idn_1"])
    assert len(night.ids("idn_1")) == 3_000
    assert 600 <= len(checkpoint.ids) <= 601
    late = server.add_event("idn_1", created_at=at(2_999 - 590.5))
    rest = await Night(
        session, "idn_1", night.saved, overlap=600.0, deep_overlap=600.0
    ).run()
    assert rest.ids("idn_1") == [late["id"]]


async def test_one_that_fails_is_said_and_the_others_are_read(server, session, caplog):
    server.seed_events("idn_1", 150)
    with caplog.at_level(logging.WARNING, "canopy_async"):
        night = await Night(session, ["gone", "idn_1"]).run()
    assert len(night.ids("idn_1")) == 150
    assert isinstance(night.follower.failures["gone"], NotFoundError)
    outcome = night.ends["gone"]
    assert outcome.error is night.follower.failures["gone"]
    assert (outcome.report, outcome.checkpoint) == (None, None)
    assert set(night.saved) == {"idn_1"}
    assert caplog.records == []


async def test_one_that_fails_half_way_goes_on_the_next_time(server, connect):
    session = connect(retry=RetryPolicy(attempts=1))
    server.seed_events("idn_1", 1_500)
    night = Night(session, "idn_1")
    async with night.follower:
        async for batch in night.follower:
            night.batches.append(batch)
            night.saved["idn_1"] = batch.checkpoint
            server.faults = Faults(error_rate=1)
    assert isinstance(night.ends["idn_1"].error, ServerError)
    assert 0 < len(night.ids("idn_1")) < 1_500
    assert night.ends["idn_1"].checkpoint == night.saved["idn_1"]
    server.faults = Faults()
    rest = await Night(session, "idn_1", night.saved).run()
    seen = night.ids("idn_1") + rest.ids("idn_1")
    assert sorted(seen) == sorted(server.event_ids("idn_1"))


async def test_a_401_ends_it_all(server, connect):
    for name in ("idn_1", "idn_2"):
        server.seed_events(name, 3)
    session = connect(server.issue_token(uses=1))
    with pytest.raises(UnauthorizedError):
        await Night(session, ["idn_1", "idn_2"]).run()
    await assert_gone(session, server)


async def test_what_on_end_raises_ends_it_all(server, connect):
    session = connect()
    server.seed_events("idn_1", 3)
    follower = session.follow(
        "idn_1", until_caught_up=True, on_end=lambda _: {}["missing"]
    )
    with pytest.raises(KeyError, match="missing"):
        async for _ in follower:
            pass
    await assert_gone(session, server)


async def test_identities_are_asked_for_when_there_is_room(server, session):
    pulled = []

    def names():
        for n in range(60):
            pulled.append(f"idn_{n}")
            server.seed_events(f"idn_{n}", 1)
            yield f"idn_{n}"

    night = Night(session, names(), width=3)
    most = 0
    async with night.follower:
        async for batch in night.follower:
            night.batches.append(batch)
            most = max(most, len(pulled) - len(night.ends))
            assert len(night.follower.identity_ids) <= 6
    assert most <= 7
    assert len(night.ends) == 60
    assert night.follower.checkpoints == {}
    assert night.follower.identity_ids == ()


async def test_one_that_is_named_twice_is_read_once(server, session):
    server.seed_events("idn_1", 3)
    night = await Night(session, iter(["idn_1", "idn_1", "idn_1"]), width=1).run()
    assert night.ids("idn_1") == server.event_ids("idn_1")


async def test_no_identity_at_all_is_the_end(session):
    assert (await Night(session, session.identities()).run()).batches == []
    assert (await Night(session, []).run()).batches == []


async def test_events_one_by_one_leave_the_checkpoints(server, session):
    for name in ("idn_1", "idn_2"):
        server.seed_events(name, 5)
    follower = session.follow(
        ["idn_1", "idn_2"], start="beginning", until_caught_up=True
    )
    seen = [event.id async for event in follower.events()]
    assert len(seen) == 10
    assert set(follower.checkpoints) == {"idn_1", "idn_2"}
    again = session.follow(
        ["idn_1", "idn_2"], checkpoints=follower.checkpoints, until_caught_up=True
    )
    assert [event async for event in again.events()] == []


async def test_from_now_on_it_only_learns_what_is_there(server, session):
    server.seed_events("idn_1", 300)
    first = await Night(session, "idn_1", start="now").run()
    assert [batch.events for batch in first.batches] == [()]
    assert first.ends["idn_1"].error is None
    added = server.add_event("idn_1")
    second = await Night(session, "idn_1", first.saved).run()
    assert second.ids("idn_1") == [added["id"]]


async def test_ties_that_can_not_be_proven_end_too_and_are_not_called_complete(
    server, session
):
    server.faults = Faults(tie_order="shuffled", insert_per_request=0.3)
    server.add_event("idn_1", created_at=at(0))
    server.add_events("idn_1", [{"created_at": at(60)}] * 260)
    night = await Night(session, "idn_1").run()
    outcome = night.ends["idn_1"]
    assert outcome.error is None
    if not outcome.report.complete:
        assert outcome.report.proof is not Proof.STRICT_KEY
    assert len(set(night.ids("idn_1"))) == len(night.ids("idn_1"))


# From an instant


@pytest.mark.parametrize("rows", [30, 2_000])
async def test_from_an_instant_on_what_is_no_older_is_handed_out(server, session, rows):
    server.add_events("idn_1", [{"created_at": at(n)} for n in range(rows)])
    start = at(rows - 20).astimezone(timezone(timedelta(hours=5)))
    night = await Night(session, "idn_1", start=start).run()
    assert night.ids("idn_1") == server.event_ids("idn_1")[-20:]
    assert night.ends["idn_1"].report.complete
    server.add_event("idn_1", created_at=at(rows - 20.5))  # before it
    added = server.add_event("idn_1", created_at=at(rows - 19.5))
    second = await Night(session, "idn_1", night.saved, start=start).run()
    assert second.ids("idn_1") == [added["id"]]


async def test_from_an_instant_on_that_nothing_has_reached(server, session):
    server.add_event("idn_1", created_at=at(0))
    first = await Night(session, "idn_1", start=at(10)).run()
    assert first.ids("idn_1") == []
    server.add_event("idn_1", created_at=at(9))
    added = server.add_event("idn_1", created_at=at(10))
    second = await Night(session, "idn_1", first.saved, start=at(10)).run()
    assert second.ids("idn_1") == [added["id"]]


async def tell(outcome):
    """An async function, which a callback can't be."""


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"start": datetime(2026, 1, 1)}, ValueError, "start must have a UTC offset"),
        ({"start": 3}, TypeError, "start must be"),
        ({"start": "then"}, ValueError, "start must be one of 'beginning', 'now'"),
        ({"until_caught_up": 1}, TypeError, "until_caught_up must be True or False"),
        ({"discover_every": 0}, ValueError, "discover_every must be"),
        ({"discover_every": "x"}, TypeError, "discover_every must be"),
        ({"on_end": 3}, TypeError, "on_end must be a plain function, not int"),
        ({"on_end": tell}, TypeError, "on_end .* not an async one"),
        ({"on_end": list}, TypeError, "on_end .* not the class list"),
    ],
)
async def test_wrong_arguments_are_refused_at_the_call(session, options, error, words):
    with pytest.raises(error, match=words):
        session.follow("idn_1", **options)


@pytest.mark.parametrize("leave", ["break", "raise", "cancel"])
async def test_nothing_is_left_running(server, connect, leave):
    session = connect()
    names = [f"idn_{n}" for n in range(20)]
    for name in names:
        server.seed_events(name, 300)
    server.faults = Faults(latency=0.01)
    follower = session.follow(names, start="beginning", until_caught_up=True, width=4)

    async def read():
        async for _ in follower:
            if leave == "break":
                break
            if leave == "raise":
                raise KeyError
            await asyncio.sleep(30)

    task = asyncio.create_task(read())
    if leave == "cancel":
        await until(lambda: server.requests)
        task.cancel()
    with suppress(KeyError, asyncio.CancelledError):
        await task
    await assert_gone(session, server)
