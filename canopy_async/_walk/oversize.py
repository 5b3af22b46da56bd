"""Naming a row: a page is too large to be read; is one of its rows so by itself?"""

from collections import deque
from collections.abc import Sequence
from typing import Final, Generic, NoReturn, TypeVar

from canopy_async._walk.phase import Step
from canopy_async._walk.window import Window
from canopy_async.errors import ProtocolError
from canopy_async.models import Page

__all__ = ["LEAST_ROWS", "NamingRow"]

T = TypeVar("T")

LEAST_ROWS: Final = 8
"""Rows of the smallest pages that a read takes: in fewer, seams rarely hold."""


class NamingRow(Generic[T]):
    """The end of a walk: each row of a page that was too large is asked for alone.

    So the error that ends the read can name the row. No row is handed out any more.

    Args:
        window: The page that was too large.
    """

    def __init__(self, window: Window) -> None:
        self._last: Final = window
        self._windows: Final = deque(
            Window(row + 1, 1) for row in range(window.start, window.end)
        )

    @property
    def windows(self) -> Sequence[Window]:
        """The rows that were not looked at yet."""
        return self._windows

    def plan(self) -> Window | None:
        """Ask for no more than all rows of the page."""
        return None

    def accept_page(self, page: Page[T]) -> Step[T]:
        """Go on with the next row: this one is no larger than it may be."""
        del page
        return self.accept_missing()

    def accept_missing(self) -> Step[T]:
        """Go on with the next row: there is none here any more."""
        self._windows.popleft()
        if not self._windows:
            self._give_up()
        return Step((), self)

    def accept_oversized(self) -> Step[T] | None:
        """Let the read fail with the error that names this row."""
        return None

    def _give_up(self) -> NoReturn:
        window = self._last
        raise ProtocolError(
            f"the rows {window.start + 1} to {window.end} of the list are together over"
            f" the size limit of an answer, and a proof takes pages of {LEAST_ROWS}"
            " rows or more: lossless=False reads them, and proves nothing",
            page=window.page,
            path="items",
        )
