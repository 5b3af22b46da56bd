"""Requests ahead of a reader: how many are held ready, and which of them are ended."""

import asyncio
import math
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

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


async def settle():
    """Let everything happen that waits for nothing but its turn."""
    for _ in range(100):
        await asyncio.sleep(0)


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
    await settle()  # whoever would ask for more has the time to
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
    await settle()
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
    await settle()
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


# Requests that are no longer wanted


class ShrinkingPages:
    """A server that sends 100 rows per page at first, and at most 20 later.

    The windows that are under way then are too large: the reader forgets them.

    Attributes:
        ended: Which page and size the requests had that were ended unanswered.
        hanging: How many requests are under way that have no answer.
        most_together: How many requests for small pages were under way at once.
    """

    ROWS = 900

    def __init__(self, forgotten):
        self._forgotten = forgotten
        self.ended = []
        self.hanging = 0
        self.most_together = self._together = 0

    async def __call__(self, call):
        page, take = int(call.url.query["page"]), int(call.url.query["take"])
        if call.number > 2 and take > 20:
            return await self._forget(page, take)
        self._together += take <= 20
        self.most_together = max(self.most_together, self._together)
        await asyncio.sleep(0)
        self._together -= take <= 20
        return self._page(page, take if call.number == 1 else min(take, 20))

    async def _forget(self, page, take):
        if self._forgotten == "refused":
            return 403
        self.hanging += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.ended.append((page, take))
            raise
        finally:
            self.hanging -= 1

    def _page(self, page, take):
        begin = datetime(2026, 4, 20, tzinfo=UTC)
        rows = [
            event_row(n, created_at=(begin + timedelta(seconds=n)).isoformat())
            for n in range((page - 1) * take, min(page * take, self.ROWS))
        ]
        pages = math.ceil(self.ROWS / take)
        return page_body(
            rows,
            page=page,
            take=take,
            item_count=self.ROWS,
            page_count=pages,
            has_previous_page=page > 1,
            has_next_page=page < pages,
        )


@pytest.fixture
async def shrinking():
    """Opens a read of a server with pages that shrink; yields both."""

    @asynccontextmanager
    async def opened(forgotten):
        server = ShrinkingPages(forgotten)
        with simulated(server):
            async with (
                CanopySession("acme", "token", concurrency=4) as canopy,
                canopy.events("idn_1", order="asc").open() as run,
            ):
                yield server, run

    return opened


ALL = [f"evt_{n}" for n in range(ShrinkingPages.ROWS)]


async def test_requests_whose_windows_are_forgotten_end_while_the_read_goes_on(
    shrinking,
):
    async with shrinking("hang") as (server, run):
        rows = [*await run.next_batch(), *await run.next_batch()]
        await settle()
        assert server.hanging == 0
        assert len(server.ended) >= 3
        rows += [row async for row in run]
    assert [row.id for row in rows] == ALL
    assert run.report.complete


async def test_an_error_of_a_window_that_is_forgotten_holds_nothing_up(shrinking):
    async with shrinking("refused") as (server, run):
        rows = [row.id async for row in run]
    assert rows == ALL
    assert run.report.complete
    assert server.most_together == 4  # as before it
