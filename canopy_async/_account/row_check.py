"""Checks of each answer's rows: their order, their time, and each of them once."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from canopy_async._account.log_window import LogWindow, ms_of
from canopy_async._account.slice_plan import SlicePlan
from canopy_async.errors import InconsistentLogError, UnorderedListError
from canopy_async.models import AuditEvent

__all__ = ["RowCheck"]


class RowCheck:
    """Holds the rows of each answer against what was asked for.

    Args:
        slices: The slices of the read, which know the server's order.

    Attributes:
        duplicates: Rows that one answer had twice.
    """

    def __init__(self, slices: SlicePlan) -> None:
        self._plan: Final = slices
        self._latest: dict[str, AuditEvent] = {}
        self.duplicates = 0

    def checked(
        self, window: LogWindow, items: Sequence[AuditEvent]
    ) -> list[AuditEvent]:
        """Return the rows of an answer, each once.

        Raises:
            UnorderedListError: They are not in the server's order.
            InconsistentLogError: One is outside of what was asked for, or came before
                with other contents.
        """
        self._check_order(window, items)
        rows: dict[str, AuditEvent] = {}
        for row in items:
            if not window.low <= ms_of(row.created_at) <= window.high + 1:
                raise InconsistentLogError(
                    f"{window!r}: the row {row.id!r} of {row.created_at.isoformat()} is"
                    " outside of that time"
                )
            before = rows.get(row.id) or self._latest.get(row.id)
            if before is not None and before != row:
                raise InconsistentLogError(
                    f"{window!r}: the row {row.id!r} came twice, with other contents"
                )
            self.duplicates += row.id in rows
            rows[row.id] = row
        self._latest = rows
        return list(rows.values())

    def _check_order(self, window: LogWindow, items: Sequence[AuditEvent]) -> None:
        newest_first = self._plan.newest_first
        for row, other in pairwise(items):
            if row.created_at == other.created_at:
                continue
            if newest_first is not (row.created_at > other.created_at):
                raise UnorderedListError(
                    f"{window!r}: the rows {row.id!r} and {other.id!r} are not in the"
                    " order of the rows before"
                )
