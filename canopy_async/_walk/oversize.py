"""Naming a row: which row of a page is too large to be read by itself?"""

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
"""Rows of the smallest pages that a proven read asks for. With fewer rows, seams rarely
hold."""


class NamingRow(Generic[T]):
    """The phase that asks for each row of a page alone, as the page is too large.

    The walk ends with an error in any case, and hands out no further row. If a single
    row is too large, the error names that row.

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
        """The rows that were not asked for yet, each a page of one row."""
        return self._windows

    def plan(self) -> Window | None:
        """Return None: all rows of the page were asked for at the start."""
        return None

    def accept_page(self, page: Page[T]) -> Step[T]:
        """Go on with the next row: this row was not too large."""
        del page
        return self.accept_missing()

    def accept_missing(self) -> Step[T]:
        """Go on with the next row: this row is gone by now."""
        self._windows.popleft()
        if not self._windows:
            self._give_up()
        return Step((), self)

    def accept_oversized(self) -> Step[T] | None:
        """Return None: the read then ends with the error that names this row."""
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
