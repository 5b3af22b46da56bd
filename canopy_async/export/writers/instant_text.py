"""Instants as text of one length, whose alphabetical order is the order of time."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from canopy_async._util.instants import in_utc

__all__ = ["texts_of"]

_ENCODE: Final = msgspec.json.Encoder().encode
_SECONDS: Final = len("2026-01-01T00:00:00")


def texts_of(instants: Sequence[datetime]) -> Sequence[str]:
    """Return instants as text of RFC 3339: in UTC, with microseconds and a ``Z``.

    An instant that can't be converted to UTC, as it lies at an end of the calendar,
    keeps its offset: ``0001-01-01T00:00:00.000000+02:00``.

    Args:
        instants: Datetimes with a UTC offset.
    """
    if not instants:
        return []
    if {at.tzinfo for at in instants} != {UTC}:
        instants = [in_utc(at) for at in instants]
    texts = _ENCODE(instants).decode()[2:-2].split('","')
    # msgspec writes no microseconds where they are 0.
    return [
        text if "." in text else f"{text[:_SECONDS]}.000000{text[_SECONDS:]}"
        for text in texts
    ]
