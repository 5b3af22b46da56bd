"""Seams: milliseconds that two requests have both read, and must agree on."""

from collections.abc import Sequence
from typing import Final

from canopy_async._account.log_window import ms_of
from canopy_async.models import AuditEvent

__all__ = ["DisagreementError", "join", "split_at"]


class DisagreementError(Exception):
    """A request did not show rows that the one before had shown.

    Attributes:
        missing: Their ids.
        at: The millisecond that they lie in.
    """

    def __init__(self, missing: frozenset[str], at: int) -> None:
        super().__init__(f"{len(missing)} rows are not there any more")
        self.missing: Final = missing
        self.at: Final = at


def join(
    known: Sequence[AuditEvent],
    view: Sequence[AuditEvent],
    *,
    at: int,
    gone: frozenset[str],
    newest_first: bool,
) -> list[AuditEvent]:
    """Return the rows of a request, which shows all rows of a millisecond again.

    Args:
        known: The rows of that millisecond that the request before has shown.
        view: The rows of this request, which begins there, in its order.
        at: The millisecond.
        gone: Ids of known rows that were deleted meanwhile, which stay in.
        newest_first: Whether that is the order.

    Raises:
        DisagreementError: Some of the known rows are missing.
    """
    if not known:
        return list(view)
    ids = {row.id for row in view}
    lost = [row for row in known if row.id not in ids]
    missing = frozenset(row.id for row in lost) - gone
    if missing:
        raise DisagreementError(missing, at)
    if not lost:
        return list(view)
    shared, others = split_at(view, at)
    shared += lost
    shared.sort(key=lambda row: row.created_at, reverse=newest_first)
    return [*shared, *others]


def split_at(
    rows: Sequence[AuditEvent], at: int
) -> tuple[list[AuditEvent], list[AuditEvent]]:
    """Return the rows of one millisecond, and all others."""
    shared = [row for row in rows if ms_of(row.created_at) == at]
    return shared, [row for row in rows if ms_of(row.created_at) != at]
