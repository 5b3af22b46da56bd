"""Reading: the phase in which windows are taken as they were planned."""

from typing import ClassVar, TypeVar

from canopy_async._walk.bridge import Seeking, accept, bridge_gap
from canopy_async._walk.phase import Step
from canopy_async._walk.proving import OpenPhase
from canopy_async._walk.view import Row, View

__all__ = ["Reading"]

R = TypeVar("R", bound=Row)


class Reading(OpenPhase[R]):
    """Takes the windows of the plan: each continues the cover, or shows a gap."""

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
        """Leave the plan, whose windows bring nothing new again and again.

        Either the list has moved on by many pages, or the server sends these rows for
        any page: then the place is not found, and the read ends.
        """
        self._state.patience.is_lost = True
        self._state.plan.forget_all()
        return Step((), Seeking(self._state))
