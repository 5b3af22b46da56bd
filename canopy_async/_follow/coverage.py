"""Coverage: the rules for going on with a log that was read before, without I/O.

A follower's poll and each run of an export go by these rules. They answer three
questions about a log of which some events are known from earlier reads:

- Around which date do new events come (`front_of`)? This date is the front. The next
  read begins a while before the front, as events may be committed after newer ones.
  This while is the look-back.
- Which ids are kept (`floor_of_most`)? Those of the events of the look-back: an event
  there with another id is new. If these are too many, the look-back is shorter.
- May events be missing (`Remains`)? The server deletes the oldest events first. If no
  known event is left, the server may have deleted newer events, too, before anybody
  read them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from operator import attrgetter
from typing import Final, Protocol

import attrs

from canopy_async._util.public import publish

__all__ = [
    "UNKNOWN_ABSENCE",
    "Absence",
    "Dated",
    "Gap",
    "Remains",
    "before",
    "earlier",
    "floor_of_most",
    "front_of",
    "later",
    "not_ahead",
]

WITNESSES: Final = 15
"""How many of the events that were seen last tell the front."""

_IN_DOUBT: Final = 6
"""How many times as many events tell the front where the last ones may all be dated in
the future."""

MOST_WITNESSES: Final = _IN_DOUBT * WITNESSES
"""The most dates that `front_of` looks at."""

_CLOCK_TOLERANCE: Final = timedelta(seconds=10)
"""An event is called ahead if its date is later than the server's ``Date`` by more than
this."""


class Dated(Protocol):
    """The fields of an event that these rules need."""

    @property
    def id(self) -> str:
        """The event's id."""
        ...

    @property
    def created_at(self) -> datetime:
        """The event's date."""
        ...


_date_of: Final[Callable[[Dated], datetime]] = attrgetter("created_at")


@attrs.frozen(kw_only=True)
class Gap:
    """Events may be missing: the server may have deleted them before they were read.

    This happens if the follower was away for longer than the server keeps events, or if
    a read could not be carried back to where the read before it ended. To be safe, a
    gap is also said where the server has deleted all known events, and again with the
    next events. It is not said if the log is known to keep its events for longer than
    the time for which nobody looked.

    Attributes:
        older_than: The events that may be missing are older than this. None where the
            log is empty. They are newer than all events that were handed out before,
            unless a read could not be proven: such a read may have passed some by.
    """

    older_than: datetime | None


@attrs.frozen(kw_only=True)
class Absence:
    """The time for which nobody looked at a log, by the server's clock.

    Attributes:
        began: When the log was read to its end the last time: all events that are known
            were in it. None where that is unknown.
        ended: When the log is read again, None where the server tells no time.
        reach: How much older than the newest event an event may be that is committed
            meanwhile, and that is still looked for.
        most: The most events that the log has ever held, None where that is unknown.
    """

    began: datetime | None = None
    ended: datetime | None = None
    reach: timedelta = timedelta()
    most: int | None = None

    def is_shorter_than(self, kept: timedelta) -> bool:
        """Tell whether no event that came meanwhile can be too old to be kept.

        Args:
            kept: For how long the log keeps events at least.
        """
        if self.began is None or self.ended is None:
            return False
        return kept >= self.reach + (self.ended - self.began)


UNKNOWN_ABSENCE: Final = Absence()


