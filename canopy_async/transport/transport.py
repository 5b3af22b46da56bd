"""One GET over aiohttp: token, admission, attempts, size cap.

No frame here that an error passes through holds a token in a local: an
attempt returns what came of it, and errors are built and raised elsewhere.
"""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from itertools import count
from typing import Any, Final, NamedTuple, TypeVar

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from canopy_async.attempt import Attempt, Fault, error_of, is_refused, shows_strain
from canopy_async.auth import Credential, TokenProvider
from canopy_async.errors import (
    ApiError,
    CanopyError,
    SessionClosedError,
)
from canopy_async.gate import Gate
from canopy_async.hooks import CooldownStarted, Hooks, RequestFinished, RetryScheduled
from canopy_async.retry import COOLDOWN_STATUSES, RetryPolicy
from canopy_async.scopes import Scopes
from canopy_async.server_clock import ServerClock
from canopy_async.transport.body import OK, BodyTooLargeError, read_body
from canopy_async.transport.connection import FreshFault, open_http
from canopy_async.transport.faults import what_failed, would_repeat
from canopy_async.wire import Endpoint, Query, Response, build_url, query_string

__all__ = ["PageRequest", "Transport"]

T = TypeVar("T")

_NO_TIMEOUT: Final = aiohttp.ClientTimeout(total=None)
_NO_CREDENTIAL: Final = Credential(None)
_MAX_FAULT: Final = 300


class PageRequest(NamedTuple):
    """One page of a list.

    Attributes:
        endpoint: Which list.
        query: What is asked of it.
        page: The page's number, from 1.
        take: Rows per page.
        urgent: Whether others wait behind it.
        on_sent: Called with the number of each attempt, from 1, as it is sent.
    """

    endpoint: Endpoint[Any]
    query: Query
    page: int
    take: int
    urgent: bool = False
    on_sent: Callable[[int], None] | None = None


