"""Rows that are too large together: which of them is, by itself?"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Generic, NoReturn, TypeVar

from canopy_async._walk.window import Window
from canopy_async.errors import ProtocolError
from canopy_async.models import Page
from canopy_async.report import ReadReport

__all__ = ["LEAST_ROWS", "OversizedRow"]

T = TypeVar("T")

LEAST_ROWS: Final = 8
"""Rows of the smallest pages that a read takes: in fewer, seams rarely hold."""


class OversizedRow(Generic[T]):
    """The end of a walk: each row of a page that was too large is asked for alone.

    So the error that ends the read can name the row. No row is handed out any more.

    Args:
        window: The page that was too large.
        report: Returns what the walk knows.
    """

    def __init__(self, window: Window, report: Callable[[], ReadReport]) -> None:
        self._last: Final = window
        self._report: Final = report
        self._windows: Final = deque(
            Window(row + 1, 1) for row in range(window.start, window.end)
        )

    @property
    def windows(self) -> Sequence[Window]:
        """The rows that were not looked at yet."""
        return self._windows

    @property
    def done(self) -> bool:
        """Whether nothing more is wanted: it ends with an error."""
        return False

    @property
    def total(self) -> int | None:
        """Rows that were counted."""
        return self._report().expected

    @property
    def sends_sort_by(self) -> bool:
        """Always: it was not refused."""
        return True

    @property
    def position(self) -> int:
        """Where the page begins."""
        return self._last.start

    def plan(self) -> Window | None:
        """Ask for no more than all rows of the page."""
        return None

    def take(self, page: Page[T]) -> Sequence[T]:
        """Go on with the next row: this one is no larger than it may be."""
        del page
        return self.take_missing()

    def take_missing(self) -> Sequence[T]:
        """Go on with the next row: there is none here any more."""
        self._windows.popleft()
        if not self._windows:
            self._give_up()
        return ()

    def take_oversized(self) -> Sequence[T] | None:
        """Let the read fail with the error that names this row."""
        return None

    def refused(self) -> bool:
        """Never go on: there is nothing to ask differently."""
        return False

    def report(self, *, requests: int = 0, retries: int = 0) -> ReadReport:
        """Return what the walk knows."""
        del requests, retries
        return self._report()

    def _give_up(self) -> NoReturn:
        window = self._last
        raise ProtocolError(
            f"the rows {window.start + 1} to {window.end} of the list are together over"
            f" the size limit of an answer, and a proof takes pages of {LEAST_ROWS}"
            " rows or more: lossless=False reads them, and proves nothing",
            page=window.page,
            path="items",
        )
