"""The end of each identity, as a fan-out tells of it."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from support.waiting import until

from canopy_async import (
    CheckpointError,
    IdentityOutcome,
    NotFoundError,
    RetryPolicy,
    UnauthorizedError,
)
from canopy_async.testing import Faults

START = datetime(2026, 4, 20, tzinfo=UTC)


@pytest.fixture
def logs(server):
    """Three logs."""
    for identity_id, size in {"none": 0, "some": 150, "many": 400}.items():
        server.add_identity(id=identity_id)
        server.seed_events(identity_id, size)
    return server


async def test_each_end_is_told_with_its_report_and_its_place(logs, session):
    told = {}
    fan_out = session.fan_out(
        ["none", "some", "many"],
        order="asc",
        on_end=lambda outcome: told.setdefault(outcome.identity_id, outcome),
    )
    await fan_out.collect()
    assert told.keys() == {"none", "some", "many"}
    for identity_id, outcome in told.items():
        ids = logs.event_ids(identity_id)
        assert isinstance(outcome, IdentityOutcome)
        assert outcome.error is None
        assert (outcome.report.complete, outcome.report.delivered) == (True, len(ids))
        assert outcome.checkpoint.delivered == len(ids)
        assert outcome.checkpoint.ids >= set(ids[-1:])


@pytest.mark.parametrize("width", [1, 3])
async def test_an_end_is_told_after_the_last_events_and_before_the_end_of_all(
    logs, session, width
):
    """In step with the batches: never ahead of what was taken."""
    seen = []
    async with session.fan_out(
        ["none", "some", "many"],
        width=width,
        order="asc",
        on_end=lambda outcome: seen.append(outcome.identity_id),
    ) as fan_out:
        taken = dict.fromkeys(("none", "some", "many"), 0)
        while (batch := await fan_out.next_batch()) is not None:
            assert batch.identity_id not in seen
            taken[batch.identity_id] += len(batch.events)
            for identity_id in seen:
                assert taken[identity_id] == logs.count(identity_id)
        assert sorted(seen) == ["many", "none", "some"]


async def test_a_failure_is_told_with_its_error_and_its_place(logs, connect, quick):
    session = connect(retry=quick, concurrency=1)
    logs.faults = Faults(
        error_rate=1.0, only=lambda r: r.identity == "many" and r.page > 3
    )
    told, taken = {}, 0
    async with session.fan_out(
        ["gone", "many", "some"],
        on_error="collect",
        order="asc",
        on_end=lambda outcome: told.setdefault(outcome.identity_id, outcome),
    ) as fan_out:
        while (batch := await fan_out.next_batch()) is not None:
            taken += batch.identity_id == "many" and len(batch.events)
    assert isinstance(told["gone"].error, NotFoundError)
    assert told["gone"].checkpoint.key is None
    many = told["many"]
    assert many.error is fan_out.failures["many"]
    assert many.checkpoint == fan_out.checkpoints["many"]
    assert many.report.delivered == many.checkpoint.delivered == taken > 0
    assert told["some"].error is None


async def test_a_read_that_cant_begin_has_neither_report_nor_place(logs, session):
    told = []
    fan_out = session.fan_out(
        ["some"], on_error="collect", resume={"some": "{}"}, on_end=told.append
    )
    with pytest.raises(Exception, match="could not be read"):
        await fan_out.collect()
    (outcome,) = told
    assert isinstance(outcome.error, CheckpointError)
    assert (outcome.report, outcome.checkpoint) == (None, None)
    assert logs.requests == []


async def test_where_one_failure_ends_all_it_is_told(logs, session):
    told = []
    with pytest.raises(NotFoundError):
        await session.fan_out(["gone"], on_end=told.append).collect()
    assert [type(outcome.error) for outcome in told] == [NotFoundError]
    await until(lambda: logs.in_flight == 0)


async def test_a_refused_token_is_no_end_of_an_identity(logs, connect):
    told = []
    session = connect(token=logs.issue_token(valid=False))
    with pytest.raises(UnauthorizedError):
        await session.fan_out(
            ["some"], on_error="collect", on_end=told.append
        ).collect()
    assert told == []


async def test_what_it_raises_ends_all(logs, session):
    def refuse(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await session.fan_out(["some", "many"], on_end=refuse).collect()
    await until(lambda: logs.in_flight == 0)


async def test_what_cant_be_called_is_refused_at_the_call(session):
    with pytest.raises(TypeError, match="on_end must be a plain function, not str"):
        session.fan_out(["some"], on_end="print")
    with pytest.raises(TypeError, match=r"on_end .* not an async one"):
        session.fan_out(["some"], on_end=asyncio.sleep)


async def test_what_was_ready_when_identities_failed_takes_no_room(
    server, connect, monkeypatch
):
    """With none, what is left is read a request at a time."""
    monkeypatch.setattr("canopy_async._fanout.workers.READY_BYTES", 100_000)
    bad = [f"bad_{number}" for number in range(5)]
    for identity_id in (*bad, "good"):
        server.seed_events(identity_id, 600)
    server.faults = Faults(latency=0.005)
    server.fail_next(
        len(bad),
        status=500,
        only=lambda request: request.page == 2 and request.identity in bad,
    )
    session = connect(concurrency=6, retry=RetryPolicy(attempts=1))
    fan_out = session.fan_out([*bad, "good"], order="asc", width=1, on_error="collect")
    read = [identity_id async for identity_id, _ in fan_out]
    assert read.count("good") == 600
    assert sorted(fan_out.failures) == bad
    good = [request for request in server.requests if request.identity == "good"]
    assert any(one.finished > other.started for one, other in pairwise(good))


async def test_what_was_ready_beyond_a_bound_takes_no_room(
    server, connect, monkeypatch
):
    monkeypatch.setattr("canopy_async._fanout.workers.READY_BYTES", 100_000)
    ids = [f"idn_{number}" for number in range(12)]
    for identity_id in ids:
        server.seed_events(identity_id, 900, start=START, spacing=1)
    server.faults = Faults(latency=0.005)
    session = connect(concurrency=6)
    fan_out = session.fan_out(
        ids, order="asc", width=1, until=START + timedelta(seconds=450)
    )
    await fan_out.collect()
    last = [request for request in server.requests if request.identity == ids[-1]]
    assert any(one.finished > other.started for one, other in pairwise(last))
