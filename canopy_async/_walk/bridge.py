"""Bridging: the phases that close a gap between the cover and a view.

Where the seam of a view does not hold, the view becomes the held view. Other windows
are then asked for before all windows of the plan, until the view of one of them
continues the cover. The windows of the plan that are in flight are kept: their answers
are valid evidence whenever they were made. Then the held view is compared with the
cover again.

Where the gap lies in a run of ties that no window can bridge, the run is read by rows
that windows share (`canopy_async._walk.ties`). Where the end of the list moves on while
the list is read, windows that look for the end are asked for in the same way.
"""

from typing import Final, TypeVar

from canopy_async._walk.closing import conclude, unproven_ties
from canopy_async._walk.key_cover import KeyCover
from canopy_async._walk.phase import Step
from canopy_async._walk.proving import OpenPhase
from canopy_async._walk.seek import Seek
from canopy_async._walk.state import ChainState
from canopy_async._walk.ties import TieRun
from canopy_async._walk.view import Row, View
from canopy_async._walk.window import OVERLAP, Window, can_be_crossed, plan_window
from canopy_async.errors import (
    DriftTooFastError,
    IncompleteReadError,
    UnorderedListError,
)

__all__ = ["FindingEnd", "SamplingTies", "Seeking", "accept", "bridge_gap"]

R = TypeVar("R", bound=Row)

_MAX_PROBES: Final = 40
"""The most windows that are asked for to close one gap."""

_MAX_FILLS: Final = 3
"""After so many views that end inside of a run of ties, the walk gives up looking for
a window that bridges the run."""

_END_PROBES: Final = 4
"""The most windows that look for the end of a list that grows. Each window aims at
where the end will be when the server answers, by how fast the list has grown since the
window before."""


def accept(state: ChainState[R], view: View[R]) -> Step[R]:
    """Accept a certified view; return its new rows and the phase that follows."""
    rows = state.accept(view)
    if state.ends_with(view):
        return Step(rows, conclude(state))
    if state.is_chasing:
        return Step(rows, FindingEnd(state))
    return Step(rows)


def bridge_gap(state: ChainState[R], view: View[R] | None) -> Step[R]:
    """Begin to bridge the gap before a view of the plan.

    If the gap lies in a run of ties that no window can bridge, and the view shares a
    row with the part of the run that was handed out, the view is accepted instead.

    Args:
        state: The state that all phases share.
        view: The view, None where the server has no such page.
    """
    gap = state.gap
    if view is not None and view.rows:
        ties = _ties_here(state, fills=0)
        if ties is not None and ties.continues_in(view):
            return _accept_tied(state, ties, view)
        gap.held = view
    if view is None or not state.cover.touches(view):
        state.plan.loosen()
    state.ledger.repairs += 1
    return Step((), Seeking(state))


class _Bridging(OpenPhase[R]):
    """A phase whose window is asked for before all windows of the plan."""

    def _ask(self, window: Window) -> None:
        self._state.plan.ask_first(window)

    def _ask_for_fewer(self, take: int) -> Step[R] | None:
        """Drop the first window, whose page is too large to be read.

        Later windows ask for fewer rows.
        """
        self._state.plan.pop()
        if self._state.gap.ties is not None:
            self._state.gap.ties.limit(take)
        return self._do_without()

    def _do_without(self) -> Step[R]:
        return self._step(None)


