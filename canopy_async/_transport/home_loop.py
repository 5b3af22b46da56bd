"""The event loop that a session belongs to, and whether the session is closed."""

import asyncio
from collections.abc import Callable

from canopy_async.errors import SessionClosedError

__all__ = ["HomeLoop"]


class HomeLoop:
    """The event loop that a session was first used in: its requests stay there.

    Attributes:
        closed: Whether the session was closed.
        on_bound: Is called with the event loop, once, when it is known.
    """

    def __init__(self) -> None:
        self.closed = False
        self.on_bound: Callable[[asyncio.AbstractEventLoop], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def bind(self) -> None:
        """Belong to the running event loop from now on.

        Raises:
            SessionClosedError: The session is closed.
            RuntimeError: It belongs to another loop.
        """
        self.check_open()
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            if self.on_bound is not None:
                self.on_bound(self._loop)

    def check_open(self) -> None:
        """Refuse a session that is closed, or that belongs to another event loop.

        Raises:
            SessionClosedError: The session is closed.
            RuntimeError: Another event loop is running than that of the session.
        """
        self.check_loop()
        if self.closed:
            raise SessionClosedError("the session is closed")

    def check_loop(self) -> None:
        """Refuse another event loop than that of the session.

        Raises:
            RuntimeError: Another one is running.
        """
        loop = _running_loop()
        if loop is not None and self._loop is not None and self._loop is not loop:
            raise RuntimeError(
                "a session belongs to the event loop that it was entered or first"
                " used in: make another one for this loop"
            )

    def time(self) -> float | None:
        """Return the time by the loop's clock, None before the loop is known."""
        return None if self._loop is None else self._loop.time()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
