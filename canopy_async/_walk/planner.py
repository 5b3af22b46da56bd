"""The planner: which windows a walk asks for, and how many.

The positions that the planner works with::

    0 ...... covered ...... bound .. end ...... reach ...... horizon

- ``covered``: the cover ends here.
- ``end``: the last of the windows that were asked for ends here.
- ``bound``: ``overlap`` rows before ``end``; the next window begins here or before.
- ``reach``: no row after this position is wanted, because of a limit.
- ``horizon``: some window must reach this position to show the end of the list.
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
"""Requests that are allowed, in addition to twice as many as a list that holds still
takes."""


class Planner:
    """The windows of one walk: which are asked for, and by how much they overlap.

    Args:
        take: Rows per page at most, for the windows of the plan.
        max_take: Rows per page at most, for windows that bridge a gap: the more rows,
            the easier.

    Attributes:
        size: How many rows per page the windows ask for.
        overlap: Rows that a window of the plan shares with the window before it; more
            while the list moves.
        least: The lowest value of ``overlap``.
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
        """Begin the plan after page 1.

        Args:
            end: Position after the last row of page 1.
            rows: About how many rows the walk reads; so many requests are allowed as
                they take.
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
            None where no further window is needed for now.
        """
        if not self._windows:
            # No window is in flight: the plan goes on from where the cover is, not from
            # where it was expected to be.
            self._end = max(self.overlap + 1, covered)
        elif self._end >= horizon or self.size.cut.is_suspected:
            return None
        bound = self._end - self.overlap
        window = plan_window(bound, self.size.take, reach=reach)
        if (end := window.end) <= self._end:  # no page of so few rows goes past the end
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
        # By the smallest page size so far: pages of that size bring the fewest rows.
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
        """Overlap by one row less from now on, as a seam held."""
        if self.overlap > self.least:
            self.overlap -= 1

    def expect_ties(self) -> None:
        """Overlap by at least one row more from now on, as many rows are tied.

        A seam does not hold where all the rows that two windows share are tied. With
        one row more, that is far less likely, and the row costs less than a bridge.
        """
        self.least = OVERLAP + 1
        self.overlap = max(self.overlap, self.least)

    def loosen(self) -> None:
        """Overlap by twice as many rows, as the list has moved past a seam."""
        self.overlap = min(2 * self.overlap, max(self.least, self.size.take // 2))


def _mean_advance(take: int) -> float:
    """Return about how many new rows a window of the plan brings."""
    return max(1.0, take - OVERLAP - math.sqrt(math.pi * take / 2))
