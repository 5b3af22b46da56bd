"""The look-back: new rows of a log that was read before, late ones among them.

An event may be committed a little after its ``created_at``, behind rows that were
read already. So a read that goes on begins a while before the newest event that
was seen, at the look-back, and what is new is told by the ids that are known from
there on. They are kept as a `FollowCheckpoint`, as a follower keeps them.
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
"""Ids of one look-back at most: in the middle of a read, those of the read before
are known as well, and all of them have to fit into one `FollowCheckpoint`."""

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
    """The ids of some rows that follow each other, and their instants."""

    ids: Sequence[str]
    keys: Sequence[datetime]
    latest: datetime


class LookBack:
    """Tells what is new in one log, and keeps what the next read has to know.

    It keeps the ids of the events from the look-back on: `MOST_KEPT` at most, unless
    more of them share one instant. Where these are not all, the look-back is shorter,
    which `FollowCheckpoint.floor` tells.

    Args:
        scope: The hash of the log.
        span: How long the look-back is.
        known: What is known from reads before; None where this is the first.
        covered: Up to when these have covered the log, by the server's clock.
        began: When this read began, by the server's clock: what is committed
            from then on may be missing from it.

    Attributes:
        late: How many of the new events are dated before ``covered``.
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
        """Return those of some rows that are new, in their order.

        Args:
            events: Rows that follow each other in the log.
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
        """Return what is known once the log was read to its end."""
        floor = self._complete_from()
        grown = self._grown()
        return _narrowed(grown if floor is None else grown.without_older(floor))

    def known_so_far(self) -> FollowCheckpoint:
        """Return what is known in the middle of a read, oldest first.

        A read from its ``floor`` on finds all that this one has not come to.
        """
        floor = self._complete_from()
        grown = self._grown()
        return grown if floor is None else grown.without_older(floor)

    def all_known(self) -> FollowCheckpoint:
        """Return what is known in the middle of a read in any other order.

        It keeps the ids before its ``floor`` as well: the read goes on from its
        checkpoint, and may come to them. Once it is at its end, all from ``floor``
        on are known, and not all of those before.
        """
        return attrs.evolve(self._grown(), floor=self._complete_from())

    @property
    def gap_so_far(self) -> Gap | None:
        """The gap that is certain so far, in the middle of a read oldest first."""
        newest = self._base.newest
        if newest is None or self._top is None or self._top <= newest:
            return None  # what was known may be yet to come
        return self.gap

    @property
    def gap(self) -> Gap | None:
        """The gap that is possible once the log was read from the look-back on.

        The server deletes the oldest events first. Where none of the known ones
        is left, it may have deleted newer ones, too, that were never read. One that
        was dated ahead of its time outlasts those, and tells nothing.

        There is none where the known ones had been kept for so long, when the log was
        read before, that what has come since can't be as old yet: a quiet log loses
        its last events in time, and no other with them.
        """
        if not self._base.ids or self._has_seen_known or self._are_kept_for_long:
            return None
        return Gap(older_than=self._oldest_new)

    def _note_top(self, events: Sequence[_Event]) -> None:
        """Note the newest row, but for those that are dated ahead of their time."""
        top = max(events[0].created_at, events[-1].created_at)
        if self.began is None or top <= self.began:
            self._top = later(self._top, top)
            return
        due = [e.created_at for e in events if e.created_at <= self.began]
        self._top = later(self._top, max(due, default=None))

    def _is_witness(self, event: _Event) -> bool:
        """Tell whether an event was known, and newer ones would be deleted after it."""
        return event.id in self._base.ids and (
            not self._knows_due or not self._is_ahead(event.created_at)
        )

    @cached_property
    def _knows_due(self) -> bool:
        return not all(map(self._is_ahead, self._base.ids.values()))

    def _is_ahead(self, created_at: datetime) -> bool:
        """Tell whether an event was dated ahead of its time when it was read."""
        return self._covered is not None and created_at > self._covered

    @property
    def _are_kept_for_long(self) -> bool:
        """Whether events are kept until long after the next read."""
        if self._covered is None or self.began is None:
            return False
        kept_for = self._covered - min(self._base.ids.values())
        # The oldest that can have come since was dated so long before this read.
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
        """Let go of what lies before the look-back, or is too much."""
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
        """Return where the look-back begins; None is before all time.

        That is before the newest row that this read has come to, and not before
        the newest event that is known. Rows that are dated ahead of their time don't
        count, as what comes next is dated before them.
        """
        known_from = self._base.floor
        top = self._base.newest if self._top is None else self._top
        if top is None:
            return known_from
        if self.began is not None:
            top = min(top, self.began)
        return later(known_from, before(top, self._span))

    def _complete_from(self) -> datetime | None:
        """Return from where on all ids are known that this read has come to."""
        above = None if self._dropped is None else self._dropped + _TICK
        return later(self._floor(), above)

    def _grown(self) -> FollowCheckpoint:
        ids = dict(self._base.ids)
        for part in self._parts:
            ids.update(zip(part.ids, part.keys, strict=True))
        return attrs.evolve(self._base, newest=self._newest, ids=ids)


def joined(one: FollowCheckpoint, other: FollowCheckpoint) -> FollowCheckpoint:
    """Return what is known once two parts of a log were read.

    Args:
        one: What is known of the part that comes first in time.
        other: What is known of the part that comes right after it.

    Returns:
        The ids of both, from where both know all: `MOST_KEPT` at most.
    """
    both = attrs.evolve(
        one, newest=later(one.newest, other.newest), ids={**one.ids, **other.ids}
    )
    floor = later(one.floor, other.floor)
    return _narrowed(both if floor is None else both.without_older(floor))


def _narrowed(known: FollowCheckpoint) -> FollowCheckpoint:
    """Return what is known with `MOST_KEPT` ids: the look-back may get shorter."""
    if len(known.ids) <= MOST_KEPT:
        return known
    keys = sorted(known.ids.values(), reverse=True)
    return known.without_older(keys[MOST_KEPT] + _TICK)
