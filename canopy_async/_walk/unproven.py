"""Unproven: the phase for rows without ``created_at``, which proves nothing."""

from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from canopy_async._walk.phase import Done, Step
from canopy_async._walk.plain import PlainWalk
from canopy_async._walk.state import ChainState
from canopy_async._walk.view import Row
from canopy_async._walk.window import Window
from canopy_async.models import Page
from canopy_async.report import Proof

__all__ = ["Unproven"]

R = TypeVar("R", bound=Row)


class Unproven(Generic[R]):
    """The phase that reads on as a plain walk does, and proves nothing.

    Args:
        state: The state that all phases share.
    """

    def __init__(self, state: ChainState[R]) -> None:
        self._state: Final = state
        self._plain: Final = PlainWalk[R](
            take=state.head.take, limit=state.wanted.limit
        )
        state.best_proof = Proof.NONE
        state.ledger.warn("rows without created_at: nothing can be proven")

    def begin_with(self, page: Page[R]) -> Step[R]:
        """Hand out page 1, whose rows have shown that nothing can be proven."""
        self._plain.plan()
        self._state.ledger.expected = page.pagination.item_count
        return self.accept_page(page)

    @property
    def windows(self) -> Sequence[Window]:
        """The pages that were asked for and not taken yet."""
        return self._plain.windows

    def plan(self) -> Window | None:
        """Ask for the next page."""
        return self._plain.plan()

    def accept_page(self, page: Page[R]) -> Step[R]:
        """Hand out the page's rows as they are."""
        rows = self._plain.accept_page(page)
        self._state.ledger.handed_out += len(rows)
        return self._step(rows)

    def accept_missing(self) -> Step[R]:
        """Take a missing page as an empty one."""
        return self._step(self._plain.accept_missing())

    def accept_oversized(self) -> Step[R] | None:
        """Ask for the rows of a page that was too large in several smaller ones."""
        rows = self._plain.accept_oversized()
        return None if rows is None else self._step(rows)

    def _step(self, rows: Sequence[R]) -> Step[R]:
        return Step(rows, Done[R]() if self._plain.done else self)
