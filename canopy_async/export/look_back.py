"""The look-back: finding late events in a log that was read before.

An event may be committed some time after its ``created_at``. It then appears before
rows that were read already. Therefore the next read does not start at the newest event
that was seen, but some time before it. This time is the look-back. The ids of the
events in the look-back are kept, so that the next read can tell which events are new.
They are stored as a `FollowCheckpoint`, as by a follower.

Exports and followers use the rules of `canopy_async._follow.coverage`. They differ in
three things:

- A follower knows whether a log still has rows before the look-back, and reports a gap
  only if there are none. An export reads only from the look-back on, so it also reports
  a gap if the known events were deleted one by one.
- A follower may not know the time. It looks back from the date where the last events
  came, and keeps some of these events, however old they are. An export looks back from
  the newest event that is not dated after the server's time, so that its manifest has
  few ids for each log. If no response tells the time, an export does as a follower.
- A follower keeps fewer ids, as it saves them with each batch, but all ids of one
  instant. An export has to store the ids of two reads at once, and drops an instant
  that has more than `MOST_KEPT` ids.
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
"""The most ids of one look-back.

In the middle of a read, its own ids and those of the read before must both fit into
one `FollowCheckpoint`."""

_MOST_SEEN: Final = 10 * MOST_WITNESSES
"""Dates that are held at most until only the latest ones are kept."""

_PAGES_TO_JUDGE: Final = 16
"""Pages after which the look-back is judged anew where no response tells the time."""

_TICK: Final = timedelta.resolution


_E = TypeVar("_E", bound=Dated)


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
        counted: The most events that the log was ever known to have, or None if that
            is not known.
        resumes: Whether this read continues an earlier one in the middle, so that it
            does not see the rows before.

    Attributes:
        began: The instant when this read began, or None until it is known.
        late: The number of new events that are dated before ``covered``.
        is_told: Whether a response told the time ``began``. If not, it comes from this
            machine's clock, which may be wrong.
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
        # The dates of the newest new rows; only used while the time is not told.
        self._seen: list[datetime] = []
        self.is_told = True
        self.began = began
        self.late = 0

    def take(self, events: Sequence[_E]) -> Sequence[_E]:
        """Return the new rows among ``events``, in their order.

        Args:
            events: Consecutive rows of the log.
        """
        if not events:
            return events
        self._update_top(events)
        if self._base.newest is not None:  # else no event is known that could remain
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
        """Return the known events, after the log was read to its end."""
        floor = self._complete_from()
        grown = self._with_new_rows()
        if self._remains.is_empty and not self._resumes:
            self._remains.absence = self._absence
            grown = grown.emptied(self._remains)
        return _limited(grown if floor is None else grown.without_older(floor))

    def known_so_far(self) -> FollowCheckpoint:
        """Return the known events, in the middle of a read that goes oldest first.

        A read that starts at its ``floor`` finds all events not read yet.
        """
        floor = self._complete_from()
        grown = self._with_new_rows()
        return grown if floor is None else grown.without_older(floor)

    def all_known(self) -> FollowCheckpoint:
        """Return the known events, in the middle of a read in any other order.

        Ids before its ``floor`` are kept, too, because the read continues from its
        checkpoint and may meet these events again. At the end of the read, every event
        from ``floor`` on is known.
        """
        return attrs.evolve(self._with_new_rows(), floor=self._complete_from())

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

        No gap is reported if the look-back starts after all known events: then so many
        events shared one instant that none of their ids was kept.
        """
        newest, floor = self._base.newest, self._base.floor
        if newest is not None and floor is not None and floor > newest:
            return None
        self._remains.absence = self._absence
        return self._remains.gap

    @property
    def _absence(self) -> Absence:
        """The time in which the log was not read."""
        return Absence(
            began=self._covered if self.is_told else None,
            ended=self.began,
            reach=self._span,
            most=self._counted,
        )

    def _update_top(self, events: Sequence[Dated]) -> None:
        """Update the newest row; rows dated after the begin of the read don't count."""
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
        self._seen += [event.created_at for event in events if event.id not in known]
        if len(self._seen) > _MOST_SEEN:
            self._seen = self._latest_seen()

    def _latest_seen(self) -> list[datetime]:
        return sorted(self._seen)[-MOST_WITNESSES:]

    def _keep(self, new: Sequence[Dated]) -> None:
        keys = [event.created_at for event in new]
        latest = max(keys)
        if self._covered is not None and min(keys) < self._covered:
            self.late += sum(key < self._covered for key in keys)
        self._newest = later(self._newest, latest)
        floor = self._floor_to_drop()
        if floor is not None and latest < floor:
            return
        self._parts.append(_Part([event.id for event in new], keys, latest))
        self._rows += len(new)
        self._drop(floor)

    def _floor_to_drop(self) -> datetime | None:
        """Return the instant before which rows are dropped; None to keep all for now.

        To judge it by the rows takes as long as all else here, so it waits for some
        pages.
        """
        if self.is_told or len(self._parts) % _PAGES_TO_JUDGE == 0:
            return self._floor()
        return None

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
        top = self._top_by_time() if self.is_told else self._top_by_witnesses()
        if top is None:
            return self._base.floor
        return later(self._base.floor, before(top, self._span))

    def _top_by_time(self) -> datetime | None:
        top = self._base.newest if self._top is None else self._top
        return top if top is None or self.began is None else min(top, self.began)

    def _top_by_witnesses(self) -> datetime | None:
        """Return the date where events come, judged by the last known and new rows.

        It never moves back during a read, as rows before it may be dropped already.
        """
        seen = [*self._base.ids.values(), *self._latest_seen()][-MOST_WITNESSES:]
        if seen:
            self._reached = later(self._reached, front_of(seen, self._span))
        return self._reached

    def _complete_from(self) -> datetime | None:
        """Return the instant from which on all ids of rows read so far are kept."""
        above = None if self._dropped is None else self._dropped + _TICK
        return later(self._floor(), above)

    def _with_new_rows(self) -> FollowCheckpoint:
        ids = dict(self._base.ids)
        for part in self._parts:
            ids.update(zip(part.ids, part.keys, strict=True))
        kept = None if self._remains.has_rows else self._base.kept
        return attrs.evolve(self._base, newest=self._newest, ids=ids, kept=kept)


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
    return _limited(both if floor is None else both.without_older(floor))


def _limited(known: FollowCheckpoint) -> FollowCheckpoint:
    """Keep at most `MOST_KEPT` of the newest ids, which may shorten the look-back."""
    if len(known.ids) <= MOST_KEPT:
        return known
    keys = sorted(known.ids.values(), reverse=True)
    return known.without_older(keys[MOST_KEPT] + _TICK)
