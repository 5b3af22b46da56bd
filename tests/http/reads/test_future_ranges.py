"""Ranges that are not over yet, by the server's clock."""

import pickle
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from support.samples import event_row, page_body
from support.scripted import answer, simulated
from support.virtual import virtual

from canopy_async import CanopyError, CanopySession, FutureRangeError
from canopy_async._transport.server_clock import check_is_over
from canopy_async.testing import Faults, LocalCanopy

NOON = datetime(2026, 4, 20, 12, tzinfo=UTC)
FAR_APART = timedelta(days=9000)


def dated(instant, **row):
    headers = {} if instant is None else {"Date": format_datetime(instant, usegmt=True)}
    return answer(body=page_body([event_row(**row)]), headers=headers)


def session():
    return CanopySession("acme", "t0ken")


async def read(canopy, **options):
    async with canopy.events("idn_1", **options).open() as run:
        rows = [event async for event in run]
    assert run.report.complete
    return rows


@pytest.mark.parametrize("order", ["asc", "desc", None])
@virtual
async def test_until_after_the_servers_time_is_refused_by_name(order):
    with simulated(lambda _: dated(NOON)) as calls:
        async with session() as canopy:
            # Nothing is sent at the call, so that no clock can be asked.
            stream = canopy.events("idn_1", order=order, until=NOON + FAR_APART)
            with pytest.raises(FutureRangeError, match="until must not") as raised:
                await stream.collect()
    error = raised.value
    assert (error.until, error.now) == (NOON + FAR_APART, NOON)
    assert "by the server's clock it is 2026-04-20T12:00:00+00:00" in str(error)
    assert isinstance(error, ValueError)
    assert isinstance(error, CanopyError)
    assert error.checkpoint is not None
    assert len(calls) == 1
    assert pickle.loads(pickle.dumps(error)).now == NOON


@pytest.mark.parametrize(
    "server_time",
    [datetime.now(UTC) - FAR_APART, NOON, datetime.now(UTC) + FAR_APART],
    ids=["years behind", "at noon", "years ahead"],
)
@virtual
async def test_only_the_servers_clock_counts_where_it_tells_the_time(server_time):
    just_over = server_time.replace(microsecond=0)
    event = {"created_at": "2026-04-20T11:00:00Z"}
    with simulated(lambda _: dated(just_over, **event)):
        async with session() as canopy:
            await read(canopy, until=just_over)
            # A date has whole seconds: the server's clock may be so far ahead.
            await read(canopy, until=just_over + timedelta(seconds=1))
            with pytest.raises(FutureRangeError):
                await read(canopy, until=just_over + timedelta(seconds=1.1))


@virtual
async def test_this_machines_clock_counts_where_the_server_tells_no_time():
    with simulated(lambda _: dated(None)):
        async with session() as canopy:
            await read(canopy, until=datetime.now(UTC))
            with pytest.raises(FutureRangeError, match="this machine's clock"):
                await read(canopy, until=datetime.now(UTC) + timedelta(hours=1))


@virtual
async def test_the_time_is_that_of_the_first_answer():
    # A read may take longer than it takes the range to be over.
    dates = iter([NOON, NOON + timedelta(hours=2)])
    with simulated(lambda _: dated(next(dates))) as calls:
        async with session() as canopy:
            with pytest.raises(FutureRangeError):
                await read(canopy, until=NOON + timedelta(hours=1))
            await read(canopy, until=NOON + timedelta(hours=1))
    assert len(calls) == 2


@virtual
async def test_without_until_no_clock_is_asked():
    with simulated(lambda _: dated(datetime(1970, 1, 1, tzinfo=UTC))):
        async with session() as canopy:
            assert len(await read(canopy)) == 1
            assert len(await read(canopy, since=NOON - FAR_APART)) == 1


@pytest.mark.parametrize("on_error", ["raise", "collect"])
async def test_a_fan_out_over_a_future_range_ends_at_once(server, session, on_error):
    for number in range(30):
        server.seed_events(f"idn_{number}", 3)
    ids = [f"idn_{number}" for number in range(30)]
    until = datetime.now(UTC) + FAR_APART
    fan_out = session.fan_out(ids, width=2, on_error=on_error, until=until)
    with pytest.raises(FutureRangeError):
        await fan_out.collect()
    # What concerns all identities is no failure of one.
    assert not fan_out.failures
    assert len(server.requests) < 10


async def test_the_local_server_tells_the_time_of_its_clock():
    async with (
        LocalCanopy(clock=lambda: NOON, faults=Faults()) as server,
        CanopySession(server.account, server.token, base_url=server.base_url) as canopy,
    ):
        server.add_identity(id="idn_1")
        await canopy.page("idn_1")
        assert NOON <= canopy.server_time < NOON + timedelta(minutes=1)


def test_the_check_is_one_function_for_all_who_have_a_range():
    check_is_over(NOON, NOON)
    check_is_over(datetime.now(UTC), None)
    with pytest.raises(FutureRangeError):
        check_is_over(NOON + timedelta(days=1), NOON)
