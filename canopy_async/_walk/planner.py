"""Which windows a walk asks for, and how many it may."""

import math
from collections import deque
from typing import Final

from canopy_async._walk.chart import Chart
from canopy_async._walk.takes import TAKE
from canopy_async._walk.window import OVERLAP, Window, plan_window
from canopy_async.errors import RequestBudgetError

__all__ = ["Planner"]

_MIN_TAKE: Final = 4  # smaller windows can't overlap and get on
_SPARE_REQUESTS: Final = 64
_PAGES_TO_INFER: Final = 3
_PAGES_THAT_CLAIM_MORE: Final = 2
_MOST_BARREN: Final = 8


class Planner:
    """The windows of one walk: which are asked for, how large, how near.

    Args:
        take: Rows per page at most, for the windows that are planned.
        max_take: The same for windows that bridge a gap, where more rows help.

    Attributes:
        windows: What is asked for and not taken yet, in the order of taking.
        take: Rows per page of planned windows; what the server sends at most
            is learnt.
        max_take: Rows per page of windows that bridge a gap.
        overlap: Rows that planned windows share: more while the list moves.
        least: The least that they share.
        end: The position that the plan reaches.
        rows: Rows that the walk is about, which bounds its requests.
        longest: The most rows that any page had so far.
        suspect: How many rows a page had that was short, and yet claimed that more
            follow; None if there was none.
    """

    def __init__(self, take: int, max_take: int) -> None:
        self.windows: deque[Window] = deque()
        self.take = self._said_take = min(max(take, _MIN_TAKE), max_take)
        self.max_take = self._said_max_take = max_take
        self.overlap = self.least = OVERLAP
        self.end = 0
        self.rows = 0
        self._asked = self._allowed = 0
        self._chart = Chart() if self.take == TAKE else None
        self.longest = 0
        self.suspect: int | None = None
        self._inferred: int | None = None
        self._suspected = 0
        self._agreeing = 0
        self._spare_pages = 0
        self._barren = 0

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
        elif self.end >= horizon or self._suspects_cut:
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
        if said >= asked:
            return False
        self._said_max_take = min(self._said_max_take, said)
        self._said_take = min(self._said_take, said)
        return self._resize()

    def learn_length(
        self, rows: int, *, asked: int, short: bool, claims_more: bool, behind: int
    ) -> bool:
        """Learn from the rows of a page what the server sends at most.

        Some servers cut pages without a word. A page that holds fewer rows than are
        counted may be such a one, or the list grew between what was selected and
        what was counted. Pages that are cut all hold as many rows as each other, and
        more than any other page; only where several agree is that inferred, or from
        one that a list explains only if it grew by half a page at once. It is taken
        back where a page holds more rows, or fewer though no cut explains it.

        Args:
            rows: How many the page holds.
            asked: How many it was asked for.
            short: Whether it holds fewer than the server says that there are.
            claims_more: Whether the server says that another page follows: a list
                must grow beyond the page for that, so that fewer pages suffice.
            behind: How many rows are counted beyond those that it holds.

        Returns:
            Whether the windows that are asked for are too large.
        """
        self.longest = max(self.longest, rows)
        if self._inferred is not None and (
            rows > self._inferred or (short and asked <= self._inferred)
        ):
            self._take_back()
            return False
        if not short or rows < self.longest:
            return False
        if rows != self._suspected:
            self._suspected, self._agreeing = rows, 0
        self._agreeing += 1
        if claims_more:
            self.suspect = rows
        needed = _PAGES_TO_INFER
        if claims_more:
            needed = 1 if 2 * behind >= asked else _PAGES_THAT_CLAIM_MORE
        if self._agreeing < needed + self._spare_pages:
            return False
        self._inferred = rows
        return self._resize()

    def note_progress(self, rows: int, *, asked: int) -> None:
        """Take back what was inferred where the read does not get on with it.

        Args:
            rows: How many rows the latest page added.
            asked: How many it was asked for.
        """
        if self._inferred is None or asked > self._inferred:
            return
        self._barren = 0 if rows else self._barren + 1
        if self._barren > _MOST_BARREN:
            self._take_back()

    def _take_back(self) -> None:
        """Forget what was inferred, and be slower to infer it again."""
        self._inferred, self._agreeing, self._barren = None, 0, 0
        self._spare_pages += 1
        self._resize()

    @property
    def _suspects_cut(self) -> bool:
        """Whether it depends on the next answer how large windows may be."""
        return (
            self._inferred is None
            and self._agreeing > 0
            and self._suspected == self.longest
        )

    def _resize(self) -> bool:
        """Plan with what is known; tell whether windows that are asked for are larger.

        What the server says holds for good, what was inferred until it is taken back.
        """
        before = self.take
        most = self._said_max_take if self._inferred is None else self._inferred
        self.max_take = min(self._said_max_take, most)
        self.take = min(self._said_take, most)
        if self.take >= before:
            return False
        self._chart = None
        return True


def _mean_advance(take: int) -> float:
    """Return about how many new rows a planned window brings."""
    return max(1.0, take - OVERLAP - math.sqrt(math.pi * take / 2))
