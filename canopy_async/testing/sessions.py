"""A session that a fixture can close, whichever loop it was used in."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

import canopy_async

__all__ = ["SelfClosingSession"]


class SelfClosingSession(canopy_async.CanopySession):
    """A session that is closed with the event loop that it was first used in."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._guard: AsyncGenerator[None, None] | None = None
        self._home: asyncio.AbstractEventLoop | None = None
        self._transport.home.on_bound = self._watch

    def close(self) -> None:
        """Close the session, unless its loop has ended, and closed it then."""
        loop = self._home
        if loop is not None and self._guard is not None and not loop.is_closed():
            loop.run_until_complete(self._guard.aclose())

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the loop close the session before the loop is closed.

        Whoever ends a loop closes the asynchronous generators that have begun in it,
        as `asyncio.run` and the plugins of pytest do.
        """
        self._home = loop
        self._guard = self._close_at_end()
        with suppress(StopIteration):  # which says that it has begun, and waits
            self._guard.asend(None).send(None)

    async def _close_at_end(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self.aclose()
