"""The connections of a local server, all of which end with it."""

import asyncio
from typing import Any, Final
from weakref import WeakSet

from aiohttp import web

__all__ = ["Connections"]

_TURNS: Final = 3
"""Turns of the loop in which a connection that was accepted may still be made."""


class Connections(web.Server):
    """A server that knows each connection, also one that comes while it shuts down.

    Args:
        *args: Those of `aiohttp.web.Server`.
        **kwargs: Those of `aiohttp.web.Server`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._transports: Final[WeakSet[asyncio.Transport]] = WeakSet()

    def connection_made(
        self, handler: web.RequestHandler, transport: asyncio.Transport
    ) -> None:
        """Take note of a new connection."""
        super().connection_made(handler, transport)
        self._transports.add(transport)

    async def close(self) -> None:
        """End all connections that are left once the server was shut down."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
            for transport in list(self._transports):
                transport.abort()
