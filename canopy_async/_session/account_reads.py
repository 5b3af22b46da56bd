"""Reads of the log of the whole account: its events, single ones, and new ones."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Unpack

from canopy_async._account.account_log import AccountLog
from canopy_async._account.account_query import AccountFilters, AccountQuery
from canopy_async._account.account_stream import AccountStream
from canopy_async._account.event_detail import read_event
from canopy_async._account.log_limits import KnownLimits
from canopy_async._session.base_session import BaseSession
from canopy_async._session.settings import SessionParts
from canopy_async.checkpoint import Checkpoint
from canopy_async.models import EventDetail

if TYPE_CHECKING:
    from canopy_async._follow import (
        AccountFollower,
        CheckpointSource,
        SavedCheckpoint,
        Start,
    )

__all__ = ["AccountReads"]


class AccountReads(BaseSession):
    """The reads of a session that are about the log of its account."""

    def __init__(self, parts: SessionParts) -> None:
        super().__init__(parts)
        self._log_limits: Final = KnownLimits()

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
        200 is usually one request. Nothing is sent before the stream is iterated.

        The time is cut into slices that touch, which are read side by side. This log
        does not show events whose actor or resource is an end user: `events` and
        `fan_out` read those, identity by identity.

        Args:
            since: The earliest ``created_at`` that is wanted, inclusive; aware. By
                default the log is read to its beginning.
            until: The first ``created_at`` that is not wanted; aware, and not in the
                future.
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
            resume: A checkpoint of an earlier read with the same arguments, or its
                text: this read begins after the last event of that read.

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
            ValueError: At the call: the id is invalid.
            NotFoundError: There is no such event in this log. It may be of another
                account, or one that this log does not show.
            ProtocolError: The answer breaks the contract; names the field.
            CanopyError: The request failed.

        Example:
            >>> detail = await canopy.event("evt_1")
            >>> for other in detail.related_by_correlation:
            ...     print(other.created_at, other.action)
        """
        return await read_event(self._transport, self._account, event_id)

    def chain(
        self,
        correlation_id: str,
        *,
        around: datetime,
        window: timedelta = timedelta(days=1),
    ) -> AccountStream:
        """Return all events that one request left behind, newest first.

        `event` shows up to 50 of these events; this method reads all of them. Each
        of its requests may write one row into the log of the account.

        Args:
            correlation_id: The id that the events share.
            around: When one of them happened; aware.
            window: How long before and after ``around`` to look. If this time ends less
                than an hour ago, or in the future, the log is read up to now.

        Raises:
            TypeError: At the call: an argument has the wrong type.
            ValueError: At the call: an argument is out of bounds.
            CanopyError: While iterating; carries ``checkpoint``.

        Example:
            >>> event = (await canopy.event("evt_1")).event
            >>> chain = canopy.chain(event.correlation_id, around=event.created_at)
            >>> print([other.action async for other in chain])
        """
        now = self._transport.server_time or datetime.now(UTC)
        query = AccountQuery.of_chain(
            correlation_id, around=around, window=window, now=now
        )
        return self._account_log(query).stream()

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
        **filters: "Unpack[AccountFilters]",
    ) -> "AccountFollower":
        """Return the new events of the whole account, each once, as they come.

        Each poll is usually one request, and may write one row into the log of the
        account: with the default, 1 440 rows a day. Nothing is sent before it is
        iterated.

        Args:
            start: Where to begin on the first run: ``now`` for what comes from the
                first poll on, ``beginning`` for the whole log first, or an aware
                datetime for the events that are no older.
            until_caught_up: Whether to end once the log was polled to its end.
            checkpoint: The place to go on from: the checkpoint of an earlier batch, or
                its text.
            checkpoints: The place to go on from: a `CheckpointStore` to which batches
                are saved.
            every: Seconds between polls.
            overlap: Seconds that an event may be committed late, up to a day: each poll
                reads the log again from so long before its newest event.
            deep_overlap: Seconds that an event may be committed late and still be found
                by a deep poll, one that reads further back now and then; up to a day.
                None or 0 for no deep polls.
            deep_every: Seconds between deep polls, up to a day; None or 0 for never.
            settle: Seconds that events are held back, up to a day, so that events
                committed late meanwhile come in their order.
            **filters: As in `account_events`: ``action``, ``category``, ``severity``,
                ``outcome``, ``actor_id``, ``actor_type``, ``resource_type``,
                ``resource_id``, ``correlation_id``, ``application_id``,
                ``environment_id`` and ``q``.

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
        query = AccountQuery.filtered_by("follow_account", filters)
        if checkpoint is not None and checkpoints is not None:
            raise ValueError("pass checkpoint or checkpoints, not both")
        from canopy_async._follow import (
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
