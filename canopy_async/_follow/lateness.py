"""Late events: how far back to look for them, when, and how long to wait for them.

An event is late if it is committed after events with newer dates. This module reads no
clock. Its callers pass instants of the local clock, in seconds, of which only
differences are used.
"""

import math
from collections import deque
from datetime import datetime, timedelta
from typing import Any, Final, Self

import attrs

from canopy_async._follow.follow_checkpoint import FollowCheckpoint
from canopy_async._util.arguments import check_seconds
from canopy_async._util.instants import EARLIEST, moved

__all__ = ["CountAudit", "DeepPollTimer", "LatenessOptions", "ServerTime", "moved"]

_DAY: Final = 86_400.0
_MOST_SKIPPED: Final = 5
_COUNT_LAG: Final = 3
"""How many polls a server's count may lag behind its rows without raising a doubt."""


@attrs.frozen(kw_only=True)
class LatenessOptions:
    """Limits of lateness: how far back polls read, and how long events are held.

    Attributes:
        overlap: How far before the front each poll reads.
        deep_overlap: How far before the front a deep poll reads; never less than
            ``overlap``.
        deep_every: Seconds between deep polls; at 0 every poll is deep.
        settle: How old an event must be to be handed out.
    """

    overlap: timedelta
    deep_overlap: timedelta
    deep_every: float
    settle: timedelta

    @classmethod
    def checked(
        cls,
        *,
        overlap: float,
        deep_overlap: float | None,
        deep_every: float | None,
        settle: float,
    ) -> Self:
        """Return the options for numbers of seconds; None and 0 turn an option off.

        Raises:
            TypeError: An argument is not a number.
            ValueError: An argument is negative, not finite, or more than a day.
        """
        near = timedelta(seconds=_within_a_day("overlap", overlap))
        deep = timedelta(seconds=_or_off("deep_overlap", deep_overlap))
        every = _or_off("deep_every", deep_every)
        return cls(
            overlap=near,
            deep_overlap=max(near, deep) if every else near,
            deep_every=every if deep > near else 0.0,
            settle=timedelta(seconds=_or_off("settle", settle)),
        )


@attrs.define(eq=False)
class DeepPollTimer:
    """The timer of deep polls, which read from the checkpoint's floor on.

    Attributes:
        every: Seconds between deep polls.
    """

    every: float
    _due_at: float = -math.inf
    _skipped: int = 0
    _count: int | None = None

    def is_due(self, now: float) -> bool:
        """Tell whether the next poll is to be a deep one."""
        return now >= self._due_at

    def poll_deep_next(self) -> None:
        """Make the next poll a deep one that can't be skipped."""
        self._due_at = -math.inf

    def ran(self, now: float, count: int) -> None:
        """Note that a deep poll ran.

        Args:
            now: When the poll began, in seconds.
            count: How many events the server counted then.
        """
        self._due_at = now + self.every
        self._skipped = 0
        self._count = count

    def skip(self, now: float, count: int) -> bool:
        """Skip a deep poll that is due if nothing suggests that late events exist.

        The poll is not skipped if `poll_deep_next` was called, if several deep polls
        were skipped in a row, or if the server counts more events than when a deep poll
        last ran or was skipped: some of these events may have been committed late.

        Args:
            now: The present instant, in seconds.
            count: How many events the server counts.

        Returns:
            Whether the poll is skipped.
        """
        if self._due_at == -math.inf or self._skipped >= _MOST_SKIPPED:
            return False
        if self._count is None or count > self._count:
            return False
        self._count = count
        self._skipped += 1
        self._due_at = now + self.every
        return True


