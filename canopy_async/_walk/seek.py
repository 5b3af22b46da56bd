"""A seek: where to look for the end of the cover, after a seam that did not hold.

The list has moved, so the cover ends at another position than before. Counts and shared
rows are hints for the new position. Each view corrects the estimate.
"""

from typing import Final, TypeVar

from canopy_async._walk.cover import Cover
from canopy_async._walk.view import Row, View
from canopy_async._walk.window import Window, plan_window

__all__ = ["Seek"]

R = TypeVar("R", bound=Row)


class Seek:
    """The search for a window that begins right before the cover.

    Counts and shared rows are hints for how far the list has moved. They decide where
    to look, and nothing else. The list moves on until the next answer is made, so the
    estimate is moved on by as many rows as the list has moved between the last two.

    Args:
        cover: The cover, whose position is looked for.
        latest: How many rows the server counted last.
        take: Rows per page at most.
        slack: How many rows the list is likely to move before an answer.

    Attributes:
        probes: How many windows were asked for.
        fills: How many of their views ended inside of the run at the cover, and did not
            show a row after the run.
        is_amid_run: Whether the latest of their views began or ended inside of the run
            at the cover.
    """

    def __init__(self, cover: Cover[R], latest: int, *, take: int, slack: int) -> None:
        self._page_size = take
        grown = latest - cover.position.count
        self._drift: Final = min(0, grown) if cover.order == "asc" else max(0, grown)
        self._estimate = cover.position.place + self._drift
        # In ascending order, rows move towards the head while a request is in flight.
        self._bound = self._estimate - (slack if cover.order == "asc" else 1)
        self._step = max(1, take // 4)
        self.probes = 0
        self.fills = 0
        self.is_amid_run = False

    def next_window(self, take: int) -> Window:
        """Return the next window to ask for.

        Args:
            take: Rows per page at most, by what is known of the server now.
        """
        self._page_size = take
        self._bound = max(0, self._bound)
        self.probes += 1
        return plan_window(self._bound, self._page_size)

    def look_inside(self, position: int) -> None:
        """Look from a position on, where no window can begin before the cover's run.

        Args:
            position: The position, as it was when the cover was last seen.
        """
        self._bound = position + self._drift
        self._step = max(1, self._page_size // 4)

    def began_past(self, cover: Cover[R], view: View[R]) -> None:
        """Look further to the front, after a view that begins at the cover or later."""
        self.is_amid_run = cover.touches(view)
        self._aim(cover, view)
        if self._bound >= view.start:
            self._bound = min(self._bound, view.start) - self._step
            self._step *= 2

    def ended_before(self, cover: Cover[R], view: View[R]) -> None:
        """Look further to the end, after a view that has no row after the cover."""
        self.is_amid_run = cover.stops_at(view)
        before = self._bound
        aimed = self._aim(cover, view)
        if self._bound > before:
            return
        if aimed and cover.stops_at(view):
            self.fills += 1  # no window that begins there shows the end of the run
            return
        self._bound = max(before + 1, view.end - 1)

    def found_nothing(self, latest: int) -> None:
        """Look further to the front, as the list has no rows at the last position.

        Args:
            latest: How many rows the server counted last.
        """
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
