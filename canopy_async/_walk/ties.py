"""A run of ties: rows of one key, more of them than any window can bridge.

Inside of such a run, no window begins strictly before the cover. A view that shares a
row with the rows handed out continues them, if the server keeps ties in a fixed order.
Whether the server does so is shown by counting, while the list holds still: the
positions of the first row of the run and of the first row after the run give the length
of the run. Where rows of the run are missing, the run is sampled, which means that it
is read again: a server that orders ties anew for each request shows other rows each
time.
"""

from typing import Final, Generic, TypeVar

from canopy_async._walk.cover import Accepted
from canopy_async._walk.key_cover import KeyCover
from canopy_async._walk.view import Row, View
from canopy_async._walk.window import Window, plan_window

__all__ = ["TieRun"]

R = TypeVar("R", bound=Row)


class TieRun(Generic[R]):
    """The run of ties at the cover, which is read by shared rows.

    Args:
        cover: The cover; all rows of the run have its key.
        take: Rows per page at most.
    """

    MAX_SAMPLES: Final = 40

    def __init__(self, cover: KeyCover[R], take: int) -> None:
        self._cover: Final = cover
        self._page_size = take
        self._samples = 0
        self.key: Final = cover.key

    def accept(self, view: View[R]) -> Accepted[R]:
        """Return a view's new rows of the run, and no other rows."""
        return self._cover.accept_run(view)

    def continues_in(self, view: View[R]) -> bool:
        """Tell whether a view holds a row of the run that was handed out."""
        return self._cover.key == self.key and self._cover.shares_run(view)

    def closes_in(self, view: View[R]) -> bool:
        """Tell whether a view shows the end of the run."""
        return view.is_end or view.keys[-1] != self.key

    def missing_after(self, view: View[R]) -> int:
        """Return how many rows of the run were not seen yet.

        Args:
            view: The view that shows the end of the run.
        """
        run = [
            id_ for id_, key in zip(view.ids, view.keys, strict=True) if key == self.key
        ]
        end = view.start + len(run)  # no row of another key comes before them
        return end - self._cover.tie_start - len(self._cover.ids_at_key.union(run))

    def limit(self, take: int) -> None:
        """Ask for smaller pages from now on.

        Args:
            take: Rows per page at most.
        """
        self._page_size = min(self._page_size, take)

    def next_sample(self, closing: View[R]) -> Window | None:
        """Return the next window into the run, or None after enough of them.

        Args:
            closing: The view that shows the end of the run.
        """
        if self._samples >= self.MAX_SAMPLES:
            return None
        length = closing.end - self._cover.tie_start
        offset = self._samples * max(1, self._page_size // 2) % length
        self._samples += 1
        return plan_window(self._cover.tie_start + offset, self._page_size)
