"""Blocking work in one thread: it is done, whoever is cancelled meanwhile."""

import asyncio
import threading

import pytest

from canopy_async.export.one_thread import OneThread


@pytest.fixture
def thread():
    thread = OneThread("test")
    yield thread
    thread.close()


class Work:
    """Work that takes until it is released.

    Attributes:
        begun: Is set once it has begun.
        released: Lets it end.
        is_done: Whether it has ended.
    """

    def __init__(self, error=None):
        self.begun, self.released = threading.Event(), threading.Event()
        self.is_done = False
        self._error = error

    def __call__(self):
        self.begun.set()
        assert self.released.wait(30)
        self.is_done = True
        if self._error is not None:
            raise self._error
        return "result"


async def begun(thread, work):
    """Return a task that awaits work which has begun."""
    task = asyncio.create_task(thread.do(work))
    assert await asyncio.to_thread(work.begun.wait, 30)
    return task


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_whoever_is_cancelled_while_it_writes_waits_until_that_is_written(
    thread, times
):
    work = Work()
    task = await begun(thread, work)
    for _ in range(times):
        task.cancel()
        await settle()
        assert not task.done()
    work.released.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.is_done


async def test_a_write_that_fails_while_its_writer_is_cancelled_is_not_forgotten_aloud(
    thread, caplog
):
    work = Work(OSError("no space left"))
    task = await begun(thread, work)
    task.cancel()
    await settle()
    work.released.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.is_done
    assert not caplog.records


async def test_what_is_done_has_its_result_or_its_error(thread):
    work, failing = Work(), Work(OSError("no space left"))
    work.released.set()
    failing.released.set()
    assert await thread.do(work) == "result"
    with pytest.raises(OSError, match="no space left"):
        await thread.do(failing)


async def test_one_piece_of_work_follows_the_other(thread):
    first, second = Work(), Work()
    tasks = [await begun(thread, first), asyncio.create_task(thread.do(second))]
    second.released.set()
    await settle()
    assert not second.begun.is_set()
    first.released.set()
    assert await asyncio.gather(*tasks) == ["result", "result"]
