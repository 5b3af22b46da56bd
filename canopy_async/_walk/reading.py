"""Reading: the phase that takes the windows of the plan, one after the other."""

from typing import ClassVar, TypeVar

from canopy_async._walk.bridge import Seeking, accept, bridge_gap
from canopy_async._walk.phase import Step
from canopy_async._walk.proving import OpenPhase
from canopy_async._walk.view import Row, View

__all__ = ["Reading"]

R = TypeVar("R", bound=Row)


class Reading(OpenPhase[R]):
    """The phase that takes the windows of the plan.

    Each view continues the cover, or shows that there may be a gap before it.
    """

    follows_plan: ClassVar[bool] = True

    def _step(self, view: View[R] | None) -> Step[R]:
        state = self._state
        if view is None or not state.cover.certifies(view):
            return bridge_gap(state, view)
        state.plan.tighten()
        step = accept(state, view)
        brings_nothing = not step.rows and step.phase is None
        if brings_nothing and state.patience.is_short and not state.patience.is_lost:
            return self._seek_cover()
        return step

    def _seek_cover(self) -> Step[R]:
        """Give the plan up, as its windows bring no new row, and look for the cover.

        Either the list has moved by many pages, or the server sends one page's rows
        for other pages, too. In the second case the cover is not found, and the read
        ends with an error.
        """
        self._state.patience.is_lost = True
        self._state.plan.forget_all()
        return Step((), Seeking(self._state))
