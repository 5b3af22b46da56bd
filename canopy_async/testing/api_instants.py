"""Instants as the API writes them, and as the store sorts them."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time of the wall clock, aware, in UTC."""
    return datetime.now(UTC)


def as_utc(value: datetime | str) -> datetime:
    """Reads an instant; a naive one is taken to be UTC.

    Args:
        value: A datetime, or RFC 3339 text.

    Returns:
        The instant, aware, in UTC.

    Raises:
        ValueError: If the text is no instant.
    """
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC)


def as_text(moment: datetime) -> str:
    """Writes an instant as the API does: in milliseconds, with a ``Z``."""
    return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def as_sort_key(moment: datetime) -> str:
    """Writes an instant so that text order is time order, to the microsecond."""
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds")


def written_sort_key(text: str) -> str:
    """The sort key of an instant that `as_text` wrote."""
    return f"{text[:-1]}000"
