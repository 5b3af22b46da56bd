"""One GET over aiohttp: token, admission, attempts, size cap.

No frame here that an error passes through holds a token in a local: an
attempt returns what came of it, and errors are built and raised elsewhere.
"""

import asyncio
import zlib
from collections.abc import Mapping
from http import HTTPStatus
from itertools import count
from typing import Any, Final, cast

import aiohttp
import attrs
from yarl import URL

from canopy_async.auth import Credential, TokenProvider
from canopy_async.errors import (
    ApiError,
    CanopyError,
    ProtocolError,
    RequestTimeoutError,
    SessionClosedError,
    TransportError,
)
from canopy_async.gate import Gate
from canopy_async.hooks import CooldownStarted, Hooks, RequestFinished, RetryScheduled
from canopy_async.retry import COOLDOWN_STATUSES, RetryPolicy
from canopy_async.scopes import Scopes
from canopy_async.wire import Endpoint, Query, Response, build_url, error_from

__all__ = ["MAX_BODY", "PageRequest", "Transport"]

MAX_BODY: Final = 32 * 1024 * 1024
"""The largest body that is read, in bytes, before and after decompression."""

_RECEIVE: Final = 96 * 1024
_NO_TIMEOUT: Final = aiohttp.ClientTimeout(total=None)
_GZIP: Final = 16 + zlib.MAX_WBITS
_STRAINED: Final = COOLDOWN_STATUSES | {HTTPStatus.GATEWAY_TIMEOUT}


@attrs.frozen(kw_only=True)
class PageRequest:
    """One page of a list.

    Attributes:
        endpoint: Which list.
        query: What is asked of it.
        page: The page's number, from 1.
        take: Rows per page.
        urgent: Whether others wait behind it.
    """

    endpoint: Endpoint[Any]
    query: Query
    page: int
    take: int
    urgent: bool = False


@attrs.frozen
class _Fault:
    """An attempt without a whole answer."""

    reason: str
    message: str
    timed_out: bool = False
    final: bool = False


@attrs.frozen
class _Attempt:
    """What came of an attempt, and the token it was sent with."""

    outcome: Response | _Fault
    credential: Credential
    started: float