@attrs.define(eq=False)
class CountAudit:
    """An audit of the server's counts: do they count events that no poll has seen?

    If every event was seen, no count can be higher than an earlier count plus the
    events seen since. This number is `FollowCheckpoint.explained`. The rows of a poll
    may be of an earlier or a later instant than its count, and some servers count with
    a delay. So a count may lack the events that the last few polls saw, and a count is
    judged one poll later.

    An example: a log was quiet for some polls, and 100 of its events are counted and
    explained. Then one more event is counted:

    ====  =====  =========  =====================================================
    poll  count  new rows   verdict
    ====  =====  =========  =====================================================
    1     101    0          the next poll should see one event
    2     101    1          the event was seen: all is explained. Or else:
    2     101    0          there is a doubt
    3     101    0, deep    one event is missing: no poll sees it
    ====  =====  =========  =====================================================

    A doubt alone says little: the event may have been deleted before it was seen, or
    may be found by a deep poll. Deleted events lower the counts, and so they hide
    missing ones.
    """

    _recent: deque[int] = attrs.field(factory=lambda: deque[int](maxlen=_COUNT_LAG))
    _doubts: bool = False

    @property
    def is_doubtful(self) -> bool:
        """Whether the latest poll left a doubt."""
        return self._doubts

    def with_count(self, known: FollowCheckpoint, count: int) -> FollowCheckpoint:
        """Return a checkpoint that takes a new count into account."""
        if len(self._recent) < _COUNT_LAG:
            return known
        most = count + sum(self._recent)
        if known.explained is not None:
            most = min(most, known.explained)
        return attrs.evolve(known, explained=most)

    def note_poll(self, new: int) -> None:
        """Note that a poll saw so many events for the first time."""
        self._recent.append(new)

    def forget(self) -> None:
        """Begin again after a poll that failed: how much it saw is not known."""
        self._recent.clear()

    def judge(self, missing: int, *, is_deep: bool) -> int:
        """Return how many events are missing, once a deep poll has confirmed a doubt.

        Args:
            missing: How many events were counted and not seen.
            is_deep: Whether the poll was a deep one.

        Returns:
            How many events are missing; 0 while that is not confirmed.
        """
        confirmed = self._doubts and is_deep
        self._doubts = missing > 0 and not confirmed
        return max(0, missing) if confirmed else 0


@attrs.define(eq=False)
class ServerTime:
    """A lower bound of the server's time, told by the dates of events.

    When an event is seen, the server's clock has passed the event's date. From then on
    the bound moves with the local clock, so that it moves also while no event comes.
    """

    _date: datetime | None = None
    _seen_at: float = 0.0

    def learn(self, date: datetime, now: float) -> None:
        """Learn from an event that was seen.

        Args:
            date: The event's date.
            now: The present instant, in seconds.
        """
        at_least = self._at(now)
        if at_least is None or date > at_least:
            self._date, self._seen_at = date, now

    def settled(
        self, settle: timedelta, *, newest: datetime | None, began: float
    ) -> datetime:
        """Return the latest date whose events have settled.

        Args:
            settle: How old events must be.
            newest: The newest date of this poll, None where there is none.
            began: When the poll began, in seconds.
        """
        dates = [date for date in (newest, self._at(began)) if date is not None]
        return moved(max(dates), -settle) if dates else EARLIEST

    def wait_for(self, date: datetime, settle: timedelta, now: float) -> float:
        """Return in how many seconds a date will have settled."""
        at_least = self._at(now)
        if at_least is None:
            return 0.0
        return (date - at_least + settle).total_seconds()

    def _at(self, now: float) -> datetime | None:
        if self._date is None:
            return None
        return moved(self._date, timedelta(seconds=now - self._seen_at))


def _or_off(name: str, seconds: Any) -> float:
    is_off = seconds is None or (not isinstance(seconds, bool) and seconds == 0)
    return 0.0 if is_off else _within_a_day(name, seconds)


def _within_a_day(name: str, seconds: Any) -> float:
    if check_seconds(name, seconds) > _DAY:
        raise ValueError(f"{name} must be {_DAY:.0f} at most, not {seconds}")
    return float(seconds)
