"""The look-back: finding late events in a log that was read before.

An event may be committed some time after its ``created_at``. It then appears before
rows that were read already. Therefore the next read does not start at the newest event
that was seen, but some time before it. This time is the look-back. The ids of the
events in the look-back are kept, so that the next read can tell which events are new.
They are stored as a `FollowCheckpoint`.
"""

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final, Protocol, TypeVar

import attrs

from canopy_async._follow.follow_checkpoint import (
    MAX_IDS,
    FollowCheckpoint,
    Gap,
    before,
    later,
)

__all__ = ["MOST_KEPT", "LookBack", "joined"]

MOST_KEPT: Final = MAX_IDS * 9 // 20
"""The most ids of one look-back.

In the middle of a read, its own ids and those of the read before must both fit into
one `FollowCheckpoint`."""

_TICK: Final = timedelta.resolution


class _Event(Protocol):
    """The fields of an event that the look-back needs."""

    @property
    def id(self) -> str: ...

    @property
    def created_at(self) -> datetime: ...


_E = TypeVar("_E", bound=_Event)


@attrs.frozen
class _Part:
    """Some new rows that were taken together: their ids and instants.

    Attributes:
        ids: The ids of the rows.
        keys: The ``created_at`` of the rows.
        latest: The latest of these instants.
    """

    ids: Sequence[str]
    keys: Sequence[datetime]
    latest: datetime


