"""Deadlines of the requests in flight, and how closing the session ends them."""

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

from canopy_async.errors import SessionClosedError

__all__ = ["Deadlines"]

T = TypeVar("T")


class Deadlines:
    """The timeout scopes that are open.

    Every deadline is equally far away when it is set, so they pass in the order
    in which they were set, and one timer, for the first of them, serves all.

    Args:
        timeout: Seconds from `start` to the deadline.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout: Final = timeout
        self._open: Final[set[asyncio.Timeout]] = set()
        self._deadlines: Final[dict[asyncio.Timeout, float]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._drained: asyncio.Event | None = None

    def add(self, scope: asyncio.Timeout) -> None:
        """Let a scope, which was just entered, be ended by `aclose`."""
        self._open.add(scope)

    def start(self, scope: asyncio.Timeout) -> None:
        """Set the deadline of a scope, from now."""
        loop = asyncio.get_running_loop()
        self._deadlines[scope] = deadline = loop.time() + self._timeout
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._expire)

    def discard(self, scope: asyncio.Timeout) -> None:
        """Forget a scope that was left."""
        self._open.discard(scope)
        self._deadlines.pop(scope, None)
        if self._drained is not None and not self._open:
            self._drained.set()

    async def until_closed(self, awaitable: Awaitable[T]) -> T:
        """Return the result of ``awaitable``, unless the session is closed before.

        Raises:
            SessionClosedError: The session was closed before.
        """
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self.add(scope)
                return await awaitable
        except TimeoutError:
            if not scope.expired():
                raise
        finally:
            self.discard(scope)
        raise SessionClosedError("the session is closed")

    async def aclose(self) -> None:
        """Let every scope expire now, and wait until all were left."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._open:
            return
        # Whoever else is closing waits for the same event.
        self._drained = self._drained or asyncio.Event()
        now = asyncio.get_running_loop().time()
        for scope in self._open:
            if not scope.expired():
                scope.reschedule(now)
        await self._drained.wait()

    def _expire(self) -> None:
        """End the scopes whose deadline has passed, and wait for the next one."""
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        for scope, deadline in list(self._deadlines.items()):
            if deadline > now:
                self._timer = loop.call_at(deadline, self._expire)
                return
            del self._deadlines[scope]
            scope.reschedule(now)
