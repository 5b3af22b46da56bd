"""The planner: which windows a walk asks for, how large they are, and how many.

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
from typing import Any, Final

from canopy_async._walk.view import View
from canopy_async._walk.window import OVERLAP, Window, plan_window
from canopy_async.errors import RequestBudgetError

__all__ = ["SURE_TAKE", "Planner"]

SURE_TAKE: Final = 20
"""Rows per page that any server allows, as they are the API's default."""

_MIN_TAKE: Final = 4
"""Rows of the smallest windows that overlap and still get on."""

_SPARE_REQUESTS: Final = 64
"""Requests that are allowed beyond twice as many as a list takes that holds still."""

_PAGES_TO_INFER: Final = 3
"""Short pages of one length after which that is taken for the most that is sent."""

_PAGES_THAT_CLAIM_MORE: Final = 2
"""Short pages of one length that suffice where the server says that more follow."""

_CALM_PAGES: Final = 4
"""Pages read after one that was too large, before larger ones are tried again; twice as
many after each further one."""

_MOST_BARREN: Final = 8
"""Answers in a row without a new row after which an inferred page size is dropped."""


class Planner:
    """The windows of one walk: which are asked for, how large, how near.

    Args:
        take: Rows per page at most, for the windows that are planned.
        max_take: Rows per page at most for windows that bridge a gap, where more rows
            help.

    Attributes:
        take: Rows per page of planned windows; what the server sends at most
            is learnt.
        max_take: Rows per page of windows that bridge a gap.
        overlap: Rows that a planned window shares with the one before it; more while
            the list moves.
        least: The least value of ``overlap``.
        longest: The most rows that any page had so far.
        suspect: How many rows a page had that was short, and yet claimed that more
            follow; None if there was none.
    """

    def __init__(self, take: int, max_take: int) -> None:
        self._windows: deque[Window] = deque()
        self.take = self._said_take = min(max(take, _MIN_TAKE), max_take)
        self.max_take = self._said_max_take = max_take
        self.overlap = self.least = OVERLAP
        self._end = 0
        self._rows = 0
        self._asked = self._allowed = 0
        self.longest = 0
        self.suspect: int | None = None
        self._inferred: int | None = None
        self._readable: int | None = None
        self._trial: int | None = None
        self._calm, self._calm_needed = 0, _CALM_PAGES
        self._tried_at: int | None = None
        self._smallest = self.take
        self._suspected = 0
        self._agreeing = 0
        self._spare_pages = 0
        self._barren = 0

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
            self._end = max(self.overlap + 1, covered)
        elif self._end >= horizon or self._suspects_cut:
            return None
        bound = self._end - self.overlap
        window = plan_window(bound, self.take, reach=reach)
        if (end := window.end) <= self._end:  # pages of few rows all begin or end there
            window = plan_window(bound, self.max_take, reach=reach)
            end = max(window.end, self._end + 1)
        self._end = end
        return self.ask(window)

    def ask(self, window: Window) -> Window:
        """Ask for a window after all others.

        Raises:
            RequestBudgetError: The walk has asked for too many.
        """
        self._asked += 1
        if self._asked > self._allowed:
            self._check_budget()
        window.number = self._asked
        self._windows.append(window)
        return window

    def _check_budget(self) -> None:
        # As many as pages of the smallest size take: there may have been such pages.
        advance = _mean_advance(self._smallest)
        self._allowed = _SPARE_REQUESTS + int(2 * self._rows / advance)
        if self._asked > self._allowed:
            raise RequestBudgetError(
                f"the read would take more than {self._allowed} requests for a list of"
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

        A seam breaks where all the rows that two windows share are tied; with
        one row more, that is far less likely, and costs less than a bridge. So
        does what windows share by chance that reach as far as they can.
        """
        self.least = OVERLAP + 1
        self.overlap = max(self.overlap, self.least)

    def loosen(self) -> None:
        """Overlap more: a seam broke, as the list had moved."""
        self.overlap = min(2 * self.overlap, max(self.least, self.take // 2))

    def learn_size(self, view: View[Any]) -> bool:
        """Learn from a page how many rows the server sends at most, said or not.

        Returns:
            Whether the windows that are asked for are too large.
        """
        if len(view.rows) == view.take == view.asked:
            self.longest = max(self.longest, view.take)
            return False
        said_less = self.learn_take(view.asked, view.take)
        is_cut = self.learn_length(
            len(view.rows),
            asked=view.asked,
            short=bool(view.rows) and view.is_short,
            claims_more=view.claims_more,
            behind=view.count - view.end,
        )
        return said_less or is_cut

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

    def note_oversized(self, asked: int, *, least: int) -> None:
        """Ask for fewer rows: a page was too large to be read.

        Rows are not all of one size, so larger pages are tried again some pages later.

        Args:
            asked: How many rows the page was asked for.
            least: Rows of the smallest pages that are asked for.
        """
        if self._trial is not None:
            self._trial = None
            self._calm_needed *= 2
        elif self._readable is None or asked <= self._readable:
            self._readable = max(least, asked // 2)
        self._calm = 0
        self._resize()

    @property
    def is_size_certain(self) -> bool:
        """Whether the size of pages is not one that was inferred, and may be wrong."""
        return self._inferred is None

    def try_larger(self, position: int) -> bool:
        """Ask for larger pages again where smaller ones do not cross a position.

        Returns:
            Whether there are larger ones, and they were not tried here.
        """
        if self._readable is None or self._tried_at == position:
            return False
        self._tried_at = position
        self._readable = self._trial = None
        self._resize()
        return True

    def note_progress(self, rows: int, *, asked: int) -> None:
        """Take back what was learnt of the size of pages where it holds no longer.

        Args:
            rows: How many rows the latest page added.
            asked: How many it was asked for.
        """
        if self._readable is not None and rows:
            self._note_readable(self._readable, asked)
        if self._inferred is None or asked > self._inferred:
            return
        self._barren = 0 if rows else self._barren + 1
        if self._barren > _MOST_BARREN:
            self._take_back()

    def _note_readable(self, readable: int, asked: int) -> None:
        """Try larger pages again, once enough of those were read that are no larger."""
        self._calm += 1
        if asked > readable:
            self._readable = asked if asked < self._said_take else None
            self._trial, self._calm = None, 0
        elif self._calm >= self._calm_needed and self._trial is None:
            self._trial = 2 * readable
        self._resize()

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
        known = (self._said_max_take, self._inferred, self._readable)
        self.max_take = min(size for size in known if size is not None)
        known = (self._said_take, self._inferred, self._trial or self._readable)
        self.take = min(size for size in known if size is not None)
        self._smallest = min(self._smallest, self.take)
        return self.take < before


def _mean_advance(take: int) -> float:
    """Return about how many new rows a planned window brings."""
    return max(1.0, take - OVERLAP - math.sqrt(math.pi * take / 2))
