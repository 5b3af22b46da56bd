"""One GET over aiohttp, sent once: an answer, or a fault, and never a token shown."""

import asyncio
import logging
from collections.abc import Mapping
from ssl import SSLContext
from typing import Any, Final

import aiohttp
from yarl import URL

from canopy_async._api.responses import Response
from canopy_async._transport.aiohttp_errors import what_failed, would_repeat
from canopy_async._transport.attempt import Fault
from canopy_async._transport.body import BodyTooLargeError, read_body
from canopy_async._transport.connection import FreshFault, open_http
from canopy_async._transport.server_clock import ServerClock
from canopy_async.auth import Credential
from canopy_async.errors import SessionClosedError

__all__ = ["HttpClient"]

_log: Final = logging.getLogger("canopy_async")
_NO_TIMEOUT: Final = aiohttp.ClientTimeout(total=None)
_MAX_FAULT: Final = 300


class HttpClient:
    """Sends requests over aiohttp, with a session of its own or over a given one.

    Args:
        headers: Sent with each request.
        clock: Is told of the time that answers are dated with.
        http: The aiohttp session to use; by default one is made when first
            needed and closed with the client.
        proxy: The proxy to send through, with its credentials; None for none.
        ssl: What certificates are checked with; None for the default.
    """

    def __init__(
        self,
        *,
        headers: Mapping[str, str],
        clock: ServerClock,
        http: aiohttp.ClientSession | None = None,
        proxy: URL | None = None,
        ssl: SSLContext | None = None,
    ) -> None:
        self._headers: Final = dict(headers)
        self._clock: Final = clock
        self._http = http
        self._owns_http: Final = http is None
        # An own aiohttp session has the headers already, which is faster.
        self._headers_per_request: Final = dict(headers) if http is not None else {}
        self._route: Final[dict[str, Any]] = {}
        if proxy is not None:
            self._route["proxy"] = proxy
            where = proxy.with_user(None)
            _log.debug("requests go through the proxy %s", where)
        if ssl is not None:
            self._route["ssl"] = ssl

    async def get(self, url: URL, credential: Credential) -> Response | Fault:
        """Send one GET, without a deadline.

        Args:
            url: What to ask for.
            credential: The token to send.

        Returns:
            The answer, whatever its status is; a fault where there is no whole one.

        Raises:
            SessionClosedError: The aiohttp session that was given is closed.
        """
        http = self._client()
        try:
            response = await http.get(
                url,
                headers={
                    **self._headers_per_request,
                    "Authorization": credential.header(),
                },
                allow_redirects=False,
                raise_for_status=False,
                timeout=_NO_TIMEOUT,
                **self._route,
            )
            # Before the body, which may take its time.
            self._clock.note(response.headers, asyncio.get_running_loop().time())
            try:
                body = await read_body(response, decoded=http.auto_decompress)
            finally:
                response.release()
        except BodyTooLargeError as error:
            return Fault("too large", str(error), too_large=True)
        except Exception as raised:  # noqa: BLE001 - see `would_repeat`
            return _fault_from(raised, credential)
        except BaseException as ended:  # noqa: BLE001 - it is raised again
            # Drop the traceback: whoever cancels may log it with the locals of its
            # frames, and those of aiohttp hold the Authorization header.
            raise ended.with_traceback(None) from None
        return Response(
            status=response.status,
            headers=response.headers,
            body=body,
            url=str(url).partition("?")[0],
            redact=credential.redact,
        )

    async def aclose(self) -> None:
        """Close the connections, unless the aiohttp session was given."""
        if self._owns_http and self._http is not None:
            await self._http.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = open_http(self._headers)
        elif self._http.closed:
            raise SessionClosedError("the aiohttp session that was given is closed")
        return self._http


def _fault_from(raised: Exception, credential: Credential) -> Fault:
    error = raised.fault if isinstance(raised, FreshFault) else raised
    return Fault(
        type(error).__name__,
        credential.redact(what_failed(error), _MAX_FAULT),
        final=would_repeat(error),
        unreachable=isinstance(error, aiohttp.ClientConnectorError),
    )
