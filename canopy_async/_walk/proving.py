"""The base classes of the phases that prove what they read."""

from collections.abc import Sequence
from typing import ClassVar, Final, Generic, TypeVar

from canopy_async._walk.fence import Fenced
from canopy_async._walk.oversize import LEAST_ROWS, NamingRow
from canopy_async._walk.phase import Done, Step
from canopy_async._walk.state import ChainState
from canopy_async._walk.view import Row, View
from canopy_async._walk.window import Window
from canopy_async.models import Page

__all__ = ["OpenPhase", "ProvingPhase"]

R = TypeVar("R", bound=Row)


class ProvingPhase(Generic[R]):
    """A phase that checks each page and takes it as a view, a piece of the list.

    Args:
        state: The state that all phases of the walk share.
    """

    follows_plan: ClassVar[bool] = False
    """Whether the first window is one of the plan."""

    def __init__(self, state: ChainState[R]) -> None:
        self._state: Final = state

    @property
    def windows(self) -> Sequence[Window]:
        """The windows whose answers are still wanted, in the order of taking."""
        return self._state.plan.windows

    def plan(self) -> Window | None:
        """Append the next window to `windows` and return it, None if none is wanted."""
        raise NotImplementedError

    def accept_page(self, page: Page[R]) -> Step[R]:
        """Take the page of the first window."""
        state = self._state
        window = state.plan.pop()
        view = state.view_of(page, window)
        if view.take > window.take:
            step = self._on_fixed_size(view)
        else:
            step = self._on_page(view)
            state.plan.size.note_progress(len(step.rows), asked=window.take)
        return self._noted(step)

    def accept_missing(self) -> Step[R]:
        """Take a 404 as the answer of the first window, which is not page 1."""
        self._state.ledger.note_missing(self._state.plan.pop())
        return self._noted(self._on_view(None))

    def accept_oversized(self) -> Step[R] | None:
        """Ask for fewer rows: the page of the first window is too large to be read.

        Larger pages are asked for again some pages later. If the page has 8 rows or
        fewer, the walk ends with an error that names the row, if it is a single one.
        """
        plan = self._state.plan
        window = plan.windows[0]
        if window.take <= LEAST_ROWS:
            return Step((), NamingRow(window))
        plan.size.note_oversized(window.take, least=LEAST_ROWS)
        self._state.ledger.warn(
            f"a page of {window.take} rows is larger than can be read"
        )
        return self._ask_for_fewer(plan.size.max_take)

    def _on_page(self, view: View[R]) -> Step[R]:
        plan = self._state.plan
        are_too_large = plan.size.learn(view)
        if are_too_large and self.follows_plan:
            plan.forget_all()
        if view.is_short:
            self._state.ledger.note_short(view)
        return self._on_view(view)

    def _on_view(self, view: View[R] | None) -> Step[R]:
        """Take the view of the first window, None for a missing page."""
        raise NotImplementedError

    def _on_fixed_size(self, view: View[R]) -> Step[R]:
        """Go on behind a fence, as the server ignores ``take``."""
        return Step((), Fenced(self._state, view.take))

    def _ask_for_fewer(self, take: int) -> Step[R] | None:
        """Ask for the rows of the first window again, in smaller pages.

        Args:
            take: Rows per page at most.
        """
        del take
        self._state.plan.forget_all()
        return Step((), self)

    def _noted(self, step: Step[R]) -> Step[R]:
        """Count the answers in a row that bring no new row; return the step."""
        patience = self._state.patience
        if step.rows:
            patience.renew()
            return step
        is_done = isinstance(step.phase, Done)
        patience.note_barren(is_done=is_done, counted=self._state.ledger.latest)
        return step


class OpenPhase(ProvingPhase[R]):
    """A phase that comes after page 1, when the certificate of the read is chosen."""

    def plan(self) -> Window | None:
        """Ask for the next window of the plan."""
        return self._state.plan_ahead()

    def _on_view(self, view: View[R] | None) -> Step[R]:
        state = self._state
        if view is not None and view.rows:
            state.check(view, may_fall_back=self.follows_plan)
            state.cover.bound_growth(view)
        return self._step(view)

    def _step(self, view: View[R] | None) -> Step[R]:
        """Take a view whose order was checked, None for a missing page."""
        raise NotImplementedError
