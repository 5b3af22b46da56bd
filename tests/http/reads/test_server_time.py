"""The time by the server's clock, as its answers tell."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from support.scripted import answer, scripted, simulated
from support.virtual import virtual

from canopy_async import CanopySession, RetryPolicy, ServerError
from canopy_async._transport.server_clock import ServerClock

NOON = datetime(2026, 4, 20, 12, tzinfo=UTC)


def dated(instant, status=200):
    headers = {"Date": format_datetime(instant, usegmt=True)}
    return answer(status, None if status == 200 else b"", headers)


def session(**options):
    return CanopySession("acme", "t0ken", **options)


@virtual
async def test_there_is_none_before_an_answer_told():
    with scripted(lambda _: 200):
        async with session() as canopy:
            assert canopy.server_time is None
            await canopy.page("idn_1")
            assert canopy.server_time is None


@virtual
async def test_it_is_the_date_of_the_newest_answer_and_goes_on_between_answers():
    dates = iter([NOON, NOON + timedelta(minutes=5)])
    with scripted(lambda _: dated(next(dates))):
        async with session() as canopy:
            await canopy.page("idn_1")
            assert canopy.server_time == NOON
            await asyncio.sleep(90)
            assert canopy.server_time == NOON + timedelta(seconds=90)
            await canopy.page("idn_1")
            assert canopy.server_time == NOON + timedelta(minutes=5)


@virtual
async def test_an_answer_that_repeats_a_date_does_not_set_it_back():
    with scripted(lambda _: dated(NOON)):
        async with session() as canopy:
            await canopy.page("idn_1")
            await asyncio.sleep(0.9)
            await canopy.page("idn_1")
            assert canopy.server_time == NOON + timedelta(seconds=0.9)


@virtual
async def test_an_answer_that_is_an_error_tells_it_too():
    with scripted(lambda _: dated(NOON, 500)):
        async with session(retry=RetryPolicy(attempts=1)) as canopy:
            with pytest.raises(ServerError):
                await canopy.page("idn_1")
            assert canopy.server_time == NOON


@virtual
async def test_a_date_is_of_when_the_headers_came_however_long_the_body_takes(
    monkeypatch,
):
    async def slow_body(response, **_):
        await asyncio.sleep(30)
        return await response.read()

    monkeypatch.setattr("canopy_async._transport.http_client.read_body", slow_body)
    with scripted(lambda _: dated(NOON)):
        async with session() as canopy:
            await canopy.page("idn_1")
            assert canopy.server_time == NOON + timedelta(seconds=30)


@virtual
async def test_it_is_still_told_after_the_session_was_closed():
    with simulated(lambda _: dated(NOON)):
        async with session() as canopy:
            await canopy.page("idn_1")
    assert canopy.server_time == NOON


@pytest.mark.parametrize("text", ["", "soon", "Mon, 99 Foo 2026", "9" * 400])
def test_a_date_that_cannot_be_read_leaves_what_is_known(text):
    clock = ServerClock()
    clock.note({"Date": text}, 0)
    assert clock.now(1) is None
    clock.note({"Date": format_datetime(NOON)}, 2)
    clock.note({"Date": text}, 3)
    assert clock.now(4) == NOON + timedelta(seconds=2)


def test_a_date_with_another_offset_is_told_in_utc():
    clock = ServerClock()
    clock.note({"Date": "Mon, 20 Apr 2026 14:00:00 +0200"}, 0)
    assert clock.now(0) == NOON
    assert clock.now(0).tzinfo is UTC


def test_a_clock_at_the_end_of_the_calendar_stays_there():
    clock = ServerClock()
    clock.note({"Date": "Fri, 31 Dec 9999 23:59:59 GMT"}, 0)
    assert clock.now(5) == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
