"""Closing: the end of a walk, where nothing is left to read.

As a rule the proof is complete, and the walk is done. Rows that were accepted inside of
a run of ties that no window bridges are proven only if the list held still. Three
things show that: as many rows were accepted as there are positions from the first of
them to the last, each page counted as many rows as page 1 did, and page 1, asked for
again, shows the keys that it showed at first.
"""

from typing import TypeVar

from canopy_async._walk.phase import Done, Phase, Step
from canopy_async._walk.proving import OpenPhase
from canopy_async._walk.state import ChainState
from canopy_async._walk.view import Row, View
from canopy_async._walk.window import Window
from canopy_async.errors import (
    IncompleteReadError,
    UnorderedListError,
    UnprovenTiesError,
)

__all__ = ["Closing", "conclude", "unproven_ties"]

R = TypeVar("R", bound=Row)


def conclude(state: ChainState[R]) -> Phase[R]:
    """Return the phase that follows where nothing is left to read.

    Raises:
        UnprovenTiesError: Rows were accepted inside of a run of ties, and the list
            moved; or the checkpoint that was resumed from is of such a read.
        IncompleteReadError: Rows were accepted by a shared row because the pages of the
            server seem to be too small, and the list moved.
        UnorderedListError: Rows are missing in a list that seems to hold still.
    """
    state.plan.forget_all()
    state.gap.held = None
    state.wanted.span.check_past()
    if not state.is_by_key and state.ledger.steady and not state.adds_up:
        raise UnorderedListError("rows are missing: the list has no fixed order")
    if not state.gap.leans_on_ties:
        return _completed(state)
    if not state.ledger.steady or not state.adds_up:
        raise unproven_ties(state)
    return Closing(state)


class Closing(OpenPhase[R]):
    """The phase that asks for page 1 again: did the head of the list hold still?"""

    def __init__(self, state: ChainState[R]) -> None:
        super().__init__(state)
        state.plan.ask_first(Window(1, state.head.take))

    def plan(self) -> Window | None:
        """Ask for nothing but page 1."""
        return None

    def _step(self, view: View[R] | None) -> Step[R]:
        state = self._state
        if view is None or not state.ledger.steady or not state.head.is_still(view):
            raise unproven_ties(state)
        return Step((), _completed(state))

    def _ask_for_fewer(self, take: int) -> Step[R] | None:
        """Raise: a page of fewer rows can't show that page 1 held still.

        Raises:
            IncompleteReadError: Always, as by `unproven_ties`.
        """
        del take
        raise unproven_ties(self._state)


def _completed(state: ChainState[R]) -> Phase[R]:
    state.ledger.complete = True
    return Done[R]()


def unproven_ties(state: ChainState[R]) -> IncompleteReadError:
    """Return the error of rows that were accepted by a shared row, and are not proven.

    Args:
        state: The state that all phases share.
    """
    if state.gap.cut is not None:
        return IncompleteReadError(
            f"the server seems to send at most {state.gap.cut} rows per page, as pages"
            " were shorter than its counts said. No page of so few rows shows the rows"
            " on both sides of one that was read, and the list moved meanwhile"
        )
    return UnprovenTiesError(
        "more rows share one created_at than a page shows together with what comes"
        " before and after them, and the list moved while they were read"
    )
