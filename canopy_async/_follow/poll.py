"""One poll of one log: what is read of it, and what is handed out.

It is a read like any other, proven by the overlap chain: newest first, back to
where late commits are looked for. Where much has come, it is read from there up
instead, in batches, so that a follower that was away for long needs no more
memory than one that was not.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final, TypeAlias

import attrs

from canopy_async._api.requests import MAX_TAKE
from canopy_async._follow.coverage import Absence, Gap, before, front_of, not_ahead
from canopy_async._follow.follow_checkpoint import (
    MAX_DEEP_IDS,
    Batch,
    FollowCheckpoint,
)
from canopy_async._follow.lateness import (
    CountAudit,
    DeepPollTimer,
    LatenessOptions,
    ServerTime,
    moved,
)
from canopy_async._follow.tail import Tail, open_tail
from canopy_async._read.audit_log import AuditLog
from canopy_async._read.reader import PageReader
from canopy_async._transport.lanes import Lanes
from canopy_async._util.arguments import Order
from canopy_async.errors import (
    IncompleteReadError,
    RequestBudgetError,
    UnprovenTiesError,
)
from canopy_async.models import AuditEvent
from canopy_async.report import Proof, ReadReport

__all__ = ["MAX_NEWEST_FIRST", "Deliver", "Poll", "PollMemory", "clock"]

Deliver: TypeAlias = Callable[[Batch], Awaitable[None]]
"""Hands a batch out, and returns once it was processed."""

_HEALING_POLLS: Final = 3
_MOST_HEALING_POLLS: Final = 20
MAX_NEWEST_FIRST: Final = 500
"""New rows that are read newest first at most, as one batch."""

_COMMIT_TIME: Final = timedelta(seconds=60)
"""How long after its date an event is committed at most that isn't called late."""

_RUN: Final = 4
"""Ties from which on it may be their number that a read can't be proven for."""


class _After(Enum):
    """What comes after a page that was read oldest first."""

    MORE = auto()
    END = auto()
    OTHER_ORDER = auto()
    """The server ignores the order; nothing was handed out."""


@attrs.define(eq=False)
class PollMemory:
    """What is remembered of a log from poll to poll, and not in checkpoints.

    Attributes:
        deep_polls: When it is read further back.
        audit: What was seen of it, against what is counted.
        time: What time it is there.
        covered: When the latest poll began that saw all it looked for, by the server's
            clock; None where that is unknown.
        most: The most events that the server has counted.
        unproven: Polls in a row whose read could not be proven.
        found_more: Whether one of these found ties that one before had passed by.
    """

    deep_polls: DeepPollTimer
    audit: CountAudit = attrs.field(factory=CountAudit)
    time: ServerTime = attrs.field(factory=ServerTime)
    covered: datetime | None = None
    most: int = 0
    unproven: int = 0
    found_more: bool = False

    def note_covered(self, now: datetime | None, *, took: float, count: int) -> None:
        """Take note of a read that saw all it looked for.

        Args:
            now: What time it is by the server's clock, None where unknown.
            took: How many seconds ago the read began.
            count: How many events the server counted.
        """
        self.covered = None if now is None else moved(now, -timedelta(seconds=took))
        self.most = max(self.most, count)

    def read_again(self, *, found: bool) -> None:
        """Take note of a read that could not be proven."""
        self.found_more = self.unproven > 0 and (self.found_more or found)
        self.unproven += 1