class LookBack:
    """The look-back of one log: tells which rows are new, and keeps their ids.

    It keeps the ids of the events in the look-back, but at most `MOST_KEPT`, unless
    more events share one instant. If there are more, the look-back becomes shorter:
    it starts at `FollowCheckpoint.floor`.

    Args:
        scope: The hash of the export.
        span: The length of the look-back.
        known: The events known from earlier reads, or None for the first read.
        covered: The instant up to which earlier reads covered the log, by the
            server's clock.
        began: The instant when this read began, by the server's clock. Events that
            are committed later may be missing from it.

    Attributes:
        began: The instant when this read began, or None until it is known.
        late: The number of new events that are dated before ``covered``.
    """

    def __init__(
        self,
        scope: str,
        span: timedelta,
        *,
        known: FollowCheckpoint | None = None,
        covered: datetime | None = None,
        began: datetime | None = None,
    ) -> None:
        self._base: Final = known or FollowCheckpoint(scope=scope)
        self._span: Final = span
        self._covered: Final = covered
        self._parts: deque[_Part] = deque()
        self._rows = 0
        self._most: Final = min(MOST_KEPT, max(0, MAX_IDS - len(self._base.ids)))
        self._newest = self._base.newest
        self._top: datetime | None = None
        self._dropped: datetime | None = None
        self._has_seen_known = False
        self._oldest_new: datetime | None = None
        self.began = began
        self.late = 0

    def take(self, events: Sequence[_E]) -> Sequence[_E]:
        """Return the new rows among ``events``, in their order.

        Args:
            events: Consecutive rows of the log.
        """
        if not events:
            return events
        self._note_top(events)
        known = self._base.ids
        new: Sequence[_E] = events
        if known:
            new = [event for event in events if event.id not in known]
            if len(new) < len(events) and not self._has_seen_known:
                self._has_seen_known = any(map(self._is_witness, events))
        if new:
            self._keep(new)
        return new

    def known(self) -> FollowCheckpoint:
        """Return the known events, after the log was read to its end."""
        floor = self._complete_from()
        grown = self._grown()
        return _narrowed(grown if floor is None else grown.without_older(floor))

    def known_so_far(self) -> FollowCheckpoint:
        """Return the known events, in the middle of a read that goes oldest first.

        A read that starts at its ``floor`` finds all events not read yet.
        """
        floor = self._complete_from()
        grown = self._grown()
        return grown if floor is None else grown.without_older(floor)

    def all_known(self) -> FollowCheckpoint:
        """Return the known events, in the middle of a read in any other order.

        Ids before its ``floor`` are kept, too, because the read continues from its
        checkpoint and may meet these events again. At the end of the read, every event
        from ``floor`` on is known.
        """
        return attrs.evolve(self._grown(), floor=self._complete_from())

    @property
    def gap_so_far(self) -> Gap | None:
        """The gap that is certain in the middle of a read that goes oldest first."""
        newest = self._base.newest
        if newest is None or self._top is None or self._top <= newest:
            return None  # the read may still find a known event
        return self.gap

    @property
    def gap(self) -> Gap | None:
        """The possible gap, after the log was read from the look-back on.

        The server deletes the oldest events first. If none of the known events is left
        in the log, the server may also have deleted newer ones that were never read.
        A known event dated in the future proves nothing, as it is deleted later than
        events that were committed after it.

        There is no gap if the known events were already older at the last read than
        any event that came since can be now. In a quiet log, the last events get old
        and are deleted, without any event after them.
        """
        if not self._base.ids or self._has_seen_known or self._are_kept_for_long:
            return None
        return Gap(older_than=self._oldest_new)

    def _note_top(self, events: Sequence[_Event]) -> None:
        """Update the newest row; rows dated after the begin of the read don't count."""
        top = max(events[0].created_at, events[-1].created_at)
        if self.began is None or top <= self.began:
            self._top = later(self._top, top)
            return
        due = [e.created_at for e in events if e.created_at <= self.began]
        self._top = later(self._top, max(due, default=None))

    def _is_witness(self, event: _Event) -> bool:
        """Tell whether an event is known and proves that no newer one was deleted.

        An event dated in the future proves it only if no other event is known.
        """
        return event.id in self._base.ids and (
            not self._knows_past or not self._is_future(event.created_at)
        )

    @cached_property
    def _knows_past(self) -> bool:
        """Whether any known event was not dated in the future."""
        return not all(map(self._is_future, self._base.ids.values()))

    def _is_future(self, created_at: datetime) -> bool:
        """Tell whether an event was dated in the future when the log was read."""
        return self._covered is not None and created_at > self._covered

    @property
    def _are_kept_for_long(self) -> bool:
        """Whether the server keeps events longer than any new event can be old."""
        if self._covered is None or self.began is None:
            return False
        kept_for = self._covered - min(self._base.ids.values())
        # A new event was dated at most the look-back before the last read.
        return kept_for >= self._span + (self.began - self._covered)

    def _keep(self, new: Sequence[_Event]) -> None:
        keys = [event.created_at for event in new]
        earliest, latest = min(keys), max(keys)
        if self._oldest_new is None or earliest < self._oldest_new:
            self._oldest_new = earliest
        if self._covered is not None and earliest < self._covered:
            self.late += sum(key < self._covered for key in keys)
        self._newest = later(self._newest, latest)
        floor = self._floor()
        if floor is not None and latest < floor:
            return
        self._parts.append(_Part([event.id for event in new], keys, latest))
        self._rows += len(new)
        self._drop(floor)

    def _drop(self, floor: datetime | None) -> None:
        """Drop rows that lie before the look-back, or that are too many to keep."""
        parts = self._parts
        while floor is not None and parts[0].latest < floor:
            self._rows -= len(parts.popleft().ids)
        while self._rows > self._most and parts[0].latest != parts[-1].latest:
            oldest = (
                parts.popleft() if parts[0].latest < parts[-1].latest else parts.pop()
            )
            self._rows -= len(oldest.ids)
            self._dropped = later(self._dropped, oldest.latest)

    def _floor(self) -> datetime | None:
        """Return the start of the look-back; None if it covers the whole log.

        It lies the length of the look-back before the newest row of this read, or
        before the newest known event if this read has none yet. Rows dated in the
        future don't count, as the next events are dated before them.
        """
        known_from = self._base.floor
        top = self._base.newest if self._top is None else self._top
        if top is None:
            return known_from
        if self.began is not None:
            top = min(top, self.began)
        return later(known_from, before(top, self._span))

    def _complete_from(self) -> datetime | None:
        """Return the instant from which on all ids of rows read so far are kept."""
        above = None if self._dropped is None else self._dropped + _TICK
        return later(self._floor(), above)

    def _grown(self) -> FollowCheckpoint:
        ids = dict(self._base.ids)
        for part in self._parts:
            ids.update(zip(part.ids, part.keys, strict=True))
        return attrs.evolve(self._base, newest=self._newest, ids=ids)


def joined(one: FollowCheckpoint, other: FollowCheckpoint) -> FollowCheckpoint:
    """Return the known events of two adjacent parts of a log.

    Args:
        one: The known events of the earlier part.
        other: The known events of the later part.

    Returns:
        The events of both, from the instant on from which both are complete; at most
        `MOST_KEPT`.
    """
    both = attrs.evolve(
        one, newest=later(one.newest, other.newest), ids={**one.ids, **other.ids}
    )
    floor = later(one.floor, other.floor)
    return _narrowed(both if floor is None else both.without_older(floor))


def _narrowed(known: FollowCheckpoint) -> FollowCheckpoint:
    """Keep at most `MOST_KEPT` of the newest ids, which may shorten the look-back."""
    if len(known.ids) <= MOST_KEPT:
        return known
    keys = sorted(known.ids.values(), reverse=True)
    return known.without_older(keys[MOST_KEPT] + _TICK)