class Remains:
    """The known events that are still in a log: do they show that no event is missing?

    Retention deletes the oldest events first: those over some age, or those beyond some
    number. So as long as one known event is still there, no event that came after it
    was deleted. Such an event is a *witness*. An event that is dated in the future is
    no witness: it stays longer than events that came after it. If it is not known which
    events were dated in the future when they were read, then one of two things has to
    hold: the oldest event of the log is a known one, or no known event is older than
    the oldest event of the log.

    If no witness is left, events may be missing, except in one case. Let all known
    events have been kept for longer than the time for which nobody looked. Then
    retention by age can't have deleted an event that came since. Retention by number
    can't have done so either, if the log holds fewer events now than it has held
    before, or none but events dated in the future: the log deletes by number only when
    it is full.

    All this is for a log that was read from the look-back on, and that has no older
    event.

    Args:
        ids: The known events, each with its date.
        newest: The newest date that was ever handed out, None where there is none.
        kept: For how long the log has kept events at least, if the latest read found
            the log empty; None if it did not.
        absence: The time since the known events were read.
    """

    def __init__(
        self,
        ids: Mapping[str, datetime],
        *,
        newest: datetime | None,
        kept: timedelta | None = None,
        absence: Absence = UNKNOWN_ABSENCE,
    ) -> None:
        self._ids: Final = ids
        self._newest: Final = newest
        self._kept_before: Final = kept
        self.absence = absence
        self._rows = 0
        self._rows_ahead = 0
        self._has_new = False
        self.oldest: datetime | None = None
        """The date of the oldest row that was seen, None before the first one."""
        self._is_oldest_known = False
        self._is_any_known = False
        self._has_witness = False

    def see(self, rows: Sequence[Dated]) -> None:
        """Look at rows that a read has found, in any order."""
        if self._newest is None or not rows:
            return
        self._rows += len(rows)
        self._rows_ahead += self._ahead_of(rows)
        self._has_new = self._has_new or any(row.id not in self._ids for row in rows)
        oldest = min(map(_date_of, rows))
        if self.oldest is None or oldest <= self.oldest:
            if oldest != self.oldest:
                self._is_oldest_known = False
            self.oldest = oldest
            self._is_oldest_known = self._is_oldest_known or any(
                row.id in self._ids for row in rows if row.created_at == oldest
            )
        if not self._has_witness:
            for row in rows:
                if row.id in self._ids:
                    self._is_any_known = True
                    self._has_witness = self._has_witness or self._was_due(row)

    @property
    def gap(self) -> Gap | None:
        """The gap that is possible by the rows that were seen, None for no gap."""
        if self._newest is None or self._is_witnessed or self._is_excused:
            return None
        if self.is_empty and not self._has_new and self._kept_before is not None:
            return None  # the gap was said when the log was first found empty
        return Gap(older_than=self.oldest)

    @property
    def is_empty(self) -> bool:
        """Whether the log had events before, and has only events ahead now, or none."""
        return self._newest is not None and self._rows == self._rows_ahead

    @property
    def has_rows(self) -> bool:
        """Whether any row was seen."""
        return self._rows > 0

    @property
    def kept(self) -> timedelta | None:
        """For how long the log has kept events at least, None where that is unknown.

        When the log was read before, its newest known event was still there. The
        oldest one may have been deleted by then.
        """
        if self._kept_before is not None:
            return self._kept_before
        began = self.absence.began
        if began is None:
            return None
        dates = not_ahead(self._ids.values(), began)
        # An event may be ahead within the tolerance: it was kept for no time at all.
        return max(began - max(dates), timedelta()) if dates else None

    @property
    def _is_witnessed(self) -> bool:
        """Whether a witness is left, before which no newer event is deleted."""
        if self._has_witness or self._knew_due:
            return self._has_witness
        if not self._is_any_known or self.oldest is None:
            return False
        return self._is_oldest_known or min(self._ids.values()) >= self.oldest

    @property
    def _is_excused(self) -> bool:
        """Whether retention can't have deleted an event that came since."""
        kept, most = self.kept, self.absence.most
        if kept is None or not self.absence.is_shorter_than(kept):
            return False
        return self.is_empty or (most is not None and self._rows < most)

    @property
    def _knew_due(self) -> bool:
        """Whether a known event was surely not ahead when the log was read before."""
        began = self.absence.began
        return began is not None and any(date <= began for date in self._ids.values())

    def _was_due(self, row: Dated) -> bool:
        """Tell whether an event was surely not ahead when the log was read before.

        The clocks are compared without a tolerance. If the answer is False although the
        event was not ahead, a gap may be said that is none, which is safe.
        """
        began = self.absence.began
        return began is not None and row.created_at <= began

    def _ahead_of(self, rows: Sequence[Dated]) -> int:
        """Return how many of some rows are dated in the future."""
        now = self.absence.ended
        if now is None or max(map(_date_of, rows)) <= now:
            return 0
        return len(rows) - len(not_ahead(map(_date_of, rows), now))


def front_of(
    seen: Sequence[datetime],
    span: timedelta,
    *,
    now: datetime | None = None,
    witnesses: int = WITNESSES,
) -> datetime:
    """Return the front: the date around which new events come.

    The dates that were seen last tell the front. It is the newest of them that is no
    more than ``span`` after the oldest of them, so that a look back by ``span`` reaches
    all of them. Later dates are ignored. So events that are dated in the future by more
    than ``span`` move the front only if many of them were seen in a row, and no other
    events between them. Where the server tells the time, they never do.

    Args:
        seen: At least one date, in the order in which they were seen; those of a page
            oldest first.
        span: How far the next read looks back.
        now: The time by the server's clock, None where that is unknown.
        witnesses: How many of the last dates tell the front; more are taken where these
            may all be in the future.
    """
    told = not_ahead(seen, now) or seen
    recent = told[-witnesses:]
    if now is None:
        more = told[-_IN_DOUBT * witnesses :]
        recent = more if _has_step(more, span) else recent
    oldest = min(recent)
    return max(date for date in recent if date - oldest <= span)


def not_ahead(dates: Iterable[datetime], now: datetime | None) -> list[datetime]:
    """Return the dates that are not in the future, in the order given.

    Args:
        dates: Dates in any order.
        now: The time by the server's clock; None returns all dates.
    """
    if now is None:
        return list(dates)
    latest = now + _CLOCK_TOLERANCE
    return [date for date in dates if date <= latest]


def floor_of_most(most: int, dates: Iterable[datetime]) -> datetime:
    """Return the earliest date from which on there are at most so many events.

    The events of the newest instant are never cut, even if they are more.

    Args:
        most: How many events there may be.
        dates: The dates of the events, more than ``most``, in any order.
    """
    newest_first = sorted(dates, reverse=True)
    cut = newest_first[most]
    kept = [date for date in newest_first[:most] if date > cut]
    return kept[-1] if kept else cut


def before(instant: datetime, span: timedelta) -> datetime | None:
    """Return an instant minus a time, None where that is before the year 1."""
    try:
        return instant - span
    except OverflowError:
        return None


def later(one: datetime | None, other: datetime | None) -> datetime | None:
    """Return the later of two instants; None counts as before all instants."""
    if one is None or other is None:
        return one or other
    return max(one, other)


def earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    """Return the earlier of two instants; the other one if one of them is None."""
    if one is None or other is None:
        return one or other
    return min(one, other)


def _has_step(dates: Iterable[datetime], span: timedelta) -> bool:
    """Tell whether two neighbours among some dates are further apart than a time."""
    return any(later - date > span for date, later in pairwise(sorted(dates)))


publish("canopy_async", Gap)
