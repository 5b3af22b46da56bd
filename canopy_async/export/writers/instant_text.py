"""Instants as text, all of one width, so that they sort as text does."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from canopy_async._util.instants import in_utc

__all__ = ["texts_of"]

_ENCODE: Final = msgspec.json.Encoder().encode
_SECONDS: Final = len("2026-01-01T00:00:00")


def texts_of(instants: Sequence[datetime]) -> Sequence[str]:
    """Return instants as RFC 3339 has them: in UTC, with microseconds and a ``Z``.

    One at an end of the calendar that has no name in UTC keeps its offset, as
    ``0001-01-01T00:00:00.000000+02:00``.

    Args:
        instants: Aware ones.
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
