"""The checkpoint of a follower: what it has seen of one log, without I/O.

A checkpoint holds the ids of all rows from ``floor`` on, and never a row, which may
be deleted, nor a clock. Each poll reads again from ``floor``, or from ``overlap``
before the front, and whatever it finds that has no known id is new, late arrivals
included. ``floor`` moves only after a poll that read from it.

The front is where events come, by ``created_at``: near the events that were seen last.
The newest date is often there, but a single event may be dated hours or centuries
ahead, and the window in which new events are looked for must not move away with it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Final, Self

import attrs

from canopy_async._follow.checkpoint_text import CheckpointText
from canopy_async._follow.coverage import (
    UNKNOWN_ABSENCE,
    WITNESSES,
    Absence,
    Gap,
    Remains,
    before,
    earlier,
    floor_of_most,
    front_of,
    later,
    not_ahead,
)
from canopy_async._util.public import publish
from canopy_async.errors import CheckpointError
from canopy_async.models import AuditEvent
from canopy_async.report import ReadReport

__all__ = [
    "MAX_DEEP_IDS",
    "MAX_IDS",
    "Batch",
    "FollowCheckpoint",
    "Gap",
    "before",
    "front_of",
    "later",
    "not_ahead",
]

MAX_IDS: Final = 20_000
"""Ids that one checkpoint holds; where more are due, the overlap is narrowed."""

MAX_DEEP_IDS: Final = 2_000
"""Ids that are kept for deep polls; where more are due, deep polls reach less far."""

_NEAR_WITNESSES: Final = 5
"""How many of the events that were seen last tell where events come, for polls that
are not deep: these read a small page."""

_FEW: Final = 3
"""Events of which at least one is not dated ahead, as is taken for granted."""


@attrs.frozen(kw_only=True)
class FollowCheckpoint:
    """The events handed out of one log, as far as a follower must remember them.

    Attributes:
        scope: A hash of the log: server, account, identity and search term.
        newest: The newest ``created_at`` that was handed out, or that was there when
            following began, and old enough to be. None where there was none.
        floor: From where the log may be read again; None is from its beginning.
        ids: The events from ``floor`` on, each with its ``created_at``, in the order
            in which they were seen.
        count: How many events the server counted, a hint.
        explained: How many it may count without one having been missed; None
            where unknown.
        kept: For how long the log is known to keep its events, where it was found
            empty by the latest read; None where it was not.

    Example:
        >>> async for batch in canopy.follow("idn_1", checkpoint=text):
        ...     text = batch.checkpoint.dumps()
    """

    scope: str
    newest: datetime | None = None
    floor: datetime | None = None
    ids: Mapping[str, datetime] = attrs.field(factory=dict[str, datetime])
    count: int = 0
    explained: int | None = None
    kept: timedelta | None = None

    @property
    def unexplained(self) -> int:
        """The number of counted events that are still to be seen."""
        return 0 if self.explained is None else max(0, self.count - self.explained)

    def after(self, events: Iterable[AuditEvent]) -> "FollowCheckpoint":
        """Return the checkpoint after these events were handed out as well.

        Args:
            events: In any order.
        """
        in_order = sorted(events, key=_key_of)
        if not in_order:
            return self
        new = {event.id: event.created_at for event in in_order}
        newest = in_order[-1].created_at
        if self.newest is not None:
            newest = max(newest, self.newest)
        explained = self.explained
        if explained is not None:
            explained += len(new.keys() - self.ids.keys())
        grown = attrs.evolve(
            self,
            newest=newest,
            ids={**self.ids, **new},
            explained=explained,
            kept=None,
        )
        if len(grown.ids) <= MAX_IDS:
            return grown
        return grown.without_older(floor_of_most(MAX_IDS, grown.ids.values()))

    def trimmed(
        self,
        *,
        overlap: timedelta,
        deep: timedelta,
        seen: datetime | None = None,
        now: datetime | None = None,
    ) -> "FollowCheckpoint":
        """Return the checkpoint without the ids that are needed no more.

        For after a read from ``floor``, so that nothing in between is passed by.

        Args:
            overlap: How far before the front ids are kept, however many there are.
            deep: How far before the front ids are kept, as far as `MAX_DEEP_IDS`
                suffice.
            seen: The front when that read began: an event that is committed from then
                on may be late by so much against it.
            now: The time by the server's clock, None where that is unknown.
        """
        front = earlier(self.front(deep, now=now), seen)
        if front is None or self._may_all_be_ahead(now):
            return self
        floor = before(front, deep)
        keys = [key for key in self.ids.values() if floor is None or key >= floor]
        if len(keys) > MAX_DEEP_IDS:
            most = floor_of_most(MAX_DEEP_IDS, keys)
            front = earlier(self._near_front(overlap, now), seen)
            near = None if front is None else before(front, overlap)
            floor = later(floor, most if near is None else min(most, near))
        return self if floor is None else self.without_older(floor)

    def without_older(self, floor: datetime) -> "FollowCheckpoint":
        """Return the checkpoint without what is older than this."""
        floor = floor if self.floor is None else max(floor, self.floor)
        ids = {id_: key for id_, key in self.ids.items() if key >= floor}
        return attrs.evolve(self, floor=floor, ids=ids)

    def front(self, span: timedelta, *, now: datetime | None = None) -> datetime | None:
        """Return where events come, as `front_of` does; None where none was seen."""
        return self._front(span, now, WITNESSES)

    def _near_front(self, span: timedelta, now: datetime | None) -> datetime | None:
        return self._front(span, now, _NEAR_WITNESSES)

    def _front(
        self, span: timedelta, now: datetime | None, witnesses: int
    ) -> datetime | None:
        if not self.ids or self.newest is None:
            return self.newest
        seen = list(self.ids.values())
        return min(front_of(seen, span, now=now, witnesses=witnesses), self.newest)

    def _may_all_be_ahead(self, now: datetime | None) -> bool:
        """Tell whether nothing shows where events come, in a log known as a whole."""
        if self.floor is not None:
            return False
        return len(self.ids) < _FEW or not not_ahead(self.ids.values(), now)

    def near(
        self, overlap: timedelta, *, now: datetime | None = None
    ) -> datetime | None:
        """Return from where a poll reads that is no deep one.

        Args:
            overlap: How far before the front it reads.
            now: The time by the server's clock, None where that is unknown.
        """
        front = self._near_front(overlap, now)
        if front is None:
            return self.floor
        return later(self.floor, before(front, overlap))

    def ids_from(self, floor: datetime | None) -> int:
        """Return how many events are known from there on."""
        if floor == self.floor or floor is None:
            return len(self.ids)
        return sum(key >= floor for key in self.ids.values())

    def wants(self, event: AuditEvent) -> bool:
        """Tell whether an event is to be handed out."""
        if self.floor is not None and event.created_at < self.floor:
            return False
        return event.id not in self.ids

    def new_among(self, rows: Iterable[AuditEvent]) -> list[AuditEvent]:
        """Return the events that are to be handed out, oldest first."""
        ids, floor = self.ids, self.floor
        found = {row.id: row for row in rows if row.id not in ids}
        events = sorted(found.values(), key=_key_of)
        if floor is None or not events or events[0].created_at >= floor:
            return events
        return [event for event in events if event.created_at >= floor]

    def dumps(self) -> str:
        """Return the checkpoint as JSON text.

        Raises:
            CheckpointError: More than `MAX_IDS` events share one instant.
        """
        if len(self.ids) > MAX_IDS:
            raise CheckpointError(
                f"{len(self.ids)} events share one created_at; a checkpoint holds"
                f" {MAX_IDS}"
            )
        return CheckpointText.of(
            scope=self.scope,
            newest=self.newest,
            floor=self.floor,
            ids=self.ids,
            count=self.count,
            explained=self.explained,
            kept=self.kept,
        ).dumps()

    @classmethod
    def loads(cls, text: str | bytes) -> Self:
        """Return the checkpoint that `dumps` wrote.

        Raises:
            CheckpointError: The text is damaged, too long, of a read instead of
                a follower, or of a version that this library does not know.
            TypeError: ``text`` is neither str nor bytes.
        """
        read = CheckpointText.loads(text)
        least = min(read.n, read.explained or 0, read.kept or 0)
        if len(read.ids) > MAX_IDS or least < 0:
            raise CheckpointError("not a checkpoint: a number is out of bounds")
        return cls(
            scope=read.scope,
            newest=read.wm,
            floor=read.floor,
            ids=read.dates,
            count=read.n,
            explained=read.explained,
            kept=read.kept_for,
        )

    def digest(
        self,
        identity_id: str,
        rows: Sequence[AuditEvent],
        *,
        truncated: bool,
        until: datetime | None = None,
        absence: Absence = UNKNOWN_ABSENCE,
    ) -> "Batch":
        """Return what rows add to what is known, as a batch.

        Args:
            identity_id: The identity.
            rows: The rows from ``floor`` on, or from a later place, in any order.
            truncated: Whether the log held nothing older than that place.
            until: Events after this, and after all that was handed out, are
                left for later; None leaves none.
            absence: The time since the log was read before.
        """
        found = self.new_among(rows)
        if until is not None:
            found = self.settled(found, until)
        return self.batch(
            identity_id, found, rows, truncated=truncated, absence=absence
        )

    def settled(self, found: Sequence[AuditEvent], until: datetime) -> list[AuditEvent]:
        """Return the new events that need not be held back.

        Args:
            found: New events, oldest first.
            until: The latest date that has settled. Events up to the newest one that
                was handed out are too late to be put in order, and don't wait.
        """
        limit = until if self.newest is None else max(until, self.newest)
        return [event for event in found if event.created_at <= limit]

    def batch(
        self,
        identity_id: str,
        found: Sequence[AuditEvent],
        rows: Sequence[AuditEvent],
        *,
        truncated: bool,
        absence: Absence = UNKNOWN_ABSENCE,
    ) -> "Batch":
        """Return new events as a batch.

        Args:
            identity_id: The identity.
            found: The events that are handed out, oldest first.
            rows: The rows that were read to find them, in any order.
            truncated: Whether the log held nothing older than these.
            absence: The time since the log was read before.
        """
        late = frozenset[str]()
        newest = self.newest
        if newest is not None and found and found[0].created_at < newest:
            late = frozenset(event.id for event in found if event.created_at < newest)
        gap: Gap | None = None
        checkpoint = self.after(found)
        if truncated:
            remains = self.remains(absence)
            remains.see(rows)
            if found or remains.is_empty:  # or it is said with those that are held back
                gap = remains.gap
            if remains.is_empty:
                checkpoint = checkpoint.emptied(remains)
        return Batch(
            identity_id=identity_id,
            events=tuple(found),
            checkpoint=checkpoint,
            gap=gap,
            late=late,
        )

    def remains(self, absence: Absence) -> Remains:
        """Return what looks at the rows that a read finds left of the known ones.

        Args:
            absence: The time for which nobody looked at the log.
        """
        return Remains(self.ids, newest=self.newest, kept=self.kept, absence=absence)

    def emptied(self, remains: Remains) -> "FollowCheckpoint":
        """Return the checkpoint once the log was found empty.

        A gap is then said once, and once with what comes next.
        """
        return attrs.evolve(self, kept=remains.kept or timedelta())


@attrs.frozen(kw_only=True)
class Batch:
    """New events of one identity.

    Attributes:
        identity_id: The identity.
        events: The new events, oldest first.
        checkpoint: Covers exactly what was handed out of this log, up to and
            including this batch. Saved in one transaction with the events, each
            is processed exactly once; saved after them, at least once.
        gap: Set where events before these may have been lost.
        late: Ids of those events that are older than some that were handed
            out before: they were committed late.
        late_suspected: How many more events the server seems to have than were
            handed out: maybe committed too late to be found. Only a suspicion,
            from its count, which also hides such events where it deletes others.
        report: Set on the batch that ends a poll: what the reads of this poll can
            prove. ``delivered`` counts the rows that were read, those that had been
            handed out before included; ``complete`` says that no row is missing that
            was there when the poll began, and that `floor <FollowCheckpoint.floor>`
            allowed to read.
    """

    identity_id: str
    events: tuple[AuditEvent, ...]
    checkpoint: FollowCheckpoint = attrs.field(repr=False)
    gap: Gap | None = None
    late: frozenset[str] = frozenset()
    late_suspected: int = 0
    report: ReadReport | None = attrs.field(default=None, repr=False)


_key_of: Final[Callable[[AuditEvent], datetime]] = attrgetter("created_at")


publish("canopy_async", Batch, FollowCheckpoint)
