"""`Poll`: one poll of one log, the facts that it learns, and its batches.

A poll is a read like any other, proven by the overlap chain: newest first, back to
where late commits are looked for. Where many events have come, `Backlog` reads them
oldest first instead.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import attrs

from canopy_async._api.requests import MAX_TAKE
from canopy_async._follow.coverage import Absence, Gap, front_of, not_ahead
from canopy_async._follow.follow_checkpoint import Batch, FollowCheckpoint
from canopy_async._follow.poll_inputs import Deliver, PollInputs, clock
from canopy_async._follow.tail import Tail
from canopy_async._read.reader import PageReader
from canopy_async._util.arguments import Order
from canopy_async.errors import IncompleteReadError
from canopy_async.models import AuditEvent
from canopy_async.report import ReadReport

__all__ = ["Deliver", "Poll", "clock"]

_HEALING_POLLS: Final = 3
"""Polls in a row that read an unproven stretch again before following goes on."""

_MOST_HEALING_POLLS: Final = 20
"""As many such polls at most, while each of them finds more ties."""

_RUN: Final = 4
"""Ties from which on it may be their number that a read can't be proven for."""


@attrs.define(eq=False)
class Poll:
    """One poll.

    Attributes:
        given: All that the poll was given.
        known: The checkpoint after all that was handed out so far.
        floor: The earliest date that is read, None for the log's beginning.
        is_deep: Whether the checkpoint begins there, too.
        newest: The newest date of the first page, one that is not ahead if any is.
        front: Where events came when the first page was read, by that page; None
            where all of it is dated ahead.
        counted: How many events the first page counted.
        until: The latest date that has settled; None holds no event back.
        found: How many events were seen that had not been handed out before.
        held: The events that were held back, as far as they were read.
    """

    given: PollInputs
    known: FollowCheckpoint = attrs.field(init=False)
    floor: datetime | None = attrs.field(init=False)
    is_deep: bool = attrs.field(init=False)
    newest: datetime | None = attrs.field(init=False, default=None)
    front: datetime | None = attrs.field(init=False, default=None)
    counted: int = attrs.field(init=False, default=0)
    until: datetime | None = attrs.field(init=False, default=None)
    found: int = attrs.field(init=False, default=0)
    held: Sequence[AuditEvent] = attrs.field(init=False, default=())
    _runs: list[PageReader[AuditEvent]] = attrs.field(
        init=False, factory=list[PageReader[AuditEvent]]
    )

    def __attrs_post_init__(self) -> None:
        """Begin with what was given."""
        given = self.given
        self.known, self.floor, self.is_deep = given.known, given.floor, given.is_deep

    def open(
        self, order: Order, take: int, *, concurrency: int | None = None
    ) -> tuple[Tail, PageReader[AuditEvent]]:
        """Return a pass that reads down to the floor, or up from there.

        Args:
            order: ``asc`` or ``desc``.
            take: Rows per page at most.
            concurrency: Requests in flight at most, None for the session's own limit.
        """
        tail, run = self.given.open(
            order, take, floor=self.floor, concurrency=concurrency
        )
        self._runs.append(run)
        return tail, run

    def read_deep(self) -> None:
        """Read from where the checkpoint begins."""
        self.floor, self.is_deep = self.known.floor, True

    def learn_from(self, dates: Iterable[datetime], count: int) -> None:
        """Learn what time it is, and how much there is.

        Args:
            dates: The dates of the newest events: those of one page.
            count: How many events the server counts.
        """
        oldest_first, now = sorted(dates), self.given.now()
        self.counted = count
        if oldest_first:
            self.newest = oldest_first[-1]
        if dated := not_ahead(oldest_first, now):
            self.newest = dated[-1]
            self.front = front_of(dated, self.given.lateness.deep_overlap, now=now)
        if self.given.lateness.settle:
            self.until = self.given.memory.time.settled(
                self.given.lateness.settle, newest=self.newest, began=self.given.began
            )
        if self.newest is not None:
            self.given.memory.time.learn(self.newest, clock())
        self.known = self.given.memory.audit.with_count(self.known, count)

    async def reread_newest_first(self, *, most: int | None) -> bool:
        """Read newest first in large pages; hand the new events out as one batch.

        Args:
            most: Rows to read at most, None for any number.

        Returns:
            Whether these sufficed; if not, nothing was done.
        """
        tail, run = self.open("desc", MAX_TAKE)
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
        """Read newest first to the floor; hand the new events out as one batch.

        Args:
            tail: Watches the pages of the run.
            run: A pass that reads newest first, and may have begun.
            rows: The rows that it has read so far.
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
        absence = self.absence(is_whole=True)  # by what was counted before
        self.known = attrs.evolve(self.known, count=run.pagination.item_count)
        if proven:
            self.given.memory.unproven = 0
            found = self.to_batch(rows, truncated=not tail.passed, absence=absence)
            self.note_covered()
            found = self.conclude(found)
        else:
            found = self._deliver_unproven(tail)
        await self.hand_out(attrs.evolve(found, report=self.report(run)))
        return True

    def report(self, run: PageReader[AuditEvent]) -> ReadReport:
        """Return what a run can prove, with the requests of the whole poll."""
        reports = [one.report for one in self._runs if one is not run]
        report = run.report
        return attrs.evolve(
            report,
            requests=report.requests + sum(one.requests for one in reports),
            retries=report.retries + sum(one.retries for one in reports),
        )

    def rest(self, run: PageReader[AuditEvent]) -> Batch:
        """Return a batch without events that ends the poll."""
        return Batch(
            identity_id=self.given.identity_id,
            events=(),
            checkpoint=self.known,
            report=self.report(run),
        )

    def absence(self, *, is_whole: bool) -> Absence:
        """Return the time for which nobody looked at the log, before this poll.

        Args:
            is_whole: Whether all rows from the floor on are looked at together. Only
                then their number can be compared with what the log held before.
        """
        most = max(self.given.memory.most, self.known.count)
        return Absence(
            began=self.given.memory.covered,
            ended=self.given.now(),
            reach=self.given.lateness.deep_overlap,
            most=most if is_whole else None,
        )

    def note_covered(self) -> None:
        """Note that all was seen which was there when the poll began."""
        took = self.given.took
        self.given.memory.note_covered(self.given.now(), took=took, count=self.counted)

    def conclude(self, found: Batch) -> Batch:
        """Return the last batch of a poll that saw all from its floor on."""
        memory, checkpoint = self.given.memory, found.checkpoint
        if self.is_deep:
            checkpoint = self.trimmed(checkpoint, self.front)
            memory.deep_polls.ran(self.given.began, self.counted)
        missing = memory.audit.judge(
            self.given.known.unexplained - self.found, is_deep=self.is_deep
        )
        if memory.audit.is_doubtful:
            memory.deep_polls.poll_deep_next()
        if missing and checkpoint.explained is not None:
            explained = checkpoint.explained + missing  # it is said once
            checkpoint = attrs.evolve(checkpoint, explained=explained)
        return attrs.evolve(found, checkpoint=checkpoint, late_suspected=missing)

    def to_batch(
        self, rows: Sequence[AuditEvent], *, truncated: bool, absence: Absence
    ) -> Batch:
        """Return what some rows add to what is known, as a batch.

        Args:
            rows: The rows from the floor on, or some of them, in any order.
            truncated: Whether the log held nothing older than the floor.
            absence: The time for which nobody looked at the log.
        """
        known = self.known
        new = known.new_among(rows)
        ready = new if self.until is None else known.settled(new, self.until)
        self.found += len(new)
        self.held = new[len(ready) :]
        return known.batch(
            self.given.identity_id, ready, rows, truncated=truncated, absence=absence
        )

    def trimmed(
        self, checkpoint: FollowCheckpoint, seen: datetime | None
    ) -> FollowCheckpoint:
        """Return a checkpoint without the ids that are needed no more.

        Args:
            checkpoint: The checkpoint after a read from its floor.
            seen: Where events came when that read began.
        """
        return checkpoint.trimmed(
            overlap=self.given.lateness.overlap,
            deep=self.given.lateness.deep_overlap,
            seen=seen,
            now=self.given.now(),
        )

    async def hand_out(self, batch: Batch) -> None:
        """Hand a batch out, and go on from its checkpoint."""
        await self.given.deliver(batch)
        self.known = batch.checkpoint

    def _deliver_unproven(self, tail: Tail) -> Batch:
        """Return a batch of the rows that were seen, though they may not be all.

        The floor stays for some polls, which read the stretch again, and for more
        polls as long as these find more ties. Then following goes on, as a follower
        must not stick. It goes on with a gap if the floor was not reached, or if more
        of a run of ties was found than the time before.
        """
        memory = self.given.memory
        seen = list(tail.seen.values())
        ties = Counter(self.known.ids.values())
        found = self.to_batch(
            seen,
            truncated=tail.ended and not tail.passed,
            absence=self.absence(is_whole=False),
        )
        more = any(ties[event.created_at] >= _RUN for event in found.events)
        memory.note_unproven(found_more=more)
        enough = _MOST_HEALING_POLLS if more else _HEALING_POLLS
        if memory.unproven <= enough:
            return found
        memory.unproven = 0
        is_reached = tail.passed or tail.ended
        if is_reached:
            checkpoint = self.trimmed(found.checkpoint, self.front)
            memory.deep_polls.ran(self.given.began, self.counted)
        else:
            overlap = self.given.lateness.overlap
            checkpoint = found.checkpoint.trimmed(
                overlap=overlap, deep=overlap, now=self.given.now()
            )
        found = attrs.evolve(found, checkpoint=checkpoint)
        if is_reached and not memory.found_more:
            return found
        # What is older than the new floor is not read again, and so is lost. What is
        # newer may be missing for now: the next polls look for it.
        return attrs.evolve(found, gap=Gap(older_than=self.newest))
