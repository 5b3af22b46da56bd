"""Blocking work that is done in one thread, one piece after the other."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

__all__ = ["OneThread", "finished"]

P = ParamSpec("P")
T = TypeVar("T")


class OneThread:
    """A thread for blocking work.

    Args:
        name: The thread's name.
    """

    def __init__(self, name: str) -> None:
        self._executor: Final = ThreadPoolExecutor(1, name)

    def start(
        self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]:
        """Begin with some work once all that was begun before is done."""
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._executor, lambda: work(*args, **kwargs))

    async def do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do some work; return its result. It is done also where this is cancelled."""
        return await finished(self.start(work, *args, **kwargs))

    def close(self) -> None:
        """End the thread once all that was begun is done."""
        self._executor.shutdown(wait=False)


async def finished(work: asyncio.Future[T]) -> T:
    """Wait for what must not be left half done, also when cancelled meanwhile.

    Raises:
        asyncio.CancelledError: This was cancelled; the work is done.
    """
    interrupted: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait((work,))
        except asyncio.CancelledError as error:
            interrupted = error
    if interrupted is not None:
        work.exception()  # so that it is not called forgotten
        raise interrupted
    return work.result()
