"""Instants at the two ends of the calendar, some of which UTC has no name for."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from canopy_async import FutureRangeError
from canopy_async.testing import LocalCanopy, LogRules, make_event

EAST = timezone(timedelta(hours=1))
WEST = timezone(timedelta(hours=-1))
FIRST = [datetime.min.replace(tzinfo=zone) for zone in (EAST, UTC)]
LAST = [datetime.max.replace(tzinfo=zone) for zone in (WEST, UTC)]


def to_milliseconds(instant):
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


@pytest.fixture
async def server():
    """A server whose account's log holds nothing but what a test adds."""
    async with LocalCanopy(log_rules=LogRules(own_rows="none")) as local:
        yield local


@pytest.mark.parametrize("instant", FIRST + LAST, ids=str)
def test_an_event_can_be_made_at_either_end_of_the_calendar(instant):
    assert make_event(created_at=instant).created_at == to_milliseconds(instant)
    assert make_event(created_at=instant.isoformat()).created_at == instant


@pytest.mark.parametrize("instant", FIRST + LAST, ids=str)
async def test_an_event_at_either_end_of_the_calendar_is_served_and_read(
    server, session, instant
):
    server.add_event("idn_1", created_at=instant)
    read = await session.events("idn_1").collect()
    assert [event.created_at for event in read] == [to_milliseconds(instant)]


@pytest.mark.parametrize("instant", FIRST + LAST, ids=str)
async def test_an_identity_at_either_end_of_the_calendar_is_served_and_read(
    server, session, instant
):
    server.add_identity(id="idn_1", created_at=instant)
    (identity,) = await session.identities().collect()
    assert identity.created_at == to_milliseconds(instant)


@pytest.mark.parametrize("start", FIRST + LAST, ids=str)
async def test_a_log_can_be_seeded_from_either_end_of_the_calendar(
    server, session, start
):
    assert server.seed_events("idn_1", 3, start=start) == 3
    server.add_event("idn_1")
    assert len(await session.events("idn_1").collect()) == 4


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("instant", FIRST, ids=str)
async def test_a_log_is_read_from_the_first_instant_and_has_nothing_before_it(
    server, session, instant, order
):
    server.seed_events("idn_1", 30)
    since = session.events("idn_1", order=order, since=instant)
    assert len(await since.collect()) == 30
    until = session.events("idn_1", order=order, until=instant)
    assert await until.collect() == []


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("instant", LAST, ids=str)
async def test_a_log_has_nothing_after_the_last_instant_which_is_in_the_future(
    server, session, instant, order
):
    server.seed_events("idn_1", 30)
    since = session.events("idn_1", order=order, since=instant)
    assert await since.collect() == []
    with pytest.raises(FutureRangeError):
        await session.events("idn_1", order=order, until=instant).collect()


@pytest.mark.parametrize("instant", FIRST, ids=str)
async def test_the_accounts_log_is_read_from_the_first_instant_on(
    server, session, instant
):
    server.seed_events("idn_1", 30)
    assert len(await session.account_events(since=instant).collect()) == 30
    assert await session.account_events(until=instant).collect() == []
    assert await session.chain("corr_1", around=instant).collect() == []
    batches = session.follow_account(start=instant, until_caught_up=True)
    assert sum([len(batch.events) async for batch in batches]) == 30


@pytest.mark.parametrize("instant", LAST, ids=str)
async def test_the_accounts_log_has_nothing_after_the_last_instant(
    server, session, instant
):
    server.seed_events("idn_1", 30)
    assert await session.account_events(since=instant).collect() == []
    with pytest.raises(FutureRangeError):
        await session.account_events(until=instant).collect()
    batches = session.follow_account(start=instant, until_caught_up=True)
    assert sum([len(batch.events) async for batch in batches]) == 0


async def test_a_server_whose_clock_has_an_offset_says_its_time_in_utc():
    noon = datetime(2026, 5, 1, 12, tzinfo=EAST)
    async with LocalCanopy(clock=lambda: noon) as server:
        assert server.add_event("idn_1")["created_at"] == "2026-05-01T11:00:00.000Z"
        assert server.issue_token(lifetime=1e12)
