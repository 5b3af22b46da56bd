"""Events that are dated ahead of time hide none of those that come after them."""

import asyncio
from collections import Counter
from datetime import timedelta

import attrs
import pytest
from latesim import DEEP, NOON, OPTIONS, OVERLAP, Log, Written
from support.scripted import answer, simulated
from support.virtual import now, virtual

from canopy_async import CanopySession

AHEAD = {
    "minutes": 300.0,
    "hours": 2 * 3600.0,
    "days": 40 * 86_400.0,
    "the year 9999": 7_972 * 365.25 * 86_400.0,
}


def ahead(at, seconds, name="ahead"):
    return Written(at, -seconds, name)


def pace(begin, end, count, prefix):
    step = (end - begin) / count
    return [Written(begin + n * step, 0.0, f"{prefix}_{n}") for n in range(count)]


async def follow(written, seconds, *, dates=False, **options):
    """Follow a log for so long; return the batches, with instants."""
    log = written if isinstance(written, Log) else Log(written)

    async def script(call):
        body = await log.answer(call)
        if not dates:
            return body
        date = NOON + timedelta(seconds=now())
        return answer(body=body, headers={"Date": f"{date:%a, %d %b %Y %H:%M:%S GMT}"})

    batches = []
    with simulated(script):
        async with CanopySession("acme", "token") as canopy:
            follower = canopy.follow("idn_1", **(OPTIONS | options))
            try:
                async with asyncio.timeout(seconds):
                    async for batch in follower:
                        batches.append((now(), batch))  # till then
            except TimeoutError:
                pass
    return batches


def came(batches):
    return Counter(event.id for _, batch in batches for event in batch.events)


def came_at(batches):
    return {event.id: at for at, batch in batches for event in batch.events}


def once(*groups):
    return Counter(row.name for group in groups for row in group)


@pytest.mark.parametrize("start", ["now", "beginning"])
@pytest.mark.parametrize("when", AHEAD)
@virtual
async def test_an_event_that_is_dated_ahead_hides_no_other(when, start):
    old, new = pace(-300, -1, 60, "old"), pace(40, 300, 40, "new")
    odd = [ahead(31.0, AHEAD[when])]
    batches = await follow([*old, *odd, *new], 360, start=start)
    expected = once(odd, new) if start == "now" else once(old, odd, new)
    assert came(batches) == expected
    at = came_at(batches)
    assert all(at[row.name] - row.at < 25 for row in new)


@pytest.mark.parametrize("start", ["now", "beginning"])
@pytest.mark.parametrize("when", AHEAD)
@virtual
async def test_one_that_was_there_before_hides_no_other(when, start):
    old, new = pace(-300, -1, 60, "old"), pace(40, 300, 40, "new")
    odd = [ahead(-20.0, AHEAD[when])]
    batches = await follow([*old, *odd, *new], 360, start=start)
    assert came(batches) == (once(new) if start == "now" else once(old, odd, new))


@pytest.mark.parametrize("when", AHEAD)
@virtual
async def test_it_hides_none_after_a_restart_either(when):
    old, new = pace(-300, -1, 60, "old"), pace(40, 300, 40, "new")
    log = Log([*old, ahead(31.0, AHEAD[when]), *new])
    found, text = Counter(), None
    for _ in range(12):
        batches = await follow(log, 30, checkpoint=text, start="beginning")
        found += came(batches)
        text = batches[-1][1].checkpoint.dumps()
    assert found == once(old, [ahead(31.0, 0.0)], new)


@pytest.mark.parametrize("when", AHEAD)
@virtual
async def test_late_events_are_found_beside_it(when):
    old, new = pace(-300, -1, 60, "old"), pace(40, 300, 40, "new")
    late = [Written(150.0, OVERLAP - 5, "near"), Written(150.0, DEEP - 40, "deep")]
    odd = [ahead(100.0, AHEAD[when])]
    batches = await follow([*old, *odd, *new, *late], 400, start="beginning")
    assert came(batches) == once(old, odd, new, late)


@pytest.mark.parametrize("count", [12, 80])
@virtual
async def test_dozens_in_a_row_hide_no_other(count):
    old, new = pace(-300, -1, 60, "old"), pace(80, 300, 40, "new")
    odd = [ahead(20.0 + 48 * n / count, 7200.0, f"odd_{n}") for n in range(count)]
    batches = await follow([*old, *odd, *new], 420, start="beginning")
    assert came(batches) == once(old, odd, new)


@virtual
async def test_a_client_whose_clock_is_wrong_hides_no_other_client():
    old, new = pace(-300, -1, 60, "old"), pace(0, 600, 150, "new")
    odd = [ahead(4.0 * n + 1, 7200.0, f"odd_{n}") for n in range(150)]
    batches = await follow([*old, *odd, *new], 700, start="beginning")
    assert came(batches) == once(old, odd, new)


@pytest.mark.parametrize(("count", "dates"), [(2, False), (40, True)])
@virtual
async def test_it_hides_none_where_it_is_all_there_is(count, dates):
    odd = [ahead(-5.0, AHEAD["hours"] + n, f"odd_{n}") for n in range(count)]
    new = pace(40, 300, 40, "new")
    batches = await follow([*odd, *new], 400, start="beginning", dates=dates)
    assert came(batches) == once(odd, new)


@virtual
async def test_its_time_comes_like_any_others():
    old, new = pace(-300, -1, 60, "old"), pace(10, 1200, 400, "new")
    odd = [ahead(31.0, 500.0)]
    batches = await follow([*old, *odd, *new], 1300, start="beginning")
    assert came(batches) == once(old, odd, new)
    assert len(batches[-1][1].checkpoint.ids) < DEEP + 100


@pytest.mark.parametrize("start", ["now", "beginning"])
@pytest.mark.parametrize("when", AHEAD)
@virtual
async def test_hundreds_hide_no_other_where_the_server_tells_the_time(when, start):
    old, new = pace(-300, -1, 700, "old"), pace(80, 300, 40, "new")
    before = [ahead(-200 + n / 2, AHEAD[when], f"before_{n}") for n in range(150)]
    odd = [ahead(20.0 + n / 2, AHEAD[when], f"odd_{n}") for n in range(80)]
    log = [*old, *before, *odd, *new]
    batches = await follow(log, 420, start=start, dates=True)
    expected = once(odd, new)
    assert came(batches) == (
        expected if start == "now" else expected + once(old, before)
    )


@virtual
async def test_settled_events_stay_in_order_where_the_server_tells_the_time():
    old, new = pace(-300, -1, 60, "old"), pace(40, 300, 40, "new")
    late = [Written(150.0 + n, 20.0 + n / 10, f"late_{n}") for n in range(20)]
    log = [*old, ahead(31.0, AHEAD["hours"]), *new, *late]
    batches = await follow(log, 420, settle=30.0, start="beginning", dates=True)
    assert came(batches) == once(old, new, late)
    assert not any(batch.late for _, batch in batches)


@virtual
async def test_a_server_of_two_clocks_is_followed():
    old, new = pace(-300, -1, 1_200, "old"), pace(40, 300, 40, "new")
    late = [Written(150.0, OVERLAP - 5, "near"), Written(150.0, DEEP - 40, "deep")]
    log = [attrs.evolve(row, age=row.age - 9 * 3600.0) for row in (*old, *new, *late)]
    batches = await follow(log, 420, dates=True)
    assert came(batches) == once(new, late)
