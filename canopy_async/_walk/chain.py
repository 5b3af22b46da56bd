"""The overlap chain: a read with many requests at once, of a list that moves, proven.

Windows of different page sizes overlap by at least two rows. A view is accepted only
if it continues the cover without a gap (`canopy_async._walk.key_cover`). The read ends
with a view that shows the end of the list, or goes past a bound.

The phases of a walk, which `canopy_async._walk` draws, do the work. The chain hands
each answer to the phase it is in, and goes on to the phase that this one returns.
"""

from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from canopy_async._walk.opening import Opening
from canopy_async._walk.phase import Done, Phase, Step
from canopy_async._walk.reading import Reading
from canopy_async._walk.span import WHOLE, Span
from canopy_async._walk.state import ChainState
from canopy_async._walk.view import Row
from canopy_async._walk.wanted import Wanted
from canopy_async._walk.window import Window
from canopy_async.models import Page
from canopy_async.report import ReadReport

__all__ = ["OverlapChain"]

R = TypeVar("R", bound=Row)


class OverlapChain(Generic[R]):
    """A walk that proves its read complete, or raises an error that says why not.

    Args:
        take: Rows per page at most, for the windows of the plan.
        max_take: Rows per page at most, for windows that bridge a gap: the more rows,
            the easier. None for ``take``, or for 20 if that is more: any server allows
            20.
        limit: Rows to hand out at most.
        order: The order that the server is asked for, ``asc`` or ``desc``; the report
            says whether the rows came in it.
        sort_by: The column that the server is asked to sort by.
        span: The part of the list that is wanted.
        accept_unordered: Whether a list that is not sorted by ``created_at``
            is read by the shared-id certificate instead of raising.
        opens_with: Makes the first phase.
        on_page: Called with each page, before the walk takes the page.
    """

    def __init__(
        self,
        *,
        take: int,
        max_take: int | None = None,
        limit: int | None = None,
        order: str | None = None,
        sort_by: str | None = None,
        span: Span = WHOLE,
        accept_unordered: bool = False,
        opens_with: Callable[[ChainState[R]], Phase[R]] = Opening,
        on_page: Callable[[Page[R]], None] | None = None,
    ) -> None:
        wanted = Wanted(
            take=take,
            limit=limit,
            order=order,
            sort_by=sort_by,
            span=span,
            accept_unordered=accept_unordered,
        )
        self._state: Final = ChainState[R](wanted, max_take=max_take)
        self._on_page: Final = on_page
        self._reading: Final[Phase[R]] = Reading(self._state)
        self._phase: Phase[R] = opens_with(self._state)
        if limit == 0:
            self._state.ledger.complete = True
            self._phase = Done[R]()

    @property
    def windows(self) -> Sequence[Window]:
        """The windows whose pages are still wanted, in the order of taking."""
        return self._phase.windows

    @property
    def done(self) -> bool:
        """Whether nothing more is wanted."""
        return isinstance(self._phase, Done)

    @property
    def total(self) -> int | None:
        """Rows counted by page 1, as far as ``limit`` wants them."""
        wanted, expected = self._state.wanted, self._state.ledger.expected
        if expected is None or not wanted.span.is_whole:
            return None
        return expected if wanted.limit is None else min(expected, wanted.limit)

    @property
    def sends_sort_by(self) -> bool:
        """Whether the server has not refused ``sort_by``."""
        return not self._state.is_sort_refused

    @property
    def position(self) -> int:
        """The position, about, after the last row that was handed out."""
        return self._state.cover.position.end

    def report(self, *, requests: int = 0, retries: int = 0) -> ReadReport:
        """Return what is known so far."""
        return self._state.report(requests=requests, retries=retries)

    def plan(self) -> Window | None:
        """Append the next window to `windows` and return it, None if none is wanted."""
        return self._phase.plan()

    def accept_page(self, page: Page[R]) -> Sequence[R]:
        """Take the page of the first window; return the rows to hand out."""
        if self._on_page is not None:
            self._on_page(page)
        return self._follow(self._phase.accept_page(page))

    def accept_missing(self) -> Sequence[R]:
        """Take the first window, a 404 past page 1, as an empty page."""
        return self._follow(self._phase.accept_missing())

    def accept_oversized(self) -> Sequence[R] | None:
        """Ask for fewer rows: the page of the first window is too large to be read.

        Returns:
            The rows to hand out; None where fewer rows can't be asked for.
        """
        step = self._phase.accept_oversized()
        return None if step is None else self._follow(step)

    def retry_without_sort(self) -> bool:
        """Go on without ``sort_by``, once, if that may be what the server refused."""
        state = self._state
        if state.ledger.expected is not None or state.sort_by is None:
            return False
        state.is_sort_refused = True
        state.plan.forget_all()
        state.ledger.warn(f"the server refused sort_by={state.wanted.sort_by!r}")
        return True

    def _follow(self, step: Step[R]) -> Sequence[R]:
        """Go on in the phase that a step leads to; return the step's rows."""
        self._phase = self._reading if step.phase is None else step.phase
        self._state.ledger.commit()
        return step.rows
