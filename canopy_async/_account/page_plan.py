"""The plan of pages: which request comes after an answer, within its slice."""

from typing import Final

from canopy_async._account.log_range import LogRange
from canopy_async._account.log_slice import Slice
from canopy_async._account.log_window import Crowd, Glance, Kind, LogWindow, ms_of
from canopy_async._account.slice_plan import SlicePlan

__all__ = ["FEW", "PagePlan"]

_MOST_EMPTY: Final = 8
_MOST_NEWER: Final = 3

FEW: Final = 20
"""Rows of a page at least, as a few alone may not tell the order."""


class PagePlan:
    """Plans the request after an answer: by time, or by a cursor where it has to be.

    Args:
        slices: The slices of the read.
        wanted: What is read.
        is_limited: Whether a few of the newest rows may be all that is wanted.
    """

    def __init__(
        self, slices: SlicePlan, wanted: LogRange, *, is_limited: bool
    ) -> None:
        self._plan: Final = slices
        self._wanted: Final = wanted
        self._is_limited: Final = is_limited

    def learn(self, window: LogWindow, glance: Glance) -> None:
        """Plan the request after an answer, which may be taken much later.

        Args:
            window: The request that was answered.
            glance: What the answer shows at a glance.
        """
        if window.learnt:
            return
        part = self._part_of(window)
        if part is None:
            return
        window.learnt, window.rows = True, glance.count
        if window.kind is Kind.PROBE:
            return
        if window.kind is Kind.ORDER:
            # Rows that are older, and did not come first: the newest ones do.
            self._plan.newest_first = True if glance.count else None
            return
        if window.kind is Kind.CHECK:
            self._learn_check(part, window, glance)
            return
        self._learn_order(glance)
        self._plan.learn(part, window, glance)
        if not part.doomed:
            self._learn_page(part, window, glance)

    def _part_of(self, window: LogWindow) -> Slice | None:
        for part in self._plan.slices:
            if part.windows and part.windows[-1] is window:
                return part
        return None

    def _learn_order(self, glance: Glance) -> None:
        if self._plan.newest_first is not None:
            return
        if glance.first is None or glance.last is None or glance.first == glance.last:
            return
        self._plan.newest_first = glance.first > glance.last

    def _learn_page(self, part: Slice, window: LogWindow, glance: Glance) -> None:
        if glance.ends(window) or self._has_caught_up(part, window, glance):
            self._go_on(part, window.crowd, None)
            return
        last = None if glance.last is None else ms_of(glance.last)
        if last is None or not self._has_moved(window, last):
            self._follow(part, window, glance, last)
        elif self._is_beyond(part, last):
            # What is below belongs to the slice after it, which was cut off.
            self._go_on(part, window.crowd, None)
        else:
            after = self._plan.page_after(part, window, last)
            self._go_on(part, window.crowd, after)

    def _has_caught_up(self, part: Slice, window: LogWindow, glance: Glance) -> bool:
        """Tell whether all is read that was there when a read without end began.

        It is asked of a server that sends the oldest rows first, and names a cursor as
        long as a page has rows: each request may write a row, which the next one shows.
        Some pages in a row that have room left and only such rows are the end.
        """
        is_newer = (
            self._plan.newest_first is False
            and window.crowd is None
            and glance.first is not None
            and glance.count < window.take
            and self._wanted.came_since(glance.first)
        )
        part.newer = part.newer + 1 if is_newer else 0
        return part.newer >= _MOST_NEWER

    def _go_on(self, part: Slice, crowd: Crowd | None, after: LogWindow | None) -> None:
        """Ask for what comes after a page; first check a crowd that it ends."""
        if crowd is not None and crowd.edge is not None:
            crowd.after = after
            self._check(part, crowd)
            return
        part.next, part.ended = after, after is None

    def _is_beyond(self, part: Slice, last: int) -> bool:
        if not self._plan.newest_first or self._plan.is_last(part):
            return False
        return last <= part.low

    def _has_moved(self, window: LogWindow, last: int) -> bool:
        """Tell whether an answer ends at another millisecond than it began with."""
        newest_first, crowd = self._plan.newest_first, window.crowd
        if newest_first is None:
            return False
        edge = window.high if newest_first else window.low
        if crowd is not None and crowd.edge is not None:
            edge = crowd.edge
        return last < edge if newest_first else last > edge

    def _follow(
        self, part: Slice, window: LogWindow, glance: Glance, last: int | None
    ) -> None:
        """Ask for what the cursor of an answer leads to, in the place of a time."""
        crowd = window.crowd
        if crowd is None:
            crowd = window.crowd = Crowd(window, None)
        if crowd.edge is None:
            crowd.edge, crowd.on_first = last, glance.with_last
        cursor = self._usable(window, glance, crowd, crowd.cursors)
        if cursor is None:
            return
        is_first = window.cursor is None and last is not None
        if is_first and self._is_limited and self._plan.newest_first is None:
            part.next = self._look_for_order(part, crowd, cursor)
            return
        part.next = self._plan.page_at(part, window, cursor)

    def _look_for_order(
        self, part: Slice, crowd: Crowd, cursor: str
    ) -> LogWindow | None:
        """Return a request that tells whether a crowd comes first as it is the newest.

        Where a few of the newest rows are wanted, all of the crowd need not be read.
        """
        if crowd.edge is None or crowd.edge - 2 < part.low:
            return self._plan.page_at(part, crowd.first, cursor)
        crowd.cursor = cursor
        return LogWindow(
            low=part.low,
            high=crowd.edge - 2,
            take=FEW,
            kind=Kind.ORDER,
            crowd=crowd,
        )

    def _usable(
        self, window: LogWindow, glance: Glance, crowd: Crowd, used: set[str]
    ) -> str | None:
        """Return the cursor of an answer, None where it leads nowhere."""
        cursor = glance.cursor
        crowd.empty = 0 if glance.count else crowd.empty + 1
        if cursor is None or cursor in used:
            window.fault = "the server sent a cursor that was followed before"
        elif crowd.empty > _MOST_EMPTY:
            window.fault = (
                f"the server sent {crowd.empty} empty pages in a row, each with another"
                " cursor"
            )
        else:
            used.add(cursor)
            return cursor
        return None

    def _check(self, part: Slice, crowd: Crowd) -> None:
        """Read a crowded millisecond again, with other page edges.

        A cursor that is coarser than the rows passes by what follows the first page
        edge in it. A page that ends earlier then shows fewer rows of it; where that
        can't be, a page that is as large as may be shows more.
        """
        if crowd.edge is None:
            raise AssertionError("a crowd that is checked has rows")
        crowd.checks += 1
        crowd.check_cursors, crowd.check_rows = set(), []
        part.next = LogWindow(
            low=crowd.edge,
            high=crowd.edge,
            take=crowd.on_first - crowd.checks
            if crowd.ends_earlier
            else self._plan.take,
            kind=Kind.CHECK,
            crowd=crowd,
        )

    def _learn_check(self, part: Slice, window: LogWindow, glance: Glance) -> None:
        crowd = window.crowd
        if crowd is None:
            raise AssertionError("only a crowd is checked")
        if glance.ends(window):
            part.next, part.ended = crowd.after, crowd.after is None
            return
        cursor = self._usable(window, glance, crowd, crowd.check_cursors)
        if cursor is not None:
            part.next = LogWindow(
                low=window.low,
                high=window.high,
                take=window.take,
                page=window.page + 1,
                cursor=cursor,
                kind=Kind.CHECK,
                crowd=crowd,
            )

    def begin_crowd_again(self, part: Slice, crowd: Crowd) -> None:
        """Read a crowd and its check anew: some rows may have come meanwhile."""
        first = crowd.first
        again = LogWindow(
            low=first.low, high=first.high, take=first.take, page=first.page
        )
        again.crowd = Crowd(again, None, checks=crowd.checks, deaths=crowd.deaths)
        part.begin_again(again)
