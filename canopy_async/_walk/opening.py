"""Opening: page 1, and what it leaves to be found before rows can be read."""

from operator import eq
from typing import Final, TypeVar

from canopy_async._walk.bridge import accept
from canopy_async._walk.certificate import open_cover
from canopy_async._walk.closing import conclude
from canopy_async._walk.fence import Fenced
from canopy_async._walk.key_cover import KeyCover
from canopy_async._walk.order import OrderProbe, is_undirected
from canopy_async._walk.phase import Done, Step
from canopy_async._walk.proving import ProvingPhase
from canopy_async._walk.search import FindingStart
from canopy_async._walk.state import ChainState
from canopy_async._walk.unproven import Unproven
from canopy_async._walk.view import Row, View
from canopy_async._walk.window import Window
from canopy_async.errors import ProtocolError, UnorderedListError

__all__ = ["Opening"]

R = TypeVar("R", bound=Row)

_EMPTY_FIRST_PAGES: Final = 3
"""The most times in a row that page 1 may be empty although rows are counted. A server
may count and select rows at two instants, but not with this result again and again."""

_STRAY_TIES: Final = 1
"""The most pairs of neighbours on page 1 that may have one key by chance. If there are
more, ties are to be expected in the whole list."""


class Opening(ProvingPhase[R]):
    """The phase that asks for page 1, which shows the length and order of the list."""

    def __init__(self, state: ChainState[R]) -> None:
        super().__init__(state)
        self._empty_pages = 0

    def plan(self) -> Window | None:
        """Ask for page 1."""
        plan = self._state.plan
        return None if plan.windows else plan.ask(Window(1, self._state.head.take))

    def _on_view(self, view: View[R] | None) -> Step[R]:
        return Step((), self) if view is None else self._begin(view)

    def _on_fixed_size(self, view: View[R]) -> Step[R]:
        return self._begin(view, fixed_size=view.take)

    def _ask_for_fewer(self, take: int) -> Step[R] | None:
        head = self._state.head
        head.take = min(head.take, take)
        return super()._ask_for_fewer(take)

    def _begin(self, view: View[R], *, fixed_size: int | None = None) -> Step[R]:
        state = self._state
        if not view.rows and not view.is_end:
            return self._ask_again(view)
        if None in view.keys:
            return self._go_on_unproven(view)
        state.begin_with(view)
        if sum(map(eq, view.keys, view.keys[1:])) > _STRAY_TIES:
            state.plan.expect_ties()
        may_be_by_key = state.sort_by in {None, "created_at"}
        if may_be_by_key and is_undirected(view, state.wanted.span):
            return Step((), FindingOrder(state, view, fixed_size=fixed_size))
        return _open(state, view, fixed_size=fixed_size)

    def _ask_again(self, view: View[R]) -> Step[R]:
        self._empty_pages += 1
        if self._empty_pages > _EMPTY_FIRST_PAGES:
            raise ProtocolError(
                f"no rows, though {view.count} are counted", page=1, path="items"
            )
        return Step((), self)

    def _go_on_unproven(self, view: View[R]) -> Step[R]:
        if not self._state.wanted.span.is_whole:
            raise UnorderedListError("rows without created_at have no place in time")
        return Unproven(self._state).begin_with(view.answer)


class FindingOrder(ProvingPhase[R]):
    """The phase that looks for a row of another key, where page 1 has only one key.

    Args:
        state: The state that all phases share.
        first: Page 1.
        fixed_size: Rows per page of a server that ignores ``take``, or None.
    """

    def __init__(
        self, state: ChainState[R], first: View[R], *, fixed_size: int | None
    ) -> None:
        super().__init__(state)
        self._first: Final = first
        self._fixed_size: Final = fixed_size
        take = state.plan.size.max_take
        self._probe: Final = OrderProbe(first, take=take, fixed_size=fixed_size)

    def plan(self) -> Window | None:
        """Ask for the next window that may show the order."""
        plan = self._state.plan
        return None if plan.windows else plan.ask(self._probe.next_window())

    def accept_oversized(self) -> Step[R] | None:
        """Ask for fewer rows; return None if the server ignores the page size."""
        return None if self._fixed_size is not None else super().accept_oversized()

    def _on_view(self, view: View[R] | None) -> Step[R]:
        if view is not None:
            self._state.cover.check(view)
        self._probe.learn(view)
        if not self._probe.is_over:
            return Step((), self)
        order = self._probe.order
        return _open(self._state, self._first, order=order, fixed_size=self._fixed_size)

    def _on_fixed_size(self, view: View[R]) -> Step[R]:
        """Look for the order in pages of the server's size, as it ignores ``take``."""
        return Step((), FindingOrder(self._state, self._first, fixed_size=view.take))

    def _ask_for_fewer(self, take: int) -> Step[R] | None:
        self._probe.limit(take)
        return super()._ask_for_fewer(take)


def _open(
    state: ChainState[R],
    first: View[R],
    *,
    order: str | None = None,
    fixed_size: int | None = None,
) -> Step[R]:
    """Begin to read, from page 1 on.

    Args:
        state: The state that all phases share.
        first: Page 1.
        order: The order that other pages have shown, where page 1 did not.
        fixed_size: Rows per page of a server that ignores ``take``, or None.
    """
    cover = open_cover(
        first,
        span=state.wanted.span,
        sort_by=state.sort_by,
        asked_order=state.ledger.asked_order,
        accept_unordered=state.wanted.accept_unordered,
        order=order,
    )
    state.choose(cover)
    step: Step[R]
    if not first.rows:
        step = Step((), conclude(state))
    elif isinstance(cover, KeyCover) and not (cover.has_new(first) or first.is_end):
        step = Step((), FindingStart(state, cover, first))
    else:
        step = accept(state, first)
    if fixed_size is None or isinstance(step.phase, Done):
        return step
    return Step(step.rows, Fenced(state, fixed_size))
