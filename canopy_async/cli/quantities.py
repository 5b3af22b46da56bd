"""Sizes and instants as people write them: ``128MB``, ``24h``, ``yesterday``."""

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
_WHAT_AN_INSTANT_IS: Final = (
    "must be a date or an instant, as 2026-01-31 or 2026-01-31T12:00:00Z, or 24h, 7d,"
    " today or yesterday"
)


def size_of(text: str, flag: str) -> int:
    """Return the bytes that a text names: ``128MB``, ``64MiB``, ``1000``.

    Raises:
        typer.BadParameter: It names no size.
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
    """Return the instant that an option names, in UTC where it does not say.

    A number of seconds, minutes, hours, days or weeks, as ``24h``, is so long before
    now; ``today`` and ``yesterday`` are the beginning of these days in UTC.

    Args:
        text: What the option was given, None for nothing.
        flag: The option.
        now: The present instant, None for that of this machine.

    Raises:
        typer.BadParameter: It names none.
    """
    if text is None:
        return None
    instant = instant_or_none(text, now=now)
    if instant is None:
        raise typer.BadParameter(_WHAT_AN_INSTANT_IS, param_hint=flag)
    return instant


def instant_or_none(text: str, *, now: datetime | None = None) -> datetime | None:
    """Return the instant that a text names, as `instant_of` does; None for none."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return _before(text.strip().lower(), now or datetime.now(UTC))
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _before(words: str, now: datetime) -> datetime | None:
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