class Seeking(_Bridging[R]):
    """The phase that looks for a view which continues the cover.

    Rows have moved since the cover was last seen, so the place where the cover ends has
    to be found again (`Seek`).
    """

    def __init__(self, state: ChainState[R]) -> None:
        super().__init__(state)
        self._seek: Final = Seek(
            state.cover,
            state.ledger.latest,
            take=state.plan.size.max_take,
            slack=state.plan.overlap,
        )
        self._look_inside_ties()
        self._ask_next()

    def _step(self, view: View[R] | None) -> Step[R]:
        state, seek, cover = self._state, self._seek, self._state.cover
        ties = state.gap.ties
        if view is None or not view.rows:
            if view is not None and view.is_first and view.is_end:
                return Step((), conclude(state))  # the list is empty by now
            seek.found_nothing(state.ledger.latest)
        elif cover.certifies(view):
            longest = state.plan.size.cut.longest
            if cover.has_new(view) or state.end.is_shown_by(view, longest=longest):
                return _reconsider(state, accept(state, view))
            cover.revisit(view)
            seek.ended_before(cover, view)
            self._look_inside_ties()
        elif ties is not None and ties.continues_in(view):
            return _reconsider(state, _accept_tied(state, ties, view))
        else:
            seek.began_past(cover, view)
        self._ask_next()
        return Step((), self)

    def _do_without(self) -> Step[R]:
        return Step((), Seeking(self._state))

    def _ask_next(self) -> None:
        if self._seek.probes >= _MAX_PROBES:
            raise _lost(self._state, self._seek)
        self._ask(self._seek.next_window(self._state.plan.size.max_take))

    def _look_inside_ties(self) -> None:
        """Look inside of the run at the cover, if no window can bridge that run."""
        state, plan = self._state, self._state.plan
        if _ties_here(state, self._seek.fills) is None:
            return
        end = state.cover.position.end
        position = end - plan.overlap
        if plan_window(position, plan.size.max_take).end <= end:  # shows no later row
            position = end - 1
        self._seek.look_inside(position)


class SamplingTies(_Bridging[R]):
    """The phase that reads a run of ties again, until no row of the run is missing.

    Args:
        state: The state that all phases share.
        ties: The run, whose end was seen.
        closing: The view that shows the end of the run.
        sample: The first window into the run.
    """

    def __init__(
        self,
        state: ChainState[R],
        ties: TieRun[R],
        closing: View[R],
        sample: Window,
    ) -> None:
        super().__init__(state)
        self._ties: Final = ties
        self._closing: Final = closing
        self._ask(sample)

    def _step(self, view: View[R] | None) -> Step[R]:
        return _complete_ties(self._state, self._ties, self._closing, view)


class FindingEnd(_Bridging[R]):
    """The phase that looks for the end of a list that grows there while it is read.

    Once the end was seen, the rows that are added after it are not wanted: they were
    not there when the read began. A window that aims at the end may hold rows before
    the end only, if the list has grown by the time the server answers. The next window
    then aims further, by as many rows as the list has grown since.
    """

    def __init__(self, state: ChainState[R]) -> None:
        super().__init__(state)
        state.hints.probe_end_at = state.ledger.handed_out + state.plan.size.take
        self._tries_left = _END_PROBES
        self._counted = 0
        self._look(pace=0)

    def _look(self, pace: int) -> None:
        """Ask for the window in which the list should end when the server answers.

        Args:
            pace: How many rows the list is likely to grow until then.
        """
        plan = self._state.plan
        self._tries_left -= 1
        self._counted = self._state.ledger.latest
        self._ask(plan_window(self._counted + pace - OVERLAP, plan.size.take))

    def _step(self, view: View[R] | None) -> Step[R]:
        del view  # `OpenPhase._on_view` told the cover whether the view shows the end
        state = self._state
        if state.cover.is_past_bound:
            return Step((), conclude(state))
        if not state.cover.is_bounded and self._tries_left:
            self._look(pace=max(0, state.ledger.latest - self._counted))
            return Step((), self)
        return _reconsider(state, Step[R]())


def _reconsider(state: ChainState[R], step: Step[R]) -> Step[R]:
    """Compare the held view with the cover again, after a step that moved the cover.

    Args:
        state: The state that all phases share.
        step: The step. The rows of the held view, if it is accepted, follow its rows.

    Raises:
        ProtocolError: A row of the held view has come with another key since.
    """
    gap, held = state.gap, state.gap.held
    if held is None or step.phase is not None:
        return step
    gap.held = None
    state.cover.recent.check_keys(held)
    following: Step[R]
    if state.cover.certifies(held):
        following = accept(state, held)
    elif not state.cover.has_new(held):
        return step
    elif gap.ties is not None and gap.ties.continues_in(held):
        following = _accept_tied(state, gap.ties, held)
    else:
        gap.held = held
        state.ledger.repairs += 1
        following = Step((), Seeking(state))
    return Step([*step.rows, *following.rows], following.phase)


