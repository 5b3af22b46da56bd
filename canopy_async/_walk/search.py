"""Finding the start: where in the list the wanted part begins.

The position is looked for by interpolation, as if rows were spread evenly over time.
Where that does not help, the rest of the list is divided into equal parts.
"""

from collections import deque
from typing import Any, Final, Generic, TypeVar

from canopy_async._walk.bridge import Seeking, accept
from canopy_async._walk.key_cover import KeyCover
from canopy_async._walk.phase import Step
from canopy_async._walk.proving import OpenPhase
from canopy_async._walk.state import ChainState
from canopy_async._walk.view import Row, View
from canopy_async._walk.window import OVERLAP, Window, plan_window

__all__ = ["FindingStart", "Search"]

R = TypeVar("R", bound=Row)

PROBES: Final = 3
"""Probes that are in flight together. Where they divide the rest of the list into equal
parts, a quarter is left after each round."""

_MARGIN: Final = 16
"""On each side of an interpolated position, a probe is asked for a sixteenth of the
rest of the list away."""


class FindingStart(OpenPhase[R]):
    """The phase that looks for the beginning of the wanted part, after page 1.

    Args:
        state: The state that all phases share.
        cover: The cover of the read; its key is where the part begins.
        first: Page 1.
    """

    def __init__(
        self, state: ChainState[R], cover: KeyCover[R], first: View[R]
    ) -> None:
        super().__init__(state)
        resume = state.wanted.span.resume
        # Page 1 may end with rows of the key that the wanted part begins with.
        low = cover.rows_before(first)
        high, high_key = state.ledger.latest, None
        guess = None if resume is None else resume.position
        if guess is None and cover.order == "asc":
            if state.hints.newest is None:
                guess = high  # most often, the newest rows are wanted
            else:
                rows, high_key = state.hints.newest
                high -= rows
        self._search: Final = Search(
            cover,
            low=low,
            high=high,
            low_key=first.keys[low - 1] if low else None,
            high_key=high_key,
            take=state.plan.size.max_take,
            guess=guess,
        )

    def plan(self) -> Window | None:
        """Ask for the next probe, None while answers are awaited."""
        probe = self._search.next_window()
        return None if probe is None else self._state.plan.ask(probe)

    def _step(self, view: View[R] | None) -> Step[R]:
        state, search = self._state, self._search
        search.learn(view)
        cover = state.cover
        if view is not None and cover.certifies(view) and cover.has_new(view):
            state.plan.forget_all()
            return accept(state, view)
        if search.is_over:
            cover.position.found(search.place, state.ledger.latest)
            return Step((), Seeking(state))
        return Step((), self)

    def _ask_for_fewer(self, take: int) -> Step[R] | None:
        self._search.limit(take)
        return super()._ask_for_fewer(take)


class Search(Generic[R]):
    """The search for the first row that is not before a cover's key.

    The list may move meanwhile. The position that is found is only a hint: a view of
    that place has to be certified like any other view.

    Args:
        cover: The cover of the read.
        low: The lowest position that the row may have.
        high: The highest position that the row may have.
        take: Rows per page at most.
        low_key: The key right before ``low``, None where that key is not known.
        high_key: The key at ``high``, None where that key is not known.
        guess: The likely position of the row, None if nothing is known of it.
    """

    def __init__(
        self,
        cover: KeyCover[R],
        *,
        low: int,
        high: int,
        take: int,
        low_key: Any = None,
        high_key: Any = None,
        guess: int | None = None,
    ) -> None:
        self._cover: Final = cover
        self._low = low
        self._high = max(low, high)
        self._page_size = take
        self._pending: deque[Window] = deque()
        self._under_way: deque[Window] = deque()
        self._low_key = low_key
        self._high_key = high_key
        self._width = self._high - self._low
        self._interpolates = True
        if guess is not None:
            guess = min(max(guess, self._low), self._high)
            self._add(guess)
        else:
            self._divide()

    @property
    def place(self) -> int:
        """The position of the row, once the search is over."""
        return self._low

    @property
    def is_over(self) -> bool:
        """Whether no probe is left to ask for or to be taken."""
        return not self._pending and not self._under_way

    def next_window(self) -> Window | None:
        """Return the next probe, None while answers are awaited."""
        if not self._pending:
            return None
        window = self._pending.popleft()
        self._under_way.append(window)
        return window

    def limit(self, take: int) -> None:
        """Forget the probes, and ask for smaller ones.

        Args:
            take: Rows per page at most from now on.
        """
        self._page_size = min(self._page_size, take)
        self._pending.clear()
        self._under_way.clear()
        self._divide()

    def learn(self, view: View[R] | None) -> None:
        """Narrow the search by the view of the earliest probe that is in flight.

        Args:
            view: The view, None for a missing page.
        """
        window = self._under_way.popleft()
        if view is None or not view.rows:
            end = window.start if view is None else min(window.start, view.count)
            self._high = min(self._high, end)
        else:
            self._narrow(view)
        width = self._high - self._low  # below zero where the list has moved meanwhile
        if not self.is_over or width <= self._page_size // 2:
            return
        # Where rows are not spread evenly over time, equal parts are faster.
        self._interpolates = width * (PROBES + 1) <= self._width
        self._width = width
        self._divide()

    def _narrow(self, view: View[R]) -> None:
        before = self._cover.rows_before(view)
        place = view.start + before
        if before and place >= self._low:
            self._low, self._low_key = place, view.keys[before - 1]
        if before < len(view.keys) and place <= self._high:
            self._high, self._high_key = place, view.keys[before]

    def _divide(self) -> None:
        width = self._high - self._low
        if width <= self._page_size:  # about one window shows all that is left
            self._ask(plan_window(self._low - OVERLAP, self._page_size))
            return
        guess = self._interpolate() if self._interpolates else None
        if guess is None:
            for part in range(1, PROBES + 1):
                self._add(self._low + width * part // (PROBES + 1))
            return
        margin = max(self._page_size, width // _MARGIN)
        for position in (guess - margin, guess, guess + margin):
            self._add(min(max(position, self._low), self._high))

    def _interpolate(self) -> int | None:
        """Return the position of the row if rows are spread evenly over time.

        Returns:
            The position, None if the key at one of the ends is not known.
        """
        if self._low_key is None or self._high_key is None:
            return None
        # Not zero: the low key is before the cover's key, and the high key is not.
        span = self._high_key - self._low_key
        part = (self._cover.key - self._low_key) / span
        return self._low + int(part * (self._high - self._low))

    def _add(self, position: int) -> None:
        self._ask(plan_window(position - self._page_size // 2, self._page_size))

    def _ask(self, window: Window) -> None:
        asked = {(other.page, other.take) for other in self._pending}
        if (window.page, window.take) not in asked:
            self._pending.append(window)