class Transport:
    """Sends the requests of one session.

    Args:
        base_url: Where to, checked.
        provider: Gives the tokens.
        gate: Admits the requests.
        retry: Decides on repeats.
        timeout: Seconds for one attempt, from admission to the last byte.
        hooks: Are told.
        headers: Sent with each request.
        http: The aiohttp session to use; by default one is made when first
            needed and closed with the transport.
    """

    def __init__(
        self,
        *,
        base_url: str,
        provider: TokenProvider,
        gate: Gate,
        retry: RetryPolicy,
        timeout: float,
        hooks: Hooks,
        headers: Mapping[str, str],
        http: aiohttp.ClientSession | None = None,
    ) -> None:
        self._base_url: Final = base_url
        self._provider: Final = provider
        self._gate: Final = gate
        self._retry: Final = retry
        self._scopes: Final = Scopes(timeout)
        self.hooks: Final = hooks
        self._headers: Final = dict(headers)
        self._http = http
        self._owns_http: Final = http is None
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether `aclose` was called."""
        return self._closed

    def check_open(self) -> None:
        """Raise `SessionClosedError` once the transport is closed."""
        if self._closed:
            raise SessionClosedError("the session is closed")

    async def get(self, request: PageRequest) -> Response:
        """Return the answer to one GET, once it is a 200.

        Args:
            request: What to ask for.

        Raises:
            ApiError: The server answered otherwise, after all retries.
            TransportError: No whole answer came, after all retries.
            SessionClosedError: The session is closed, or was meanwhile.
        """
        url = build_url(
            self._base_url,
            request.endpoint,
            request.query,
            page=request.page,
            take=request.take,
        )
        clock = asyncio.get_running_loop().time
        began: float | None = None
        refreshed = False
        for attempt in count(1):
            urgent = request.urgent or attempt > 1
            made = await self._attempt(url, request, attempt, urgent=urgent)
            began = made.started if began is None else began
            if isinstance(made.outcome, Response):
                if made.outcome.status == HTTPStatus.OK:
                    self._gate.succeeded()
                    return made.outcome
                if made.outcome.status == HTTPStatus.UNAUTHORIZED and not refreshed:
                    refreshed = True
                    if await self._refresh(made.credential):
                        continue
            error = _error_of(made.outcome, request, url, attempt)
            if _shows_strain(error):
                self._gate.strained(made.started, refused=_is_refused(error))
            wait = self._wait_before_retry(error, attempt, clock() - began)
            if wait is None:
                self._heed(error)
                raise error
            self._tell_retry(request, error, attempt, wait)
            if not self._cool_down(error, wait):
                await self._scopes.until_closed(asyncio.sleep(wait))
        raise AssertionError("unreachable")

    async def aclose(self) -> None:
        """End every request with `SessionClosedError`, then the connections."""
        self._closed = True
        await self._scopes.aclose()
        if self._owns_http and self._http is not None:
            await self._http.close()

    async def _attempt(
        self, url: str, request: PageRequest, attempt: int, *, urgent: bool
    ) -> _Attempt:
        self.check_open()
        scope = asyncio.timeout(None)
        admitted = False
        started = 0.0
        credential = Credential(None)
        try:
            async with scope:
                self._scopes.add(scope)
                started = await self._gate.acquire(urgent=urgent)
                admitted = True
                credential = await self._credential()
                self.check_open()  # its deadline, now past, must not be moved
                self._scopes.start(scope)
                outcome = await self._send(url, credential, attempt)
        except TimeoutError:
            if not scope.expired():
                raise
            outcome = _Fault("timeout", "the request timed out", timed_out=True)
        finally:
            self._scopes.discard(scope)
            if admitted:
                self._gate.release()
        self.check_open()
        self._tell_finished(request, attempt, outcome, started)
        return _Attempt(outcome, credential, started)

    async def _send(
        self, url: str, credential: Credential, attempt: int
    ) -> Response | _Fault:
        http = self._client()
        try:
            async with http.get(
                URL(url, encoded=True),
                headers={**self._headers, "Authorization": credential.header()},
                allow_redirects=False,
                raise_for_status=False,
                timeout=_NO_TIMEOUT,
            ) as response:
                body = await _read(response, decoded=http.auto_decompress)
        except (aiohttp.ClientError, OSError, zlib.error) as error:
            reason = type(error).__name__
            message = credential.redact(f"{reason}: {error}".encode()).decode()
            return _Fault(reason, message)
        if body is None:
            return _Fault("too large", f"the body is over {MAX_BODY} bytes", final=True)
        if response.status != HTTPStatus.OK:
            body = credential.redact(body)
        return Response(
            status=response.status,
            headers=response.headers,
            body=body,
            url=url,
            attempts=attempt,
        )

    def _client(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=_Connector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        elif self._http.closed:
            raise SessionClosedError("the aiohttp session that was given is closed")
        return self._http

    async def _credential(self) -> Credential:
        credential = Credential(await self._provider.token())
        credential.check("the provider's token")
        return credential

    async def _refresh(self, rejected: Credential) -> bool:
        """Ask for another token; tell whether there is one."""
        renewed = Credential(
            await self._scopes.until_closed(self._provider.refresh(rejected.reveal()))
        )
        return renewed != rejected

    def _wait_before_retry(
        self, error: CanopyError, attempt: int, elapsed: float
    ) -> float | None:
        wait = self._retry.delay_for(error, attempt)
        if wait is None or elapsed + wait > self._retry.deadline:
            return None
        return wait if self._gate.spend_retry() else None

    def _cool_down(self, error: CanopyError, seconds: float) -> bool:
        """Stop everybody if the server asked for it; tell whether it did."""
        if not (isinstance(error, ApiError) and error.status in COOLDOWN_STATUSES):
            return False
        if self._gate.cool_down(seconds) and self.hooks:
            self.hooks(CooldownStarted(seconds=seconds, status=error.status))
        return True

    def _heed(self, error: CanopyError) -> None:
        """Let the others wait as long as a server asked one that gives up."""
        seconds = error.retry_after if isinstance(error, ApiError) else None
        if seconds and seconds <= self._retry.max_retry_after:
            self._cool_down(error, seconds)

    def _tell_finished(
        self,
        request: PageRequest,
        attempt: int,
        outcome: Response | _Fault,
        started: float,
    ) -> None:
        if not self.hooks:
            return
        response = outcome if isinstance(outcome, Response) else None
        self.hooks(
            RequestFinished(
                path=request.endpoint.template,
                page=request.page,
                take=request.take,
                attempt=attempt,
                status=response.status if response else None,
                seconds=asyncio.get_running_loop().time() - started,
                size=len(response.body) if response else 0,
            )
        )

    def _tell_retry(
        self, request: PageRequest, error: CanopyError, attempt: int, wait: float
    ) -> None:
        if not self.hooks:
            return
        status = error.status if isinstance(error, ApiError) else None
        self.hooks(
            RetryScheduled(
                path=request.endpoint.template,
                page=request.page,
                attempt=attempt,
                wait=wait,
                reason=type(error).__name__ if status is None else str(status),
            )
        )


class _Connector(aiohttp.TCPConnector):
    """Connections that receive in pieces of about a page.

    asyncio allocates the most that one ``recv`` may return each time, 256 KiB,
    and gives back what it did not need. Where that can't be set, it stays.
    """

    async def _create_connection(self, *args: Any, **kwargs: Any) -> Any:
        protocol = await super()._create_connection(*args, **kwargs)
        if getattr(protocol.transport, "max_size", 0) > _RECEIVE:
            cast("Any", protocol.transport).max_size = _RECEIVE
        return protocol


async def _read(response: aiohttp.ClientResponse, *, decoded: bool) -> bytes | None:
    """Return the whole body, decompressed, or None if it is too large."""
    body = await _read_capped(response)
    encoding = response.headers.get("Content-Encoding")
    if body is None or decoded or encoding is None:
        return body
    encoding = encoding.lower()
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "x-gzip"}:
        raise zlib.error(f"unexpected content encoding {encoding!r}")
    unzip = zlib.decompressobj(_GZIP)
    plain = unzip.decompress(body, MAX_BODY + 1)
    if len(plain) > MAX_BODY:
        return None
    if not unzip.eof:
        raise zlib.error("the compressed body is truncated")
    return plain


async def _read_capped(response: aiohttp.ClientResponse) -> bytes | None:
    chunks: list[bytes] = []
    size = 0
    while not response.content.at_eof():
        chunk = await response.content.readany()
        size += len(chunk)
        if size > MAX_BODY:
            response.close()
            return None
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _error_of(
    outcome: Response | _Fault, request: PageRequest, url: str, attempt: int
) -> CanopyError:
    if isinstance(outcome, Response):
        return error_from(outcome)
    if outcome.final:
        return ProtocolError(outcome.message, page=request.page)
    cls = RequestTimeoutError if outcome.timed_out else TransportError
    return cls(outcome.message, url=url, attempts=attempt)


def _shows_strain(error: CanopyError) -> bool:
    if isinstance(error, ApiError):
        return error.status in _STRAINED
    return isinstance(error, RequestTimeoutError)


def _is_refused(error: CanopyError) -> bool:
    return isinstance(error, ApiError) and error.status == HTTPStatus.TOO_MANY_REQUESTS
