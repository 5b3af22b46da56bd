"""Coverage: the rules for going on with a log that was read before, without I/O.

A follower's poll and each run of an export go by these rules. They answer three
questions of a log, of which some events are known from earlier reads:

- Where do events come (`front_of`)? A read that goes on begins a while before that
  place, the look-back, as events may be committed after newer ones.
- Which ids are kept (`floor_of_most`)? Those from the look-back on: an event with
  another id is new. Where these are too many, the look-back is shorter.
- May events be missing (`Remains`)? The server deletes the oldest events first. If
  nothing is left of what was known, it may have deleted newer events, too, before
  anybody read them.
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
"""The number of the events seen last by which the place of new events is judged."""

_IN_DOUBT: Final = 6
"""So many times as many tell it where those may all be dated ahead."""

MOST_WITNESSES: Final = _IN_DOUBT * WITNESSES
"""Dates, of those that were seen last, that `front_of` looks at, at most."""

_CLOCK_TOLERANCE: Final = timedelta(seconds=10)
"""An event dated further than this after the server's ``Date`` is called ahead."""


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
    """Events may have been lost: the server had deleted what came in between.

    Retention overtook the follower, which was away for too long, or a read
    could not be carried back to where the last one ended. Also said, to be
    safe, where all that is known of a log was deleted, and with what comes then,
    unless the log is known to keep its events for longer than nobody looked.

    Attributes:
        older_than: The events that may be missing are older than this; None where
            nothing is left. They are newer than all that were handed out before,
            unless reads could not be proven, which may have passed some by.
    """

    older_than: datetime | None


@attrs.frozen(kw_only=True)
class Absence:
    """The time for which nobody looked at a log, by the server's clock.

    Attributes:
        began: When the log was read the last time, to its end: what was known then
            was there. None where that is unknown.
        ended: When it is read again; None where the server tells no time.
        reach: How much older than the newest event one may be that is committed
            meanwhile, and is still looked for.
        most: The most events that the log was ever known to hold; None where that is
            unknown.
    """

    began: datetime | None = None
    ended: datetime | None = None
    reach: timedelta = timedelta()
    most: int | None = None

    def is_shorter_than(self, kept: timedelta) -> bool:
        """Tell whether no event that came meanwhile can be older than this."""
        if self.began is None or self.ended is None:
            return False
        return kept >= self.reach + (self.ended - self.began)


UNKNOWN_ABSENCE: Final = Absence()


class Remains:
    """The known events that a read finds left of a log, and what that tells.

    Retention deletes the oldest events first: those over some age, or those beyond
    some number. So nothing that came since is deleted as long as one of the known
    events is there, a *witness*. An event that is dated ahead is no witness: it
    outlasts events that came after it. Where it is not known which events were dated
    ahead when they were read, the oldest event of the log has to be a known one, or no
    known event older than that may be missing.

    Where no witness is left, events may be missing, but for one case. If all of the
    known events were there for longer than nobody looked, retention by age can't
    have deleted what came since. Nor can retention by number, if the log holds fewer
    events now than it has held before, or none that is due: to delete one of those that
    came since, the log had to be full of them.

    This holds for a log that was read from the look-back on, and that has nothing
    older.

    Args:
        ids: The known events, each with its date.
        newest: The newest date of what was ever handed out, None where nothing was.
        kept: For how long the log has kept events at least, where it was found empty
            by the latest read; None where it was not.
        absence: The time since they were read.
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
        """The date of the oldest row that was seen."""
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
        """The gap that is possible, by the rows that were seen."""
        if self._newest is None or self._is_witnessed or self._is_excused:
            return None
        if self.is_empty and not self._has_new and self._kept_before is not None:
            return None  # it was said when the log was found empty first
        return Gap(older_than=self.oldest)

    @property
    def is_empty(self) -> bool:
        """Whether the log, known before, has no events now but such as are ahead."""
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
        # One that is ahead within the tolerance was kept for no time at all.
        return max(began - max(dates), timedelta()) if dates else None

    @property
    def _is_witnessed(self) -> bool:
        """Whether a known event is left that newer ones would be deleted after."""
        if self._has_witness or self._knew_due:
            return self._has_witness
        if not self._is_any_known or self.oldest is None:
            return False
        return self._is_oldest_known or min(self._ids.values()) >= self.oldest

    @property
    def _is_excused(self) -> bool:
        """Whether retention can't have deleted what has come since."""
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

        By the clock and without a tolerance: to be in doubt is safe here.
        """
        began = self.absence.began
        return began is not None and row.created_at <= began

    def _ahead_of(self, rows: Sequence[Dated]) -> int:
        """Return how many of some rows are dated ahead."""
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
        now: The time by the server's clock, None where that is unknown.
        witnesses: How many of them tell it; more where these may all be ahead.
    """
    told = not_ahead(seen, now) or seen
    recent = told[-witnesses:]
    if now is None:
        more = told[-_IN_DOUBT * witnesses :]
        recent = more if _has_step(more, span) else recent
    oldest = min(recent)
    return max(date for date in recent if date - oldest <= span)


def not_ahead(dates: Iterable[datetime], now: datetime | None) -> list[datetime]:
    """Return the dates that are not ahead of time, in the order given.

    Args:
        dates: In any order.
        now: The time by the server's clock; None lets all of them pass.
    """
    if now is None:
        return list(dates)
    latest = now + _CLOCK_TOLERANCE
    return [date for date in dates if date <= latest]


def floor_of_most(most: int, dates: Iterable[datetime]) -> datetime:
    """Return the earliest date from which on no more than so many events are held.

    Those of one instant are all held, however many they are.

    Args:
        most: How many.
        dates: More than ``most`` of them, in any order.
    """
    newest_first = sorted(dates, reverse=True)
    cut = newest_first[most]
    kept = [date for date in newest_first[:most] if date > cut]
    return kept[-1] if kept else cut


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


def earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    """Return the earlier of two instants; None where both are unknown."""
    if one is None or other is None:
        return one or other
    return min(one, other)


def _has_step(dates: Iterable[datetime], span: timedelta) -> bool:
    """Tell whether some dates are further than this from all that are older."""
    return any(later - date > span for date, later in pairwise(sorted(dates)))


publish("canopy_async", Gap)
