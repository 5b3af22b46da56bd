"""The session: what a user holds; it wires the rest and owns lifetimes."""

import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from ssl import SSLContext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict, TypeVar, Unpack

import aiohttp
import attrs

from canopy_async._account.account_log import AccountLog
from canopy_async._account.account_query import AccountQuery
from canopy_async._account.account_run import advise
from canopy_async._account.account_stream import AccountStream
from canopy_async._account.log_limits import KnownLimits
from canopy_async._api.base_url import is_loopback, parse_base_url, parse_proxy
from canopy_async._api.identity_ids import IdentityIds, id_of
from canopy_async._api.log_requests import NoQuery, event_endpoint
from canopy_async._api.log_responses import detail_from
from canopy_async._api.requests import (
    MAX_TAKE,
    Query,
    audit_endpoint,
    identities_endpoint,
)
from canopy_async._api.responses import page_from
from canopy_async._read.audit_log import AuditLog, check_provable
from canopy_async._read.events_query import EventsQuery, left_of
from canopy_async._read.reader import ReadOptions
from canopy_async._read.stream import EventStream, Stream
from canopy_async._transport.gate import Gate, SessionStats
from canopy_async._transport.lanes import PageRequest
from canopy_async._transport.transport import Transport
from canopy_async._util.arguments import (
    OnError,
    Order,
    Status,
    check_flag,
    check_instant,
    check_integer,
    check_seconds,
    check_segment,
    check_text,
)
from canopy_async._util.instants import moved
from canopy_async._util.public import publish
from canopy_async._version import __version__
from canopy_async._walk import WHOLE
from canopy_async.auth import Credential, TokenProvider, as_provider
from canopy_async.checkpoint import Checkpoint, scope_of_read
from canopy_async.errors import CanopyError
from canopy_async.hooks import Hook, Hooks
from canopy_async.models import AuditEvent, EventDetail, Identity, Page
from canopy_async.retry import RetryPolicy

if TYPE_CHECKING:
    from canopy_async._fanout.fanout import FanOut
    from canopy_async._fanout.results import EventsOptions, IdentityOutcome
    from canopy_async._follow import (
        AccountFollower,
        CheckpointSource,
        Follower,
        FollowOutcome,
        Identities,
        SavedCheckpoint,
        Start,
    )

__all__ = ["DEFAULT_BASE_URL", "CanopySession"]

T = TypeVar("T")

_log: Final = logging.getLogger("canopy_async")

DEFAULT_BASE_URL: Final = "https://api.canopy.dev"


class SessionOptions(TypedDict, total=False):
    """The arguments of `CanopySession`, by their names."""

    account: str
    token: str | TokenProvider | Callable[[], Awaitable[str]]
    base_url: str
    concurrency: int
    max_rate: float | None
    retry: RetryPolicy
    timeout: float
    hooks: Iterable[Hook]
    http: aiohttp.ClientSession | None
    user_agent: str | None
    proxy: str | None
    ssl: SSLContext | None
    allow_http: bool


