"""The planner: which windows a walk asks for, and how many.

Positions in the list, as the planner uses them::

    0 ...... covered ...... bound .. end ...... reach ...... horizon

- ``covered``: the cover ends here.
- ``end``: the windows that were asked for reach this far.
- ``bound``: ``overlap`` rows before ``end``; the next window begins here or before.
- ``reach``: no row after it is wanted, because of a limit.
- ``horizon``: windows must reach this far to show the end of the list.
"""

import math
from collections import deque
from collections.abc import Sequence
from typing import Final

from canopy_async._walk.page_size import PageSize
from canopy_async._walk.window import OVERLAP, Window, plan_window
from canopy_async.errors import RequestBudgetError

__all__ = ["Planner"]

_SPARE_REQUESTS: Final = 64
"""Requests that are allowed beyond twice as many as a list takes that holds still."""


class Planner:
    """The windows of one walk: which are asked for, and how near to each other.

    Args:
        take: Rows per page at most, for the windows that are planned.
        max_take: Rows per page at most for windows that bridge a gap, where more rows
            help.

    Attributes:
        size: How large windows are.
        overlap: Rows that a planned window shares with the one before it; more while
            the list moves.
        least: The least value of ``overlap``.
    """

    def __init__(self, take: int, max_take: int) -> None:
        self._windows: deque[Window] = deque()
        self.size: Final = PageSize(take, max_take)
        self.overlap = self.least = OVERLAP
        self._end = 0
        self._rows = 0
        self._asked = 0

    @property
    def windows(self) -> Sequence[Window]:
        """Windows that were asked for and not taken yet, in the order of taking."""
        return self._windows

    def begin(self, *, end: int, rows: int) -> None:
        """Go on after page 1.

        Args:
            end: Position after the last row of page 1.
            rows: Rows that the walk is about, which bounds its requests.
        """
        self._end, self._rows = end, rows

    def pop(self) -> Window:
        """Remove the window that is taken next, and return it."""
        return self._windows.popleft()

    def forget_all(self) -> None:
        """Forget the windows that were asked for: their answers are not wanted."""
        self._windows.clear()

    def plan(self, *, covered: int, horizon: int, reach: int | None) -> Window | None:
        """Ask for the next window of the plan.

        Args:
            covered: The position where the cover ends.
            horizon: The position that the plan must reach.
            reach: The last position that is wanted, None for no limit.

        Returns:
            None where the windows that are asked for suffice for now.
        """
        if not self._windows:
            # Nothing is under way: go on from where the cover is, not from
            # where it was expected.
            self._end = covered
        elif self._end >= horizon or self.size.cut.is_suspected:
            return None
        bound = self._end - self.overlap
        window = plan_window(bound, self.size.take, reach=reach)
        if (end := window.end) <= self._end:  # pages of few rows all begin or end there
            window = plan_window(bound, self.size.max_take, reach=reach)
            end = max(window.end, self._end + 1)
        self._end = end
        return self.ask(window)

    def ask(self, window: Window) -> Window:
        """Ask for a window after all others.

        Raises:
            RequestBudgetError: The walk has asked for too many.
        """
        self._asked += 1
        self._check_budget()
        window.number = self._asked
        self._windows.append(window)
        return window

    def _check_budget(self) -> None:
        # As many as pages of the smallest size take: there may have been such pages.
        advance = _mean_advance(self.size.smallest)
        allowed = _SPARE_REQUESTS + int(2 * self._rows / advance)
        if self._asked > allowed:
            raise RequestBudgetError(
                f"the read would take more than {allowed} requests for a list of"
                f" {self._rows} rows"
            )

    def ask_first(self, window: Window) -> None:
        """Ask for a window before all others.

        Raises:
            RequestBudgetError: The walk has asked for too many.
        """
        self.ask(window)
        self._windows.rotate(1)

    def tighten(self) -> None:
        """Overlap less: a seam held."""
        if self.overlap > self.least:
            self.overlap -= 1

    def expect_ties(self) -> None:
        """Overlap by one row more from now on.

        A seam breaks where all the rows that two windows share are tied. With one row
        more, that is far less likely, and the row costs less than a bridge.
        """
        self.least = OVERLAP + 1
        self.overlap = max(self.overlap, self.least)

    def loosen(self) -> None:
        """Overlap more: a seam broke, as the list had moved."""
        self.overlap = min(2 * self.overlap, max(self.least, self.size.take // 2))


def _mean_advance(take: int) -> float:
    """Return about how many new rows a planned window brings."""
    return max(1.0, take - OVERLAP - math.sqrt(math.pi * take / 2))
