"""The server's clock, as the ``Date`` of its answers tells it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from canopy_async._api.retry_after import date_of
from canopy_async._util.instants import in_utc
from canopy_async.errors import FutureRangeError

__all__ = ["ServerClock", "check_is_over"]

_RESOLUTION: Final = timedelta(seconds=1)
"""A ``Date`` has whole seconds: the server's clock may be ahead of it by so much."""


class ServerClock:
    """The server's clock, as the ``Date`` of its newest answer tells it.

    Between answers it goes on with the seconds that pass here. This machine's date is
    never used, so that it may be wrong.
    """

    def __init__(self) -> None:
        self._text: str | None = None
        self._date: datetime | None = None
        self._seen_at = 0.0

    def note(self, headers: Mapping[str, str], seconds: float) -> None:
        """Learn from the headers of an answer, as soon as they are there.

        Args:
            headers: The headers of the answer.
            seconds: The present instant, by a clock that only goes forward.
        """
        text = headers.get("Date")
        # A Date has whole seconds: one that comes again says nothing new.
        if text is None or text == self._text:
            return
        date = date_of(headers)
        if date is None:
            return
        self._text, self._date, self._seen_at = text, in_utc(date), seconds

    def now(self, seconds: float) -> datetime | None:
        """Return what time it is by the server's clock, within about a second.

        Args:
            seconds: The present instant, by the clock of `note`.

        Returns:
            An instant in UTC, None before the first answer with a ``Date``.
        """
        if self._date is None:
            return None
        try:
            return self._date + timedelta(seconds=seconds - self._seen_at)
        except OverflowError:
            return self._date


def check_is_over(until: datetime, server_time: datetime | None) -> None:
    """Raise an error if a range of time is not over yet.

    Args:
        until: The end of the range; aware.
        server_time: What time it was by the server's clock when the range was looked
            at, such as the ``Date`` of an answer or `CanopySession.server_time`;
            where that is None, this machine's clock is asked.

    Raises:
        FutureRangeError: ``until`` is later, so that events may yet come before it.
    """
    now = server_time or datetime.now(UTC)
    if until - now <= _RESOLUTION:
        return
    whose = "this machine's clock" if server_time is None else "the server's clock"
    raise FutureRangeError(
        f"until must not be in the future: it is {until.isoformat()}, and by {whose} it"
        f" is {now.isoformat()}. Events may yet come before until, so that nothing can"
        " be proven: leave until out, or let it be earlier",
        until=until,
        now=now,
    )
