"""What a follower has seen of one log, and what rows add to it: without I/O.

The watermark is a key, the newest ``created_at`` that was handed out, with the
ids of the rows around it: never a row, which may be deleted, and never a clock.
All ids from ``floor`` on are known. Each poll reads again from there, or from
``overlap`` before the watermark, and whatever it finds that has no known id is
new, late arrivals included. ``floor`` moves only after a poll that read from it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol, Self, TypeAlias

import attrs
import msgspec

from canopy_async.errors import CheckpointError
from canopy_async.instants import in_utc
from canopy_async.models import AuditEvent, AwareDatetime

__all__ = [
    "MAX_DEEP_IDS",
    "MAX_IDS",
    "Batch",
    "CheckpointSource",
    "FollowCheckpoint",
    "Gap",
    "SavedCheckpoint",
]

MAX_IDS: Final = 20_000
"""Ids that one checkpoint holds; where more are due, the overlap is narrowed."""

MAX_DEEP_IDS: Final = 2_000
"""Ids that are kept for deep polls; where more are due, these reach less deep."""

_VERSION: Final = 1
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
        newest: How far events were handed out, by ``created_at``; or were there
            when following began, and old enough to be. None where there was none.
        floor: From where the log may be read again; None is from its beginning.
        ids: The events from ``floor`` on, each with its ``created_at``.
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
        new = {event.id: event.created_at for event in events}
        if not new:
            return self
        newest = max(new.values())
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
        self, *, overlap: timedelta, deep: timedelta, seen: datetime | None = None
    ) -> "FollowCheckpoint":
        """Return the checkpoint without the ids that are needed no more.

        For after a read from ``floor``, so that nothing in between is passed by.

        Args:
            overlap: How far before the newest event ids are kept.
            deep: The same, as far as `MAX_DEEP_IDS` suffice.
            seen: The newest ``created_at`` when that read began, which what is
                committed from then on is late against.
        """
        if self.newest is None:
            return self
        newest = self.newest if seen is None else min(self.newest, seen)
        floor = _before(newest, deep)
        keys = [key for key in self.ids.values() if floor is None or key >= floor]
        if len(keys) > MAX_DEEP_IDS:
            most = _floor_of_most(MAX_DEEP_IDS, keys)
            near = _before(newest, overlap)
            floor = _later(floor, most if near is None else min(most, near))
        return self if floor is None else self.without_older(floor)

    def without_older(self, floor: datetime) -> "FollowCheckpoint":
        """Return the checkpoint without what is older than this."""
        floor = floor if self.floor is None else max(floor, self.floor)
        ids = {id_: key for id_, key in self.ids.items() if key >= floor}
        return attrs.evolve(self, floor=floor, ids=ids)

    def near(self, overlap: timedelta) -> datetime | None:
        """Return from where a poll reads that is no deep one."""
        if self.newest is None:
            return self.floor
        return _later(self.floor, _before(self.newest, overlap))

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
        found = {row.id: row for row in rows if self.wants(row)}
        return sorted(found.values(), key=_key_of)

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
        if newest is None and (read.ids or read.floor is not None):
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
        newest = self.newest
        if until is not None:
            limit = until if newest is None else max(until, newest)
            found = [event for event in found if event.created_at <= limit]
        late = frozenset[str]()
        if newest is not None:
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
    """

    identity_id: str
    events: tuple[AuditEvent, ...]
    checkpoint: FollowCheckpoint = attrs.field(repr=False)
    gap: Gap | None = None
    late: frozenset[str] = frozenset()
    late_suspected: int = 0


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


def _key_of(event: AuditEvent) -> datetime:
    return event.created_at


def _before(instant: datetime, span: timedelta) -> datetime | None:
    try:
        return instant - span
    except OverflowError:  # there is nothing before it
        return None


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return one or other
    return max(one, other)


def _floor_of_most(most: int, keys: Iterable[datetime]) -> datetime:
    """Return the earliest key from which on no more than so many are held."""
    newest_first = sorted(keys, reverse=True)
    cut = newest_first[most]
    kept = [key for key in newest_first[:most] if key > cut]
    return kept[-1] if kept else cut


def _in_utc(instant: datetime | None) -> datetime | None:
    return None if instant is None else in_utc(instant)
