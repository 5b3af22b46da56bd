"""Finding the start: where in the list the wanted part begins.

The place is looked for by interpolation, as if rows were spread evenly over time, and
by division where that does not help.
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
"""Probes that are under way together: each round quarters what is left."""

_MARGIN: Final = 16
"""Around an interpolated place, a sixteenth of what is left is probed on each side."""


class FindingStart(OpenPhase[R]):
    """Looks for where the wanted part begins, which is not in page 1.

    Args:
        state: The state that all phases share.
        cover: The cover that the part begins at.
        first: Page 1.
    """

    def __init__(
        self, state: ChainState[R], cover: KeyCover[R], first: View[R]
    ) -> None:
        super().__init__(state)
        resume = state.wanted.span.resume
        # Page 1 may end amid the ties that the wanted part begins with.
        low = cover.rows_before(first)
        high, high_key = state.ledger.latest, None
        guess = None if resume is None else resume.position
        if guess is None and cover.order == "asc":
            if state.hints.newest is None:
                guess = high  # a range that ends the log is the likeliest one
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
        is_found = view is not None and state.cover.certifies(view)
        if is_found and view is not None and state.cover.has_new(view):
            state.plan.forget_all()
            return accept(state, view)
        if search.is_over:
            state.cover.position.found(search.place, state.ledger.latest)
            return Step((), Seeking(state))
        return Step((), self)

    def _ask_for_fewer(self, take: int) -> Step[R] | None:
        self._search.limit(take)
        return super()._ask_for_fewer(take)


class Search(Generic[R]):
    """The search for the first row that is not before a cover's key.

    The list may move meanwhile. What the search ends with is only where to
    look: the window that is found there has to certify itself like any other.

    Args:
        cover: The cover that the read starts from.
        low: A position that the row is not before.
        high: A position that it is not after.
        take: Rows per page at most.
        low_key: The key right before ``low``, None where it is not known.
        high_key: The key at ``high``, None where it is not known.
        guess: Where it was when last seen, None if it never was.
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
        """Forget the probes, and ask for others of no more than so many rows."""
        self._page_size = min(self._page_size, take)
        self._pending.clear()
        self._under_way.clear()
        self._divide()

    def learn(self, view: View[R] | None) -> None:
        """Narrow the search by the answer to a probe, None for a missing page.

        Answers are taken in the order in which the probes were asked for.
        """
        window = self._under_way.popleft()
        if view is None or not view.rows:
            end = window.start if view is None else min(window.start, view.count)
            self._high = max(self._low, min(self._high, end))
        else:
            self._narrow(view)
        width = self._high - self._low
        if not self.is_over or width <= self._page_size // 2:
            return
        # Where rows are not spread evenly over time, division is the faster.
        self._interpolates = width * (PROBES + 1) <= self._width
        self._width = width
        self._divide()

    def _narrow(self, view: View[R]) -> None:
        key = self._cover.key
        before = 0
        for row_key in view.keys:
            if not self._cover.precedes(row_key, key):
                break
            before += 1
        place = view.start + before
        if before and place >= self._low:
            self._low, self._low_key = place, view.keys[before - 1]
        if before < len(view.keys) and place <= self._high:
            self._high, self._high_key = place, view.keys[before]
        # Where rows moved between two answers, both bounds are off a little.
        self._high = max(self._low, self._high)

    def _divide(self) -> None:
        width = self._high - self._low
        if width <= self._page_size:  # one window is about all that is left
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
        """Return where the row is if rows are spread evenly over time."""
        if self._low_key is None or self._high_key is None:
            return None
        # Not zero: the one is before the cover's key, and the other is not.
        span = self._high_key - self._low_key
        part = (self._cover.key - self._low_key) / span
        return self._low + int(part * (self._high - self._low))

    def _add(self, position: int) -> None:
        self._ask(plan_window(max(0, position - self._page_size // 2), self._page_size))

    def _ask(self, window: Window) -> None:
        asked = {(other.page, other.take) for other in self._pending}
        if (window.page, window.take) not in asked:
            self._pending.append(window)
