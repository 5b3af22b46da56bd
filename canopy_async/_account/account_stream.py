"""`AccountStream`: the log of an account, to be read with ``async for``."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import attrs

from canopy_async._account.account_run import AccountReader, AccountRun
from canopy_async._account.account_walk import AccountWalk
from canopy_async._account.log_limits import KnownLimits
from canopy_async._api.log_requests import MAX_LIMIT
from canopy_async._read.stream import Stream
from canopy_async._transport.lanes import Lanes
from canopy_async._util.public import publish
from canopy_async._walk import Span
from canopy_async.models import AuditEvent, Page

__all__ = ["AccountStream"]


@attrs.frozen(eq=False, repr=False)
class AccountStream(Stream[AuditEvent]):
    """The log of an account to be read: a description, which sends nothing by itself.

    Each iteration is a pass of its own, from the newest event on. It is a `Stream` in
    all but two things: this log has no numbered pages, and the server does not count
    it, so that `count` has to read it.

    Example:
        >>> async for event in canopy.account_events(outcome="denied", limit=20):
        ...     print(event.created_at, event.action)
    """

    _filters: str = attrs.field(alias="filters")
    _known: KnownLimits = attrs.field(alias="known")

    def __repr__(self) -> str:
        """Show what is read, in one short line."""
        return f"<AccountStream: {self._endpoint.path}>"

    def open(self) -> AccountRun:
        """Return a new pass, to be used with ``async with``."""
        return self.open_over(self._transport)

    @property
    def concurrency(self) -> int:
        """The most slices that are read at a time."""
        return self._options.concurrency

    def part(
        self,
        *,
        since: datetime | None,
        until: datetime | None,
        lanes: Lanes | None,
        concurrency: int | None,
        limit: int | None,
    ) -> AccountRun:
        """Return a pass over a part of the log's time, which may not be over.

        Args:
            since: The earliest instant that is wanted, None for no bound.
            until: The first instant that is not wanted, None for no bound.
            lanes: Where its turns are, None for the session's own round.
            concurrency: Slices that are read at a time; None is as for the log.
            limit: Events at most, None for all.
        """
        options = attrs.evolve(
            self._options,
            limit=limit,
            concurrency=concurrency or self._options.concurrency,
        )
        part = attrs.evolve(self, options=options, span=Span(since=since, until=until))
        return part.open_over(
            self._transport if lanes is None else lanes, checks_until=False
        )

    def open_over(self, lanes: Lanes, *, checks_until: bool = True) -> AccountRun:
        """Return a new pass that takes its turns in another round.

        Args:
            lanes: The round.
            checks_until: Whether a time that is not over is refused.
        """
        now = self._transport.server_time or datetime.now(UTC)
        span, options = self._span, self._options
        walk = AccountWalk(
            now=now,
            since=span.since,
            until=span.until,
            resume=span.resume,
            limit=options.limit,
            take=MAX_LIMIT,
            concurrency=options.concurrency,
            known=self._known,
        )
        return AccountRun(
            AccountReader(
                endpoint=self._endpoint,
                filters=self._filters,
                walk=walk,
                lane=lanes.open_lane(),
                span=span,
                scope=self._scope,
                concurrency=options.concurrency,
                checks_until=checks_until,
                server_time=lambda: self._transport.server_time,
            )
        )

    def pages(self) -> AsyncIterator[Page[AuditEvent]]:
        """Refuse: this log has no numbered pages.

        Raises:
            TypeError: At the call.
        """
        raise TypeError(
            "the account's log has no numbered pages: iterate over its events, or over"
            " the batches of open().next_batch()"
        )

    async def count(self) -> int:
        """Return how many events there are now, by reading them all.

        The server does not count this log.

        Raises:
            CanopyError: The read failed; carries ``checkpoint``.
        """
        found = 0
        async with self.open() as run:
            while (batch := await run.next_batch()) is not None:
                found += len(batch)
        return found


publish("canopy_async", AccountStream)
