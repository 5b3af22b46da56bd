"""`Backlog`: the part of a log that is read oldest first, page by page.

A log is read like that by its first poll, and where more events have come than may be
held in memory. Each page is handed out as a batch, so that a follower needs no more
memory after a long pause than after a short one.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

import attrs

from canopy_async._api.requests import MAX_TAKE
from canopy_async._follow.coverage import Gap, before, front_of
from canopy_async._follow.follow_checkpoint import (
    MAX_DEEP_IDS,
    Batch,
    FollowCheckpoint,
)
from canopy_async._follow.poll import Poll
from canopy_async._follow.tail import Tail
from canopy_async._read.reader import PageReader
from canopy_async._util.instants import moved
from canopy_async.errors import RequestBudgetError, UnprovenTiesError
from canopy_async.models import AuditEvent
from canopy_async.report import Proof

__all__ = ["MAX_NEWEST_FIRST", "Backlog"]

MAX_NEWEST_FIRST: Final = 500
"""The most new events that are read newest first, and handed out as one batch."""

_COMMIT_TIME: Final = timedelta(seconds=60)
"""The longest time that usual events take from their date until they are committed."""


class _After(Enum):
    """The next step after a page that was read oldest first."""

    MORE = auto()
    END = auto()
    OTHER_ORDER = auto()
    """The server ignores the order that it was asked for; no event was handed out."""


class Backlog:
    """Reads the backlog of a log, oldest first.

    Args:
        poll: The poll that the backlog is part of.
    """

    def __init__(self, poll: Poll) -> None:
        self._poll: Final = poll
        self._given: Final = poll.given
        self._span: Final = poll.given.lateness.deep_overlap
        self._reached: datetime | None = None

    async def read_all(self) -> None:
        """Read a log for the first time, oldest first, and hand out each page.

        The next poll looks for late events by the front as it was when this read began.
        In a large log, the newest page is read early to learn the front, so that few
        ids must be kept on the way. In other logs, the last pages of the read show it.
        """
        tail, run = self._poll.open("asc", MAX_TAKE)
        async with run:
            if await self._read_pages_up(tail, run, learns=True):
                return
        await self._poll.reread_newest_first(most=None)

    async def read_oldest_first(self) -> None:
        """Read oldest first from where the checkpoint begins; hand out each page.

        The count in the checkpoint stays as it was until all is read. So a poll after
        an interruption sees from the count that many events are still to come.
        """
        self._poll.read_deep()
        tail, run = self._poll.open("asc", MAX_TAKE)
        async with run:
            if await self._read_pages_up(tail, run, learns=False):
                return
        await self._poll.reread_newest_first(most=None)

    async def _learn_from_newest(self, first: Sequence[AuditEvent]) -> None:
        """Learn the front, which is the date around which events come now.

        Args:
            first: The oldest events of the log, which were just read.
        """
        tail, run = self._poll.open("desc", MAX_TAKE, concurrency=1)
        async with run:
            await run.next_batch()
            dates = [row.created_at for row in tail.seen.values()]
            self._poll.learn_from(dates, run.pagination.item_count)
        since = self._look_back_from()
        if self._poll.front is None or since is None or since > first[-1].created_at:
            return
        # The oldest page was read before the newest one. Events that were committed
        # since may be as old as the oldest page, so later polls have to reach it.
        oldest = moved(first[0].created_at, self._span)
        self._poll.front = min(self._poll.front, oldest)

    async def _read_pages_up(
        self, tail: Tail, run: PageReader[AuditEvent], *, learns: bool
    ) -> bool:
        """Hand the events of a pass out, page by page.

        Args:
            tail: The `Tail` that watches the pages of the pass.
            run: A pass that is asked to read oldest first.
            learns: Whether nothing is known of the log yet.

        Returns:
            False where the pages come in another order; no event was handed out then.
        """
        try:
            after = await self._first_page(tail, run, learns=learns)
            while after is _After.MORE:
                after = await self._next_page(tail, run)
        except (UnprovenTiesError, RequestBudgetError):
            # The next poll reads newest first.
            self._given.memory.note_unproven(found_more=False)
            await self._poll.hand_out(self._poll.rest(run))
            return True
        return after is not _After.OTHER_ORDER

    async def _first_page(
        self, tail: Tail, run: PageReader[AuditEvent], *, learns: bool
    ) -> _After:
        while await run.wait():
            async with self._given.turn:
                rows = run.decode()
                if not rows:
                    continue
                if not (learns and self._is_large(run)):
                    if learns and run.report.complete:
                        dates = [row.created_at for row in rows]
                        self._poll.learn_from(dates, run.pagination.item_count)
                    return await self._hand_out_page(tail, run, rows, is_first=True)
            await self._learn_from_newest(rows)
            async with self._given.turn:
                return await self._hand_out_page(tail, run, rows, is_first=True)
        await self._poll.hand_out(self._ended(self._poll.rest(run), run))
        return _After.END

    def _is_large(self, run: PageReader[AuditEvent]) -> bool:
        """Tell whether the newest page is read before the log is read oldest first."""
        if run.report.complete:
            return False
        return run.pagination.item_count > MAX_NEWEST_FIRST or bool(
            self._given.lateness.settle
        )

    async def _next_page(self, tail: Tail, run: PageReader[AuditEvent]) -> _After:
        if not await run.wait():
            await self._poll.hand_out(self._ended(self._poll.rest(run), run))
            return _After.END
        # The events of many logs that wait to be handed out would fill the processor's
        # cache. So the events of an answer are made when it is the log's turn.
        async with self._given.turn:
            rows = run.decode()
            if not rows:
                return _After.MORE
            return await self._hand_out_page(tail, run, rows, is_first=False)

    async def _hand_out_page(
        self,
        tail: Tail,
        run: PageReader[AuditEvent],
        rows: Sequence[AuditEvent],
        *,
        is_first: bool,
    ) -> _After:
        """Hand out a page of a pass that was asked to read oldest first."""
        report = run.report
        if is_first and not report.complete and report.order_observed != "asc":
            return _After.OTHER_ORDER  # newer events would be handed out first
        batch = self._page(tail, rows, is_first=is_first, is_last=report.complete)
        self._reached = rows[-1].created_at
        if report.proof is Proof.STRICT_KEY:
            batch = self._trim_passed(batch, rows)
        elif batch.checkpoint.floor != self._poll.known.floor:
            # The checkpoint has no room for the ids of this page, and its floor has
            # moved. Events that the proof may have missed are older than the floor.
            gap = batch.gap or Gap(older_than=batch.checkpoint.floor)
            batch = attrs.evolve(batch, gap=gap)
        if report.complete:
            self._poll.note_covered()
            batch = self._ended(batch, run)
        elif self._poll.held:
            batch = attrs.evolve(batch, report=self._poll.report(run))
        await self._poll.hand_out(batch)
        is_over = report.complete or self._poll.held
        return _After.END if is_over else _After.MORE

    def _ended(self, batch: Batch, run: PageReader[AuditEvent]) -> Batch:
        """Return the last batch of a pass that has read oldest first."""
        if self._poll.front is None:
            self._poll.front = self._front_at_begin(batch.checkpoint)
        count = run.pagination.item_count
        known = attrs.evolve(batch.checkpoint, count=count)
        batch = self._poll.conclude(attrs.evolve(batch, checkpoint=known))
        # Events that were committed meanwhile may be older than those read since.
        self._given.memory.deep_polls.poll_deep_next()
        return attrs.evolve(batch, report=self._poll.report(run))

    def _front_at_begin(self, known: FollowCheckpoint) -> datetime | None:
        """Return the front when the poll began, by all events that were read.

        Some of these events may have come while the poll was reading. They are left
        out: events whose date is in the time that the poll took, or in the minute
        before it, as events may be committed some seconds after their date.
        """
        took = timedelta(seconds=self._given.took) + _COMMIT_TIME
        front = known.front(self._span, now=self._given.now())
        if front is None:
            return None
        dates = sorted(date for date in known.ids.values() if date <= front - took)
        if not dates:
            return min(known.ids.values(), default=front)
        return front_of(dates, self._span, now=self._given.now())

    def _page(
        self, tail: Tail, rows: Sequence[AuditEvent], *, is_first: bool, is_last: bool
    ) -> Batch:
        absence = self._poll.absence(is_whole=is_first and is_last)
        batch = self._poll.to_batch(
            rows, truncated=is_first and not tail.passed, absence=absence
        )
        if not is_first and self._is_overtaken(tail):
            batch = attrs.evolve(batch, gap=Gap(older_than=tail.oldest_first_row))
        return batch

    def _is_overtaken(self, tail: Tail) -> bool:
        """Tell whether the log now begins after the last event of this pass.

        The server has then deleted the events in between, or some of them.
        """
        first, reached = tail.oldest_first_row, self._reached
        return first is not None and reached is not None and first > reached

    def _trim_passed(self, batch: Batch, rows: Sequence[AuditEvent]) -> Batch:
        """Trim the checkpoint of a page that was read oldest first.

        Long before the front, no late events are expected: only the ids of the page's
        last instant are needed there, for the next read to begin with it. Closer to
        the front, ids are kept as after any poll. They are kept by the front as it was
        when the poll began: events that were committed since may be late against it.
        """
        checkpoint, reached = batch.checkpoint, rows[-1].created_at
        front = reached if self._poll.front is None else min(reached, self._poll.front)
        since = self._look_back_from()
        if since is not None and reached <= since:
            checkpoint = checkpoint.without_older(reached)
        elif len(checkpoint.ids) > 2 * MAX_DEEP_IDS:  # seldom, as trimming takes long
            checkpoint = self._poll.trimmed(checkpoint, front)
        return attrs.evolve(batch, checkpoint=checkpoint)

    def _look_back_from(self) -> datetime | None:
        """Return the earliest date for which later polls look for late events."""
        if self._poll.front is None:
            return None
        return before(self._poll.front, self._span)
