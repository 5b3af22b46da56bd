"""The set-up of the aiohttp session: receive size, no hidden retries, no cookies."""

from collections.abc import Mapping
from typing import Any, Final, cast
from weakref import WeakSet

import aiohttp

__all__ = ["FreshFault", "open_http"]

_MAX_HEADER: Final = 32 * 1024
"""The longest header of an answer that is read, in bytes, and the longest status line.

A proxy's policies and cookies are longer than the 8 KiB that aiohttp reads by itself.
"""

_RECEIVE: Final = 96 * 1024


def open_http(headers: Mapping[str, str]) -> aiohttp.ClientSession:
    """Return an aiohttp session that keeps no cookies and adds nothing by itself.

    Args:
        headers: Sent with each request.
    """
    return aiohttp.ClientSession(
        connector=_Connector(limit=0),
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        middlewares=(_send_once,),
        max_line_size=_MAX_HEADER,
        max_field_size=_MAX_HEADER,
    )


_fresh: Final[WeakSet[aiohttp.ClientRequest]] = WeakSet()
"""The requests for which a new connection was made."""


async def _send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a request again that went over a new connection.

    aiohttp repeats a request if the server hangs up, as an idle connection may just
    have been closed. On a new connection, that would be a second request which is
    neither counted nor spaced nor delayed here.

    Raises:
        FreshFault: The server hung up on a new connection.
    """
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if request not in _fresh:
            raise
        raise FreshFault(error) from None


class FreshFault(aiohttp.ClientError):
    """The failure of a request on a new connection."""

    def __init__(self, fault: Exception) -> None:
        super().__init__()
        self.fault: Final = fault


class _Connector(aiohttp.TCPConnector):
    """Connections that receive in pieces of about a page.

    For each ``recv``, asyncio allocates 256 KiB and gives back what it did not need.
    Event loops that can't be told a smaller size keep theirs.
    """

    async def _create_connection(self, req: Any, *args: Any, **kwargs: Any) -> Any:
        protocol = await super()._create_connection(req, *args, **kwargs)
        _fresh.add(req)
        if getattr(protocol.transport, "max_size", 0) > _RECEIVE:
            cast("Any", protocol.transport).max_size = _RECEIVE
        return protocol
