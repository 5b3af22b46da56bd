"""Which windows a walk asks for, and how many it may."""

import math
from collections import deque
from typing import Final

from canopy_async.errors import RequestBudgetError
from canopy_async.walk.chart import Chart
from canopy_async.walk.takes import TAKE
from canopy_async.walk.window import OVERLAP, Window, plan_window

__all__ = ["Planner"]

_MIN_TAKE: Final = 4  # smaller windows can't overlap and get on
_SPARE_REQUESTS: Final = 64
_CUT_SHORT: Final = 2


class Planner:
    """The windows of one walk: which are asked for, how large, how near.

    Args:
        take: Rows per page at most, for the windows that are planned.
        max_take: The same for windows that bridge a gap, where more rows help.

    Attributes:
        windows: What is asked for and not taken yet, in the order of taking.
        take: Rows per page of planned windows; what the server sends at most
            is learnt.
        max_take: The same for windows that bridge a gap.
        overlap: Rows that planned windows share: more while the list moves.
        least: The least that they share.
        end: The position that the plan reaches.
        rows: Rows that the walk is about, which bounds its requests.
        longest: The most rows that any page had so far.
    """

    def __init__(self, take: int, max_take: int) -> None:
        self.windows: deque[Window] = deque()
        self.take = min(max(take, _MIN_TAKE), max_take)
        self.max_take = max_take
        self.overlap = self.least = OVERLAP
        self.end = 0
        self.rows = 0
        self._asked = self._allowed = 0
        self._chart = Chart() if self.take == TAKE else None
        self.longest = 0
        self._cut_short = 0

    def plan(self, *, covered: int, horizon: int, reach: int | None) -> Window | None:
        """Ask for the next window of the plan.

        Args:
            covered: The position where the cover ends.
            horizon: The position that the plan must reach.
            reach: The last position that is wanted, None for no limit.

        Returns:
            None where the windows that are asked for suffice for now.
        """
        if not self.windows:
            # Nothing is under way: go on from where the cover is, not from
            # where it was expected.
            self.end = max(self.overlap + 1, covered)
        elif self.end >= horizon:
            return None
        bound = self.end - self.overlap
        window = self._charted(bound, horizon if reach is None else reach)
        window = window or plan_window(bound, self.take, reach=reach)
        if (end := window.end) <= self.end:  # pages of few rows all begin or end there
            window = plan_window(bound, self.max_take, reach=reach)
            end = max(window.end, self.end + 1)
        self.end = end
        return self.ask(window)

    def _charted(self, bound: int, goal: int) -> Window | None:
        """Return the window of the chart, where there is one that serves.

        To reach the goal, another may serve better: one that goes further.
        """
        if self._chart is None or bound + TAKE >= goal:
            return None
        window = self._chart.window_at(bound)
        return window if window is not None and window.end > self.end else None

    def ask(self, window: Window) -> Window:
        """Ask for a window after all others.

        Raises:
            RequestBudgetError: The walk has asked for too many.
        """
        self._asked += 1
        if self._asked > self._allowed:
            self._check_budget()
        window.number = self._asked
        self.windows.append(window)
        return window

    def _check_budget(self) -> None:
        # Smaller pages are learnt of, never larger ones: no more are allowed before.
        self._allowed = _SPARE_REQUESTS + int(2 * self.rows / _mean_advance(self.take))
        if self._asked > self._allowed:
            raise RequestBudgetError(
                f"the read would take more than {self._allowed} requests for a list of"
                f" {self.rows} rows"
            )

    def ask_first(self, window: Window) -> None:
        """Ask for a window before all others.

        Raises:
            RequestBudgetError: The walk has asked for too many.
        """
        self.ask(window)
        self.windows.rotate(1)

    def tighten(self) -> None:
        """Overlap less: a seam held."""
        if self.overlap > self.least:
            self.overlap -= 1

    def expect_ties(self) -> None:
        """Overlap by one row more from now on.

        A seam breaks where all the rows that two windows share are tied; with
        one row more, that is far less likely, and costs less than a bridge. So
        does what windows share by chance that reach as far as they can.
        """
        self.least = OVERLAP + 1
        self.overlap = max(self.overlap, self.least)
        self._chart = None

    def loosen(self) -> None:
        """Overlap more: a seam broke, as the list had moved.

        From now on windows reach as far as they can, as that makes most of them
        overlap by more than they must, which pays where rows move.
        """
        self._chart = None
        self.overlap = min(2 * self.overlap, max(self.least, self.take // 2))

    def learn_take(self, asked: int, said: int) -> bool:
        """Learn what the server sends at most, where it says so.

        Returns:
            Whether the windows that are asked for are too large.
        """
        return self._shrink(said) if said < asked else False

    def learn_length(self, rows: int, *, short: bool, claims_more: bool) -> bool:
        """Learn from the rows of a page what the server sends at most.

        Args:
            rows: How many there were.
            short: Whether those are fewer than there should be. Either the
                server cuts pages without a word, or rows moved between COUNT
                and SELECT; only the former happens again, and no page was ever
                longer then.
            claims_more: Whether the server says that another page follows.

        Returns:
            Whether the windows that are asked for are too large.
        """
        self.longest = max(self.longest, rows)
        if not short:
            return False
        self._cut_short += 1
        if self._cut_short < _CUT_SHORT and not claims_more:
            return False
        return self._shrink(self.longest)

    def _shrink(self, sent: int) -> bool:
        self.max_take = min(self.max_take, sent)
        if self.max_take >= self.take:
            return False
        self.take = self.max_take
        self._chart = None
        return True


def _mean_advance(take: int) -> float:
    """Return about how many new rows a planned window brings."""
    return max(1.0, take - OVERLAP - math.sqrt(math.pi * take / 2))
