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
from itertools import pairwise
from operator import attrgetter
from typing import Final, Protocol, Self, TypeAlias, runtime_checkable

import attrs
import msgspec

from canopy_async._util.instants import in_utc
from canopy_async._util.public import publish
from canopy_async.errors import CanopyError, CheckpointError
from canopy_async.models import AuditEvent, AwareDatetime
from canopy_async.report import ReadReport

__all__ = [
    "MAX_DEEP_IDS",
    "MAX_IDS",
    "Batch",
    "CheckpointSource",
    "FirstRunSource",
    "FollowCheckpoint",
    "FollowOutcome",
    "Gap",
    "SavedCheckpoint",
    "before",
    "front_of",
    "later",
    "not_ahead",
]

MAX_IDS: Final = 20_000
"""Ids that one checkpoint holds; where more are due, the overlap is narrowed."""

MAX_DEEP_IDS: Final = 2_000
"""Ids that are kept for deep polls; where more are due, deep polls reach less far."""


_WITNESSES: Final = 15
"""How many of the events that were seen last tell where events come."""

_NEAR_WITNESSES: Final = 5
"""How many tell it for polls that are not deep, which read a small page."""

_IN_DOUBT: Final = 6
"""So many times as many tell it where those may all be dated ahead."""

_FEW: Final = 3
"""Events of which at least one is not dated ahead, as is taken for granted."""

_CLOCK_TOLERANCE: Final = timedelta(seconds=10)
"""How far an event may be dated after the server's ``Date`` and not be called ahead."""

_VERSION: Final = 2
_BEFORE_RELEASE: Final = 1
"""The version of texts from before 0.1.0, whose scope was made of a URL."""

_KIND: Final = "follow"
_MAX_TEXT: Final = 16 * 1024 * 1024
_TICK: Final = timedelta.resolution


@attrs.frozen(kw_only=True)
class Gap:
    """Events may have been lost: the server had deleted what came in between.

    Retention overtook the follower, which was away for too long, or a read
    could not be carried back to where the last one ended. Also said, to be
    safe, where all that is known of a log was deleted, and with what comes then.

    Attributes:
        older_than: What may be missing is older than this, and newer than all
            that was handed out before; None where nothing is left.
    """

    older_than: datetime | None


