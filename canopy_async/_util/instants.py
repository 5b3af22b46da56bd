"""Instants: parsing, conversion to UTC, and one text form."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

__all__ = [
    "EARLIEST",
    "clamped",
    "in_utc",
    "is_unusual",
    "moved",
    "parse_instant",
    "text_of",
]

EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_LATEST: Final = datetime.max.replace(tzinfo=UTC)

_TOO_FINE: Final = re.compile(r"\.[0-9]{6}([0-9]+)")
_LEAP_SECOND: Final = re.compile(r"(:[0-5][0-9]):60(?:\.[0-9]+)?(?=[Zz+-])")
_UNUSUAL: Final = re.compile(r"\.[0-9]{7}|:60")


def is_unusual(text: str) -> bool:
    """Tell whether msgspec would round this instant, or refuse its leap second."""
    return _UNUSUAL.search(text) is not None


def parse_instant(text: str) -> datetime:
    """Parse a date-time of RFC 3339 and keep its offset.

    Digits after the microseconds are cut off, never rounded. A leap second, with any
    fraction, becomes the start of the next second, so that instants keep their order;
    at the end of the calendar it becomes the last possible instant.

    Raises:
        ValueError: The text is not an RFC 3339 date-time, or has no offset.
    """
    found = _TOO_FINE.search(text)
    if found is not None:
        text = text[: found.start(1)] + text[found.end(1) :]
    is_leap = _LEAP_SECOND.search(text) is not None
    if is_leap:
        text = _LEAP_SECOND.sub(r"\1:59", text, count=1)
    try:
        instant = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        raise ValueError("expected an RFC 3339 date-time with an offset") from None
    if instant.tzinfo is None:
        raise ValueError("expected an RFC 3339 date-time with an offset")
    return _next_second(instant) if is_leap else instant


def in_utc(instant: datetime) -> datetime:
    """Convert to UTC; return it unchanged if that would leave datetime's range.

    Some servers write "no date" as the first or the last day of the calendar, with an
    offset. In UTC that instant may lie outside of the calendar.
    """
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        return instant


def clamped(instant: datetime) -> datetime:
    """Convert to UTC; return the first or last instant of UTC if that leaves its range.

    Args:
        instant: An aware instant.
    """
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        return EARLIEST if instant < EARLIEST else _LATEST


def text_of(instant: datetime) -> str:
    """Return an instant as ISO 8601 text in UTC, always with microseconds."""
    return in_utc(instant).isoformat(timespec="microseconds")


def moved(instant: datetime, span: timedelta) -> datetime:
    """Return ``instant + span``, or the nearest instant that a datetime can hold."""
    try:
        return instant + span
    except OverflowError:
        return EARLIEST if span < timedelta(0) else _LATEST


def _next_second(instant: datetime) -> datetime:
    try:
        return instant + timedelta(seconds=1)
    except OverflowError:
        return instant.replace(microsecond=999_999)