@attrs.define(eq=False, kw_only=True)
class Poll:
    """One poll.

    Attributes:
        identity_id: Whose log it is.
        log: The log of the identity.
        lanes: Where the turns of its reads are, None for the session's own round.
        lateness: How far back it is read, and what is held back.
        memory: What is remembered of it.
        deliver: Hands batches out.
        turn: Is held while the rows of a page wait to be handed out.
        now: Returns what time it is by the server's clock, None where unknown.
        began: When the poll began, by `clock`.
        known: What was handed out so far.
        floor: From where the log is read.
        is_deep: Whether ``known`` begins there, too.
        is_deeper: Whether ``floor`` lies before where other polls read from.
        unexplained: Events that were counted before, and are to be seen now.
        newest: The newest date of the first page, one that is not ahead if any is.
        front: Where events came when the first page was read, by that page; None
            where all of it is dated ahead.
        counted: How many events the first page counted.
        until: Up to which date events have settled; None holds none back.
        found: Events that were seen and had not been handed out before.
        held: Those that were held back, as far as they were read.
    """

    identity_id: str
    log: AuditLog
    lanes: Lanes | None = None
    lateness: LatenessOptions
    memory: PollMemory
    deliver: Deliver
    turn: asyncio.Lock
    now: Callable[[], datetime | None]
    began: float
    known: FollowCheckpoint
    floor: datetime | None
    is_deep: bool
    is_deeper: bool
    unexplained: int
    newest: datetime | None = None
    front: datetime | None = None
    counted: int = 0
    until: datetime | None = None
    found: int = 0
    held: Sequence[AuditEvent] = ()
    _reached: datetime | None = None
    _runs: list[PageReader[AuditEvent]] = attrs.field(
        factory=list[PageReader[AuditEvent]]
    )

    def open(
        self, take: int, *, concurrency: int | None = None
    ) -> tuple[Tail, PageReader[AuditEvent]]:
        """Return a pass that reads newest first, back to the floor."""
        return self._open("desc", take, concurrency)

    def learn_from(self, dates: Iterable[datetime], count: int) -> None:
        """Learn what time it is, and how much there is.

        Args:
            dates: Those of the newest events: of one page.
            count: How many events the server counts.
        """
        oldest_first, now = sorted(dates), self.now()
        self.counted = count
        if oldest_first:
            self.newest = oldest_first[-1]
        if dated := not_ahead(oldest_first, now):
            self.newest = dated[-1]
            self.front = front_of(dated, self.lateness.deep_overlap, now=now)
        if self.lateness.settle:
            self.until = self.memory.time.settled(
                self.lateness.settle, newest=self.newest, began=self.began
            )
        if self.newest is not None:
            self.memory.time.learn(self.newest, clock())
        self.known = self.memory.audit.with_count(self.known, count)

    async def read_all(self) -> None:
        """Read a log for the first time, oldest first, and hand out each page.

        Where late commits are looked for the next time depends on where events came
        when this read began. Of a large log this is asked before its later pages are,
        so that few ids must be kept on the way; of others it is told by their end.
        """
        tail, run = self._open("asc", MAX_TAKE)
        async with run:
            if await self._read_pages_up(tail, run, learns=True):
                return
        await self.reread_newest_first(most=None)

    async def _learn_from_newest(self, first: Sequence[AuditEvent]) -> None:
        """Learn where events come now; the oldest of them were just read."""
        tail, run = self._open("desc", MAX_TAKE, 1)
        async with run:
            await run.next_batch()
            dates = [row.created_at for row in tail.seen.values()]
            self.learn_from(dates, run.pagination.item_count)
        since = self._look_back_from()
        if self.front is None or since is None or since > first[-1].created_at:
            return
        # Late commits to the first page may be as old as it is: it was read before.
        oldest = moved(first[0].created_at, self.lateness.deep_overlap)
        self.front = min(self.front, oldest)

    async def reread_newest_first(self, *, most: int | None) -> bool:
        """Read newest first in large pages, and hand all of it out as one batch.

        Args:
            most: Rows to read at most, None for any number.

        Returns:
            Whether these sufficed; if not, nothing was done.
        """
        tail, run = self.open(MAX_TAKE)
        async with run:
            return await self.read_newest_first(tail, run, [], most=most)

    async def read_newest_first(
        self,
        tail: Tail,
        run: PageReader[AuditEvent],
        rows: list[AuditEvent],
        *,
        most: int | None,
    ) -> bool:
        """Read newest first to the floor, and hand all of it out as one batch.

        Args:
            tail: Steers the run.
            run: A pass that reads newest first, and may have begun.
            rows: What it has read so far.
            most: Rows to read at most, None for any number.

        Returns:
            Whether these sufficed; if not, nothing was done.
        """
        proven = True
        try:
            while (batch := await run.next_batch()) is not None:
                rows.extend(batch)
                if most is not None and len(rows) > most:
                    return False
        except IncompleteReadError as error:
            if not tail.suffices(error, rows):
                raise
            proven = False
        absence = self._absence(is_whole=True)  # by what was counted before
        self.known = attrs.evolve(self.known, count=run.pagination.item_count)
        if proven:
            self.memory.unproven = 0
            found = self._to_batch(rows, truncated=not tail.passed, absence=absence)
            self._note_covered()
            found = self._conclude(found)
        else:
            found = self._deliver_unproven(tail)
        await self._hand_out(attrs.evolve(found, report=self.report(run)))
        return True

    async def read_oldest_first(self) -> None:
        """Read oldest first from where ``known`` begins, and hand out each page.

        The count in ``known`` stays until all is read, so that a poll that goes
        on after an interruption knows that much is to come.
        """
        self.floor, self.is_deep = self.known.floor, True
        tail, run = self._open("asc", MAX_TAKE)
        async with run:
            if await self._read_pages_up(tail, run, learns=False):
                return
        await self.reread_newest_first(most=None)

    async def _read_pages_up(
        self, tail: Tail, run: PageReader[AuditEvent], *, learns: bool
    ) -> bool:
        """Hand out page by page.

        Args:
            tail: Steers the run.
            run: A pass that is asked to read oldest first.
            learns: Whether nothing is known of the log yet.

        Returns:
            False where the pages come in another order: nothing was done.
        """
        try:
            after = await self._first_page(tail, run, learns=learns)
            while after is _After.MORE:
                after = await self._next_page(tail, run)
        except (UnprovenTiesError, RequestBudgetError):
            self.memory.read_again(found=False)  # the next is newest first
            await self._hand_out(self._rest(run))
            return True
        return after is not _After.OTHER_ORDER

    async def _first_page(
        self, tail: Tail, run: PageReader[AuditEvent], *, learns: bool
    ) -> _After:
        while await run.wait():
            async with self.turn:
                rows = run.decode()
                if not rows:
                    continue
                if not (learns and self._is_large(run)):
                    if learns and run.report.complete:
                        dates = [row.created_at for row in rows]
                        self.learn_from(dates, run.pagination.item_count)
                    return await self._hand_out_page(tail, run, rows, is_first=True)
            await self._learn_from_newest(rows)
            async with self.turn:
                return await self._hand_out_page(tail, run, rows, is_first=True)
        await self._hand_out(self._ended(self._rest(run), run))
        return _After.END

    def _is_large(self, run: PageReader[AuditEvent]) -> bool:
        """Tell whether its newest events are looked at before a log is read up."""
        if run.report.complete:
            return False
        return run.pagination.item_count > MAX_NEWEST_FIRST or bool(
            self.lateness.settle
        )

    async def _next_page(self, tail: Tail, run: PageReader[AuditEvent]) -> _After:
        if not await run.wait():
            await self._hand_out(self._ended(self._rest(run), run))
            return _After.END
        # Rows of many logs that wait to be handed out would push each other out of
        # the processor's cache: they are made from an answer when it is their turn.
        async with self.turn:
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
        """Hand out a page of a run that is to read oldest first."""
        report = run.report
        if is_first and not report.complete and report.order_observed != "asc":
            return _After.OTHER_ORDER  # newer events would come before older ones
        batch = self._page(tail, rows, is_first=is_first, is_last=report.complete)
        self._reached = rows[-1].created_at
        if report.proof is Proof.STRICT_KEY:
            batch = self._trim_passed(batch, rows)
        elif batch.checkpoint.floor != self.known.floor:
            # Too many ids: what the proof lacks is out of reach.
            gap = batch.gap or Gap(older_than=batch.checkpoint.floor)
            batch = attrs.evolve(batch, gap=gap)
        if report.complete:
            self._note_covered()
            batch = self._ended(batch, run)
        elif self.held:
            batch = attrs.evolve(batch, report=self.report(run))
        await self._hand_out(batch)
        is_over = report.complete or self.held
        return _After.END if is_over else _After.MORE

    def _ended(self, batch: Batch, run: PageReader[AuditEvent]) -> Batch:
        """Return the last batch of a read that was oldest first."""
        if self.front is None:
            self.front = self._front_at_begin(batch.checkpoint)
        count = run.pagination.item_count
        known = attrs.evolve(batch.checkpoint, count=count)
        batch = self._conclude(attrs.evolve(batch, checkpoint=known))
        # What was committed meanwhile may be late against what came first.
        self.memory.deep_polls.poll_deep_next()
        return attrs.evolve(batch, report=self.report(run))

    def _front_at_begin(self, known: FollowCheckpoint) -> datetime | None:
        """Return where events came when the poll began, told by all that was read.

        Events of the time that the poll took may have come meanwhile, so the front is
        told by those before. They may be committed some seconds after their date.
        """
        took = timedelta(seconds=clock() - self.began) + _COMMIT_TIME
        front = known.front(self.lateness.deep_overlap, now=self.now())
        if front is None:
            return None
        dates = sorted(date for date in known.ids.values() if date <= front - took)
        if not dates:
            return min(known.ids.values(), default=front)
        return front_of(dates, self.lateness.deep_overlap, now=self.now())

    def report(self, run: PageReader[AuditEvent]) -> ReadReport:
        """Return what a run can prove, with the requests of the whole poll."""
        reports = [one.report for one in self._runs if one is not run]
        report = run.report
        return attrs.evolve(
            report,
            requests=report.requests + sum(one.requests for one in reports),
            retries=report.retries + sum(one.retries for one in reports),
        )

    def _open(
        self, order: Order, take: int, concurrency: int | None = None
    ) -> tuple[Tail, PageReader[AuditEvent]]:
        tail, run = open_tail(
            self.log,
            order,
            floor=self.floor,
            take=take,
            concurrency=concurrency,
            lanes=self.lanes,
        )
        self._runs.append(run)
        return tail, run

    def _rest(self, run: PageReader[AuditEvent]) -> Batch:
        """Return a batch without events that ends the poll."""
        return Batch(
            identity_id=self.identity_id,
            events=(),
            checkpoint=self.known,
            report=self.report(run),
        )

    def _page(
        self, tail: Tail, rows: Sequence[AuditEvent], *, is_first: bool, is_last: bool
    ) -> Batch:
        absence = self._absence(is_whole=is_first and is_last)
        batch = self._to_batch(
            rows, truncated=is_first and not tail.passed, absence=absence
        )
        if not is_first and self._is_overtaken(tail):
            batch = attrs.evolve(batch, gap=Gap(older_than=tail.oldest_first_row))
        return batch

    def _is_overtaken(self, tail: Tail) -> bool:
        """Tell whether the list now begins after all that this read has come to."""
        first, reached = tail.oldest_first_row, self._reached
        return first is not None and reached is not None and first > reached

    def _absence(self, *, is_whole: bool) -> Absence:
        """Return the time for which nobody looked at the log, before this poll.

        Args:
            is_whole: Whether all rows from the floor on are looked at together. Only
                then their number can be compared with what the log held before.
        """
        most = max(self.memory.most, self.known.count)
        return Absence(
            began=self.memory.covered,
            ended=self.now(),
            reach=self.lateness.deep_overlap,
            most=most if is_whole else None,
        )

    def _note_covered(self) -> None:
        """Take note that all was seen which was there when the poll began."""
        took = clock() - self.began
        self.memory.note_covered(self.now(), took=took, count=self.counted)

    def _trim_passed(self, batch: Batch, rows: Sequence[AuditEvent]) -> Batch:
        """Trim the checkpoint of a page that was read oldest first.

        What lies ahead has not been read, so nothing is forgotten up to there; and
        what is committed from the beginning of the poll on may be late against the
        front that was seen then. Before that, only the ids of the last instant are
        needed, for the next read to begin there.
        """
        checkpoint, reached = batch.checkpoint, rows[-1].created_at
        front = reached if self.front is None else min(reached, self.front)
        since = self._look_back_from()
        if since is not None and reached <= since:
            checkpoint = checkpoint.without_older(reached)
        elif len(checkpoint.ids) > 2 * MAX_DEEP_IDS:  # and not each time: it takes long
            checkpoint = self._trimmed(checkpoint, front)
        return attrs.evolve(batch, checkpoint=checkpoint)

    def _look_back_from(self) -> datetime | None:
        """Return from where late commits are looked for after this poll."""
        if self.front is None:
            return None
        return before(self.front, self.lateness.deep_overlap)

    def _conclude(self, found: Batch) -> Batch:
        """Return the last batch of a poll that saw all from its floor on."""
        memory, checkpoint = self.memory, found.checkpoint
        if self.is_deep:
            checkpoint = self._trimmed(checkpoint, self.front)
            memory.deep_polls.ran(self.began, self.counted)
        missing = memory.audit.judge(
            self.unexplained - self.found, is_deep=self.is_deep
        )
        if memory.audit.is_doubtful:
            memory.deep_polls.poll_deep_next()
        if missing and checkpoint.explained is not None:
            explained = checkpoint.explained + missing  # it is said once
            checkpoint = attrs.evolve(checkpoint, explained=explained)
        return attrs.evolve(found, checkpoint=checkpoint, late_suspected=missing)

    def _deliver_unproven(self, tail: Tail) -> Batch:
        """Make a batch of what was seen, though it is not proven to be all.

        The floor stays for some polls, which read all of it again, and for more
        as long as these find more. Then it goes on, as a follower must not stick;
        with a gap, where the floor was not reached, or where more of a run of ties
        was found than the time before.
        """
        memory = self.memory
        seen = list(tail.seen.values())
        ties = Counter(self.known.ids.values())
        found = self._to_batch(
            seen,
            truncated=tail.ended and not tail.passed,
            absence=self._absence(is_whole=False),
        )
        more = any(ties[event.created_at] >= _RUN for event in found.events)
        memory.read_again(found=more)
        enough = _MOST_HEALING_POLLS if more else _HEALING_POLLS
        if memory.unproven <= enough:
            return found
        memory.unproven = 0
        if tail.passed or tail.ended:
            checkpoint = self._trimmed(found.checkpoint, self.front)
            memory.deep_polls.ran(self.began, self.counted)
        else:
            overlap = self.lateness.overlap
            checkpoint = found.checkpoint.trimmed(
                overlap=overlap, deep=overlap, now=self.now()
            )
        found = attrs.evolve(found, checkpoint=checkpoint)
        if not (tail.passed or tail.ended):
            oldest = min((event.created_at for event in seen), default=None)
            return attrs.evolve(found, gap=Gap(older_than=oldest))
        if not memory.found_more:
            return found
        return attrs.evolve(found, gap=Gap(older_than=self.newest))

    def _to_batch(
        self, rows: Sequence[AuditEvent], *, truncated: bool, absence: Absence
    ) -> Batch:
        known = self.known
        new = known.new_among(rows)
        ready = new if self.until is None else known.settled(new, self.until)
        self.found += len(new)
        self.held = new[len(ready) :]
        return known.batch(
            self.identity_id, ready, rows, truncated=truncated, absence=absence
        )

    def _trimmed(
        self, checkpoint: FollowCheckpoint, seen: datetime | None
    ) -> FollowCheckpoint:
        return checkpoint.trimmed(
            overlap=self.lateness.overlap,
            deep=self.lateness.deep_overlap,
            seen=seen,
            now=self.now(),
        )

    async def _hand_out(self, batch: Batch) -> None:
        await self.deliver(batch)
        self.known = batch.checkpoint


def clock() -> float:
    """Return the running loop's time: seconds that go on whatever is set."""
    return asyncio.get_running_loop().time()
