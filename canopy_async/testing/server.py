"""`LocalCanopy`: the audit API on a port of this machine."""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from canopy_async._util.public import publish
from canopy_async.testing.account_rules import DOCUMENTED, LogRules
from canopy_async.testing.api_instants import Clock, utc_now
from canopy_async.testing.dice import Dice
from canopy_async.testing.faults import (
    NO_FAULTS,
    Failure,
    FailureKind,
    Faults,
    RetryAfter,
    Selector,
)
from canopy_async.testing.listener import Listener
from canopy_async.testing.portal import Portal
from canopy_async.testing.request_log import RecordedRequest, RequestLog
from canopy_async.testing.scenario import Scenario
from canopy_async.testing.server_thread import LoopThread, synchronized
from canopy_async.testing.tokens import Principal, Tokens


class LocalCanopy(Scenario):
    """A server of the audit API, real HTTP over SQLite, with faults to order.

    It knows the two page-based endpoints, the audit log of an identity and the list
    of identities, and the log of the account with its single events, which holds the
    events of all identities. Everything random comes from ``seed``.

    The server runs in a thread with an event loop of its own, so that no test can
    hang it by blocking: start it with ``with`` in any test, or with ``async with``. Its
    methods may be called from any thread. What `Faults` calls, it calls in the
    server's thread.

    Attributes:
        faults: What goes wrong from now on; may be set at any time.
        log_rules: How the log of the account behaves; may be set at any time.
        token: An admin's bearer token that does not expire.

    Args:
        account: The account slug that is served.
        faults: What goes wrong from the start.
        path: The SQLite database; a file keeps its rows between servers.
        seed: The seed of data, faults and tokens.
        page_limit: The largest ``take`` that is allowed.
        log_rules: How the log of the account behaves.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        clock: The wall clock, for new events, for the expiry of tokens and for the
            ``Date`` of answers.

    Example:
        ```python
        async with LocalCanopy(faults=Faults(error_rate=0.1)) as server:
            server.seed_events("idn_1", 500)
            session = CanopySession(
                server.account, server.token, base_url=server.base_url
            )

        with LocalCanopy() as server:  # in a test that is not async
            requests.get(server.base_url, timeout=5)
        ```
    """

    def __init__(
        self,
        account: str = "acme",
        *,
        faults: Faults = NO_FAULTS,
        path: str = ":memory:",
        seed: int = 0,
        page_limit: int = 100,
        log_rules: LogRules = DOCUMENTED,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock = utc_now,
    ) -> None:
        super().__init__(
            account=account,
            path=path,
            seed=seed,
            clock=clock,
            faults=faults,
            log_rules=log_rules,
        )
        self._host = host
        self._port = port
        self._log = RequestLog()
        self._tokens = Tokens(account=account, seed=seed, clock=clock)
        self._portal = Portal(
            self,
            log=self._log,
            tokens=self._tokens,
            dice=Dice(f"faults of {seed}"),
            clock=clock,
            page_limit=page_limit,
        )
        self._thread: LoopThread | None = None
        self._listener: Listener | None = None
        self.token = self.issue_token()

    def __enter__(self) -> Self:
        """Starts the server."""
        self._begin()
        self._wait_for(self._listen())
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stops the server."""
        self._end()

    async def __aenter__(self) -> Self:
        """Starts the server."""
        return await self.start()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stops the server."""
        await self.stop()

    @property
    def base_url(self) -> str:
        """The URL at which the server listens, without a slash at the end.

        Raises:
            RuntimeError: If it has not been started.
        """
        if not self._port:
            raise RuntimeError("this LocalCanopy has not been started")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests that arrived, in the order of arrival."""
        return self._log.requests

    @property
    def in_flight(self) -> int:
        """The number of requests that are being answered."""
        return self._log.in_flight

    @property
    def peak_in_flight(self) -> int:
        """The most requests that were being answered at once."""
        return self._log.peak_in_flight

    @property
    def open_connections(self) -> int:
        """The number of connections that clients hold open."""
        return 0 if self._listener is None else self._listener.open_connections

    async def start(self) -> Self:
        """Listens; ``async with`` does it for you, and ``with`` where nothing awaits.

        Returns:
            The server itself.

        Raises:
            RuntimeError: If it listens already, or has been stopped.
            OSError: If the port is taken.
        """
        self._begin()
        await self._await(self._listen())
        return self

    async def stop(self) -> None:
        """Gives up what is in flight, stops listening and closes the database.

        It may be called more than once. The records of requests stay readable.
        """
        try:
            if self._thread is not None:
                await self._await(self._stop_listening())
        finally:
            self._end()

    def outage(self) -> "Outage":
        """Refuses connections for a while, then listens on its port again.

        Returns:
            For ``with`` or ``async with``; the server is down inside the block.

        Example:
            ```python
            async with server.outage():
                ...  # every connection is refused
            ```
        """
        return Outage(self)

    def go_away(self) -> None:
        """Refuses connections from now on, and gives up what is in flight."""
        self._wait_for(self._stop_listening())

    def come_back(self) -> None:
        """Listens again, on its port."""
        self._wait_for(self._listen())

    @synchronized
    def issue_token(
        self,
        principal: Principal = "admin",
        *,
        valid: bool = True,
        lifetime: float | None = None,
        uses: int | None = None,
    ) -> str:
        """Makes another bearer token.

        Args:
            principal: An ``identity``'s token is answered 403.
            valid: False makes one that is expired: 401.
            lifetime: After how many seconds of the server's clock it expires; None
                is never.
            uses: After how many requests it expires; None is never.

        Returns:
            The token.

        Example:
            ```python
            short = server.issue_token(uses=3)
            ```
        """
        if not valid:
            lifetime = -1.0
        return self._tokens.issue(principal, lifetime=lifetime, uses=uses)

    def revoke_token(self, token: str) -> None:
        """Makes a token invalid: 401 from now on."""
        self._tokens.revoke(token)

    @synchronized
    def fail_next(
        self,
        n: int = 1,
        *,
        status: int = 503,
        retry_after: RetryAfter = None,
        kind: FailureKind = "status",
        only: Selector | None = None,
    ) -> None:
        """Orders the next requests to fail, once each, before any other fault.

        Args:
            n: How many of them.
            status: The status to answer with.
            retry_after: As in `Faults`.
            kind: As in `Failure`.
            only: Which requests; None is any.

        Example:
            ```python
            server.fail_next(2, status=429, retry_after=1)
            server.fail_next(kind="reset", only=lambda request: request.page == 3)
            ```
        """
        failure = Failure(kind=kind, status=status, retry_after=retry_after, only=only)
        self._portal.queued.extend([failure] * n)

    @synchronized
    def reset_requests(self) -> None:
        """Forgets the requests so far, and the failures still queued."""
        self._log.reset()
        self._portal.queued.clear()

    def _begin(self) -> None:
        if self._thread is not None:
            raise RuntimeError("this LocalCanopy listens already")
        self.open_store()
        self._thread = LoopThread()

    def _end(self) -> None:
        thread = self._thread
        if thread is not None:
            self._wait_for(self._stop_listening())
            self._thread = None
            thread.stop()
        self.close_store()

    def _wait_for(self, work: Coroutine[Any, Any, None]) -> None:
        """Does something in the server's loop, and blocks until it is done."""
        try:
            self._running(work).submit(work).result()
        except OSError:
            self._end_thread()
            raise

    async def _await(self, work: Coroutine[Any, Any, None]) -> None:
        """Does something in the server's loop; this loop goes on meanwhile."""
        try:
            await asyncio.wrap_future(self._running(work).submit(work))
        except OSError:
            self._end_thread()
            raise

    def _running(self, work: Coroutine[Any, Any, None]) -> LoopThread:
        if self._thread is None:
            work.close()
            raise RuntimeError("this LocalCanopy has not been started")
        return self._thread

    def _end_thread(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()

    async def _listen(self) -> None:
        listener = await Listener.open(self._portal.handle, self._host, self._port)
        self._port = listener.port
        self._listener = listener

    async def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is None:
            return
        await listener.refuse()
        await self._portal.cancel()
        await listener.close()


class Outage:
    """A time in which a `LocalCanopy` refuses connections: a ``with`` block."""

    def __init__(self, server: LocalCanopy) -> None:
        self._server = server

    def __enter__(self) -> None:
        """Begins the outage."""
        self._server.go_away()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends the outage."""
        self._server.come_back()

    async def __aenter__(self) -> None:
        """Begins the outage."""
        self._server.go_away()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends the outage."""
        self._server.come_back()


publish("canopy_async.testing", LocalCanopy)
