"""The pages that the first one counts, each read once."""

from collections import deque
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from canopy_async.models import Page
from canopy_async.report import Proof, ReadReport
from canopy_async.walk.window import Window

__all__ = ["PlainWalk"]

T = TypeVar("T")


class PlainWalk(Generic[T]):
    """Pages 1 to ``page_count`` as page 1 told it, each asked for once.

    Nothing is proven: rows are lost or repeated where the list moves.

    Args:
        take: Rows per page.
        limit: Rows to hand out at most.
        warnings: What the report is to say.
    """

    def __init__(
        self,
        *,
        take: int,
        limit: int | None = None,
        warnings: tuple[str, ...] = (),
    ) -> None:
        self._take: Final = take if limit is None else min(take, max(limit, 1))
        self._limit: Final = limit
        self._warnings: Final = warnings
        self._windows: deque[Window] = deque()
        self._planned = 0
        self._taken = 0
        self._pages: int | None = None
        self._expected: int | None = None
        self._delivered = 0
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
        """Always: a plain read asks as it was told."""
        return True

    def plan(self) -> Window | None:
        """Append the next page, page 1 alone until its answer is taken."""
        last = 1 if self._pages is None else self._pages
        if self._ended or self._planned >= last:
            return None
        self._planned += 1
        window = Window(self._planned, self._take)
        self._windows.append(window)
        return window

    def take(self, page: Page[T]) -> Sequence[T]:
        """Hand out the page's rows as they are."""
        self._windows.popleft()
        self._taken += 1
        if self._pages is None:
            self._pages = self._last_page(page)
            self._expected = page.pagination.item_count
        rows: Sequence[T] = page.items
        if self._limit is not None:
            rows = rows[: self._limit - self._delivered]
        self._delivered += len(rows)
        self._ended = self._taken >= self._pages or self._delivered == self._limit
        if self._ended:
            self._windows.clear()
        return rows

    def take_missing(self) -> Sequence[T]:
        """Take a page past the end as an empty one."""
        self._windows.popleft()
        self._taken += 1
        self._ended = self._pages is not None and self._taken >= self._pages
        return ()

    def refused(self) -> bool:
        """Never go on: there is nothing to ask differently."""
        return False

    @property
    def position(self) -> int:
        """Where the pages taken so far end."""
        return self._taken * self._take

    def report(self, *, requests: int = 0, retries: int = 0) -> ReadReport:
        """Say what was read; a plain read proves nothing."""
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
        size = max(1, min(self._take, page.pagination.take))  # it may be cut
        return min(pages, -(-self._limit // size))
