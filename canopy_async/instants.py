"""Points in time, in one way of writing them."""

from datetime import UTC, datetime

__all__ = ["in_utc"]


def in_utc(instant: datetime) -> datetime:
    """Return the same instant in UTC, or as it is where UTC has no name for it.

    Some servers write the first or the last day that there is, with an offset,
    for "no date"; in UTC that may be a day before or after.
    """
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        return instant