class CanopySession:
    """A client of one Canopy account.

    Use it with ``async with``, or call `aclose` when done. One session is
    meant to be shared by everything in an event loop that talks to the same
    account: its limits hold over all of it.

    Args:
        account: The account's slug.
        token: A bearer token, a `TokenProvider`, or an async function that
            returns a token and is asked again when the server says 401.
        base_url: Where the API is; https, or http on loopback.
        concurrency: Requests in flight at most, over all reads.
        max_rate: Requests started per second at most, None for no limit.
        retry: How often and when a failed request is sent again.
        timeout: Seconds for one attempt of a request.
        hooks: Are told of requests, retries, cooldowns and pages.
        http: An aiohttp session to use instead of an own one, without
            ``auth``; it is not closed with this session. Its own limits hold: the
            wait for a free connection of its connector is part of ``timeout``.
        user_agent: Put before this library's own in ``User-Agent``.
        proxy: The URL of an HTTP proxy to send through, such as
            ``http://user:password@proxy:3128``. Variables of the environment are
            not looked at; the command line does.
        ssl: What certificates are checked with, such as
            ``ssl.create_default_context(cafile=...)``; by default, what the system
            trusts.
        allow_http: Allow http on other hosts than this machine, for a sidecar or a
            network of containers: the token is then sent unencrypted. A warning is
            logged once for each host.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of bounds; the message names it.

    Example:
        >>> async with CanopySession("acme", token) as canopy:
        ...     async for event in canopy.events("idn_1"):
        ...         print(event.created_at, event.action, event.outcome)
    """

    def __init__(
        self,
        account: str,
        token: str | TokenProvider | Callable[[], Awaitable[str]],
        *,
        base_url: str = DEFAULT_BASE_URL,
        concurrency: int = 8,
        max_rate: float | None = None,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        timeout: float = 60.0,
        hooks: Iterable[Hook] = (),
        http: aiohttp.ClientSession | None = None,
        user_agent: str | None = None,
        proxy: str | None = None,
        ssl: SSLContext | None = None,
        allow_http: bool = False,
    ) -> None:
        credential = Credential(token)
        del token  # a traceback shows this frame's locals
        self._account: Final = check_segment("account", account)
        self._base_url: Final = parse_base_url(
            base_url, allow_http=check_flag("allow_http", allow_http)
        )
        if allow_http:
            _warn_of_http(self._base_url)
        self._concurrency: Final = check_integer("concurrency", concurrency, minimum=1)
        if max_rate is not None:
            max_rate = check_seconds("max_rate", max_rate)
        _check_type("retry", retry, RetryPolicy)
        if ssl is not None:
            _check_type("ssl", ssl, SSLContext)
        if http is not None:
            _check_type("http", http, aiohttp.ClientSession)
            if http.auth is not None:
                raise ValueError("http must not have auth: the token is sent")
        self._log_limits: Final = KnownLimits()
        self._gate: Final = Gate(concurrency, max_rate=max_rate, retry=retry)
        self._transport: Final = Transport(
            base_url=self._base_url,
            provider=as_provider(credential),
            gate=self._gate,
            retry=retry,
            timeout=check_seconds("timeout", timeout),
            hooks=Hooks(hooks),
            headers=_headers(self._base_url, user_agent),
            http=http,
            proxy=None if proxy is None else parse_proxy(proxy),
            ssl=ssl,
        )

    @classmethod
    def from_env(cls, **overrides: Unpack[SessionOptions]) -> Self:
        """Return a session configured by environment variables.

        ``CANOPY_ACCOUNT`` and ``CANOPY_TOKEN`` are required unless given as
        ``account`` and ``token``; ``CANOPY_BASE_URL`` is optional.

        Args:
            **overrides: Arguments of the class, which win over the variables.

        Raises:
            ValueError: A required variable is not set; the message names it.
            TypeError: An argument has the wrong type.
        """
        given: dict[str, Any] = dict(overrides)
        del overrides  # a traceback shows this frame's locals
        for name, variable in _VARIABLES.items():
            if name not in given and os.environ.get(variable):
                given[name] = os.environ[variable]
            if name != "base_url" and name not in given:
                raise ValueError(f"set {variable}, or pass {name}")
            if name == "token":
                given[name] = Credential(given[name])
        return cls(**given)

    def __repr__(self) -> str:
        """Show where the session reads, and nothing secret."""
        # A traceback may show a session whose making has failed.
        account, base_url = vars(self).get("_account"), vars(self).get("_base_url")
        return f"CanopySession({account!r}, base_url={base_url!r})"

    @property
    def account(self) -> str:
        """The account's slug."""
        return self._account

    @property
    def base_url(self) -> str:
        """The base URL of the API, without a trailing slash."""
        return self._base_url

    @property
    def closed(self) -> bool:
        """Whether `aclose` was called."""
        return self._transport.closed

    @property
    def stats(self) -> SessionStats:
        """The counters of this session, and its present limits."""
        return self._gate.stats

    @property
    def server_time(self) -> datetime | None:
        """The time by the server's clock, within about a second.

        It is the ``Date`` of the newest answer, and the time that has passed since
        it came. This machine's date doesn't enter.

        Returns:
            An instant in UTC, None before the first answer that has a ``Date``.

        Example:
            >>> await canopy.page("idn_1")
            >>> as_of = canopy.server_time
        """
        return self._transport.server_time

    def set_concurrency(self, concurrency: int) -> None:
        """Let so many requests be in flight at most from now on.

        Requests in flight go on: `stats` tells when there are few enough.

        Args:
            concurrency: From 1 to what the session was made with.

        Raises:
            TypeError: It is not an int.
            ValueError: It is out of bounds.
            RuntimeError: Another event loop is running than that of the session.

        Example:
            >>> canopy.set_concurrency(2)  # be gentle while people are at work
        """
        check_integer("concurrency", concurrency, minimum=1, maximum=self._concurrency)
        self._transport.check_loop()
        self._gate.set_ceiling(concurrency)

    def set_max_rate(self, max_rate: float | None) -> None:
        """Start so many requests per second at most from now on.

        Args:
            max_rate: Requests per second, None for no limit.

        Raises:
            TypeError: It is not a number.
            ValueError: It is zero, negative or infinite.
            RuntimeError: Another event loop is running than that of the session.
        """
        if max_rate is not None:
            max_rate = check_seconds("max_rate", max_rate)
        self._transport.check_loop()
        self._gate.set_max_rate(max_rate)

    def cool_down(self, seconds: float) -> None:
        """Send no request for a while, and those in flight to their end.

        For what this session can't see itself: another process was told by the
        server to slow down. No hook is told of it.

        Args:
            seconds: For how long, from now on; a cooldown that lasts longer
                already is left alone.

        Raises:
            TypeError: It is not a number.
            ValueError: It is zero, negative or infinite.
            RuntimeError: No event loop is running, or another one than that of the
                session.
        """
        check_seconds("seconds", seconds)
        self._transport.check_loop()
        self._gate.cool_down(seconds)

    async def __aenter__(self) -> Self:
        """Return the session itself, which belongs to the running loop from now on.

        Raises:
            SessionClosedError: The session is closed.
            RuntimeError: It belongs to another event loop.
        """
        self._transport.bind()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the session."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the session and its connections; safe to call twice.

        Reads that are still running raise `SessionClosedError`.

        Raises:
            RuntimeError: Another event loop is running than that of the session,
                which stays open.
        """
        await self._transport.aclose()

    async def page(
        self,
        identity_id: str,
        page: int = 1,
        *,
        take: int = 20,
        q: str | None = None,
        sort_by: str | None = None,
        order: Order | None = None,
    ) -> Page[AuditEvent]:
        """Return one page of an identity's audit log, as the server sends it.

        Args:
            identity_id: The identity; any characters but control characters.
            page: The page's number, from 1.
            take: Rows per page, 1 to 100.
            q: Search term.
            sort_by: The column to sort by, None for the server's default.
            order: ``asc`` or ``desc``, None for the server's default.

        Raises:
            TypeError: At the call: an argument has the wrong type.
            ValueError: At the call: an argument is out of bounds.
            CanopyError: The request failed.

        Example:
            >>> page = await canopy.page("idn_1", take=50, order="desc")
            >>> print(page.pagination.item_count)
        """
        self._transport.check_open()
        endpoint = audit_endpoint(self._account, identity_id)
        check_integer("page", page, minimum=1)
        check_integer("take", take, minimum=1, maximum=MAX_TAKE)
        query = Query(q=q, sort_by=sort_by, order=order)
        request = PageRequest(endpoint=endpoint, query=query, page=page, take=take)
        response = await self._transport.get(request)
        return page_from(endpoint, response, page=page)

    def events(
        self,
        identity_id: str,
        *,
        q: str | None = None,
        sort_by: str | None = None,
        order: Order | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        take: int = MAX_TAKE,
        concurrency: int | None = None,
        lossless: bool = True,
        resume: Checkpoint | str | None = None,
    ) -> EventStream:
        """Return the audit events of an identity, to be read with ``async for``.

        Nothing is sent before the stream is iterated. Pages are fetched
        concurrently and events come out in list order.

        Args:
            identity_id: The identity; any characters but control characters.
            q: Search term.
            sort_by: The column to sort by, None for the server's default.
            order: ``asc`` or ``desc``, None for the server's default.
            since: The earliest ``created_at`` that is wanted, inclusive; aware. A log
                that has nothing since then costs one request.
            until: The first that is not wanted; aware, and not in the future: of what
                is to come, nothing can be proven.
            limit: Events in all at most, None for no limit.
            take: Events per page at most, 1 to 100. Where pages of fewer than
                20 can't overlap, a proven read asks for up to 20.
            concurrency: Requests in flight at most for this read; the
                session's own limit by default.
            lossless: Whether the read is proven complete; without it, pages
                1 to ``page_count`` are each read once, and rows are lost or
                repeated where the log moves meanwhile.
            resume: A checkpoint of an earlier read with the same arguments, or
                its text: this read begins after the last event of that one.
                ``limit`` counts from there. At the end of a log it passes by
                events that are committed late, dated before that place; `follow`
                finds them.

        Raises:
            TypeError: At the call: an argument has the wrong type.
            ValueError: At the call: an argument is out of bounds.
            CheckpointError: At the call: ``resume`` is damaged or of another
                read.
            SessionClosedError: At the call, or while iterating when the
                session is closed meanwhile.
            FutureRangeError: While iterating: ``until`` is later than the server's
                time.
            CanopyError: While iterating; carries ``checkpoint``.

        Example:
            >>> latest = await canopy.events("idn_1", order="desc", limit=20).collect()
        """
        query = EventsQuery(q=q, sort_by=sort_by, order=order, since=since, until=until)
        options = self._options(limit, take, concurrency, lossless)
        return self._log(identity_id, query, options).stream(resume)

    def account_events(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        action: str | Iterable[str] = (),
        category: str | None = None,
        severity: str | None = None,
        outcome: str | None = None,
        actor_id: str | None = None,
        actor_type: str | None = None,
        resource_type: str | None = None,
        resource_id: str | None = None,
        correlation_id: str | None = None,
        application_id: str | None = None,
        environment_id: str | None = None,
        q: str | None = None,
        limit: int | None = None,
        concurrency: int | None = None,
        resume: Checkpoint | str | None = None,
    ) -> AccountStream:
        """Return the events of the whole account, newest first, for ``async for``.

        Each request may write one row, ``audit.query.executed``, into the log of the
        account. A request brings up to 200 events; a read with a ``limit`` of up to
        200 is one request as a rule. Nothing is sent before the stream is iterated.

        The time is cut into slices that touch, which are read side by side. This log
        does not show events whose actor or resource is an end user: `events` and
        `fan_out` read those, identity by identity.

        Args:
            since: The earliest ``created_at`` that is wanted, inclusive; aware. Without
                it the log is read to its begin.
            until: The first that is not wanted; aware, and not in the future.
            action: An action or several, any of which may match; all by default.
            category: A `Category`, also one that this library does not know.
            severity: A `Severity`, exactly: not those above it.
            outcome: An `Outcome`.
            actor_id: The id of the actor.
            actor_type: The type of the actor.
            resource_type: The type of the resource.
            resource_id: The id of the resource.
            correlation_id: The id that the events of one request share; see `chain`.
            application_id: The application.
            environment_id: The environment.
            q: Search term: the server looks in the labels and in ``metadata``.
            limit: Events in all at most, None for no limit.
            concurrency: Slices that are read at a time at most; the session's own limit
                by default.
            resume: A checkpoint of this same read, to go on after it.

        Raises:
            TypeError: At the call: an argument has the wrong type.
            ValueError: At the call: an argument is out of bounds.
            CheckpointError: At the call: ``resume`` is damaged or of another read.
            SessionClosedError: At the call, or while iterating when the session is
                closed meanwhile.
            FutureRangeError: While iterating: ``until`` is later than the server's
                time.
            NotFoundError: While iterating: this account has no such log.
            ForbiddenError: While iterating: this token may not read it.
            IncompleteReadError: While iterating: the server's answers do not prove that
                nothing is missing; carries ``report``.
            CanopyError: While iterating; carries ``checkpoint``.

        Example:
            >>> denied = canopy.account_events(outcome="denied", limit=20)
            >>> async for event in denied:
            ...     print(event.created_at, event.actor_label, event.action)
        """
        query = AccountQuery(
            since=since,
            until=until,
            action=action,
            category=category,
            severity=severity,
            outcome=outcome,
            actor_id=actor_id,
            actor_type=actor_type,
            resource_type=resource_type,
            resource_id=resource_id,
            correlation_id=correlation_id,
            application_id=application_id,
            environment_id=environment_id,
            q=q,
        )
        return self._account_log(query, limit, concurrency).stream(resume)

    async def event(self, event_id: str) -> EventDetail:
        """Return one event of the account's log, and the events it belongs to.

        It is one request, which may write one row, ``audit.row.viewed``, into the log
        of the account.

        Args:
            event_id: The id of the event.

        Raises:
            TypeError: At the call: the id is not a str.
            ValueError: At the call: it can't be an id.
            NotFoundError: There is no such event in this log; it may be of another
                account, or one that this log does not show.
            ProtocolError: The answer breaks the contract; names the field.
            CanopyError: The request failed.

        Example:
            >>> detail = await canopy.event("evt_1")
            >>> for other in detail.related_by_correlation:
            ...     print(other.created_at, other.action)
        """
        self._transport.check_open()
        check_segment("event_id", event_id)
        request = PageRequest(
            endpoint=event_endpoint(self._account, event_id),
            query=NoQuery(),
            page=1,
            take=1,
        )
        try:
            return detail_from(await self._transport.get(request))
        except CanopyError as error:
            advise(error)
            raise

    def chain(
        self,
        correlation_id: str,
        *,
        around: datetime,
        window: timedelta = timedelta(days=1),
    ) -> AccountStream:
        """Return all events that one request left behind, newest first.

        `event` shows up to 50 of them; this reads them to the end, in as many requests
        as it takes, each of which may write one row into the log of the account.

        Args:
            correlation_id: The id that the events share.
            around: When one of them happened; aware.
            window: How long before and after that to look. Where the time after it is
                not over for an hour, it is looked up to now.

        Raises:
            TypeError: At the call: an argument has the wrong type.
            ValueError: At the call: an argument is out of bounds.
            CanopyError: While iterating; carries ``checkpoint``.

        Example:
            >>> event = (await canopy.event("evt_1")).event
            >>> chain = canopy.chain(event.correlation_id, around=event.created_at)
            >>> print([other.action async for other in chain])
        """
        check_instant("around", around)
        _check_type("window", window, timedelta)
        if window <= timedelta(0):
            raise ValueError(f"window must be more than nothing, not {window}")
        check_text("correlation_id", correlation_id)
        since, until = moved(around, -window), moved(around, window)
        now = self._transport.server_time or datetime.now(UTC)
        query = AccountQuery(
            since=since,
            until=until if until < now - timedelta(hours=1) else None,
            correlation_id=correlation_id,
        )
        return self._account_log(query).stream()

    def identities(
        self,
        *,
        q: str | None = None,
        sort_by: str | None = None,
        order: Order | None = None,
        status: Status | None = None,
        limit: int | None = None,
        take: int = MAX_TAKE,
        concurrency: int | None = None,
        lossless: bool = True,
    ) -> Stream[Identity]:
        """Return the identities of the account, to be read with ``async for``.

        Args:
            q: Search term.
            sort_by: The column to sort by, None for the server's default.
            order: ``asc`` or ``desc``, None for the server's default.
            status: ``active`` or ``inactive``, None for both.
            limit: Identities in all at most, None for no limit.
            take: Identities per page at most, 1 to 100.
            concurrency: Requests in flight at most for this read; the
                session's own limit by default.
            lossless: Whether the read is proven complete; without it, pages
                1 to ``page_count`` are each read once, and rows are lost or
                repeated where the log moves meanwhile.

        Raises:
            TypeError: At the call: an argument has the wrong type.
            ValueError: At the call: an argument is out of bounds.
            SessionClosedError: At the call, or while iterating when the
                session is closed meanwhile.
            CanopyError: While iterating; carries ``checkpoint``.

        Example:
            >>> ids = [who.id async for who in canopy.identities(status="active")]
        """
        query = Query(q=q, sort_by=sort_by, order=order, status=status)
        options = self._options(limit, take, concurrency, lossless)
        self._transport.check_open()
        return Stream(
            endpoint=identities_endpoint(self._account),
            query=query,
            span=WHOLE,
            options=options,
            scope=partial(
                scope_of_read,
                base_url=self._base_url,
                account=self._account,
                **query.named,
            ),
            transport=self._transport,
        )

    def lists_identities(self, stream: Stream[Any]) -> bool:
        """Tell whether a stream is a list of identities that this session made."""
        return stream.is_of(identities_endpoint(self._account), self._transport)

    def fan_out(
        self,
        identity_ids: IdentityIds,
        *,
        on_error: OnError = "raise",
        width: int = 16,
        resume: Mapping[str, Checkpoint | str | None] | None = None,
        since_each: Mapping[str, datetime | None] | None = None,
        on_end: "Callable[[IdentityOutcome], None] | None" = None,
        **options: "Unpack[EventsOptions]",
    ) -> "FanOut":
        """Return the audit events of many identities, read side by side.

        Nothing is sent before it is iterated. The events of one identity come
        in list order; those of different identities alternate. All of it
        shares this session's limits, and memory doesn't grow with the number
        of identities.

        Args:
            identity_ids: Ids, or objects with an ``id`` such as those of
                `identities`: any iterable or async iterable, which is asked
                for one more only when there is room for it.
            on_error: ``raise`` stops at the first identity that can't be read
                and raises its error; ``collect`` goes on without it, and keeps
                the error in ``failures``. What concerns all identities ends all with
                that one error, whose ``concerns_all`` is true: a refused token, a
                token provider that fails, an outage or a refusal for longer than the
                retry policy waits, and a redirect, a page of HTML or a 403 that every
                identity gets. The others are then unread, and not failed.
            width: Identities read at a time at most.
            resume: Where to begin, for identities that were begun by an
                earlier fan-out with the same options: its ``checkpoints``.
            since_each: The ``since`` of single identities, in the place of the
                one for all; None is from the begin of the log.
            on_end: Is called when an identity was read to its end or failed:
                after its last events were handed out and the next were asked
                for, and before the end of this is. What it raises ends all.
            **options: As in `events`, for each identity.

        Raises:
            TypeError: At the call: an argument has the wrong type.
            ValueError: At the call: an argument is out of bounds. While
                iterating: an id can't be one.
            SessionClosedError: At the call, or while iterating when the
                session is closed meanwhile.
            CanopyError: While iterating; carries ``checkpoint``, and a note
                that names the identity.

        Example:
            >>> who = canopy.identities(status="active")
            >>> async for identity_id, event in canopy.fan_out(who):
            ...     print(identity_id, event.action)
        """
        # Imported when it is used, as most sessions don't: imports take time.
        from canopy_async._fanout.fanout import FanOut  # noqa: PLC0415

        self._transport.check_open()
        query = EventsQuery.picked_from(options)
        how = self._options(**left_of(options))
        check_provable(query, how)

        def log_of(identity_id: str) -> AuditLog:
            if since_each is None or identity_id not in since_each:
                return self._log(identity_id, query, how)
            since = since_each[identity_id]
            return self._log(identity_id, attrs.evolve(query, since=since), how)

        return FanOut(
            identity_ids,
            log_of,
            transport=self._transport,
            on_error=on_error,
            width=width,
            resume=resume,
            on_end=on_end,
        )

    def follow(
        self,
        identities: "Identities",
        *,
        start: "Start" = "now",
        discover_every: float = 60.0,
        until_caught_up: bool = False,
        checkpoint: "SavedCheckpoint" = None,
        checkpoints: "Mapping[str, SavedCheckpoint] | CheckpointSource | None" = None,
        every: float = 5.0,
        idle_every: float = 60.0,
        overlap: float = 120.0,
        deep_overlap: float | None = 3600.0,
        deep_every: float | None = 600.0,
        settle: float = 0.0,
        q: str | None = None,
        width: int = 16,
        on_end: "Callable[[FollowOutcome], None] | None" = None,
    ) -> "Follower":
        """Return the new events of identities, each once, as they come.

        Nothing is sent before it is iterated, which goes on until it is left, or with
        ``until_caught_up`` until all logs were polled to their end.

        Args:
            identities: One identity or many: ids, or objects with an ``id``, in any
                iterable or async iterable. An async iterable that can be iterated
                anew, such as `identities`, is read again for those that appear later.
                `Follower.add` and `Follower.remove` change them, too.
            start: Where to begin on the first run, when no identity has a checkpoint:
                ``now`` for what comes from an identity's first poll on, ``beginning``
                for its whole log first, or an aware datetime for the events that are
                no older. An identity that appears later begins at its beginning,
                whether this follower, another one, or none ran then.
            discover_every: Seconds between looks for new identities; more where these
                looks take more than a tenth of it.
            until_caught_up: Whether to end once each identity was polled to its end, or
                failed. The identities are then listed once, and those that were polled
                to their end are let go of, so that memory doesn't grow with their logs.
            checkpoint: Where to go on, for one identity.
            checkpoints: Where to go on, for many identities: a mapping from their ids,
                or a `CheckpointStore`. An identity that is not in it appeared after the
                first run, unless nothing is in it. An identity that a mapping has with
                None was there on the first run. A mapping is asked when an identity
                begins.
            every: Seconds between polls of an identity that gets events.
            idle_every: Seconds between polls, at most, of an identity that gets none;
                and between the attempts of one that can't be polled.
            overlap: Seconds that an event may be committed late, up to a day:
                so far before the newest one does each poll read a log again.
            deep_overlap: Seconds that an event may be committed late and still be found
                by a deep poll, one that reads further back now and then; up to a day.
                None or 0 for no deep polls.
            deep_every: Seconds between deep polls, up to a day; None or 0 for never.
            settle: Hold events back for so many seconds, up to a day, so that
                what is committed late meanwhile comes in its order. Their age
                is told by newer events of the log, and by the time that has
                passed since one was seen, never by this machine's date. After a
                restart, those of a log that goes quiet wait once more.
            q: Search term.
            width: Identities polled at a time at most.
            on_end: With ``until_caught_up``, is called when an identity was polled to
                its end or failed, after its last batch was processed. What it raises
                ends all.

        Raises:
            TypeError: At the call: an argument has the wrong type; while iterating: an
                identity is neither a str nor has an ``id``.
            ValueError: At the call: an argument is out of bounds; while iterating: an
                id can't be one.
            CheckpointError: At the call for identities in a collection and checkpoints
                in a mapping, else while iterating: a checkpoint is damaged or of
                another log, or a store can't be read.
            SessionClosedError: At the call, or while iterating when the
                session is closed meanwhile.
            UnauthorizedError: While iterating.
            CanopyError: While iterating, with ``until_caught_up``: it concerns all
                identities, as an outage that outlasts the retry policy does, or they
                can't be listed.

        Example:
            >>> async with CheckpointStore("bot.db") as store:
            ...     async for batch in canopy.follow(ids, checkpoints=store):
            ...         await post(batch.events)
            ...         await store.save(batch)
        """
        self._transport.check_open()
        query = EventsQuery(q=q, order="desc")
        how = self._options()
        if checkpoint is not None:
            if checkpoints is not None or not isinstance(identities, (str, Identity)):
                raise ValueError("checkpoint is for one identity; pass checkpoints")
            checkpoints = {id_of(identities): checkpoint}
        # Imported when it is used, as most sessions don't: imports take time.
        from canopy_async._follow import Follower, FollowOptions  # noqa: PLC0415

        options = FollowOptions.checked(
            start=start,
            discover_every=discover_every,
            until_caught_up=until_caught_up,
            every=every,
            idle_every=idle_every,
            overlap=overlap,
            deep_overlap=deep_overlap,
            deep_every=deep_every,
            settle=settle,
            width=width,
        )
        return Follower(
            identities,
            log_of=lambda identity_id: self._log(identity_id, query, how),
            transport=self._transport,
            options=options,
            checkpoints=checkpoints,
            on_end=on_end,
        )

    def follow_account(
        self,
        *,
        start: "Start" = "now",
        until_caught_up: bool = False,
        checkpoint: "SavedCheckpoint" = None,
        checkpoints: "CheckpointSource | None" = None,
        every: float = 60.0,
        overlap: float = 120.0,
        deep_overlap: float | None = 3600.0,
        deep_every: float | None = 1800.0,
        settle: float = 0.0,
        action: str | Iterable[str] = (),
        category: str | None = None,
        severity: str | None = None,
        outcome: str | None = None,
        actor_id: str | None = None,
        actor_type: str | None = None,
        resource_type: str | None = None,
        resource_id: str | None = None,
        correlation_id: str | None = None,
        application_id: str | None = None,
        environment_id: str | None = None,
        q: str | None = None,
    ) -> "AccountFollower":
        """Return the new events of the whole account, each once, as they come.

        Each poll is one request as a rule, and may write one row into the log of the
        account: with the default, 1 440 rows a day. Nothing is sent before it is
        iterated.

        Args:
            start: Where to begin on the first run: ``now`` for what comes from the
                first poll on, ``beginning`` for the whole log first, or an aware
                datetime for the events that are no older.
            until_caught_up: Whether to end once the log was polled to its end.
            checkpoint: Where to go on: the checkpoint of an earlier batch, or its text.
            checkpoints: Where to go on: a `CheckpointStore` to which batches are saved.
            every: Seconds between polls.
            overlap: Seconds that an event may be committed late, up to a day: so far
                before the newest one does each poll read the log again.
            deep_overlap: Seconds that are read again now and then, up to a day, for
                events that are committed later; None or 0 for never.
            deep_every: Seconds between such polls, up to a day; None or 0 for never.
            settle: Hold events back for so many seconds, up to a day, so that what is
                committed late meanwhile comes in its order.
            action: An action or several, any of which may match; all by default.
            category: A `Category`, also one that this library does not know.
            severity: A `Severity`, exactly: not those above it.
            outcome: An `Outcome`.
            actor_id: The id of the actor.
            actor_type: The type of the actor.
            resource_type: The type of the resource.
            resource_id: The id of the resource.
            correlation_id: The id that the events of one request share.
            application_id: The application.
            environment_id: The environment.
            q: Search term.

        Raises:
            TypeError: At the call: an argument has the wrong type.
            ValueError: At the call: an argument is out of bounds.
            CheckpointError: At the call for ``checkpoint``, else while iterating: it is
                damaged or of another log, or a store can't be read.
            SessionClosedError: At the call, or while iterating when the session is
                closed meanwhile.
            UnauthorizedError: While iterating.
            NotFoundError: While iterating: this account has no such log.
            ForbiddenError: While iterating: this token may not read it.
            CanopyError: While iterating, with ``until_caught_up``: the log could not be
                read to its end.

        Example:
            >>> async for batch in canopy.follow_account(severity="critical"):
            ...     await post(batch.events)
        """
        query = AccountQuery(
            action=action,
            category=category,
            severity=severity,
            outcome=outcome,
            actor_id=actor_id,
            actor_type=actor_type,
            resource_type=resource_type,
            resource_id=resource_id,
            correlation_id=correlation_id,
            application_id=application_id,
            environment_id=environment_id,
            q=q,
        )
        if checkpoint is not None and checkpoints is not None:
            raise ValueError("pass checkpoint or checkpoints, not both")
        # Imported when it is used, as most sessions don't: imports take time.
        from canopy_async._follow import (  # noqa: PLC0415
            AccountFollower,
            FollowOptions,
        )

        options = FollowOptions.checked(
            start=start,
            discover_every=60.0,
            until_caught_up=until_caught_up,
            every=every,
            idle_every=every,
            overlap=overlap,
            deep_overlap=deep_overlap,
            deep_every=deep_every,
            settle=settle,
            width=1,
        )
        return AccountFollower(
            self._account_log(query),
            transport=self._transport,
            options=options,
            checkpoint=checkpoint,
            checkpoints=checkpoints,
        )

    def _options(
        self,
        limit: int | None = None,
        take: int = MAX_TAKE,
        concurrency: int | None = None,
        lossless: bool = True,  # noqa: FBT001, FBT002 - as the public methods have it
    ) -> ReadOptions:
        """Return how a list is read, checked."""
        return ReadOptions(
            limit=limit,
            take=take,
            concurrency=self._concurrency if concurrency is None else concurrency,
            lossless=lossless,
        )

    def _account_log(
        self,
        query: AccountQuery,
        limit: int | None = None,
        concurrency: int | None = None,
    ) -> AccountLog:
        return AccountLog.of(
            self._account,
            base_url=self._base_url,
            transport=self._transport,
            query=query,
            limit=limit,
            concurrency=self._concurrency if concurrency is None else concurrency,
            known=self._log_limits,
        )

    def _log(
        self, identity_id: str, query: EventsQuery, options: ReadOptions
    ) -> AuditLog:
        return AuditLog.of(
            identity_id,
            account=self._account,
            base_url=self._base_url,
            transport=self._transport,
            query=query,
            options=options,
        )


_VARIABLES: Final = {
    "account": "CANOPY_ACCOUNT",
    "token": "CANOPY_TOKEN",
    "base_url": "CANOPY_BASE_URL",
}


@lru_cache(maxsize=64)
def _warn_of_http(base_url: str) -> None:
    """Warn once of each host that a token is sent to without encryption."""
    if base_url.lower().startswith("http:") and not is_loopback(base_url):
        _log.warning("%s is not encrypted: the token can be read on the way", base_url)


def _check_type(name: str, value: Any, cls: type) -> None:
    if not isinstance(value, cls):
        raise TypeError(f"{name} must be a {cls.__name__}, not {type(value).__name__}")


def _headers(base_url: str, user_agent: str | None) -> dict[str, str]:
    own = f"canopy-async/{__version__}"
    if user_agent is not None:
        check_text("user_agent", user_agent)
        if not user_agent.isprintable():
            raise ValueError("user_agent must not hold control characters")
    return {
        "Accept": "application/json",
        # Compression costs more than it saves where no network is in between.
        "Accept-Encoding": "identity" if is_loopback(base_url) else "gzip",
        "User-Agent": f"{user_agent} {own}" if user_agent else own,
    }


publish("canopy_async", CanopySession)
