"""Waiting for tasks, and ending them so that none is left running."""

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Any

__all__ = ["cancel_and_wait", "until_done"]


async def until_done(task: asyncio.Task[Any]) -> None:
    """Wait until a task has ended, however it did."""
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
    """Cancel tasks and await their end, also when cancelled meanwhile."""
    cancelled = list(tasks)
    for task in cancelled:
        task.cancel()
    interrupted: asyncio.CancelledError | None = None
    while pending := [task for task in cancelled if not task.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            interrupted = error
    if interrupted is not None:
        raise interrupted
