"""What a follower has seen of one log, and what rows add to it: without I/O.

The watermark is a key, the newest ``created_at`` that was handed out, with the
ids of the rows around it: never a row, which may be deleted, and never a clock.
Each poll reads again from ``floor``, which is ``overlap`` before the watermark;
whatever it finds there that has no known id is new, late arrivals included.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, Self, TypeAlias

import attrs
import msgspec

from canopy_async.errors import CheckpointError
from canopy_async.models import AuditEvent, AwareDatetime

__all__ = [
    "MAX_IDS",
    "Batch",
    "CheckpointSource",
    "FollowCheckpoint",
    "Gap",
    "SavedCheckpoint",
]

MAX_IDS: Final = 20_000
"""Ids that one checkpoint holds; where more are due, the overlap is narrowed."""

_VERSION: Final = 1
_KIND: Final = "follow"
_MAX_TEXT: Final = 16 * 1024 * 1024
_TICK: Final = timedelta.resolution


@attrs.frozen(kw_only=True)
class Gap:
    """Events may have been lost: the server had deleted what came in between.

    Retention overtook the follower, which was away for too long, or a read
    could not be carried back to where the last one ended. Also said, to be
    safe, where all that is known of a log was deleted.

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
        newest: The newest ``created_at`` that was handed out, or was there when
            following began; None where there was none.
        floor: From where the log is read again; None is from its beginning.
        ids: The events from ``floor`` on, each with its ``created_at``.
        count: How many events the server counted, a hint.

    Example:
        >>> async for batch in canopy.follow("idn_1", checkpoint=text):
        ...     text = batch.checkpoint.dumps()
    """

    scope: str
    newest: datetime | None = None
    floor: datetime | None = None
    ids: Mapping[str, datetime] = attrs.field(factory=dict[str, datetime])
    count: int = 0

    def after(
        self, events: Iterable[AuditEvent], *, overlap: timedelta | None
    ) -> "FollowCheckpoint":
        """Return the checkpoint after these events were handed out as well.

        Args:
            events: In any order.
            overlap: How far before the newest event the log is read again;
                None leaves that place where it is.
        """
        ids = {**self.ids, **{event.id: event.created_at for event in events}}
        if not ids:
            return self
        newest = max(ids.values())
        if self.newest is not None:
            newest = max(newest, self.newest)
        floor = self.floor
        if overlap is not None:
            floor = _later(floor, _before(newest, overlap))
        if len(ids) > MAX_IDS:
            floor = _later(floor, _floor_of_most(ids.values()))
        if floor is not None:
            ids = {id_: key for id_, key in ids.items() if key >= floor}
        return attrs.evolve(self, newest=newest, floor=floor, ids=ids)

    def wants(self, event: AuditEvent) -> bool:
        """Tell whether an event is to be handed out."""
        if self.floor is not None and event.created_at < self.floor:
            return False
        return event.id not in self.ids

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
        if len(read.ids) > MAX_IDS or min(read.ids.values(), default=0) < 0:
            raise CheckpointError("not a checkpoint: a number is out of bounds")
        if read.n < 0:
            raise CheckpointError("not a checkpoint: a number is out of bounds")
        newest = read.wm
        if newest is None:
            if read.ids or read.floor is not None:
                raise CheckpointError("not a checkpoint: ids without a watermark")
            return cls(scope=read.scope, count=read.n)
        ids = {id_: newest - age * _TICK for id_, age in read.ids.items()}
        return cls(
            scope=read.scope, newest=newest, floor=read.floor, ids=ids, count=read.n
        )

    def digest(
        self,
        identity_id: str,
        rows: Sequence[AuditEvent],
        *,
        overlap: timedelta | None,
        truncated: bool,
    ) -> "Batch":
        """Return what rows add to what is known, as a batch.

        Args:
            identity_id: Whose log it is.
            rows: Those from ``floor`` on, in any order.
            overlap: As in `after`.
            truncated: Whether the log held nothing older than ``floor``.
        """
        found = {row.id: row for row in rows if self.wants(row)}
        events = tuple(sorted(found.values(), key=_key_of))
        late = frozenset[str]()
        newest = self.newest
        if newest is not None:
            late = frozenset(event.id for event in events if event.created_at < newest)
        gap: Gap | None = None
        if truncated and self.ids and not any(row.id in self.ids for row in rows):
            gap = Gap(older_than=min(map(_key_of, rows), default=None))
        base = self
        if gap is not None and not rows:
            base = attrs.evolve(self, ids={})  # or it would be said again
        return Batch(
            identity_id=identity_id,
            events=events,
            checkpoint=base.after(events, overlap=overlap),
            gap=gap,
            late=late,
        )


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
    """

    identity_id: str
    events: tuple[AuditEvent, ...]
    checkpoint: FollowCheckpoint = attrs.field(repr=False)
    gap: Gap | None = None
    late: frozenset[str] = frozenset()


class _Head(msgspec.Struct):
    v: int
    kind: str = ""


class _Text(msgspec.Struct, forbid_unknown_fields=True):
    v: int
    kind: str
    scope: str
    wm: AwareDatetime | None
    floor: AwareDatetime | None
    ids: dict[str, int]
    n: int


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


def _floor_of_most(keys: Iterable[datetime]) -> datetime:
    """Return the earliest key from which on no more than `MAX_IDS` are held."""
    newest_first = sorted(keys, reverse=True)
    cut = newest_first[MAX_IDS]
    kept = [key for key in newest_first[:MAX_IDS] if key > cut]
    return kept[-1] if kept else cut


def _in_utc(instant: datetime | None) -> datetime | None:
    return None if instant is None else instant.astimezone(UTC)
