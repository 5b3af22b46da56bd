"""Answers that are held ready: what becomes of those that nobody takes any more."""

import asyncio

import pytest

from canopy_async._api.responses import Response
from canopy_async._read.readahead import ReadAhead
from canopy_async._transport.lanes import PageRequest
from canopy_async._walk import Window
from canopy_async.errors import ServerError, SessionClosedError

WINDOW = Window(1, 10)
REQUEST = PageRequest(endpoint=None, query=None, page=1, take=10)
ANSWER = Response(status=200, headers={}, body=b"{}")
ERROR = ServerError("down", status=500)


class Lane:
    """A lane with one request, which ends as a test says.

    Args:
        if_cancelled: The answer or the error of a request that was cancelled, as if
            something on its way had caught that; None for one that just ends.

    Attributes:
        outcome: The answer or the error, once it is there.
        released: The answers that were let go of.
    """

    def __init__(self, if_cancelled=None):
        self.outcome = asyncio.get_running_loop().create_future()
        self.released = []
        self._if_cancelled = if_cancelled

    async def get(self, request):
        assert request is REQUEST
        try:
            return await self.outcome
        except asyncio.CancelledError:
            if self._if_cancelled is None:
                raise
        await asyncio.sleep(0)
        if isinstance(self._if_cancelled, Exception):
            raise self._if_cancelled
        return self._if_cancelled

    def release(self, response):
        self.released.append(response)


class Reader:
    """A reader that counts how often it is told of an answer."""

    def __init__(self):
        self.told = 0

    def tell(self):
        self.told += 1


@pytest.fixture
def reader():
    return Reader()


async def started(lane, reader):
    ahead = ReadAhead(lane, 2, reader.tell)
    ahead.start(WINDOW, REQUEST)
    await asyncio.sleep(0)
    return ahead


@pytest.mark.parametrize(("end", "released"), [(ANSWER, [ANSWER]), (ERROR, [])])
async def test_what_comes_for_a_window_that_was_dropped_is_let_go_of(
    end, released, reader
):
    lane = Lane(if_cancelled=end)
    ahead = await started(lane, reader)
    ahead.keep_only([])
    await ahead.aclose()
    assert lane.released == released
    assert WINDOW not in ahead
    assert not ahead.failing
    assert reader.told == 0


async def test_an_answer_is_let_go_of_if_its_reader_was_freed_right_before_it_came():
    lane, reader = Lane(), Reader()
    ahead = await started(lane, reader)
    lane.outcome.set_result(ANSWER)
    del reader
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert lane.released == [ANSWER]
    assert WINDOW not in ahead


async def test_who_waits_for_an_answer_is_told_that_all_was_closed(reader):
    ahead = await started(Lane(), reader)
    waiting = asyncio.create_task(ahead.arrived(WINDOW))
    await asyncio.sleep(0)
    await ahead.aclose()
    assert await waiting is False


async def test_a_request_that_somebody_else_cancelled_ends_the_wait_with_an_error(
    reader,
):
    before = asyncio.all_tasks()
    ahead = await started(Lane(), reader)
    (request,) = asyncio.all_tasks() - before
    request.cancel()
    with pytest.raises(SessionClosedError, match="cancelled from outside"):
        await ahead.arrived(WINDOW)
    assert WINDOW not in ahead


async def test_an_answer_can_be_looked_at_before_it_is_taken(reader):
    lane = Lane()
    ahead = await started(lane, reader)
    assert ahead.answer_of(WINDOW) is None
    lane.outcome.set_result(ANSWER)
    assert await ahead.arrived(WINDOW)
    assert ahead.answer_of(WINDOW) is ANSWER
    assert ahead.pop(WINDOW) is ANSWER
    assert lane.released == [ANSWER]
    assert reader.told == 1


async def test_an_error_is_no_answer_to_look_at(reader):
    lane = Lane()
    ahead = await started(lane, reader)
    lane.outcome.set_exception(ERROR)
    assert await ahead.arrived(WINDOW)
    assert ahead.answer_of(WINDOW) is None
    assert ahead.failing
    assert ahead.pop(WINDOW) is ERROR