@attrs.frozen(kw_only=True)
class FollowCheckpoint:
    """What was handed out of one log, as far as a follower must remember it.

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

    @property
    def unexplained(self) -> int:
        """How many of the events that were counted are still to be seen."""
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
            self, newest=newest, ids={**self.ids, **new}, explained=explained
        )
        if len(grown.ids) <= MAX_IDS:
            return grown
        return grown.without_older(_floor_of_most(MAX_IDS, grown.ids.values()))

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
            now: What time it is by the server's clock, None where that is unknown.
        """
        front = _earlier(self.front(deep, now=now), seen)
        if front is None or self._may_all_be_ahead(now):
            return self
        floor = before(front, deep)
        keys = [key for key in self.ids.values() if floor is None or key >= floor]
        if len(keys) > MAX_DEEP_IDS:
            most = _floor_of_most(MAX_DEEP_IDS, keys)
            front = _earlier(self._near_front(overlap, now), seen)
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
        return self._front(span, now, _WITNESSES)

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
            now: What time it is by the server's clock, None where that is unknown.
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
        newest = self.newest
        ages: dict[str, int] = {}
        if newest is not None:
            ages = {id_: (newest - key) // _TICK for id_, key in self.ids.items()}
        text = _Text(
            v=_VERSION,
            kind=_KIND,
            scope=self.scope,
            wm=_in_utc(newest),
            floor=_in_utc(self.floor),
            ids=ages,
            n=self.count,
            explained=self.explained,
        )
        return msgspec.json.encode(text).decode()

    @classmethod
    def loads(cls, text: str | bytes) -> Self:
        """Return the checkpoint that `dumps` wrote.

        Raises:
            CheckpointError: The text is damaged, too long, of a read instead of
                a follower, or of a version that this library does not know.
            TypeError: ``text`` is neither str nor bytes.
        """
        if not isinstance(text, (str, bytes)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a checkpoint is text, not {type(text).__name__}")
        if len(text) > _MAX_TEXT:
            raise CheckpointError(f"a checkpoint has at most {_MAX_TEXT} characters")
        try:
            head = msgspec.json.decode(text, type=_Head)
            if head.kind != _KIND:
                raise CheckpointError("not a checkpoint of a follower")
            if head.v == _BEFORE_RELEASE:
                raise CheckpointError(
                    "the checkpoint was written before version 0.1.0 of this library,"
                    " which can't go on from it: begin afresh"
                )
            if head.v != _VERSION:
                raise CheckpointError(f"a checkpoint of version {head.v} is unknown")
            return cls._from_text(msgspec.json.decode(text, type=_Text))
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise CheckpointError(f"not a checkpoint: {error}") from None
        except OverflowError:
            raise CheckpointError("not a checkpoint: an age is too large") from None

    @classmethod
    def _from_text(cls, read: "_Text") -> Self:
        if len(read.ids) > MAX_IDS or min(read.n, read.explained or 0) < 0:
            raise CheckpointError("not a checkpoint: a number is out of bounds")
        newest = read.wm
        if newest is None and read.ids:
            raise CheckpointError("not a checkpoint: ids without a watermark")
        ids: dict[str, datetime] = {}
        if newest is not None:
            ids = {id_: newest - age * _TICK for id_, age in read.ids.items()}
        return cls(
            scope=read.scope,
            newest=newest,
            floor=read.floor,
            ids=ids,
            count=read.n,
            explained=read.explained,
        )

    def digest(
        self,
        identity_id: str,
        rows: Sequence[AuditEvent],
        *,
        truncated: bool,
        until: datetime | None = None,
    ) -> "Batch":
        """Return what rows add to what is known, as a batch.

        Args:
            identity_id: Whose log it is.
            rows: Those from ``floor`` on, or from a later place, in any order.
            truncated: Whether the log held nothing older than that place.
            until: Events after this, and after all that was handed out, are
                left for later; None leaves none.
        """
        found = self.new_among(rows)
        if until is not None:
            found = self.settled(found, until)
        return self.batch(identity_id, found, rows, truncated=truncated)

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
    ) -> "Batch":
        """Return new events as a batch.

        Args:
            identity_id: Whose log it is.
            found: Those that are handed out, oldest first.
            rows: Those that were read to find them, in any order.
            truncated: Whether the log held nothing older than these.
        """
        late = frozenset[str]()
        newest = self.newest
        if newest is not None and found and found[0].created_at < newest:
            late = frozenset(event.id for event in found if event.created_at < newest)
        gap: Gap | None = None
        base = self
        if truncated and self._is_overtaken(rows):
            if found:  # or it is said with those that are held back
                gap = Gap(older_than=min(map(_key_of, rows)))
            elif not rows and self.ids:
                gap = Gap(older_than=None)
                base = attrs.evolve(self, ids={})  # or it would be said again
        return Batch(
            identity_id=identity_id,
            events=tuple(found),
            checkpoint=base.after(found),
            gap=gap,
            late=late,
        )

    def _is_overtaken(self, rows: Sequence[AuditEvent]) -> bool:
        """Tell whether retention may have deleted what was not seen.

        It deletes the oldest. So it has not, where the oldest row left is known.
        Where it is not, and older rows that were known are gone, any known row
        that is left may be one that was dated ahead of time.

        Args:
            rows: All that the log holds, as far as they were read.
        """
        if self.newest is None:
            return False
        if not any(row.id in self.ids for row in rows):
            return True
        oldest = min(map(_key_of, rows))
        if any(row.id in self.ids for row in rows if row.created_at == oldest):
            return False
        return min(self.ids.values()) < oldest


SavedCheckpoint: TypeAlias = FollowCheckpoint | str | None


class CheckpointSource(Protocol):
    """What has checkpoints to begin from, such as a `CheckpointStore`."""

    async def load(self) -> Mapping[str, FollowCheckpoint]:
        """Return the checkpoint of each identity that has one."""
        ...


@runtime_checkable
class FirstRunSource(CheckpointSource, Protocol):
    """A `CheckpointSource` that also remembers the first run.

    On the first run ``start`` decides where identities begin; one that appears later
    begins at its beginning. So what must be known is which identities were there on
    the first run and have no checkpoint yet, since it may have ended before they had.
    """

    async def load_first_run(self) -> frozenset[str] | None:
        """Return the identities of the first run that have no checkpoint.

        Returns:
            None while the first run goes on: it has not listed them all.
        """
        ...

    async def save_first_run(self, identity_ids: Iterable[str]) -> None:
        """Save that these were there on the first run, and no others."""
        ...


@attrs.frozen(kw_only=True)
class Batch:
    """New events of one identity.

    Attributes:
        identity_id: Whose log it is.
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


@attrs.frozen(kw_only=True)
class FollowOutcome:
    """How an identity ended that was followed with ``until_caught_up``.

    Attributes:
        identity_id: Whose log it is.
        report: What the reads of its last poll can prove, None where it failed before.
        error: Why it failed, None where it was polled to its end.
        checkpoint: What was handed out of it, None where nothing is known of it.
    """

    identity_id: str
    report: ReadReport | None = None
    error: CanopyError | None = None
    checkpoint: FollowCheckpoint | None = attrs.field(default=None, repr=False)


class _Head(msgspec.Struct):
    v: int
    kind: str = ""


class _Text(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    v: int
    kind: str
    scope: str
    wm: AwareDatetime | None
    floor: AwareDatetime | None
    ids: dict[str, int]
    n: int
    explained: int | None = None


_key_of: Final[Callable[[AuditEvent], datetime]] = attrgetter("created_at")


def front_of(
    seen: Sequence[datetime],
    span: timedelta,
    *,
    now: datetime | None = None,
    witnesses: int = _WITNESSES,
) -> datetime:
    """Return where events come, given the dates of some that were seen.

    It is told by those that were seen last: the newest of their dates that is no more
    than ``span`` after the oldest one, so that a look back by ``span`` sees all of
    them. Dates further ahead tell nothing. So events that are dated ahead by more than
    ``span`` move it only where many of them were seen in a row, and none other; and
    where the server tells the time, no number of them does.

    Args:
        seen: At least one date, in the order in which they were seen; those of a page
            oldest first.
        span: How far is looked back.
        now: What time it is by the server's clock, None where that is unknown.
        witnesses: How many of them tell it; more where these may all be ahead.
    """
    told = not_ahead(seen, now) or seen
    recent = told[-witnesses:]
    if now is None:
        more = told[-_IN_DOUBT * witnesses :]
        recent = more if _has_step(more, span) else recent
    oldest = min(recent)
    return max(date for date in recent if date - oldest <= span)


def _has_step(dates: Iterable[datetime], span: timedelta) -> bool:
    """Tell whether some dates are further than this from all that are older."""
    return any(later - date > span for date, later in pairwise(sorted(dates)))


def not_ahead(dates: Iterable[datetime], now: datetime | None) -> list[datetime]:
    """Return the dates that are not ahead of time, in the order given.

    Args:
        dates: In any order.
        now: What time it is by the server's clock; None lets all of them pass.
    """
    if now is None:
        return list(dates)
    latest = now + _CLOCK_TOLERANCE
    return [date for date in dates if date <= latest]


def before(instant: datetime, span: timedelta) -> datetime | None:
    """Return the instant so long before another, None where there is none."""
    try:
        return instant - span
    except OverflowError:  # there is nothing before it
        return None


def later(one: datetime | None, other: datetime | None) -> datetime | None:
    """Return the later of two instants; None is before all of them."""
    if one is None or other is None:
        return one or other
    return max(one, other)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return one or other
    return min(one, other)


def _floor_of_most(most: int, keys: Iterable[datetime]) -> datetime:
    """Return the earliest key from which on no more than so many are held."""
    newest_first = sorted(keys, reverse=True)
    cut = newest_first[most]
    kept = [key for key in newest_first[:most] if key > cut]
    return kept[-1] if kept else cut


def _in_utc(instant: datetime | None) -> datetime | None:
    return None if instant is None else in_utc(instant)


publish("canopy_async", Batch, FollowCheckpoint, FollowOutcome, Gap)