def _ties_here(state: ChainState[R], fills: int) -> TieRun[R] | None:
    """Return the run of ties at the cover if no window can bridge it, else None.

    Args:
        state: The state that all phases share.
        fills: How many views of this bridge have ended inside of the run.
    """
    cover, plan = state.cover, state.plan
    if not isinstance(cover, KeyCover):
        return None
    if state.gap.ties is not None and state.gap.ties.key == cover.key:
        return state.gap.ties
    tied, place = len(cover.ids_at_key), cover.position.place
    # A bridge begins before the run and ends after it. If even the largest such window
    # ends inside of the run, no window can bridge it.
    window = plan_window(place - 1, plan.size.max_take)
    is_filled = window.end <= place + tied and state.ledger.steady
    if is_filled and plan.size.is_certain:
        if plan.size.try_larger(place + tied):
            return None
        _check_page_ends(place + tied, plan.size.max_take)
    if not (is_filled or tied >= plan.size.max_take or fills >= _MAX_FILLS):
        return None
    state.gap.ties = TieRun(cover, plan.size.max_take)
    # One row is no run: then an inferred page size is too small.
    state.gap.cut = plan.size.cut.most if tied == 1 else None
    return state.gap.ties


def _check_page_ends(position: int, most: int) -> None:
    """Check that some page holds the rows on both sides of a position.

    Args:
        position: The position.
        most: Rows per page at most; larger pages can't be read.

    Raises:
        IncompleteReadError: Pages of each size up to ``most`` end at the position.
    """
    if can_be_crossed(position, most):
        return
    raise IncompleteReadError(
        f"no page of up to {most} rows holds both row {position} of the list and the"
        " next one, and larger pages can't be read: nothing proves that no row is"
        " between them. lossless=False reads on, and proves nothing"
    )


def _accept_tied(state: ChainState[R], ties: TieRun[R], view: View[R]) -> Step[R]:
    """Accept a view inside of a run of ties: it shares a row with the cover."""
    state.gap.leans_on_ties = True
    if state.ledger.steady and ties.closes_in(view):
        return _complete_ties(state, ties, view, view)
    return accept(state, view)


def _complete_ties(
    state: ChainState[R], ties: TieRun[R], closing: View[R], view: View[R] | None
) -> Step[R]:
    """Take a view of a run of ties; go past the run once no row of it is missing.

    Args:
        state: The state that all phases share.
        ties: The run.
        closing: The view that shows the end of the run; it is accepted last.
        view: The view that is taken, None where the server has no such page.
    """
    rows: list[R] = []
    if view is not None:
        rows = state.hand_out(ties.accept(view))
    if state.ledger.steady and ties.missing_after(closing) > 0:
        state.gap.has_sampled = True
        sample = ties.next_sample(closing)
        if sample is not None:
            return Step(rows, SamplingTies(state, ties, closing, sample))
    step = accept(state, closing)
    return _reconsider(state, Step([*rows, *step.rows], step.phase))


def _lost(state: ChainState[R], seek: Seek) -> Exception:
    """Return the error for a bridge that found no view which continues the cover."""
    ties, cover = state.gap.ties, state.cover
    if isinstance(cover, KeyCover):
        is_read_by_ties = ties is not None and ties.key == cover.key
        if is_read_by_ties or (seek.is_amid_run and len(cover.ids_at_key) > 1):
            return unproven_ties(state)
        if cover.order is None:
            return UnorderedListError(
                "the rows that were read are gone, and had one created_at: nothing"
                " shows in which order the list is, and so what comes next"
            )
    return DriftTooFastError(
        "the list moves by a page or more per round trip, or the server sends the"
        " rows of one page for others: the place where the read stood was not found"
        f" again in {_MAX_PROBES} requests"
    )
