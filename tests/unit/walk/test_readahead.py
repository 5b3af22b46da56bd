"""Answers held ready while the next one is late: more, but not without end."""

import asyncio

import pytest
from support.samples import event_row, page_body
from support.scripted import simulated
from support.waiting import until

from canopy_async import CanopySession
from canopy_async._read.readahead import READY_PER_REQUEST

ROWS = 400
CONCURRENCY = 2
SHALLOW = READY_PER_REQUEST * CONCURRENCY
DEEP = 4 * SHALLOW
LATE_PAGE = 3


def page_of(number):
    return page_body(
        [event_row(number)],
        page=number,
        take=1,
        item_count=ROWS,
        page_count=ROWS,
        has_next_page=number < ROWS,
    )


@pytest.fixture
def late():
    """Lets the answer that is late come."""
    return asyncio.Event()


@pytest.fixture
def calls(late):
    """The requests for a log of pages of one row, of which one is late."""

    async def script(call):
        if call.page == LATE_PAGE:
            await late.wait()
        return page_of(call.page)

    with simulated(script) as calls:
        yield calls


@pytest.fixture
async def run():
    async with (
        CanopySession("acme", "token", concurrency=CONCURRENCY) as canopy,
        canopy.events("idn_1", take=1, lossless=False).open() as run,
    ):
        yield run


async def test_more_is_held_ready_while_one_answer_is_late(run, calls, late):
    for _ in range(LATE_PAGE - 1):
        await anext(run)
    waiting = asyncio.ensure_future(run.next_batch())
    await until(lambda: len(calls) > LATE_PAGE + SHALLOW + CONCURRENCY)
    assert not waiting.done()
    late.set()
    (row,) = await waiting
    rows = [row, *[row async for row in run]]
    assert [row.id for row in rows] == [f"evt_{n}" for n in range(LATE_PAGE, ROWS + 1)]


async def test_what_is_held_ready_is_bounded_all_the_same(run, calls, late):
    for _ in range(LATE_PAGE - 1):
        await anext(run)
    waiting = asyncio.ensure_future(run.next_batch())
    await until(lambda: len(calls) == LATE_PAGE + DEEP)
    for _ in range(100):  # whoever would ask for more has the time to
        await asyncio.sleep(0)
    assert len(calls) == LATE_PAGE + DEEP
    late.set()
    await waiting


async def test_less_is_held_ready_again_once_it_has_come(run, calls, late):
    for _ in range(LATE_PAGE - 1):
        await anext(run)
    waiting = asyncio.ensure_future(run.next_batch())
    await until(lambda: len(calls) == LATE_PAGE + DEEP)
    late.set()
    await waiting
    for _ in range(DEEP - SHALLOW):
        await anext(run)
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(calls) == LATE_PAGE + DEEP
    assert len([row async for row in run]) == ROWS - LATE_PAGE - (DEEP - SHALLOW)


@pytest.fixture
def answers(monkeypatch):
    """How many answers have room by their bytes, in the runs that begin later."""
    answers = 5
    size = len(page_of(100))
    monkeypatch.setattr("canopy_async._read.readahead.READY_BYTES", answers * size)
    return answers


async def test_the_bytes_of_it_are_bounded_as_well(answers, run, calls, late):
    for _ in range(LATE_PAGE - 1):
        await anext(run)
    waiting = asyncio.ensure_future(run.next_batch())
    await until(lambda: len(calls) > LATE_PAGE + answers + CONCURRENCY)
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(calls) <= LATE_PAGE + 2 * answers + CONCURRENCY
    late.set()
    await waiting


async def test_room_for_bytes_is_given_back_with_each_page_that_is_taken(
    answers, run, calls, late
):
    late.set()
    for _ in range(300):
        await anext(run)
    await until(lambda: len(calls) >= 300 + answers)
    assert len([row async for row in run]) == ROWS - 300
