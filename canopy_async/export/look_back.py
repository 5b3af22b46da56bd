"""The look-back: new rows of a log that was read before, late ones among them.

An event may be committed a little after its ``created_at``, behind rows that were
read already. So a read that goes on begins a while before the newest event that
was seen, at the look-back, and what is new is told by the ids that are known from
there on. They are kept as a `FollowCheckpoint`, as a follower keeps them, and both go
by the rules of `canopy_async._follow.coverage`. Three things differ, and for a reason:

- A follower knows what is left of a log before its look-back, and says a gap only where
  nothing is. An export reads from its look-back on, and so it also says a gap where the
  known events were deleted one by one.
- A follower looks back from where the events come that it has seen last, and keeps some
  of these however old they are. It may not be told the time. An export looks back from
  the newest event that is not ahead of the server's time, so that its manifest names
  few ids of each of its many logs. Where no answer tells the time, an export does as a
  follower does.
- A follower keeps fewer ids, as it saves them with each batch, and all of one instant.
  An export has to name the ids of two reads at once, and lets go of an instant that has
  more than `MOST_KEPT`.
"""

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar

import attrs

from canopy_async._follow.coverage import (
    MOST_WITNESSES,
    Absence,
    Dated,
    Gap,
    before,
    front_of,
    later,
)
from canopy_async._follow.follow_checkpoint import MAX_IDS, FollowCheckpoint

__all__ = ["MOST_KEPT", "LookBack", "joined"]

MOST_KEPT: Final = MAX_IDS * 9 // 20
"""Ids of one look-back at most: in the middle of a read, those of the read before
are known as well, and all of them have to fit into one `FollowCheckpoint`."""

_TICK: Final = timedelta.resolution


_E = TypeVar("_E", bound=Dated)


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
        counted: The most events that the log was ever known to hold; None where that
            is unknown.
        resumes: Whether this read goes on in the middle of an earlier one, so that it
            does not see what lies before.

    Attributes:
        late: How many of the new events are dated before ``covered``.
        is_told: Whether answers have told ``began``. If not, it is the time of this
            machine, which may be wrong.
    """

    def __init__(
        self,
        scope: str,
        span: timedelta,
        *,
        known: FollowCheckpoint | None = None,
        covered: datetime | None = None,
        began: datetime | None = None,
        counted: int | None = None,
        resumes: bool = False,
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
        self._reached: datetime | None = None
        self._counted: Final = counted
        self._resumes: Final = resumes
        self._remains: Final = self._base.remains(Absence())
        # Of those that were seen last, where no answer tells the time.
        self._last_seen: list[datetime] = []
        self.is_told = True
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
        self._remains.absence = self._absence
        self._remains.see(events)
        known = self._base.ids
        new: Sequence[_E] = events
        if known:
            new = [event for event in events if event.id not in known]
        if new:
            self._keep(new)
        return new

    def known(self) -> FollowCheckpoint:
        """Return what is known once the log was read to its end."""
        floor = self._complete_from()
        grown = self._grown()
        if self._remains.is_empty and not self._resumes:
            self._remains.absence = self._absence
            grown = grown.emptied(self._remains)
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

        There is none where the look-back begins after all that is known: so many events
        were of one instant that none of their ids was kept.
        """
        newest, floor = self._base.newest, self._base.floor
        if newest is not None and floor is not None and floor > newest:
            return None
        self._remains.absence = self._absence
        return self._remains.gap

    @property
    def _absence(self) -> Absence:
        """The time for which nobody looked at the log."""
        return Absence(
            began=self._covered if self.is_told else None,
            ended=self.began,
            reach=self._span,
            most=self._counted,
        )

    def _note_top(self, events: Sequence[Dated]) -> None:
        """Note the newest row, but for those that are dated ahead of their time."""
        top = max(events[0].created_at, events[-1].created_at)
        if not self.is_told:
            self._note_seen(events)
        if self.began is None or top <= self.began:
            self._top = later(self._top, top)
            return
        due = [e.created_at for e in events if e.created_at <= self.began]
        self._top = later(self._top, max(due, default=None))

    def _note_seen(self, events: Sequence[Dated]) -> None:
        known = self._base.ids
        dates = [event.created_at for event in events if event.id not in known]
        self._last_seen = sorted(self._last_seen + dates)[-MOST_WITNESSES:]

    def _keep(self, new: Sequence[Dated]) -> None:
        keys = [event.created_at for event in new]
        earliest, latest = min(keys), max(keys)
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
        top = self._top_by_time() if self.is_told else self._top_by_witnesses()
        if top is None:
            return self._base.floor
        return later(self._base.floor, before(top, self._span))

    def _top_by_time(self) -> datetime | None:
        top = self._base.newest if self._top is None else self._top
        return top if top is None or self.began is None else min(top, self.began)

    def _top_by_witnesses(self) -> datetime | None:
        """Return where events come, by those that were seen last.

        It does not go back while a read goes on: what was let go of stays so.
        """
        seen = [*self._base.ids.values(), *self._last_seen][-MOST_WITNESSES:]
        if seen:
            self._reached = later(self._reached, front_of(seen, self._span))
        return self._reached

    def _complete_from(self) -> datetime | None:
        """Return from where on all ids are known that this read has come to."""
        above = None if self._dropped is None else self._dropped + _TICK
        return later(self._floor(), above)

    def _grown(self) -> FollowCheckpoint:
        ids = dict(self._base.ids)
        for part in self._parts:
            ids.update(zip(part.ids, part.keys, strict=True))
        kept = None if self._remains.has_rows else self._base.kept
        return attrs.evolve(self._base, newest=self._newest, ids=ids, kept=kept)


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
