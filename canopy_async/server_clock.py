"""What time it is by the server's clock, as its answers tell."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from canopy_async.instants import in_utc
from canopy_async.wire import date_of

__all__ = ["ServerClock"]


class ServerClock:
    """The server's clock, told by the ``Date`` of its newest answer.

    Between answers it goes on with the seconds that pass here. This machine's
    date never enters, so that it may be wrong.
    """

    def __init__(self) -> None:
        self._text: str | None = None
        self._date: datetime | None = None
        self._seen_at = 0.0

    def note(self, headers: Mapping[str, str], seconds: float) -> None:
        """Learn from the headers of an answer, as soon as they are there.

        Args:
            headers: The answer's.
            seconds: When that was, by a clock that only goes forward.
        """
        text = headers.get("Date")
        # A date has whole seconds: those that repeat one say nothing new.
        if text is None or text == self._text:
            return
        date = date_of(headers)
        if date is None:
            return
        self._text, self._date, self._seen_at = text, in_utc(date), seconds

    def now(self, seconds: float) -> datetime | None:
        """Return what time it is by the server's clock, within about a second.

        Args:
            seconds: When that is, by the clock that `note` was told of.

        Returns:
            An instant in UTC, None before the first answer with a ``Date``.
        """
        if self._date is None:
            return None
        try:
            return self._date + timedelta(seconds=seconds - self._seen_at)
        except OverflowError:
            return self._date
