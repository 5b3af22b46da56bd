"""``Retry-After``, ``RateLimit-Reset`` and ``Date``: how long a server asks to wait."""

import email.utils
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

__all__ = ["date_of", "number_in", "retry_after_seconds"]

_RESETS: Final = ("RateLimit-Reset", "X-RateLimit-Reset")
"""Headers that say when a limit is reset, in the order in which they are believed."""

_EPOCH: Final = 1e8
"""A reset from this number on is an instant in seconds since 1970, not a wait."""

_EPOCH_MILLISECONDS: Final = 1e12


def retry_after_seconds(
    headers: Mapping[str, str],
    *,
    refused: bool = False,
    now: datetime | None = None,
) -> float | None:
    """Return how long an answer asks to wait, from now, or None.

    ``Retry-After`` says it, in seconds or as a date. Where it is missing and the
    answer refuses a request, ``RateLimit-Reset`` or ``X-RateLimit-Reset`` does, in
    seconds or as an instant. Instants are compared with the answer's own ``Date``, so
    that the clocks need not agree; with ``now`` where there is none.

    Args:
        headers: The headers of the answer.
        refused: Whether the answer is one that asks for fewer requests.
        now: The present instant, where the answer has no ``Date``.
    """
    asked = _retry_after(headers, now)
    if asked is not None or not refused:
        return asked
    for name in _RESETS:
        reset = number_in(headers.get(name))
        if reset is None:
            continue
        if reset < _EPOCH:
            return reset
        if reset >= _EPOCH_MILLISECONDS:
            reset /= 1000.0
        sent = date_of(headers) or now or datetime.now(UTC)
        return max(0.0, reset - sent.timestamp())
    return None


def number_in(value: str | None) -> float | None:
    """Return the value of a header if it is a number of seconds, else None."""
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < math.inf else None


def _retry_after(headers: Mapping[str, str], now: datetime | None) -> float | None:
    value = headers.get("Retry-After")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        then = _http_date(value)
        if then is None:
            return None
        sent = date_of(headers) or now or datetime.now(UTC)
        return max(0.0, (then - sent).total_seconds())
    return seconds if 0 <= seconds < math.inf else None


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """Return when an answer was made by the server's clock, by its ``Date``.

    Returns:
        An aware instant in whole seconds, None where there is no ``Date`` that
        can be read.
    """
    value = headers.get("Date")
    return None if value is None else _http_date(value)


def _http_date(value: str) -> datetime | None:
    try:
        date = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
