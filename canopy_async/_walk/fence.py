"""The fence: reading a server that has one page size and ignores ``take``.

The pages of such a server can't overlap, so no seam can be proven. What is left is to
read one page after the other, and to ask for page 1 again at the end: that is the
fence.

In a list that is sorted newest first, rows that are added meanwhile push other rows to
later pages: these rows come twice, and none is lost. In a list that is sorted oldest
first, rows that are removed at the head pull other rows to earlier pages, which were
read already: these rows would be lost, and page 1 shows whether that happened.

Both hold as long as rows are added at the newest end only and removed at the oldest end
only, and ties keep their order. Where a page begins among ties, and the list seems to
hold still, or where the order of the list is unknown, the rows are counted as well.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from canopy_async._walk.phase import Done, Step
from canopy_async._walk.state import ChainState
from canopy_async._walk.view import Row, View, check_page
from canopy_async._walk.window import Window
from canopy_async.errors import IncompleteReadError, RequestBudgetError
from canopy_async.models import Page
from canopy_async.report import Proof

__all__ = ["Fenced"]

R = TypeVar("R", bound=Row)

_SPARE_PAGES: Final = 64
"""Pages that may be asked for, in addition to twice as many as page 1 counted."""

_MOST_BARREN: Final = 32
"""The most pages in a row that may bring no new row."""


class Fenced(Generic[R]):
    """The phase that reads one page after the other, and page 1 again at the end.

    Args:
        state: The state that all phases share; its cover holds the rows of page 1.
        size: Rows per page, as the server sends them.
    """

    def __init__(self, state: ChainState[R], size: int) -> None:
        self._state: Final = state
        self._cover: Final = state.cover
        self._ledger: Final = state.ledger
        self._size: Final = size
        self._windows: deque[Window] = deque()
        self._page = 1
        self._head: Final = state.head.ids[0]
        self._fenced = False
        self._fence_page = 0
        self._pages = self._barren = 0
        self._leans_on_ties: Final = state.gap.leans_on_ties
        self._weak = self._leans_on_ties or not state.is_by_key
        self._end = self._cover.position.end
        self._skipped = self._end - self._cover.recent.accepted
        state.best_proof = Proof.FENCE
        self._ledger.warn(f"the server sends {size} rows per page and ignores take")

    @property
    def windows(self) -> Sequence[Window]:
        """The page that was asked for; there is one at most."""
        return self._windows

    def plan(self) -> Window | None:
        """Ask for the next page, once the one before it was taken.

        Raises:
            RequestBudgetError: The read has asked for too many pages.
        """
        if self._windows:
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

    def accept_page(self, page: Page[R]) -> Step[R]:
        """Hand out the new rows of a page; after the last page, look at the fence."""
        window = self._windows.popleft()
        check_page(page, window)
        self._ledger.learn(page, window)
        view = View(page, window, longest=self._size)
        view.check_ids()
        if view.rows:
            self._cover.check(view)
        if self._fenced:
            return self._step_over_fence(view)
        return Step(self._accept(view), self)

    def accept_missing(self) -> Step[R]:
        """Take a page that the server does not have as the end of the list."""
        self._windows.popleft()
        if self._fenced:
            raise self._moved()
        self._fenced = True
        return Step((), self)

    def accept_oversized(self) -> Step[R] | None:
        """Return None: the server sends no fewer rows, however few are asked for."""
        return None

    def _accept(self, view: View[R]) -> list[R]:
        if not view.rows:
            self._fenced = True
            return []
        tied = self._cover.touches(view)
        is_by_key = self._state.is_by_key
        if is_by_key and self._cover.order is None and not tied:
            raise self._moved()  # each page has one key, and nothing shows the order
        self._weak |= tied
        self._end = view.end
        is_before = not self._cover.recent.accepted
        accepted = self._cover.accept(view)
        if is_before:
            self._skipped = view.end - len(accepted.rows)
        rows = self._state.hand_out(accepted)
        self._note_progress(view, len(accepted.rows))
        is_over = self._state.is_limit_reached or self._cover.is_past_bound
        self._fenced = view.is_end or is_over
        return rows

    def _note_progress(self, view: View[R], new: int) -> None:
        """Count the pages in a row that bring no new row.

        Raises:
            RequestBudgetError: There are too many such pages.
        """
        self._barren = 0 if new or view.is_end else self._barren + 1
        if self._barren > _MOST_BARREN:
            raise RequestBudgetError(
                f"{self._barren} pages in a row brought nothing new, though the server"
                f" counts {view.count} rows"
            )

    def _step_over_fence(self, view: View[R]) -> Step[R]:
        """End the read if page 1, asked for again, shows that no row was skipped.

        Raises:
            IncompleteReadError: Rows may have been skipped.
        """
        if self._cover.order == "desc":
            held = self._head in view.members
            if not held and view.rows and not view.is_end:
                # New rows have pushed the first row of the read to a later page.
                return Step((), self)
        else:
            held = view.ids[:1] == [self._head]
        if not held or not self._adds_up():
            raise self._moved()
        self._state.wanted.span.check_past()
        self._ledger.complete = True
        return Step((), Done[R]())

    def _adds_up(self) -> bool:
        """Tell whether no row is missing by count, where rows have to be counted."""
        if not self._weak:
            return True
        if self._cover.order and not (self._ledger.steady or self._leans_on_ties):
            return True
        seen = self._cover.recent.accepted + self._skipped
        return self._ledger.steady and seen == self._end

    def _moved(self) -> IncompleteReadError:
        return IncompleteReadError(
            "the list moved while a server that ignores take was read: rows may"
            " have been passed by"
        )
