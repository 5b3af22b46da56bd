"""`Poll`: one poll of one log, the facts that it learns, and its batches.

A poll is a read that the overlap chain proves. It reads newest first, back to its
floor. If many events have come, `Backlog` reads them oldest first instead.
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
"""How many polls in a row read a part of a log again that could not be proven, before
following goes on without the proof."""

_MOST_HEALING_POLLS: Final = 20
"""How many such polls there are at most, while each of them finds more tied events."""

_RUN: Final = 4
"""With this many tied events or more, the ties may be why a read can't be proven."""


@attrs.define(eq=False)
class Poll:
    """One poll of one log.

    Attributes:
        given: All that the poll was given.
        known: The checkpoint after all events that were handed out so far.
        floor: The earliest date that is read, None for the log's beginning.
        is_deep: Whether ``floor`` is also the floor of the checkpoint.
        newest: The newest date of the first page. Dates in the future are left out,
            unless all dates of the page are.
        front: The front when the first page was read, by the events of that page; None
            if all of them are dated in the future.
        counted: How many events the server counted with the first page.
        until: The latest date that has settled; None holds no event back.
        found: How many events were seen that had not been handed out before.
        held: The new events that were read and are held back.
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
        """Begin with the checkpoint and the floor that the poll was given."""
        given = self.given
        self.known, self.floor, self.is_deep = given.known, given.floor, given.is_deep

    def open(
        self, order: Order, take: int, *, concurrency: int | None = None
    ) -> tuple[Tail, PageReader[AuditEvent]]:
        """Return a pass over the events from the floor on, and the `Tail` of the pass.

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
        """Set the floor of the poll to the floor of the checkpoint."""
        self.floor, self.is_deep = self.known.floor, True

    def learn_from(self, dates: Iterable[datetime], count: int) -> None:
        """Learn the front, the server's time and the number of events.

        Args:
            dates: The dates of one page, which has the newest events.
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
            Whether so many rows were enough; if not, no event was handed out.
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
            tail: The `Tail` that watches the pages of the pass.
            run: A pass that reads newest first, and may have begun.
            rows: The rows that the pass has read so far.
            most: Rows to read at most, None for any number.

        Returns:
            Whether so many rows were enough; if not, no event was handed out.
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
        absence = self.absence(is_whole=True)  # before the new count is noted
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
        """Return the report of a pass, with the requests of the whole poll."""
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
        """Note that all events were seen that were there when the poll began."""
        took = self.given.took
        self.given.memory.note_covered(self.given.now(), took=took, count=self.counted)

    def conclude(self, found: Batch) -> Batch:
        """Return the last batch of a poll that saw all events from its floor on.

        Args:
            found: The batch, before the checkpoint is trimmed and counts are judged.
        """
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
            explained = checkpoint.explained + missing  # each is suspected once
            checkpoint = attrs.evolve(checkpoint, explained=explained)
        return attrs.evolve(found, checkpoint=checkpoint, late_suspected=missing)

    def to_batch(
        self, rows: Sequence[AuditEvent], *, truncated: bool, absence: Absence
    ) -> Batch:
        """Return the new events among some rows as a batch.

        Args:
            rows: The rows from the floor on, or some of them, in any order.
            truncated: Whether the log held no row older than the floor.
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
        """Return a checkpoint without the ids that are no longer needed.

        Args:
            checkpoint: The checkpoint after a read from its floor on.
            seen: The front when the read began, None if unknown.
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
        """Return a batch of the rows that were seen, though rows may be missing.

        For some polls the floor stays, so that they read the unproven part again. There
        are more such polls as long as they find more tied events. Then following goes
        on without the proof, as a follower must not stand still. The batch has a gap if
        the floor was not reached, or if the last of these polls still found more events
        of a run of ties.
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
