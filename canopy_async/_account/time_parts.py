"""Parts of an account's log: it is read some thousand events at a time, oldest first.

A pass over the log comes newest first. Whoever wants the oldest event first, and not
all of them in memory, reads one part of the time after another. How wide a part is
follows from how many events the part before it had.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import attrs

from canopy_async._account.account_run import AccountRun
from canopy_async._account.account_stream import AccountStream
from canopy_async._api.log_requests import MAX_LIMIT
from canopy_async._transport.lanes import Lanes
from canopy_async._util.instants import moved
from canopy_async.models import AuditEvent
from canopy_async.report import AccountReport

__all__ = ["LOOK", "LogPart", "PartReader"]

_FEWER: Final = 4.0
_MORE: Final = 8.0
"""By how much a part is at most narrower, or wider, than the part before it."""

LOOK: Final = MAX_LIMIT - 1
"""Events that one request shows at most if it is to show that they are all.

So few are asked for first where nothing tells how many there are: to find out by a
whole part that they are too many would be dozens of requests in vain.
"""

_FIRST_STEP: Final = timedelta(days=30)
"""The first distance at which the begin of a log is looked for."""

_TICK: Final = timedelta(milliseconds=1)


@attrs.frozen(kw_only=True, eq=False)
class LogPart:
    """All events of a part of the log's time.

    Attributes:
        since: When it begins.
        until: The first instant that it does not have; None where it has all events
            up to now.
        rows: The events, newest first.
        report: What was read, and what is proven of it.
    """

    since: datetime | None
    until: datetime | None
    rows: Sequence[AuditEvent]
    report: AccountReport


@attrs.frozen
class _Crowded:
    """A time that has more events than fit into a part.

    Attributes:
        since: When it begins.
        until: When it ends.
        rows: How many events it has at least.
    """

    since: datetime
    until: datetime
    rows: int

    def width(self, wanted: int) -> timedelta:
        """Return how long a part of it is to be, to have so many events."""
        return max((self.until - self.since) * (wanted / self.rows), _TICK)


@attrs.define(eq=False)
class PartReader:
    """Reads parts of an account's log.

    Attributes:
        log: The log.
        most: Events that a part has at most, unless a millisecond has more. It is to
            have about half of them.
        lanes: Where the turns of its requests are, None for the session's own round.
        on_read: Is told what each read has read, those included whose events were
            too many to be kept.
    """

    log: AccountStream
    most: int
    lanes: Lanes | None
    on_read: Callable[[AccountReport], None]

    @property
    def _wanted(self) -> int:
        return self.most // 2

    async def read(
        self,
        since: datetime | None,
        until: datetime | None = None,
        *,
        most: int | None = None,
    ) -> tuple[list[AuditEvent], AccountReport | None]:
        """Return the events of a time, newest first, and what is proven of them.

        Args:
            since: The earliest instant that is wanted, None for no bound.
            until: The first instant that is not wanted, None for no bound.
            most: How many events are wanted at most, None for all.

        Returns:
            The newest of them, and None, where there are more than ``most``.
        """
        limit = None if most is None else most + 1
        rows: list[AuditEvent] = []
        async with self.open(since, until, limit=limit) as run:
            try:
                while (batch := await run.next_batch()) is not None:
                    rows.extend(batch)
            finally:
                self.on_read(run.report)
        is_all = limit is None or len(rows) < limit
        return rows, run.report if is_all else None

    def open(
        self,
        since: datetime | None,
        until: datetime | None,
        *,
        concurrency: int | None = None,
        limit: int | None = None,
    ) -> AccountRun:
        """Return a pass over a part of the log, newest first; it is not counted.

        Args:
            since: The earliest instant that is wanted, None for no bound.
            until: The first instant that is not wanted, None for no bound.
            concurrency: Slices that are read at a time; None is as for the log.
            limit: Events at most, None for all.
        """
        return self.log.part(
            since=since,
            until=until,
            lanes=self.lanes,
            concurrency=concurrency,
            limit=limit,
        )

    async def oldest_first(
        self,
        low: datetime | None,
        top: datetime,
        newest: Sequence[AuditEvent],
    ) -> AsyncGenerator[LogPart]:
        """Yield the parts from one instant to another, the oldest part first.

        Args:
            low: Where the first part begins; None for before all events.
            top: Where the last part ends.
            newest: Some of the newest events there, newest first: one at least.
        """
        begin = newest[-1].created_at
        if low is None:
            low = await self._before_all(begin)
        crowded = [_Crowded(begin, top, len(newest))]
        width, is_sure = crowded[0].width(self._wanted), False
        while low < top:
            if crowded and crowded[-1].since <= low:
                width, is_sure = crowded.pop().width(self._wanted), True
            until = min(moved(low, width), top)
            if crowded:
                until = min(until, crowded[-1].since)
            most: int | None = self.most if is_sure else LOOK
            if until - low <= _TICK:
                most = None
            rows, report = await self.read(low, until, most=most)
            if report is None:
                found = _Crowded(rows[-1].created_at, until, len(rows))
                if found.since > low:
                    crowded.append(found)
                narrower = min((until - low) / _FEWER, found.width(self._wanted))
                width, is_sure = max(narrower, _TICK), True
                continue
            yield LogPart(since=low, until=until, rows=rows, report=report)
            width = max(self._width_after(width, rows, until), _TICK)
            low, is_sure = until, len(rows) >= LOOK

    def _width_after(
        self, width: timedelta, rows: Sequence[AuditEvent], until: datetime
    ) -> timedelta:
        """Return how long the next part is to be.

        Args:
            width: How long this one was.
            rows: Its events, newest first.
            until: When it ends.
        """
        if not rows:
            return width * _MORE
        factor = self._wanted / len(rows)
        if len(rows) < LOOK:
            return width * min(factor, _MORE)
        # The time before its oldest event says nothing of what comes.
        busy = (until - rows[-1].created_at) * factor
        return max(min(busy, width * _MORE), width / _FEWER)

    async def _before_all(self, instant: datetime) -> datetime:
        """Return an instant before all events, given one that is not."""
        step = _FIRST_STEP
        while True:
            low = moved(instant, -step)
            async with self.open(None, low, concurrency=1, limit=1) as run:
                found = await run.next_batch()
                self.on_read(run.report)
            if not found:
                return low
            instant, step = found[-1].created_at, 2 * step
