"""Tasks: starting them, waiting for their end, and long work that yields to them."""

import asyncio
from collections.abc import Coroutine, Generator, Iterable
from functools import partial
from typing import Any, TypeVar

__all__ = ["cancel_and_wait", "in_steps", "start_task", "until_all_done", "until_done"]

T = TypeVar("T")


def start_task(coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start a task whose first step runs in a later iteration of the event loop.

    An eager task factory (`asyncio.eager_task_factory`, since Python 3.12) would run
    the first step at once, before the caller could store the task.
    """
    loop = asyncio.get_running_loop()
    if loop.get_task_factory() is not None:
        coroutine = _start_later(coroutine)
    return loop.create_task(coroutine)


async def _start_later(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        await asyncio.sleep(0)
    except BaseException:
        coroutine.close()  # else Python warns that it was never awaited
        raise
    return await coroutine


async def in_steps(steps: Generator[None, None, T]) -> T:
    """Return a generator's result; let other tasks run at each of its ``yield``."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        await asyncio.sleep(0)


async def until_done(task: asyncio.Task[Any]) -> None:
    """Wait until a task has ended, with a result, an error or a cancellation."""
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    wake = partial(_wake, waiter)
    task.add_done_callback(wake)
    try:
        await waiter
    finally:
        task.remove_done_callback(wake)


def _wake(waiter: asyncio.Future[None], _task: asyncio.Task[Any]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def cancel_and_wait(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until all have ended, even if the caller is cancelled.

    Raises:
        asyncio.CancelledError: The caller was cancelled meanwhile; raised at the end.
    """
    cancelled = list(tasks)
    for task in cancelled:
        task.cancel()
    await until_all_done(cancelled)


async def until_all_done(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Wait until all tasks have ended, even if the caller is cancelled.

    Raises:
        asyncio.CancelledError: The caller was cancelled meanwhile; raised at the end.
    """
    awaited = list(tasks)
    interrupted: asyncio.CancelledError | None = None
    while pending := [task for task in awaited if not task.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            interrupted = error
    if interrupted is not None:
        raise interrupted
