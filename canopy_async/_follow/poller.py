"""`Poller`: when one identity is polled, and how far back each poll reads.

Nearly all polls read one small page.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import attrs

from canopy_async._api.requests import MAX_TAKE
from canopy_async._follow.backlog import MAX_NEWEST_FIRST, Backlog
from canopy_async._follow.coverage import front_of, not_ahead
from canopy_async._follow.follow_checkpoint import (
    MAX_DEEP_IDS,
    Batch,
    FollowCheckpoint,
)
from canopy_async._follow.lateness import DeepPollTimer, LatenessOptions, moved
from canopy_async._follow.options import NOW, Pace, Start
from canopy_async._follow.poll import Poll
from canopy_async._follow.poll_choice import Choice, choose
from canopy_async._follow.poll_inputs import Deliver, PollInputs, clock
from canopy_async._follow.poll_memory import PollMemory
from canopy_async._follow.tail import Tail, open_tail
from canopy_async._read.audit_log import AuditLog
from canopy_async._transport.lanes import Lanes
from canopy_async.errors import CanopyError, IncompleteReadError, NotFoundError
from canopy_async.models import AuditEvent
from canopy_async.report import ReadReport

__all__ = ["Poller"]

_SMALL_TAKE: Final = 10
_FIRST_TAKE: Final = 20
_SPARE_ROWS: Final = 5
MAX_ROWS_IN_MEMORY: Final = 2 * MAX_DEEP_IDS
"""About how many rows one poll holds in memory at most. If a checkpoint has more ids,
every poll is deep."""

_MOST_AHEAD: Final = 1_000
"""The most events at the newest end of a log that are taken to be dated in the future.
If there are more, the server's ``Date`` is taken to be wrong instead.
"""

_SKIPPED_POLLS: Final = 10
_GONE_SHARE: Final = 0.1
_GONE_EVERY: Final = 3600.0
_MARGIN: Final = 0.001
"""How many seconds two clocks may differ because they are rounded."""


@attrs.define(eq=False, kw_only=True)
class Poller:
    """Polls one log.

    Attributes:
        identity_id: The identity.
        log: The log of the identity.
        scope: The hash of the log.
        start: Where to begin without a checkpoint: ``now``, ``beginning``, or the
            first instant whose events are wanted.
        lateness: How far back the log is read again, and which events are held back.
        pace: How often the log is polled.
        lanes: The round in which the polls take their turns, None for the session's
            own.
        turn: A lock that all polls share. A poll holds it while the rows of a page wait
            to be handed out.
        now: Returns the time by the server's clock, None where that is unknown.
        tells_ends: Whether each poll ends with a batch, even if no event is new.
        checkpoint: The latest checkpoint, None before the first poll.
        interval: Seconds until the next poll, without the random part.
        failures: How many polls in a row have failed.
        report: The report of the latest poll, None where it was not read to its end.
    """

    identity_id: str
    log: AuditLog
    scope: str
    start: Start
    lateness: LatenessOptions
    pace: Pace
    lanes: Lanes | None = None
    turn: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    now: Callable[[], datetime | None]
    tells_ends: bool = False
    checkpoint: FollowCheckpoint | None = None
    interval: float = 0.0
    failures: int = 0
    report: ReadReport | None = None
    _memory: PollMemory = attrs.field(init=False)
    _is_first: bool = attrs.field(init=False, default=True)
    _new: int = attrs.field(init=False, default=0)
    _held: Sequence[AuditEvent] = attrs.field(init=False, default=())
    _skipped: int = attrs.field(init=False, default=0)
    _gone_since: float | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        """Begin without any memory of earlier polls."""
        self._memory = PollMemory(DeepPollTimer(self.lateness.deep_every))

    @property
    def is_caught_up(self) -> bool:
        """Whether the latest poll was read to its end, and proven if it can be."""
        return self.report is not None and not self._memory.unproven

    async def poll(self, deliver: Deliver) -> None:
        """Hand out the new events; `checkpoint` moves with them.

        Raises:
            CanopyError: The log could not be read. `checkpoint` then covers exactly the
                events that were handed out before.
        """
        self.report = None
        if self.checkpoint is None and self.start == NOW:
            await self._begin_now(deliver)
            return
        poll = self._new_poll(self.checkpoint or self._at_start(), deliver)
        try:
            await self._read(poll)
        except BaseException:
            self._memory.audit.forget()
            raise
        self._new = max(0, poll.found - len(self._held))
        self._held = poll.held
        self._memory.audit.note_poll(self._new)

    def succeeded(self) -> float:
        """Return how many seconds to wait after a poll that succeeded."""
        self.failures = 0
        self._gone_since = None
        if self._new or self._is_unsure or not self.interval:
            self.interval = self.pace.every
        else:
            self.interval = self.pace.after_idle(self.interval)
        wait = self.pace.spread(self.interval)
        if not self._held:
            return wait
        first = self._held[0].created_at
        due = self._memory.time.wait_for(first, self.lateness.settle, clock())
        return min(wait, max(due + _MARGIN, self.pace.every))

    def failed(self, error: CanopyError) -> float:
        """Return how many seconds to wait after a poll that failed.

        An identity that the server does not know is polled less and less often: each
        wait is a tenth of the time since it was first missing, and an hour at most.
        """
        self.failures += 1
        # More failures make no longer waits, and the power of two would overflow.
        wait = self.pace.after_failures(min(self.failures, 30))
        if not isinstance(error, NotFoundError):
            self._gone_since = None
        elif self._gone_since is None:
            self._gone_since = clock()
        else:
            gone = clock() - self._gone_since
            wait = max(wait, min(_GONE_SHARE * gone, _GONE_EVERY))
        return self.pace.spread(max(wait, getattr(error, "retry_after", None) or 0.0))

    @property
    def _is_unsure(self) -> bool:
        """Whether the server counts more events than were seen, so far unexplained."""
        known = self.checkpoint
        return self._memory.audit.is_doubtful or (
            known is not None and known.unexplained > len(self._held)
        )

    async def _begin_now(self, deliver: Deliver) -> None:
        """Note the ids of the newest events, so that only later events are new."""
        began = clock()
        batch = await self._newest(_FIRST_TAKE, pages=1)
        if batch is None:
            batch = await self._newest(MAX_TAKE, pages=None)
        if batch is None:
            raise AssertionError("unreachable")
        count = batch.checkpoint.count
        self._memory.deep_polls.ran(began, count)
        self._memory.note_covered(self.now(), took=clock() - began, count=count)
        await self._hand_out(deliver, batch)

    async def _newest(self, take: int, *, pages: int | None) -> Batch | None:
        """Return an empty batch whose checkpoint knows the newest events.

        Args:
            take: Rows per page.
            pages: How many pages may be read, None for any number.

        Returns:
            The batch, None where so many pages were not enough.
        """
        span = max(self.lateness.overlap, self.lateness.settle)
        tail, run = open_tail(
            self.log,
            "desc",
            floor=None,
            take=take,
            concurrency=1,
            lanes=self.lanes,
        )
        rows: list[AuditEvent] = []
        proven = True
        async with run:
            try:
                while (batch := await run.next_batch()) is not None:
                    rows.extend(batch)
                    is_newest_first = run.report.order_observed == "desc"
                    if is_newest_first and self._spans(rows, span):
                        break
                    if pages is not None and not run.report.complete:
                        return None
            except IncompleteReadError as error:
                if not tail.suffices(error, rows):
                    raise
                proven = False
                rows = list(tail.seen.values())
            count = run.pagination.item_count
            report = run.report
        known = self._knowing(rows, count=count, proven=proven, is_all=report.complete)
        return Batch(
            identity_id=self.identity_id, events=(), checkpoint=known, report=report
        )

    def _knowing(
        self, rows: Sequence[AuditEvent], *, count: int, proven: bool, is_all: bool
    ) -> FollowCheckpoint:
        """Return the checkpoint of a log of which only the newest rows were read.

        Args:
            rows: The rows, newest first unless ``is_all``.
            count: How many events the server counts.
            proven: Whether no row is missing between these rows.
            is_all: Whether these are all rows of the log.
        """
        span = max(self.lateness.overlap, self.lateness.settle)
        known = FollowCheckpoint(scope=self.scope, count=count).after(rows)
        if known.newest is None:
            return known
        dates = [row.created_at for row in rows]
        newest = max(not_ahead(dates, self.now()) or dates)
        self._memory.time.learn(newest, clock())
        if not proven:
            known = known.trimmed(overlap=span, deep=span, now=self.now())
        elif not is_all:
            # There may be more events of the oldest instant that was read.
            known = known.without_older(rows[-1].created_at + timedelta.resolution)
        if self.lateness.settle:
            known = attrs.evolve(known, newest=moved(newest, -self.lateness.settle))
        return known.trimmed(
            overlap=self.lateness.overlap,
            deep=self.lateness.deep_overlap,
            now=self.now(),
        )

    def _spans(self, rows: Sequence[AuditEvent], span: timedelta) -> bool:
        """Tell whether rows reach back from the front by more than a time.

        Args:
            rows: The rows, newest first. The newest may be dated in the future.
            span: The time.
        """
        dates, now = [row.created_at for row in reversed(rows)], self.now()
        if len(rows) < _MOST_AHEAD and not not_ahead(dates, now):
            return False
        return front_of(dates, span, now=now) - dates[0] > span

    def _at_start(self) -> FollowCheckpoint:
        """Return the checkpoint before the first event, from ``start`` on."""
        floor = self.start if isinstance(self.start, datetime) else None
        return FollowCheckpoint(scope=self.scope, floor=floor)

    def _new_poll(self, known: FollowCheckpoint, deliver: Deliver) -> Poll:
        """Return the next poll, after deciding how far back it reads."""
        began = clock()
        near = known.near(self.lateness.overlap, now=self.now())
        size = len(known.ids)
        is_deep = (
            near == known.floor
            or self._memory.unproven > 0
            or self._memory.deep_polls.is_due(began)
            or size + _SPARE_ROWS <= _FIRST_TAKE  # a deep poll costs no more then
            or size > MAX_ROWS_IN_MEMORY
        )
        return Poll(
            PollInputs(
                identity_id=self.identity_id,
                log=self.log,
                lanes=self.lanes,
                lateness=self.lateness,
                memory=self._memory,
                deliver=partial(self._hand_out, deliver),
                turn=self.turn,
                now=self.now,
                began=began,
                known=known,
                floor=known.floor if is_deep else near,
                near=near,
            )
        )

    async def _read(self, poll: Poll) -> None:
        """Read a small page, and more pages only if the first is not enough."""
        known = poll.known
        if self.checkpoint is None and poll.floor is None:
            await Backlog(poll).read_all()
            return
        there = known.ids_from(poll.floor)
        take = MAX_TAKE if self.checkpoint is None else self._idle_take(known, there)
        healing = self._memory.unproven > 0
        most = None if healing else 2 * MAX_ROWS_IN_MEMORY
        tail, run = poll.open("desc", take, concurrency=1)
        async with run:
            rows = list(await run.next_batch() or ())
            count = run.pagination.item_count
            is_all = run.report.complete
            choice = choose(
                is_all=is_all,
                seems_unchanged=not is_all and self._seems_unchanged(poll, tail, count),
                is_too_much=not healing and self._is_too_much(known, there, count),
                is_large_page=take == MAX_TAKE,
            )
            if choice is Choice.WAIT:
                return
            poll.learn_from((row.created_at for row in tail.seen.values()), count)
            if choice is Choice.GO_ON:
                if await poll.read_newest_first(tail, run, rows, most=most):
                    return
                choice = Choice.OLDEST_FIRST
        is_again = choice is Choice.READ_AGAIN
        if not (is_again and await poll.reread_newest_first(most=most)):
            await Backlog(poll).read_oldest_first()

    def _is_too_much(self, known: FollowCheckpoint, there: int, count: int) -> bool:
        """Tell whether more events have come than may be held in memory, by counts."""
        new = max(0, count - known.count)
        return (
            new > MAX_NEWEST_FIRST or there + len(self._held) + new > MAX_ROWS_IN_MEMORY
        )

    def _idle_take(self, known: FollowCheckpoint, there: int) -> int:
        """Return the page size that reaches back to the floor if no event is new."""
        if known.newest is None:
            return _FIRST_TAKE
        take = there + self._new + len(self._held) + _SPARE_ROWS
        return min(max(take, _SMALL_TAKE), MAX_TAKE)

    def _seems_unchanged(self, poll: Poll, tail: Tail, count: int) -> bool:
        """Tell whether a log seems unchanged after the first page of a poll.

        This is no proof. The poll is only put off: the checkpoint stays as it is, and
        every few polls all of the log from the floor on is read in any case.
        """
        if (
            self._is_first
            or self._memory.unproven
            or self._memory.audit.is_doubtful
            or count != poll.known.count
            or any(map(poll.known.wants, tail.seen.values()))
        ):
            return False
        if poll.given.is_deeper:
            return self._memory.deep_polls.skip(poll.given.began, count)
        self._skipped = (self._skipped + 1) % (_SKIPPED_POLLS + 1)
        return self._skipped > 0

    async def _hand_out(self, deliver: Deliver, batch: Batch) -> None:
        is_news = batch.events or batch.gap is not None or batch.late_suspected
        is_end = batch.report is not None
        if is_news or self._is_first or (is_end and self.tells_ends):
            await deliver(batch)
            self._is_first = False
        self.checkpoint = batch.checkpoint
        self.report = batch.report