class Transport:
    """Sends the requests of one session.

    Args:
        base_url: Where to, checked.
        provider: Gives the tokens.
        gate: Admits the requests.
        retry: Decides on repeats.
        timeout: Seconds for one attempt, from when it has a token to the last byte.
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
        base = URL(base_url, encoded=True)
        self._scheme: Final = base.scheme
        self._authority: Final = base.raw_authority
        self._base_path: Final = base.raw_path.removesuffix("/")
        self._provider: Final = provider
        self._gate: Final = gate
        self._retry: Final = retry
        self._scopes: Final = Scopes(timeout)
        self._server_clock: Final = ServerClock()
        self.hooks: Final = hooks
        self._headers: Final = dict(headers)
        self._http = http
        self._owns_http: Final = http is None
        # An own aiohttp session has the others, which is faster.
        self._headers_per_request: Final = dict(headers) if http is not None else {}
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def closed(self) -> bool:
        """Whether `aclose` was called."""
        return self._closed

    @property
    def server_time(self) -> datetime | None:
        """What time it is by the server's clock, None before any answer told."""
        return None if self._loop is None else self._server_clock.now(self._loop.time())

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
            RuntimeError: It was used in another event loop before.
        """
        url = self._url(request)
        clock = self._checked_loop().time
        began: float | None = None
        refreshed = False
        for attempt in count(1):
            urgent = request.urgent or attempt > 1
            made = await self._attempt(url, request, attempt, urgent=urgent)
            began = made.started if began is None else began
            outcome = made.outcome
            if isinstance(outcome, Response):
                if outcome.status == OK:
                    self._gate.succeeded()
                    return outcome
                if outcome.status == HTTPStatus.UNAUTHORIZED and not refreshed:
                    refreshed = True
                    if await self._refresh(made.credential):
                        continue
            error = error_of(
                outcome,
                page=request.page,
                take=request.take,
                url=self._text_of(request),
                attempt=attempt,
            )
            if shows_strain(error):
                self._gate.strained(made.started, refused=is_refused(error))
            wait = self._wait_before_retry(error, attempt, clock() - began)
            if wait is None:
                self._heed(error)
                raise error
            self._tell_retry(request, error, attempt, wait)
            if not self._cool_down(error, wait):
                await self.until_closed(asyncio.sleep(wait))
        raise AssertionError("unreachable")

    def let_go(self, response: Response) -> None:
        """Be told that a read no longer holds an answer ready: this bounds none."""

    async def until_closed(self, awaitable: Awaitable[T]) -> T:
        """Return what ``awaitable`` does.

        Raises:
            SessionClosedError: The session was closed before.
        """
        return await self._scopes.until_closed(awaitable)

    async def aclose(self) -> None:
        """End every request with `SessionClosedError`, then the connections."""
        self._closed = True
        await self._scopes.aclose()
        if self._owns_http and self._http is not None:
            await self._http.close()

    def _checked_loop(self) -> asyncio.AbstractEventLoop:
        """Return the running loop, which must be the one of all requests."""
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if self._loop is not loop:
            raise RuntimeError(
                "a session belongs to the event loop that it was first used in:"
                " make another one for this loop"
            )
        return loop

    def _text_of(self, request: PageRequest) -> str:
        return build_url(
            self._base_url,
            request.endpoint,
            request.query,
            page=request.page,
            take=request.take,
        )

    def _url(self, request: PageRequest) -> URL:
        # The same, of parts: to take all of the text apart takes longer.
        return URL.build(
            scheme=self._scheme,
            authority=self._authority,
            path=self._base_path + request.endpoint.path,
            query_string=query_string(
                request.query, page=request.page, take=request.take
            ),
            encoded=True,
        )

    async def _attempt(
        self, url: URL, request: PageRequest, attempt: int, *, urgent: bool
    ) -> Attempt:
        self.check_open()
        scope = asyncio.timeout(None)
        admitted = False
        started = 0.0
        credential = _NO_CREDENTIAL
        try:
            async with scope:
                self._scopes.add(scope)
                started = await self._gate.acquire(urgent=urgent)
                admitted = True
                credential = await self._credential()
                self.check_open()  # its deadline, now past, must not be moved
                self._scopes.start(scope)
                if request.on_sent is not None:
                    request.on_sent(attempt)
                outcome = await self._send(url, credential)
        except TimeoutError:
            if not scope.expired():
                raise
            outcome = Fault("timeout", "the request timed out", timed_out=True)
        finally:
            self._scopes.discard(scope)
            if admitted:
                self._gate.release()
        self.check_open()
        if self.hooks:
            self._tell_finished(request, attempt, outcome, started)
        return Attempt(outcome, credential, started)

    async def _send(self, url: URL, credential: Credential) -> Response | Fault:
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
            )
            # Before the body, which may take its time.
            self._server_clock.note(response.headers, self._checked_loop().time())
            try:
                body = await read_body(response, decoded=http.auto_decompress)
            finally:
                response.release()
        except BodyTooLargeError as error:
            return Fault("too large", str(error), too_large=True)
        except (aiohttp.ClientError, OSError, zlib.error) as raised:
            fault = raised.fault if isinstance(raised, FreshFault) else raised
            message = credential.redact_text(what_failed(fault))
            return Fault(
                type(fault).__name__, message[:_MAX_FAULT], final=would_repeat(fault)
            )
        except asyncio.CancelledError as cancelled:
            # Whoever cancels may log it with its frames: some hold the headers.
            raise cancelled.with_traceback(None) from None
        headers: Mapping[str, str] = response.headers
        if response.status != OK:
            body = credential.redact(body)
            headers = CIMultiDict(
                (name, credential.redact_text(value)) for name, value in headers.items()
            )
        return Response(
            status=response.status,
            headers=headers,
            body=body,
            url=str(url).partition("?")[0],
        )

    def _client(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = open_http(self._headers)
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
            await self.until_closed(self._provider.refresh(rejected.reveal()))
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
        outcome: Response | Fault,
        started: float,
    ) -> None:
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
