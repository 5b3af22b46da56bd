"""The newest page: one page that may hold all rows since an instant.

Theorem. Let page 1 of a list that is sorted newest first end with a row that is older
than an instant t. Then page 1 holds every row of t or later that was in the list when
the page was served.

Proof. Page 1 is one piece of the list, from the head on. So each row that page 1 does
not hold comes after its last row, is as old as that row or older, and thus older than
t. If page 1 is the whole list, nothing has to be proven.

So one request shows whether a log has rows since an instant, or after a checkpoint.
That helps also where the rows are wanted oldest first: the rows of the page are turned
round. Where the page does not reach back to t, or the server does not send it newest
first, nothing is concluded from it. Then the rows are read oldest first, as if the
newest page had not been asked for; it still tells where to look for them.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

from canopy_async._walk.chain import OverlapChain
from canopy_async._walk.key_cover import KeyCover
from canopy_async._walk.opening import Opening
from canopy_async._walk.page_size import SURE_TAKE
from canopy_async._walk.phase import Done, Step
from canopy_async._walk.span import WHOLE, Span
from canopy_async._walk.state import ChainState
from canopy_async._walk.view import Row, View, check_page
from canopy_async._walk.walk import Walk
from canopy_async._walk.window import Window
from canopy_async.models import Page

__all__ = ["NewestPage", "proven_walk"]

R = TypeVar("R", bound=Row)


class NewestPage(Generic[R]):
    """The phase that asks for the newest page, before `Opening`.

    It is for a part of a list that is read oldest first. The newest page may hold all
    rows of the part.

    Args:
        state: The state that all phases share. Its span has a ``since``, or goes on
            from a checkpoint.
    """

    def __init__(self, state: ChainState[R]) -> None:
        self._state: Final = state
        self._span: Final = state.wanted.span
        self._first_key: Final[Any] = self._span.first_key("asc")

    @property
    def windows(self) -> Sequence[Window]:
        """The windows whose answers are still wanted, in the order of taking."""
        return self._state.plan.windows

    def plan(self) -> Window | None:
        """Ask for the newest page, alone."""
        plan = self._state.plan
        if plan.windows:
            return None
        return plan.ask(
            Window(1, max(self._state.wanted.take, SURE_TAKE), newest_first=True)
        )

    def accept_page(self, page: Page[R]) -> Step[R]:
        """Hand out the wanted rows, if the newest page holds all of them."""
        window = self._state.plan.pop()
        check_page(page, window)
        view = View(page, window, longest=0)
        view.check_ids()
        if (rows := self._newest_last(view)) is not None:
            return Step(self._conclude(view, rows), Done[R]())
        if _is_newest_first(view):
            self._state.hints.newest = len(view.keys), view.keys[-1]
        return Step((), Opening(self._state))

    def accept_missing(self) -> Step[R]:
        """Read oldest first, as if the newest page had not been asked for."""
        self._state.plan.forget_all()
        return Step((), Opening(self._state))

    def accept_oversized(self) -> Step[R] | None:
        """Read oldest first: the newest page is not asked for again."""
        return self.accept_missing()

    def _newest_last(self, view: View[R]) -> Sequence[R] | None:
        """Return the page's rows oldest first; None if a wanted row may be missing."""
        if _is_newest_first(view):
            if not (view.is_end or view.keys[-1] < self._first_key):
                return None
            # Ties stay as they came: a server that orders them does so either way.
            return sorted(view.rows, key=attrgetter("created_at"))
        return view.rows if view.is_end and _is_oldest_first(view) else None

    def _conclude(self, view: View[R], rows: Sequence[R]) -> Sequence[R]:
        """Return the wanted ones of the newest page's rows, and note that all is read.

        Args:
            view: The newest page.
            rows: Its rows, oldest first.

        Raises:
            UnprovenTiesError: The checkpoint that was resumed from is of a read that
                can't be proven.
        """
        self._span.check_past()
        state, span = self._state, self._span
        until = span.until
        newer = 0 if until is None else sum(key >= until for key in view.keys)
        shows_order = span.resume is not None or view.keys[:1] != view.keys[-1:]
        state.cover = KeyCover(order="asc" if shows_order else None)
        state.cover.position.found(max(0, view.count - newer), view.count)
        wanted = [row for row in rows if self._is_wanted(row)][: state.wanted.limit]
        state.ledger.handed_out = len(wanted)
        state.ledger.complete = True
        return wanted

    def _is_wanted(self, row: R) -> bool:
        resume, key = self._span.resume, row.created_at
        if resume is not None and key == resume.key and row.id in resume.ids:
            return False
        return not key < self._first_key and self._span.holds(key)


def proven_walk(
    *,
    take: int,
    max_take: int | None = None,
    limit: int | None = None,
    order: str | None = None,
    sort_by: str | None = None,
    span: Span = WHOLE,
    accept_unordered: bool = False,
) -> Walk[Any]:
    """Return the walk that proves a read in the fewest requests that are known.

    The arguments are those of `OverlapChain`.
    """
    # Newest first, page 1 is the newest page already.
    is_oldest_first = order == "asc" and sort_by in {None, "created_at"}
    # With another order in its checkpoint, the server has not kept the one asked for.
    may_turn = span.resume is None or span.resume.order == "asc"
    has_start = span.first_key("asc") is not None
    opens_with: type[Opening[Any] | NewestPage[Any]] = Opening
    if is_oldest_first and may_turn and has_start:
        opens_with = NewestPage
    return OverlapChain(
        take=take,
        max_take=max_take,
        limit=limit,
        order=order,
        sort_by=sort_by,
        span=span,
        accept_unordered=accept_unordered,
        opens_with=opens_with,
    )


def _is_newest_first(view: View[Any]) -> bool:
    """Tell whether the rows show that the list is sorted newest first."""
    keys = view.keys
    if not keys or None in keys or keys[0] == keys[-1]:
        return False
    return keys == sorted(keys, reverse=True)


def _is_oldest_first(view: View[Any]) -> bool:
    """Tell whether the rows are oldest first, or of one instant, or none."""
    return None not in view.keys and view.keys == sorted(view.keys)
