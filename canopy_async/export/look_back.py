"""What is new in a log that was read before, and what the next read has to know.

An event may be committed a little after its ``created_at``, behind rows that were
read already. So a read that goes on begins a while before the newest event that
was seen, at the look-back, and what is new is told by the ids that are known from
there on. They are kept as a `FollowCheckpoint`, as a follower keeps them.
"""

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

import attrs

from canopy_async.follow.watermark import MAX_IDS, FollowCheckpoint, Gap

__all__ = ["LookBack"]

_TICK: Final = timedelta.resolution


class _Event(Protocol):
    """What is needed of an event."""

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

    It keeps the ids of the events from the look-back on: `MAX_IDS` of those that
    this read has found at most, unless more share one instant. Where these are
    not all, the look-back is shorter, which `FollowCheckpoint.floor` tells.

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
        self._top = _latest(self._top, max(events[0].created_at, events[-1].created_at))
        known = self._base.ids
        new: Sequence[_E] = events
        if known:
            new = [event for event in events if event.id not in known]
            self._has_seen_known = self._has_seen_known or len(new) < len(events)
        if new:
            self._keep(new)
        return new

    def known(self) -> FollowCheckpoint:
        """Return what is known once the log was read to its end."""
        floor = _latest(self._floor(), self._above_dropped())
        grown = self._grown()
        if floor is not None:
            grown = grown.without_older(floor)
        if len(grown.ids) <= MAX_IDS:
            return grown
        keys = sorted(grown.ids.values(), reverse=True)
        return grown.without_older(keys[MAX_IDS] + _TICK)

    def known_so_far(self) -> FollowCheckpoint:
        """Return what is known in the middle of a read, oldest first.

        A read from its ``floor`` on finds all that this one has not come to.
        """
        floor = _latest(self._floor(), self._above_dropped())
        grown = self._grown()
        return grown if floor is None else grown.without_older(floor)

    def all_known(self) -> FollowCheckpoint:
        """Return what is known in the middle of a read in any other order."""
        return self._grown()

    @property
    def gap(self) -> Gap | None:
        """Where events may be missing, once the log was read from the look-back on.

        The server deletes the oldest events first. Where none of the known ones
        is left, it may have deleted newer ones, too, that were never read.
        """
        if not self._base.ids or self._has_seen_known:
            return None
        return Gap(older_than=self._oldest_new)

    def _keep(self, new: Sequence[_Event]) -> None:
        keys = [event.created_at for event in new]
        earliest, latest = min(keys), max(keys)
        if self._oldest_new is None or earliest < self._oldest_new:
            self._oldest_new = earliest
        if self._covered is not None and earliest < self._covered:
            self.late += sum(key < self._covered for key in keys)
        self._newest = _latest(self._newest, latest)
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
        while self._rows > MAX_IDS and parts[0].latest != parts[-1].latest:
            oldest = (
                parts.popleft() if parts[0].latest < parts[-1].latest else parts.pop()
            )
            self._rows -= len(oldest.ids)
            self._dropped = _latest(self._dropped, oldest.latest)

    def _floor(self) -> datetime | None:
        """Return where the look-back begins; None is before all time.

        That is before the newest row that this read has come to, and not before
        the newest event that is known: it may be dated ahead of its time.
        """
        top = self._base.newest if self._top is None else self._top
        if top is None:
            return None
        if self.began is not None:
            top = min(top, self.began)
        try:
            return top - self._span
        except OverflowError:
            return None

    def _above_dropped(self) -> datetime | None:
        return None if self._dropped is None else self._dropped + _TICK

    def _grown(self) -> FollowCheckpoint:
        ids = dict(self._base.ids)
        for part in self._parts:
            ids.update(zip(part.ids, part.keys, strict=True))
        return attrs.evolve(self._base, newest=self._newest, ids=ids)


def _latest(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return one or other
    return max(one, other)
