"""Reading a server that has one page size and ignores ``take``.

Its windows can't overlap, so no seam can be proven. What is left is to read
one page after the other, and to look at page 1 again at the end. Newest first,
rows added meanwhile only push rows to later pages: they come twice, and none
is lost. Oldest first, rows removed at the head pull rows forward past the
reader: page 1 shows whether that happened. Both hold as long as rows are added
at the newest end only and removed at the oldest end only, and ties keep their
order. Where a page begins among ties, and the list seems to hold still, or
where its order is unknown, the rows are counted as well.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from canopy_async._walk.cover import Cover
from canopy_async._walk.ledger import Ledger
from canopy_async._walk.span import Span
from canopy_async._walk.view import Row, View, check_page
from canopy_async._walk.window import Window
from canopy_async.errors import IncompleteReadError, RequestBudgetError
from canopy_async.models import Page
from canopy_async.report import Proof, ReadReport, weakest

__all__ = ["FencedWalk"]

R = TypeVar("R", bound=Row)

_SPARE_PAGES = 64
_MOST_BARREN: Final = 32


class FencedWalk(Generic[R]):
    """Pages one after the other, and page 1 again at the end.

    Args:
        cover: What page 1 covered, with its rows handed out.
        ledger: What was counted so far; it is carried on.
        size: Rows per page, the server's.
        limit: Rows to hand out at most.
        head: The id that page 1 began with, whether that row is wanted or not.
        span: The part of the list that is wanted, and what was read before.
        leans_on_ties: Whether rows were taken by shared ties, which only a list
            that holds still makes good.
    """

    def __init__(
        self,
        *,
        cover: Cover[R],
        ledger: Ledger,
        size: int,
        limit: int | None,
        head: str,
        span: Span,
        leans_on_ties: bool,
    ) -> None:
        self._cover: Final = cover
        self._ledger: Final = ledger
        self._size: Final = size
        self._limit: Final = limit
        self._windows: deque[Window] = deque()
        self._page = 1
        self._head: Final = head
        self._span: Final = span
        self._fenced = False
        self._fence_page = 0
        self._pages = self._barren = 0
        self._leans_on_ties: Final = leans_on_ties
        self._weak = leans_on_ties or cover.proof is Proof.SHARED_ID
        self._end = cover.track.end
        self._skipped = self._end - cover.track.accepted
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
        self._pages += 1
        allowed = _SPARE_PAGES + 2 * (self._ledger.expected or 0) // self._size
        if self._pages > allowed:
            raise RequestBudgetError(
                f"the read would take more than {allowed} pages of {self._size} rows"
            )
        if self._fenced:
            self._fence_page += 1
        else:
            self._page += 1
        window = Window(self._fence_page or self._page, self._size)
        self._windows.append(window)
        return window

    def take(self, page: Page[R]) -> Sequence[R]:
        """Hand out what a page adds."""
        window = self._windows.popleft()
        check_page(page, window)
        self._ledger.learn(page, window)
        view = View(page, window, longest=self._size)
        view.check_ids()
        if view.rows:
            self._cover.check(view)
        if self._fenced:
            self._check_fence(view)
            return ()
        return self._accept(view)

    def take_missing(self) -> Sequence[R]:
        """Take a page past the end as the end."""
        self._windows.popleft()
        if self._fenced:
            raise self._moved()
        self._fenced = True
        return ()

    def take_oversized(self) -> Sequence[R] | None:
        """Never go on: the server sends as many rows, however few are asked for."""
        return None

    def refused(self) -> bool:
        """Never go on: page 1 was not refused."""
        return False

    @property
    def position(self) -> int:
        """About where in the list the rows handed out end."""
        return self._cover.track.end

    def report(self, *, requests: int = 0, retries: int = 0) -> ReadReport:
        """Return what is known so far."""
        return self._ledger.report(
            proof=weakest((Proof.FENCE, self._span.past_proof)),
            order=self._cover.order,
            requests=requests,
            retries=retries,
        )

    def _accept(self, view: View[R]) -> list[R]:
        if not view.rows:
            self._fenced = True
            return []
        tied = self._cover.touches(view)
        by_key = self._cover.proof is Proof.STRICT_KEY
        if by_key and self._cover.order is None and not tied:
            raise self._moved()  # one key after another, and no telling which way
        self._weak |= tied
        self._end = view.end
        is_before = not self._cover.track.accepted
        accepted = self._cover.accept(view)
        if is_before:
            self._skipped = view.end - len(accepted.rows)
        self._ledger.duplicates += accepted.duplicates
        self._ledger.late += accepted.late
        rows = self._cover.wanted(accepted.rows)
        if self._limit is not None:
            rows = rows[: self._limit - self._ledger.delivered]
        self._note_progress(view, len(accepted.rows))
        self._ledger.delivered += len(rows)
        reached_limit = self._ledger.delivered == self._limit
        self._fenced = view.is_end or reached_limit or self._cover.is_past_bound
        return rows

    def _note_progress(self, view: View[R], new: int) -> None:
        """Count pages in a row that bring nothing new.

        Raises:
            RequestBudgetError: There are too many of them.
        """
        self._barren = 0 if new or view.is_end else self._barren + 1
        if self._barren > _MOST_BARREN:
            raise RequestBudgetError(
                f"{self._barren} pages in a row brought nothing new, though the server"
                f" counts {view.count} rows"
            )

    def _check_fence(self, view: View[R]) -> None:
        """Conclude from page 1 that rows did not move past the reader.

        Raises:
            IncompleteReadError: They may have.
        """
        if self._cover.order == "desc":
            held = self._head in view.members
            if not held and view.rows and not view.is_end:
                return  # pushed down, further than a page: it must still show
        else:
            held = view.ids[:1] == [self._head]
        if not held or not self._adds_up():
            raise self._moved()
        self._span.check_past()
        self._done = self._ledger.complete = True

    def _adds_up(self) -> bool:
        """Tell whether no row is missing, as far as that can be counted."""
        if not self._weak:
            return True
        if self._cover.order and not (self._ledger.steady or self._leans_on_ties):
            return True
        seen = self._cover.track.accepted + self._skipped
        return self._ledger.steady and seen == self._end

    def _moved(self) -> IncompleteReadError:
        return IncompleteReadError(
            "the list moved while a server that ignores take was read: rows may"
            " have been passed by"
        )
