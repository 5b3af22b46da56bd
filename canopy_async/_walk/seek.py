"""A seek: where to look for the end of the cover, once a seam did not hold.

The list has moved, so the cover no longer ends where it did. Counts and shared rows
hint at the new place; each window that is fetched corrects the estimate.
"""

from typing import Final, TypeVar

from canopy_async._walk.cover import Cover
from canopy_async._walk.view import Row, View
from canopy_async._walk.window import Window, plan_window

__all__ = ["Seek"]

R = TypeVar("R", bound=Row)


class Seek:
    """The search for a window that starts right before the cover.

    Counts and shared rows hint at how far the list has moved; they decide
    where to look and nothing else. The pace of the drift from one probe to
    the next is added, since the answer will be later than the question.

    Args:
        cover: What is covered; the place where it ends is looked for.
        latest: What the server counted last.
        take: Rows per page at most.
        slack: Rows that the list is likely to move before an answer.

    Attributes:
        probes: How many windows were asked for.
        fills: How many of them the run of rows at the cover has filled to the end.
        is_amid_run: Whether the latest of them began or ended in that run.
    """

    def __init__(self, cover: Cover[R], latest: int, *, take: int, slack: int) -> None:
        self._page_size = take
        grown = latest - cover.position.count
        self._drift: Final = min(0, grown) if cover.order == "asc" else max(0, grown)
        self._estimate = cover.position.place + self._drift
        # Ascending, rows move towards the head: what comes is further on.
        self._bound = self._estimate - (slack if cover.order == "asc" else 1)
        self._step = max(1, take // 4)
        self.probes = 0
        self.fills = 0
        self.is_amid_run = False

    def next_window(self, take: int) -> Window:
        """Return the next window to ask for.

        Args:
            take: Rows per page at most, by what is known now.
        """
        self._page_size = take
        self._bound = max(0, self._bound)
        self.probes += 1
        return plan_window(self._bound, self._page_size)

    def look_inside(self, position: int) -> None:
        """Look from ``position`` on, where no window can start before the cover."""
        self._bound = position + self._drift
        self._step = max(1, self._page_size // 4)

    def began_past(self, cover: Cover[R], view: View[R]) -> None:
        """Learn from a view that begins at the cover or after it."""
        self.is_amid_run = cover.touches(view)
        self._aim(cover, view)
        if self._bound >= view.start:
            self._bound = min(self._bound, view.start) - self._step
            self._step *= 2

    def ended_before(self, cover: Cover[R], view: View[R]) -> None:
        """Learn from a view that added nothing to the cover."""
        self.is_amid_run = cover.stops_at(view)
        before = self._bound
        aimed = self._aim(cover, view)
        if self._bound > before:
            return
        if aimed and cover.stops_at(view):
            self.fills += 1  # no window from there gets past the run
            return
        self._bound = max(before + 1, view.end - 1)

    def found_nothing(self, latest: int) -> None:
        """Learn that the list ends before the place that was looked at."""
        self.is_amid_run = False
        self._bound = min(self._bound, latest) - max(self._step, self._page_size // 2)
        self._step *= 2

    def _aim(self, cover: Cover[R], view: View[R]) -> bool:
        estimate = cover.position.locate(view)
        if estimate is None:
            return False
        pace = estimate - self._estimate
        self._estimate = estimate
        self._bound = estimate - 1 + (pace if abs(pace) < self._page_size else 0)
        return True
