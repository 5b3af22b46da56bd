"""Parsing of sizes and instants in options: ``128MB``, ``24h``, ``yesterday``."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import typer

__all__ = ["instant_of", "instant_or_none", "size_of"]

_SIZES: Final = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}
_SPANS: Final = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_DAYS: Final = {"today": 0, "yesterday": 1}
_NUMBER_AND_UNIT: Final = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([a-z]*)")
_INSTANT_FORMATS: Final = (
    "must be a date or an instant, as 2026-01-31 or 2026-01-31T12:00:00Z, or 24h, 7d,"
    " today or yesterday"
)


def size_of(text: str, flag: str) -> int:
    """Parse a size such as ``128MB``, ``64MiB`` or ``1000``; return it in bytes.

    Raises:
        typer.BadParameter: The text is not a size.
    """
    found = _NUMBER_AND_UNIT.fullmatch(text.strip().lower())
    if found is None or found[2] not in _SIZES:
        raise typer.BadParameter(
            "must be a number of bytes, or a size as 128MB or 64MiB", param_hint=flag
        )
    return int(float(found[1]) * _SIZES[found[2]])


def instant_of(
    text: str | None, flag: str, *, now: datetime | None = None
) -> datetime | None:
    """Parse the value of an option that is an instant; one without an offset is in UTC.

    A number of seconds, minutes, hours, days or weeks, such as ``24h``, means that long
    ago. ``today`` and ``yesterday`` mean the start of these days in UTC.

    Args:
        text: The value of the option; None returns None.
        flag: The name of the option, for the error message.
        now: The current time; None for this machine's clock.

    Raises:
        typer.BadParameter: The text is not an instant.
    """
    if text is None:
        return None
    instant = instant_or_none(text, now=now)
    if instant is None:
        raise typer.BadParameter(_INSTANT_FORMATS, param_hint=flag)
    return instant


def instant_or_none(text: str, *, now: datetime | None = None) -> datetime | None:
    """Parse an instant as `instant_of` does; return None if the text is none."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return _relative_instant(text.strip().lower(), now or datetime.now(UTC))
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _relative_instant(words: str, now: datetime) -> datetime | None:
    if words in _DAYS:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - timedelta(days=_DAYS[words])
    found = _NUMBER_AND_UNIT.fullmatch(words)
    if found is None or found[2] not in _SPANS:
        return None
    try:
        return now - float(found[1]) * _SPANS[found[2]]
    except OverflowError:
        return None
