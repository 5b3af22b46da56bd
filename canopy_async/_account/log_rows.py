"""Rows of an account's log on their way out: seams are compared, the order kept."""

from collections.abc import Sequence
from typing import Final

from canopy_async._account.log_range import LogRange
from canopy_async._account.log_seam import join, split_at
from canopy_async._account.log_slice import Slice
from canopy_async._account.log_window import LogWindow, ms_of
from canopy_async._account.slice_plan import SlicePlan
from canopy_async.models import AuditEvent

__all__ = ["LogRows"]


class LogRows:
    """Hands out the rows of answers, newest first, each once.

    Args:
        slices: The slices of the read.
        wanted: What is read.
        limit: Rows to hand out at most, None for all.

    Attributes:
        done: Whether nothing more is wanted.
        delivered: How many rows were handed out.
        duplicates: Rows that came again.
        seams: Milliseconds with rows that two requests have shown.
    """

    def __init__(self, slices: SlicePlan, wanted: LogRange, limit: int | None) -> None:
        self._plan: Final = slices
        self._wanted: Final = wanted
        self._limit: Final = limit
        self._known: list[AuditEvent] = []
        self.done = limit == 0
        self.delivered = self.duplicates = self.seams = 0

    @property
    def left(self) -> int | None:
        """The number of rows still wanted, None for all."""
        return None if self._limit is None else self._limit - self.delivered

    def suffices(self, rows: Sequence[AuditEvent]) -> bool:
        """Tell whether these rows are as many as are wanted."""
        left = self.left
        return left is not None and sum(map(self._wanted.wants, rows)) >= left

    def take(
        self, part: Slice, window: LogWindow, rows: list[AuditEvent]
    ) -> Sequence[AuditEvent]:
        """Return what the rows of an answer add, newest first.

        Args:
            part: The slice that the answer is of.
            window: The request that it answers, or that began what it ends.
            rows: The rows, checked.

        Raises:
            DisagreementError: They contradict those of an answer before.
        """
        if self._plan.newest_first is False:
            return self._absorb_oldest_first(part, window, rows)
        return self._absorb(part, window.high, rows, is_over=part.is_over)

    def _absorb_oldest_first(
        self, part: Slice, window: LogWindow, rows: list[AuditEvent]
    ) -> Sequence[AuditEvent]:
        """Keep rows until all of the slice is there, and turn them round then."""
        within = [row for row in rows if ms_of(row.created_at) <= part.high]
        self.duplicates += len(rows) - len(within)
        joined = join(
            part.edge_rows,
            within,
            at=window.low,
            gone=part.gone,
            newest_first=False,
        )
        self._note_seam(part.edge_rows)
        if not part.is_over:
            edge = ms_of(rows[-1].created_at)
            part.edge_rows, others = split_at(joined, edge)
            part.rows += others
            return ()
        part.rows += joined
        part.rows.reverse()
        return self._absorb(part, part.high, part.rows, is_over=True)

    def _absorb(
        self, part: Slice, high: int, rows: list[AuditEvent], *, is_over: bool
    ) -> Sequence[AuditEvent]:
        """Return the rows, newest first, without those that are to be seen again."""
        within = [row for row in rows if ms_of(row.created_at) <= high]
        joined = join(self._known, within, at=high, gone=part.gone, newest_first=True)
        self.duplicates += len(rows) - len(within)
        self._note_seam(self._known)
        part.tries, part.gone = 0, frozenset()
        is_last = is_over and self._plan.is_last(part)
        self._known = []
        if joined and not is_last:
            edge = part.low if is_over else ms_of(joined[-1].created_at)
            joined = [row for row in joined if ms_of(row.created_at) >= edge]
            self._known, joined = split_at(joined, edge)
        if is_over:
            self._plan.slices.popleft()
        self.done = is_last
        return self.hand_out(joined)

    def _note_seam(self, known: Sequence[AuditEvent]) -> None:
        self.seams += bool(known)
        self.duplicates += len(known)

    def hand_out(self, rows: list[AuditEvent]) -> Sequence[AuditEvent]:
        """Return those of some rows that are wanted, no more than are."""
        wanted = [row for row in rows if self._wanted.wants(row)]
        if self._limit is not None:
            left = self._limit - self.delivered
            if len(wanted) < left and self._plan.newest_first:
                known = [row for row in self._known if self._wanted.wants(row)]
                if len(wanted) + len(known) >= left:
                    wanted += known
            wanted = wanted[:left]
            self.done = self.done or len(wanted) == left
        self.delivered += len(wanted)
        if self.done:
            self._plan.slices.clear()
        return wanted
