"""Instants as the API writes them, and as the store sorts them."""

from collections.abc import Callable
from datetime import UTC, datetime

from canopy_async._util.instants import clamped, in_utc

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time of the wall clock, aware, in UTC."""
    return datetime.now(UTC)


def as_utc(value: datetime | str) -> datetime:
    """Reads an instant; a naive one is taken to be UTC.

    Args:
        value: A datetime, or RFC 3339 text.

    Returns:
        The instant, aware, in UTC; with its own offset where it is on the first or the
        last day of the calendar, and out of it in UTC.

    Raises:
        ValueError: If the text is no instant.
    """
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    return in_utc(moment)


def as_text(moment: datetime) -> str:
    """Writes an instant as the API does: in milliseconds, with a ``Z``.

    An instant that UTC has no name for is written with its own offset.
    """
    text = as_utc(moment).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def as_sort_key(moment: datetime) -> str:
    """Writes an instant so that text order is time order, to the microsecond.

    What is earlier or later than any instant of UTC is written as the first or last.
    """
    return clamped(moment).replace(tzinfo=None).isoformat(timespec="microseconds")


def written_sort_key(text: str) -> str:
    """The sort key of an instant of UTC that `as_text` wrote."""
    return f"{text[:-1]}000"
