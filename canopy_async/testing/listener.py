"""`Listener`: a port of this machine, and the connections that come in by it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Self
from weakref import WeakSet

from aiohttp import web

__all__ = ["Listener"]

_TURNS: Final = 3
"""Turns of the loop in which a connection that was accepted may still be made."""

_PATIENCE: Final = 0.05
"""Seconds that a connection which closes may take for what it has still to send."""


class Listener:
    """Serves HTTP on a port, from `open` to `close`; no connection outlives it.

    Attributes:
        port: The port that it listens on.
    """

    def __init__(self, server: asyncio.Server, connections: "_Connections") -> None:
        self._server: Final = server
        self._connections: Final = connections
        self.port: Final[int] = server.sockets[0].getsockname()[1]

    @classmethod
    async def open(
        cls,
        handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        host: str,
        port: int,
    ) -> Self:
        """Return a listener that serves.

        Args:
            handle: Answers each request.
            host: The address to listen on.
            port: The port to listen on; 0 takes a free one.

        Raises:
            OSError: The port is taken.
        """
        connections = _Connections(handle, handler_cancellation=True, access_log=None)
        loop = asyncio.get_running_loop()
        return cls(await loop.create_server(connections, host, port), connections)

    @property
    def open_connections(self) -> int:
        """The number of connections that clients hold open."""
        return len(self._connections.connections)

    async def refuse(self) -> None:
        """Refuse new connections from now on."""
        loop = asyncio.get_running_loop()
        for sock in self._server.sockets:
            with suppress(NotImplementedError):  # Windows: accepting is one step there
                loop.remove_reader(sock)
        # asyncio accepts a connection in one turn of the loop and gives it a transport
        # in the next. Where the server was closed in between, that fails, and the
        # socket is left open until it is found by the garbage collector.
        await asyncio.sleep(0)
        self._server.close()

    async def close(self) -> None:
        """End all connections, after `refuse`."""
        await asyncio.sleep(0)
        self._connections.pre_shutdown()
        await self._connections.shutdown(_PATIENCE)
        await self._connections.abort()


class _Connections(web.Server):
    """The connections of a listener, also those that come while it shuts down."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._transports: Final[WeakSet[asyncio.Transport]] = WeakSet()

    def connection_made(
        self, handler: web.RequestHandler, transport: asyncio.Transport
    ) -> None:
        """Take note of a new connection."""
        super().connection_made(handler, transport)
        self._transports.add(transport)

    async def abort(self) -> None:
        """End the connections that are left after a shutdown."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
            for transport in list(self._transports):
                transport.abort()
