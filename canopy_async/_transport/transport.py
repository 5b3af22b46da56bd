"""One GET over aiohttp: token, admission, attempts, size cap.

No frame here that an error passes through holds a token in a local: an
attempt returns what came of it, and errors are built and raised elsewhere.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from datetime import datetime
from http import HTTPStatus
from ssl import SSLContext
from typing import Final, TypeVar

import aiohttp
from yarl import URL

from canopy_async._api.requests import build_url
from canopy_async._api.responses import Response
from canopy_async._transport.attempt import (
    Attempt,
    Fault,
    NotAdmittedError,
    Outcome,
)
from canopy_async._transport.deadlines import Deadlines
from canopy_async._transport.failure_rules import FailureRules
from canopy_async._transport.gate import Gate
from canopy_async._transport.home_loop import HomeLoop
from canopy_async._transport.http_client import HttpClient
from canopy_async._transport.lanes import Lane, LaneGroup, PageRequest
from canopy_async._transport.outcome_errors import as_refusal, error_of
from canopy_async._transport.request_records import finished_record, retry_record
from canopy_async._transport.server_clock import ServerClock
from canopy_async._transport.token_cache import Tokens
from canopy_async._transport.turns import RoundRobin, Ticket
from canopy_async.auth import Credential, TokenProvider
from canopy_async.errors import CanopyError, TokenError
from canopy_async.hooks import Hooks
from canopy_async.retry import RetryPolicy

__all__ = ["Transport"]

T = TypeVar("T")

_NO_CREDENTIAL: Final = Credential(None)


class Transport:
    """Sends the requests of one session.

    Args:
        base_url: The base URL of the API, checked.
        provider: Gives the tokens.
        gate: Admits the requests.
        retry: Decides on repeats.
        timeout: Seconds for one attempt, from its admission to the last byte; and
            for the token provider to give a token.
        hooks: The hooks that are told of attempts and retries.
        headers: Sent with each request.
        http: The aiohttp session to use; by default one is made when first
            needed and closed with the transport.
        proxy: The proxy to send through, with its credentials; None for none.
        ssl: What certificates are checked with; None for the default.

    Attributes:
        home: The event loop that all requests belong to, and whether it is closed.
        hooks: The hooks that are told.
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
        proxy: URL | None = None,
        ssl: SSLContext | None = None,
    ) -> None:
        self._base_url: Final = base_url
        self._tokens: Final = Tokens(provider, timeout=timeout, retry=retry)
        self._gate: Final = gate
        self._retry: Final = retry
        self._rules: Final = FailureRules(gate, retry, hooks)
        self._deadlines: Final = Deadlines(timeout)
        self._server_clock: Final = ServerClock()
        self._http: Final = HttpClient(
            headers=headers,
            clock=self._server_clock,
            http=http,
            proxy=proxy,
            ssl=ssl,
        )
        self.home: Final = HomeLoop()
        self.hooks: Final = hooks

    @property
    def closed(self) -> bool:
        """Whether `aclose` was called."""
        return self.home.closed

    @property
    def server_time(self) -> datetime | None:
        """The time by the server's clock; None before an answer has told it."""
        now = self.home.time()
        return None if now is None else self._server_clock.now(now)

    def check_open(self) -> None:
        """Refuse a session that is closed, or that belongs to another event loop.

        Raises:
            SessionClosedError: The session is closed.
            RuntimeError: Another event loop is running than that of the session.
        """
        self.home.check_open()

    def open_lane(self) -> Lane:
        """Return the lane of one read, which takes its turns beside all others."""
        return Lane(self, self._gate.turns)

    def open_group(self, *, max_ready: int) -> LaneGroup:
        """Return lanes for reads that share one turn beside others.

        Args:
            max_ready: Bytes of answers that they hold ready together, about.
        """
        return LaneGroup(self, RoundRobin(self._gate.turns, max_ready=max_ready))

    async def get(self, request: PageRequest) -> Response:
        """Return the answer to one GET that is no part of a read.

        Raises:
            CanopyError: As `send` says.
        """
        return await self.open_lane().get(request)

    async def send(self, request: PageRequest, ticket: Ticket) -> Response:
        """Return the answer to one GET, once it is a 200.

        Args:
            request: What to ask for.
            ticket: The place of the request among those of its read.

        Raises:
            ApiError: The server answered otherwise, after all retries.
            TransportError: No whole answer came, after all retries.
            TokenError: There was no token, after all retries.
            SessionClosedError: The session is closed, or was meanwhile.
            RuntimeError: The session belongs to another event loop.
        """
        self.bind()
        url = URL(self._text_of(request), encoded=True)
        failures = renewals = 0
        while True:
            made = await self._attempt(url, request, ticket)
            outcome = made.outcome
            if isinstance(outcome, Response) and outcome.status == HTTPStatus.OK:
                self._tokens.accepted(made.credential)
                self._gate.succeeded()
                return outcome
            if _is_rejected(outcome):
                renewals += 1
                renewed = await self._renewed(made, ticket, renewals)
                if renewed is None:
                    continue
                outcome = renewed
            failures += 1
            error = self._error_of(outcome, request, ticket)
            self._note_trouble(ticket)
            wait = self._rules.judge(error, made, outcome, ticket, failures)
            if wait is None:
                raise error
            if self.hooks:
                self.hooks(
                    retry_record(request, error, attempt=ticket.sends, wait=wait)
                )
            if not self._rules.waits_at_gate(error, outcome, wait):
                await self.until_closed(asyncio.sleep(wait))

    def look_again(self) -> None:
        """Admit requests for which there may be room now."""
        self._gate.look_again()

    async def until_closed(self, awaitable: Awaitable[T]) -> T:
        """Return the result of ``awaitable``.

        Raises:
            SessionClosedError: The session was closed before.
        """
        return await self._deadlines.until_closed(awaitable)

    async def aclose(self) -> None:
        """End every request with `SessionClosedError`, then the connections."""
        self.check_loop()
        self.home.closed = True
        try:
            await self._deadlines.aclose()
        finally:  # also when this is cancelled while requests end
            await self._http.aclose()

    def bind(self) -> None:
        """Belong to the running event loop from now on.

        Raises:
            SessionClosedError: The session is closed.
            RuntimeError: It belongs to another loop.
        """
        self.home.bind()

    def check_loop(self) -> None:
        """Refuse another event loop than that of the session.

        Raises:
            RuntimeError: Another one is running.
        """
        self.home.check_loop()

    def _text_of(self, request: PageRequest) -> str:
        return build_url(
            self._base_url,
            request.endpoint,
            request.query,
            page=request.page,
            take=request.take,
        )

    async def _attempt(self, url: URL, request: PageRequest, ticket: Ticket) -> Attempt:
        self.check_open()
        scope = asyncio.timeout(None)
        credential = _NO_CREDENTIAL
        started: float | None = None
        outcome: Outcome
        try:
            async with scope:
                self._deadlines.add(scope)
                # No slot is held while a token is waited for.
                found = await self._tokens.current()
                if isinstance(found, Credential):
                    credential = found
                    started = await self._gate.acquire(ticket)
                    credential = self._tokens.newest(credential)
                    self.check_open()  # its deadline, now past, must not be moved
                    self._deadlines.start(scope)
                    if request.on_sent is not None:
                        request.on_sent(ticket.sends)
                    outcome = await self._http.get(url, credential)
                else:
                    outcome = found
        except NotAdmittedError as refused:
            outcome = refused
        except TimeoutError:
            if not scope.expired():
                raise
            outcome = Fault("timeout", "the request timed out", timed_out=True)
        finally:
            self._deadlines.discard(scope)
            if started is not None:
                self._gate.release(ticket)
        self.check_open()
        if started is None:
            return Attempt(outcome, credential, self._loop_time())
        if self.hooks and not isinstance(outcome, (NotAdmittedError, TokenError)):
            seconds = self._loop_time() - started
            self.hooks(
                finished_record(request, outcome, attempt=ticket.sends, seconds=seconds)
            )
        return Attempt(outcome, credential, started)

    async def _renewed(
        self, made: Attempt, ticket: Ticket, renewals: int
    ) -> Response | TokenError | None:
        """Ask for another token instead of one that was rejected.

        Returns:
            None where the request is to be sent again, with another token; else
            what it ends with.
        """
        self._note_trouble(ticket)
        if renewals > 1 and not self._may_renew_again(made, ticket):
            return _response_of(made)
        renewed = await self.until_closed(self._tokens.replacement_of(made.credential))
        if isinstance(renewed, TokenError):
            return renewed
        if renewed == made.credential:
            return _response_of(made)
        if renewals > 1:
            wait = self._retry.probe_wait(renewals - 2)
            await self.until_closed(asyncio.sleep(wait))
        return None

    def _note_trouble(self, ticket: Ticket) -> float:
        """Return when a request first failed, which is now if it never did."""
        if ticket.troubled_since is None:
            ticket.troubled_since = self._loop_time()
        return ticket.troubled_since

    def _may_renew_again(self, made: Attempt, ticket: Ticket) -> bool:
        """Tell whether another token is worth a try: this one may just have expired."""
        since = self._note_trouble(ticket)
        in_time = self._loop_time() - since < self._retry.deadline
        return in_time and self._tokens.may_be_outdated(made.credential)

    def _error_of(
        self, outcome: Outcome, request: PageRequest, ticket: Ticket
    ) -> CanopyError:
        error = error_of(
            outcome,
            page=request.page,
            take=request.take,
            url=self._text_of(request),
            attempts=ticket.sends,
        )
        is_answer = isinstance(outcome, Response)
        if is_answer and self._rules.asks_for_quiet(error):
            return as_refusal(error)
        return error

    def _loop_time(self) -> float:
        return asyncio.get_running_loop().time()


def _is_rejected(outcome: Outcome) -> bool:
    return isinstance(outcome, Response) and outcome.status == HTTPStatus.UNAUTHORIZED


def _response_of(made: Attempt) -> Response:
    if not isinstance(made.outcome, Response):
        raise TypeError("only an answer can reject a token")
    return made.outcome
