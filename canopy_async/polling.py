"""One identity that is followed: how its log is polled, and when next.

A poll is a read like any other, proven by the overlap chain: newest first, back
to `FollowCheckpoint.floor`. Nearly always one small page does it. Where much
has come, it is read from the floor up instead, in batches, so that a follower
that was away for long needs no more memory than one that was not.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeAlias

import attrs

from canopy_async.chain import OverlapChain
from canopy_async.errors import CanopyError, UnprovenTiesError
from canopy_async.models import AuditEvent, Page
from canopy_async.span import Span
from canopy_async.stream import EventStream, ReadOptions, Run
from canopy_async.watermark import Batch, FollowCheckpoint, Gap
from canopy_async.wire import MAX_TAKE, Query

__all__ = ["Deliver", "Pace", "Poller"]

Deliver: TypeAlias = Callable[[Batch], Awaitable[None]]
"""Hands a batch out, and returns once it was processed."""

_SMALL_TAKE: Final = 10
_FIRST_TAKE: Final = 20
_SPARE_ROWS: Final = 5
_GATHERED: Final = 500
"""Rows that are read newest first at most, as one batch."""

_HEALING_POLLS: Final = 3
_SKIPPED_POLLS: Final = 10
_SLOWER: Final = 1.5
_JITTER: Final = 0.1


class _Tail(OverlapChain[AuditEvent]):
    """An overlap chain that notes how far back it came, and what it saw.

    Args:
        take: Rows per page at most.
        order: ``asc`` or ``desc``.
        floor: The earliest instant that is wanted.
    """

    def __init__(self, *, take: int, order: str, floor: datetime | None) -> None:
        super().__init__(take=take, order=order, span=Span(since=floor))
        self._floor: Final = floor
        self._keeps: Final = order == "desc"
        self.seen: Final[dict[str, AuditEvent]] = {}
        """What came from ``floor`` on, when reading newest first."""
        self.passed = False
        """Whether the list held something older than ``floor``."""
        self.ended = False
        """Whether a page said that none comes after it."""
        self.oldest_first_row: datetime | None = None
        """Where the list began, the last time that its first page was read."""

    def take(self, page: Page[AuditEvent]) -> Sequence[AuditEvent]:
        """Take the page of the first window; return the rows to hand out."""
        if page.items and page.pagination.page == 1:
            self.oldest_first_row = page.items[0].created_at
        self.ended = self.ended or not page.pagination.has_next_page
        for row in page.items:
            if self._floor is not None and row.created_at < self._floor:
                self.passed = True
            elif self._keeps:
                self.seen[row.id] = row
        return super().take(page)


@attrs.frozen(kw_only=True)
class Pace:
    """How often a log is polled.

    Attributes:
        every: Seconds between polls of a log that gets events.
        idle_every: The same, at most, of one that gets none.
    """

    every: float
    idle_every: float

    def after_idle(self, interval: float) -> float:
        """Return the next interval after a poll that found nothing."""
        return min(max(self.idle_every, self.every), interval * _SLOWER)

    def after_failures(self, failures: int) -> float:
        """Return the next interval after so many failed polls in a row."""
        return min(max(self.idle_every, self.every), self.every * 2.0**failures)

    def spread(self, interval: float) -> float:
        """Return about ``interval``: many logs must not stay in step."""
        return interval * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311


@attrs.define(eq=False, kw_only=True)
class Poller:
    """Polls one log.

    Attributes:
        identity_id: Whose log it is.
        read: Makes a stream of the log, given the arguments of
            `CanopySession.events` but for the identity.
        start: What to do without a checkpoint: ``now`` or ``beginning``.
        scope: The hash of the log.
        overlap: How far before the newest event the log is read again.
        checkpoint: What was handed out, None before the first poll.
        interval: Seconds until the next poll, but for jitter.
        failures: Polls in a row that failed.
    """

    identity_id: str
    read: Callable[..., EventStream]
    start: str
    scope: str
    overlap: timedelta
    pace: Pace
    checkpoint: FollowCheckpoint | None = None
    interval: float = 0.0
    failures: int = 0
    _is_first: bool = True
    _new: int = 0
    _new_before: int = 0
    _unproven: int = 0
    _skipped: int = 0

    async def poll(self, deliver: Deliver) -> None:
        """Hand out what is new; `checkpoint` follows what was handed out.

        Raises:
            CanopyError: The log could not be read. What was handed out until
                then is in `checkpoint`, and nothing else.
        """
        self._new_before, self._new = self._new, 0
        if self.checkpoint is None and self.start == "now":
            await self._begin_now(deliver)
        else:
            await self._poll_from(
                self.checkpoint or FollowCheckpoint(scope=self.scope), deliver
            )

    def succeeded(self) -> float:
        """Return how long to wait after a poll."""
        self.failures = 0
        if self._new or not self.interval:
            self.interval = self.pace.every
        else:
            self.interval = self.pace.after_idle(self.interval)
        return self.pace.spread(self.interval)

    def failed(self, error: CanopyError) -> float:
        """Return how long to wait after a poll that failed."""
        self.failures += 1
        # Above this the power of two is past any cap, or past any float.
        wait = self.pace.after_failures(min(self.failures, 30))
        return self.pace.spread(max(wait, getattr(error, "retry_after", None) or 0.0))

    async def _begin_now(self, deliver: Deliver) -> None:
        """Learn what is there, so that whatever comes later is new."""
        known = await self._newest(_FIRST_TAKE, pages=1)
        if known is None:
            known = await self._newest(MAX_TAKE, pages=None)
        checkpoint = known or FollowCheckpoint(scope=self.scope)
        await self._hand_out(
            Batch(identity_id=self.identity_id, events=(), checkpoint=checkpoint),
            deliver,
        )

    async def _newest(self, take: int, *, pages: int | None) -> FollowCheckpoint | None:
        """Return what knows the events of the overlap before the newest one.

        Returns:
            None where so many pages did not suffice.
        """
        tail, run = self._open("desc", floor=None, take=take, concurrency=1)
        rows: list[AuditEvent] = []
        async with run:
            try:
                while (batch := await run.next_batch()) is not None:
                    rows.extend(batch)
                    is_newest_first = run.report.order_observed == "desc"
                    if is_newest_first and _spans(rows, self.overlap):
                        break
                    if pages is not None and not run.report.complete:
                        return None
            except UnprovenTiesError:
                rows = list(tail.seen.values())
            count = run.pagination.item_count
        known = FollowCheckpoint(scope=self.scope, count=count)
        return known.after(rows, overlap=self.overlap)

    async def _poll_from(self, known: FollowCheckpoint, deliver: Deliver) -> None:
        """Read a small page, and more only where that was not all."""
        take = self._idle_take(known)
        tail, run = self._open("desc", floor=known.floor, take=take, concurrency=1)
        async with run:
            rows = list(await run.next_batch() or ())
            count = run.pagination.item_count
            is_all = run.report.complete
            if not is_all and self._seems_unchanged(known, tail, count):
                self._skipped += 1
                return
            self._skipped = 0
            expected = len(known.ids) + max(0, count - known.count)
            is_much = expected > _GATHERED and not self._unproven
            if is_all or (take == MAX_TAKE and not is_much):
                await self._gather(known, tail, run, rows, deliver)
                return
        if is_much:
            await self._climb(known, deliver)
        else:
            await self._gather_anew(known, deliver)

    def _idle_take(self, known: FollowCheckpoint) -> int:
        """Return rows that reach back to the floor where nothing is new."""
        if known.newest is None:
            return _FIRST_TAKE
        take = len(known.ids) + self._new_before + _SPARE_ROWS
        return min(max(take, _SMALL_TAKE), MAX_TAKE)

    def _seems_unchanged(
        self, known: FollowCheckpoint, tail: _Tail, count: int
    ) -> bool:
        """Tell whether a log whose overlap is no small page may wait.

        It is no proof, and only puts a poll off: the checkpoint stays, and
        every so often the overlap is read whatever this says.
        """
        return (
            not self._is_first
            and not self._unproven
            and count == known.count
            and self._skipped < _SKIPPED_POLLS
            and not any(map(known.wants, tail.seen.values()))
        )

    async def _gather_anew(self, known: FollowCheckpoint, deliver: Deliver) -> None:
        tail, run = self._open("desc", floor=known.floor, take=MAX_TAKE)
        async with run:
            await self._gather(known, tail, run, [], deliver)

    async def _gather(
        self,
        known: FollowCheckpoint,
        tail: _Tail,
        run: Run[AuditEvent],
        rows: list[AuditEvent],
        deliver: Deliver,
    ) -> None:
        """Read on, newest first, and hand all of it out at once."""
        proven = True
        try:
            while (batch := await run.next_batch()) is not None:
                rows.extend(batch)
        except UnprovenTiesError:
            proven = False
        known = attrs.evolve(known, count=run.pagination.item_count)
        if proven:
            self._unproven = 0
            found = self._digest(known, rows, truncated=not tail.passed)
        else:
            found = self._heal(known, tail)
        await self._hand_out(found, deliver)

    def _heal(self, known: FollowCheckpoint, tail: _Tail) -> Batch:
        """Make a batch of what was seen, though it is not proven to be all.

        The floor stays for some polls, which read all of it again. Then it goes
        on, as a follower must not stick; where it was not reached, with a gap.
        """
        self._unproven += 1
        seen = list(tail.seen.values())
        truncated = tail.ended and not tail.passed
        if self._unproven <= _HEALING_POLLS:
            return known.digest(
                self.identity_id, seen, overlap=None, truncated=truncated
            )
        self._unproven = 0
        found = self._digest(known, seen, truncated=truncated)
        if tail.passed or tail.ended:
            return found
        oldest = min((event.created_at for event in seen), default=None)
        return attrs.evolve(found, gap=Gap(older_than=oldest))

    async def _climb(self, known: FollowCheckpoint, deliver: Deliver) -> None:
        """Read from the floor up, and hand it out page by page."""
        tail, run = self._open("asc", floor=known.floor, take=MAX_TAKE)
        is_first = True
        async with run:
            try:
                while (rows := await run.next_batch()) is not None:
                    if run.report.order_observed != "asc":
                        break  # page by page, newer events would come first
                    known = attrs.evolve(known, count=run.pagination.item_count)
                    batch = self._digest(
                        known, rows, truncated=is_first and not tail.passed
                    )
                    if not is_first and _overtaken(known, tail):
                        batch = attrs.evolve(
                            batch, gap=Gap(older_than=tail.oldest_first_row)
                        )
                    is_first = False
                    known = batch.checkpoint
                    await self._hand_out(batch, deliver)
                else:
                    return
            except UnprovenTiesError:
                self._unproven += 1  # the next poll reads newest first
                return
        await self._gather_anew(known, deliver)

    def _digest(
        self, known: FollowCheckpoint, rows: Sequence[AuditEvent], *, truncated: bool
    ) -> Batch:
        return known.digest(
            self.identity_id, rows, overlap=self.overlap, truncated=truncated
        )

    async def _hand_out(self, batch: Batch, deliver: Deliver) -> None:
        if batch.events or batch.gap is not None or self._is_first:
            await deliver(batch)
            self._is_first = False
            self._new += len(batch.events)
        self.checkpoint = batch.checkpoint

    def _open(
        self,
        order: str,
        *,
        floor: datetime | None,
        take: int,
        concurrency: int | None = None,
    ) -> tuple[_Tail, Run[AuditEvent]]:
        """Return a pass over the log, and the walk that steers it."""
        tail = _Tail(take=take, order=order, floor=floor)
        stream = self.read(order=order, since=floor, take=take, concurrency=concurrency)
        return tail, attrs.evolve(stream, new_walk=partial(_steered_by, tail)).open()


def _steered_by(tail: _Tail, _query: Query, _options: ReadOptions) -> _Tail:
    return tail


def _spans(rows: Sequence[AuditEvent], overlap: timedelta) -> bool:
    """Tell whether rows, newest first, reach back further than the overlap."""
    return bool(rows) and rows[0].created_at - rows[-1].created_at > overlap


def _overtaken(known: FollowCheckpoint, tail: _Tail) -> bool:
    """Tell whether the list now begins after all that was handed out."""
    first = tail.oldest_first_row
    return first is not None and known.newest is not None and first > known.newest
