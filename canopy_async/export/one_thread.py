"""A single thread that does blocking calls, one after the other."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

__all__ = ["OneThread", "finished"]

P = ParamSpec("P")
T = TypeVar("T")


class OneThread:
    """A thread that does blocking calls in the order in which they were started.

    Args:
        name: The thread's name.
    """

    def __init__(self, name: str) -> None:
        self._executor: Final = ThreadPoolExecutor(1, name)

    def start(
        self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]:
        """Call a function in the thread, after all calls that were started before.

        Args:
            work: The function.
            *args: Its positional arguments.
            **kwargs: Its keyword arguments.

        Returns:
            The future of its result.
        """
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._executor, lambda: work(*args, **kwargs))

    async def do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in the thread, wait for it, and return its result.

        The call is finished even if the caller is cancelled.
        """
        return await finished(self.start(work, *args, **kwargs))

    def close(self) -> None:
        """Let the thread end once all started calls are done; don't wait for that."""
        self._executor.shutdown(wait=False)


async def finished(work: asyncio.Future[T]) -> T:
    """Wait until some work is done, even if the caller is cancelled.

    Returns:
        The result of the work.

    Raises:
        asyncio.CancelledError: The caller was cancelled; raised once the work is done.
    """
    interrupted: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait((work,))
        except asyncio.CancelledError as error:
            interrupted = error
    if interrupted is not None:
        work.exception()  # else asyncio warns that it was never retrieved
        raise interrupted
    return work.result()
