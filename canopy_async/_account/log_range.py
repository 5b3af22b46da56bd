"""The range of an account's log that a read wants: bounds in time, and a place."""

from datetime import datetime, timedelta
from typing import Final

import attrs

from canopy_async._account.log_window import instant_of, ms_of
from canopy_async._util.instants import moved
from canopy_async.checkpoint import Checkpoint
from canopy_async.models import AuditEvent

__all__ = ["LogRange"]

_EARLIEST: Final = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
"""An instant before any log."""

_AHEAD: Final = 86_400_000
"""A read without ``until`` looks this far ahead of now, in milliseconds."""


@attrs.define
class LogRange:
    """The part of an account's log that is wanted.

    Attributes:
        now: What time it is, about.
        since: The earliest instant that is wanted, None for no bound.
        until: The first instant that is not wanted, None for no bound.
        resume: Where an earlier read ended, None for the begin of this one.
        low: The first millisecond that is asked for.
        high: The last millisecond that is asked for.
        answered: The server's time at the first answer, None before.
    """

    now: datetime
    since: datetime | None
    until: datetime | None
    resume: Checkpoint | None
    low: int
    high: int
    answered: datetime | None = None

    @classmethod
    def of(
        cls,
        now: datetime,
        *,
        since: datetime | None,
        until: datetime | None,
        resume: Checkpoint | None,
    ) -> "LogRange":
        """Return the range between two bounds, as far as no earlier read has read it.

        Args:
            now: What time it is, about: without ``until``, it ends a day ahead.
            since: The earliest instant that is wanted, None for no bound.
            until: The first instant that is not wanted, None for no bound.
            resume: Where an earlier read ended.
        """
        low = ms_of(_EARLIEST if since is None else since)
        high = ms_of(now) + _AHEAD
        if until is not None:
            high = ms_of(moved(until, -timedelta.resolution))
        if resume is not None and resume.key is not None:
            high = min(high, ms_of(resume.key))
        place = None if resume is None or resume.key is None else resume
        return cls(now, since, until, place, low, max(low, high))

    def correct(self, now: datetime) -> bool:
        """Take it that the server's clock shows another time.

        Returns:
            Whether the range ends later, as it would leave out the newest rows.
        """
        is_open = self.until is None and self.resume is None
        late_by = ms_of(now) - ms_of(self.now)
        if not is_open or late_by < _AHEAD // 2:
            return False
        self.now = now
        self.high = ms_of(now) + _AHEAD
        return True

    def came_since(self, instant: datetime) -> bool:
        """Tell whether an event of this date came after a read without end had begun.

        One that is dated ahead may have been there before.
        """
        if self.until is not None or self.resume is not None:
            return False
        return instant > (self.answered or self.now)

    def is_ahead(self, high: int) -> bool:
        """Tell whether a request up to a millisecond names a time that is to come."""
        return high + 1 > ms_of(self.now)

    def wants(self, row: AuditEvent) -> bool:
        """Tell whether a row is to be handed out."""
        key = row.created_at
        if self.since is not None and key < self.since:
            return False
        if self.until is not None and key >= self.until:
            return False
        resume = self.resume
        if resume is None or resume.key is None:
            return True
        return key < resume.key or (key == resume.key and row.id not in resume.ids)

    @property
    def asked_since(self) -> datetime:
        """From when on events are asked for."""
        return instant_of(self.low) if self.since is None else self.since

    def asked_until(self, *, names_future: bool) -> datetime:
        """Return up to when events are asked for.

        Args:
            names_future: Whether a request may name a time that is to come.
        """
        if self.until is not None:
            return self.until
        if not names_future and self.is_ahead(self.high):
            return self.now
        return instant_of(self.high)
