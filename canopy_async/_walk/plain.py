"""The plain walk: the pages that page 1 counts, each asked for once.

A plain walk proves nothing. It is for reads with ``lossless=False``, and for lists
whose rows have no ``created_at``.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, Final, Generic, TypeVar, cast

from canopy_async._walk.window import Window
from canopy_async.errors import RequestBudgetError
from canopy_async.models import Page
from canopy_async.report import Proof, ReadReport

__all__ = ["PlainWalk"]

T = TypeVar("T")

_MOST_REPEATS: Final = 8
"""The most pages in a row that may be missing, or may repeat the page before them."""


class PlainWalk(Generic[T]):
    """A walk that asks for each page once, from page 1 to the ``page_count`` of page 1.

    Nothing is proven: rows are lost or repeated where the list moves.

    Args:
        take: Rows per page.
        limit: Rows to hand out at most.
        warnings: The warnings of the report.
    """

    def __init__(
        self,
        *,
        take: int,
        limit: int | None = None,
        warnings: tuple[str, ...] = (),
    ) -> None:
        self._page_size = min(take, limit or take)
        self._limit: Final = limit
        self._warnings: Final = warnings
        self._windows: deque[Window] = deque()
        self._planned_end = 0
        self._taken_end = 0
        self._last_end = 1  # page 1 alone, until it says how many there are
        self._most = self._page_size
        self._expected: int | None = None
        self._delivered = 0
        self._latest: set[str] = set()
        self._repeats = self._missing = 0
        self._ended = limit == 0

    @property
    def windows(self) -> Sequence[Window]:
        """The pages asked for and not taken yet."""
        return self._windows

    @property
    def done(self) -> bool:
        """Whether the last page was taken, or ``limit`` reached."""
        return self._ended

    @property
    def total(self) -> int | None:
        """Rows counted by page 1, as far as ``limit`` wants them."""
        if self._expected is None or self._limit is None:
            return self._expected
        return min(self._expected, self._limit)

    @property
    def sends_sort_by(self) -> bool:
        """True: a plain walk always sends the ``sort_by`` that the caller gave."""
        return True

    def plan(self) -> Window | None:
        """Ask for the next page; for page 1 only, until its answer was taken."""
        if self._ended or self._planned_end >= self._last_end:
            return None
        rows = min(self._page_size, self._most)
        window = Window(self._planned_end // rows + 1, self._page_size)
        self._planned_end = self._end_of(window)
        self._windows.append(window)
        return window

    def accept_page(self, page: Page[T]) -> Sequence[T]:
        """Hand out the page's rows as they are.

        Raises:
            RequestBudgetError: Pages bring nothing new, again and again.
        """
        window = self._windows.popleft()
        if self._expected is None:
            said = page.pagination.take  # the server may send fewer than asked for
            self._most = max(1, min(self._page_size, said))
            self._planned_end = self._end_of(window)
            self._last_end = self._last_page(page) * self._most
            self._expected = page.pagination.item_count
        self._taken_end = self._end_of(window)
        self._note_repeat(window, page)
        rows: Sequence[T] = page.items
        if self._limit is not None:
            rows = rows[: self._limit - self._delivered]
        self._delivered += len(rows)
        reached_limit = self._delivered == self._limit
        self._ended = self._taken_end >= self._last_end or reached_limit
        if self._ended:
            self._windows.clear()
        return rows

    def _note_repeat(self, window: Window, page: Page[T]) -> None:
        """Count the pages in a row that have only rows of the page before them.

        Raises:
            RequestBudgetError: There are too many such pages: the list has no end.
        """
        ids = {cast("Any", row).id for row in page.items}
        is_counted = page.pagination.page_count > window.page
        self._repeats = self._repeats + 1 if is_counted and ids <= self._latest else 0
        self._latest, self._missing = ids, 0
        if self._repeats > _MOST_REPEATS:
            raise RequestBudgetError(
                f"{_MOST_REPEATS + 1} pages in a row brought nothing new, though the"
                f" server counts {page.pagination.page_count} pages"
            )

    def accept_missing(self) -> Sequence[T]:
        """Take a missing page as an empty one, and several in a row as the end."""
        self._taken_end = self._end_of(self._windows.popleft())
        self._missing += 1
        is_last = self._taken_end >= self._last_end
        if is_last or self._missing > _MOST_REPEATS:
            self._ended = True
            self._windows.clear()
        return ()

    def accept_oversized(self) -> Sequence[T] | None:
        """Ask for the rows of a page that was too large in several smaller ones."""
        window = self._windows[0]
        rows = min(window.take, self._most)
        part = _largest_part(rows)
        if part is None:
            return None
        self._page_size = min(self._page_size, part)
        self._windows.popleft()
        if self._expected is None:
            self._planned_end, self._most = 0, part
            return ()
        end = self._end_of(window)
        first, last = (end - rows) // part + 1, end // part
        self._windows.extendleft(Window(n, part) for n in range(last, first - 1, -1))
        return ()

    def retry_without_sort(self) -> bool:
        """Return False: a plain walk does not go on without ``sort_by``."""
        return False

    @property
    def position(self) -> int:
        """The position at which the pages taken so far end."""
        return self._taken_end

    def report(self, *, requests: int = 0, retries: int = 0) -> ReadReport:
        """Return the report of the rows read so far, which proves nothing."""
        return ReadReport(
            proof=Proof.NONE,
            expected=self._expected,
            delivered=self._delivered,
            requests=requests,
            retries=retries,
            warnings=self._warnings,
        )

    def _last_page(self, page: Page[T]) -> int:
        pages = page.pagination.page_count
        if self._limit is None:
            return pages
        return min(pages, -(-self._limit // self._most))

    def _end_of(self, window: Window) -> int:
        """Return the position after the last row of a page."""
        return window.page * min(window.take, self._most)


def _largest_part(take: int) -> int | None:
    """Return the size of the largest smaller pages that fill a page without a rest.

    Returns:
        None for a page of one row.
    """
    parts = (part for part in range(1, take) if take % part == 0)
    return max(parts, default=None)
