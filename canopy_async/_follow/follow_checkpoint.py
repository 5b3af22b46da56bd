"""The checkpoint of a follower: which events of one log were handed out, without I/O.

A checkpoint holds the ids of all events handed out from ``floor`` on. It does not name
a last row, which may be deleted, and it needs no clock. Each poll reads again from
``floor`` on, or from ``overlap`` before the front. Each event that has no known id is
new, late events included. ``floor`` moves only after a poll that has read from
``floor`` on.

The front is the date around which new events come: it is close to the dates of the
events that were seen last. Often it is the newest date. But a single event may be dated
hours or centuries in the future, and new events must not be looked for there.
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
"""The most ids of one checkpoint. If the overlap has more events, polls reach back less
far than the overlap."""

MAX_DEEP_IDS: Final = 2_000
"""The most ids that are kept for deep polls alone. If the deep overlap has more events,
deep polls reach back less far."""

_NEAR_WITNESSES: Final = 5
"""How many of the events that were seen last tell the front for polls that are not
deep, which read a small page."""

_FEW: Final = 3
"""So many events are assumed not to be all dated in the future."""


@attrs.frozen(kw_only=True)
class FollowCheckpoint:
    """The events handed out of one log, as far as a follower must remember them.

    Attributes:
        scope: A hash of the log: server, account, identity and search term.
        newest: The newest ``created_at`` that was handed out. If following began with
            ``now``, the newest one that was in the log then, less ``settle``. None
            where there was no event.
        floor: The earliest date from which on ``ids`` has all events handed out; None
            if it has them all. A poll reads no earlier event.
        ids: The ids of the events handed out from ``floor`` on, each with its
            ``created_at``, in the order in which the events were seen.
        count: How many events the server counted, a hint.
        explained: How many events the server may count if none was missed; None where
            unknown.
        kept: For how long the log is known to keep its events, if the latest read found
            the log empty; None if it did not.

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
        """How many of the events that the server counts were not seen yet."""
        return 0 if self.explained is None else max(0, self.count - self.explained)

    def after(self, events: Iterable[AuditEvent]) -> "FollowCheckpoint":
        """Return the checkpoint after these events were handed out as well.

        Args:
            events: The events, in any order.
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
        """Return the checkpoint without the ids that are no longer needed.

        Call this only after a read from ``floor`` on, so that no event is skipped.

        Args:
            overlap: How far before the front all ids are kept.
            deep: How far before the front ids are kept if they are no more than
                `MAX_DEEP_IDS`.
            seen: The front when the read began, None if unknown. Events that were
                committed during the read may be late against this front.
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
        """Return the checkpoint with a later floor, and without the ids before it."""
        floor = floor if self.floor is None else max(floor, self.floor)
        ids = {id_: key for id_, key in self.ids.items() if key >= floor}
        return attrs.evolve(self, floor=floor, ids=ids)

    def front(self, span: timedelta, *, now: datetime | None = None) -> datetime | None:
        """Return the front as `front_of` does, None where no event was seen.

        Args:
            span: How far the next read looks back.
            now: The time by the server's clock, None where that is unknown.
        """
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
        """Tell whether all events of a short log may be dated in the future."""
        if self.floor is not None:
            return False
        return len(self.ids) < _FEW or not not_ahead(self.ids.values(), now)

    def near(
        self, overlap: timedelta, *, now: datetime | None = None
    ) -> datetime | None:
        """Return the earliest date that a poll reads which is not deep.

        Args:
            overlap: How far before the front the poll reads.
            now: The time by the server's clock, None where that is unknown.

        Returns:
            The date, None for the beginning of the log.
        """
        front = self._near_front(overlap, now)
        if front is None:
            return self.floor
        return later(self.floor, before(front, overlap))

    def ids_from(self, floor: datetime | None) -> int:
        """Return how many events are known from a date on, None being all dates."""
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
        """Return the checkpoint from a text that `dumps` returned.

        Raises:
            CheckpointError: The text is damaged or too long, or it is the checkpoint of
                a read and not of a follower, or its version is unknown.
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
        """Return the new events among some rows as a batch.

        Args:
            identity_id: The identity.
            rows: The rows from ``floor`` or a later date on, in any order.
            truncated: Whether the log held no row before that date.
            until: Events that are newer than this, and newer than all events handed
                out, are held back; None holds no event back.
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
            until: The latest date that has settled. Events that are older than the
                newest event handed out can't be put in order any more, and are not held
                back.
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
            rows: The rows that were read to find the events, in any order.
            truncated: Whether the log held no row older than these rows.
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
            # If all new events are held back, the gap is said with them later.
            if found or remains.is_empty:
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
        """Return an observer that tells which known events a read still finds.

        Args:
            absence: The time for which nobody looked at the log.
        """
        return Remains(self.ids, newest=self.newest, kept=self.kept, absence=absence)

    def emptied(self, remains: Remains) -> "FollowCheckpoint":
        """Return the checkpoint after the log was found empty.

        A gap is said once for the empty log, and once more with the next events.
        """
        return attrs.evolve(self, kept=remains.kept or timedelta())


@attrs.frozen(kw_only=True)
class Batch:
    """New events of one identity.

    Attributes:
        identity_id: The identity.
        events: The new events, oldest first.
        checkpoint: The checkpoint after exactly the events that were handed out of this
            log, those of this batch included. If you save it in one transaction with
            the events, each event is processed exactly once; if you save it after them,
            at least once.
        gap: The events before this batch that may be missing, None if none are.
        late: The ids of the events of this batch that are older than an event handed
            out before: they were committed late.
        late_suspected: How many more events the server seems to have than were handed
            out. They may have been committed too late to be found. This is only a
            suspicion from the server's counts, and events that the server deletes hide
            such events.
        report: What the reads of a poll have proven, on the batch that ends the poll;
            else None. ``delivered`` counts the rows that were read, including those
            that were handed out before. ``complete`` says that no row is missing, of
            the rows from `floor <FollowCheckpoint.floor>` on that were there when the
            poll began.
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
