"""Events that are committed late: how far back to look, when, how long to wait.

Nothing here reads a clock. An instant of the local clock is given in seconds,
and only differences between two of them count.
"""

import math
from collections import deque
from datetime import datetime, timedelta
from typing import Any, Final, Self

import attrs

from canopy_async._follow.follow_checkpoint import FollowCheckpoint
from canopy_async._util.arguments import check_seconds
from canopy_async._util.instants import EARLIEST, moved

__all__ = ["Depth", "Reach", "ServerTime", "Tally", "moved"]

_DAY: Final = 86_400.0
_PUT_OFFS: Final = 5
_COUNT_LAG: Final = 3
"""Polls that a server's count may be behind its rows without raising a doubt."""


@attrs.frozen(kw_only=True)
class Reach:
    """How far back a log is read again, and how long its events are held back.

    Attributes:
        overlap: How far before the newest event each poll reads.
        deep_overlap: The same of a deep poll; never less.
        deep_every: Seconds between deep polls; at 0 every poll is one.
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
        """Return the reach of so many seconds; None and 0 turn one off.

        Raises:
            TypeError: An argument is not a number.
            ValueError: It is negative, not finite, or more than a day.
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
class Depth:
    """When a log is due to be read back to where its checkpoint begins.

    Attributes:
        every: Seconds between deep polls.
    """

    every: float
    _due_at: float = -math.inf
    _put_offs: int = 0
    _count: int | None = None

    def is_due(self, now: float) -> bool:
        """Tell whether it is time."""
        return now >= self._due_at

    def hurry(self) -> None:
        """Let the next poll be a deep one that is not put off."""
        self._due_at = -math.inf

    def reached(self, now: float, count: int) -> None:
        """Take note of a deep poll that began when so many events were counted."""
        self._due_at = now + self.every
        self._put_offs = 0
        self._count = count

    def put_off(self, now: float, count: int) -> bool:
        """Leave out a deep poll, unless much speaks for it.

        It is urgent, or was left out often, or more events are counted than when
        the last one began, or than since: some may have been committed late.
        """
        if self._due_at == -math.inf or self._put_offs >= _PUT_OFFS:
            return False
        if self._count is None or count > self._count:
            return False
        self._count = count
        self._put_offs += 1
        self._due_at = now + self.every
        return True


@attrs.define(eq=False)
class Tally:
    """Compares what a server counts with what was seen.

    Had every event been seen, no count could be higher than
    `FollowCheckpoint.explained`. That is an earlier count, and what was seen
    after the poll *before* it, since the rows of the count's own poll may be
    part of the count or not; and, for counts that lag, before a few more. A
    count is judged a poll later, when whatever it counts was to be seen. So
    neither bursts nor a count of another instant than the rows raise a doubt.
    Deleted events lower counts, and so hide missing ones.

    One doubt may be an event that was deleted before it could be seen, or one
    that a deep poll finds. Only if a deep poll leaves it, it is a suspicion.
    """

    _recent: deque[int] = attrs.field(factory=lambda: deque[int](maxlen=_COUNT_LAG))
    _doubts: bool = False

    @property
    def doubts(self) -> bool:
        """Whether the latest poll left a doubt."""
        return self._doubts

    def bounded(self, known: FollowCheckpoint, count: int) -> FollowCheckpoint:
        """Return a checkpoint that takes a new count into account."""
        if len(self._recent) < _COUNT_LAG:
            return known
        most = count + sum(self._recent)
        if known.explained is not None:
            most = min(most, known.explained)
        return attrs.evolve(known, explained=most)

    def polled(self, new: int) -> None:
        """Take note of a poll that saw so many events for the first time."""
        self._recent.append(new)

    def interrupted(self) -> None:
        """Take note of a poll that failed, having seen who knows how many."""
        self._recent.clear()

    def suspected(self, missing: int, *, is_deep: bool) -> int:
        """Return how many events seem to be missing, once that is no doubt only.

        Args:
            missing: How many of those that were counted were not seen.
            is_deep: Whether the poll was a deep one.
        """
        confirmed = self._doubts and is_deep
        self._doubts = missing > 0 and not confirmed
        return max(0, missing) if confirmed else 0


@attrs.define(eq=False)
class ServerTime:
    """What time it is on the server, at least.

    When a row is seen, the server's clock has passed the row's date; from there
    it goes on like the local one. So time passes also where nothing is dated.
    """

    _date: datetime | None = None
    _seen_at: float = 0.0

    def learn(self, date: datetime, now: float) -> None:
        """Learn from a row that has been seen by this instant."""
        at_least = self._at(now)
        if at_least is None or date > at_least:
            self._date, self._seen_at = date, now

    def settled(
        self, settle: timedelta, *, newest: datetime | None, began: float
    ) -> datetime:
        """Return up to which date events have settled.

        Args:
            settle: How old they must be.
            newest: The newest that was seen now.
            began: An instant before it was.
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
