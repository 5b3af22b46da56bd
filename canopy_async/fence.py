"""Reading a server that has one page size and ignores ``take``.

Its windows can't overlap, so no seam can be proven. What is left is to read
one page after the other, and to look at page 1 again at the end. Newest first,
rows added meanwhile only push rows to later pages: they come twice, and none
is lost. Oldest first, rows removed at the head pull rows forward past the
reader: page 1 shows whether that happened. Both hold as long as rows are added
at the newest end only and removed at the oldest end only.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from canopy_async.cover import Cover
from canopy_async.errors import IncompleteReadError
from canopy_async.ledger import Ledger
from canopy_async.models import Page
from canopy_async.planner import Window
from canopy_async.report import Proof, ReadReport
from canopy_async.view import Row, View, check_page

__all__ = ["FencedWalk"]

R = TypeVar("R", bound=Row)


class FencedWalk(Generic[R]):
    """Pages one after the other, and page 1 again at the end.

    Args:
        cover: What page 1 covered, with its rows handed out.
        ledger: What was counted so far; it is carried on.
        size: Rows per page, the server's.
        limit: Rows to hand out at most.
    """

    def __init__(
        self, *, cover: Cover[R], ledger: Ledger, size: int, limit: int | None
    ) -> None:
        self._cover: Final = cover
        self._ledger: Final = ledger
        self._size: Final = size
        self._limit: Final = limit
        self._windows: deque[Window] = deque()
        self._page = 1
        self._head = cover.track.head
        self._fenced = False
        self._done = False
        ledger.warn(f"the server sends {size} rows per page and ignores take")

    @property
    def windows(self) -> Sequence[Window]:
        """The one page that is wanted."""
        return self._windows

    @property
    def done(self) -> bool:
        """Whether nothing more is wanted."""
        return self._done

    @property
    def total(self) -> int | None:
        """Rows counted by page 1."""
        return self._ledger.expected

    @property
    def sends_sort_by(self) -> bool:
        """Always: it was not refused."""
        return True

    def plan(self) -> Window | None:
        """Append the next page, alone."""
        if self._done or self._windows:
            return None
        if not self._fenced:
            self._page += 1
        window = Window(1 if self._fenced else self._page, self._size)
        self._windows.append(window)
        return window

    def take(self, page: Page[R]) -> Sequence[R]:
        """Hand out what a page adds."""
        window = self._windows.popleft()
        check_page(page, window)
        self._ledger.learn(page, window)
        view = View(page, window, longest=self._size)
        if view.rows:
            self._cover.check(view)
        if self._fenced:
            self._check_fence(view)
            return ()
        return self._accept(view)

    def take_missing(self) -> Sequence[R]:
        """Take a page past the end as the end."""
        self._windows.popleft()
        self._fenced = True
        return ()

    def refused(self) -> bool:
        """Never go on: page 1 was not refused."""
        return False

    @property
    def position(self) -> int:
        """About where in the list the rows handed out end."""
        return self._cover.track.end

    def report(self) -> ReadReport:
        """Return what is known so far."""
        return self._ledger.report(proof=Proof.FENCE, order=self._cover.order)

    def _accept(self, view: View[R]) -> list[R]:
        if not view.rows:
            self._fenced = True
            return []
        accepted = self._cover.accept(view)
        self._ledger.duplicates += accepted.duplicates
        self._ledger.late += accepted.late
        rows = self._cover.wanted(accepted.rows)
        if self._limit is not None:
            rows = rows[: self._limit - self._ledger.delivered]
        self._ledger.delivered += len(rows)
        reached_limit = self._ledger.delivered == self._limit
        self._fenced = view.is_end or reached_limit or self._cover.is_past_bound
        return rows

    def _check_fence(self, view: View[R]) -> None:
        """Conclude from page 1 that rows did not move past the reader.

        Raises:
            IncompleteReadError: They may have.
        """
        # Newest first, page 1 may have been pushed down; it must still show.
        held = self._head is None or (
            self._head in view.index
            if self._cover.order == "desc"
            else view.ids[:1] == [self._head]
        )
        if not held:
            raise IncompleteReadError(
                "the list moved while a server that ignores take was read: rows may"
                " have been passed by"
            )
        self._done = self._ledger.complete = True
