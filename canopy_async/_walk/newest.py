"""The newest page first: it alone may be all that is wanted of the end of a log.

Theorem. Let page 1 of a list that is sorted newest first end in a row that is
strictly older than an instant. Then it holds every row of the list at its own
instant whose key is not before that one. For it is a contiguous slice from the
head on, so that whatever it does not hold comes after its last row, and is as old
or older. It holds as well, where it is the whole list.

So one request shows that a quiet log has nothing since an instant, or after the place
of a checkpoint, also where the rows are wanted oldest first: they are turned round.
Where the page does not reach so far back, or the server does not send it newest first,
nothing is concluded from it, and the rows are read oldest first as if it had not been
asked for; only where to look for them is then better known.
"""

from collections import deque
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

import attrs

from canopy_async._walk.chain import OverlapChain
from canopy_async._walk.span import WHOLE, Span
from canopy_async._walk.view import Row, View, check_page
from canopy_async._walk.walk import Walk
from canopy_async._walk.window import Window
from canopy_async.models import Page
from canopy_async.report import Proof, ReadReport

__all__ = ["NewestFirst", "proven_walk"]

R = TypeVar("R", bound=Row)

_SURE_TAKE: Final = 20
"""Rows per page that any server allows, as they are the API's default."""


class NewestFirst(Generic[R]):
    """A read of a part, oldest first, that looks at the newest page before.

    Args:
        chain: Reads the part, where the newest page does not hold all of it.
        span: The part; it has a ``since``, or goes on from a checkpoint.
        take: Rows per page at most.
        limit: Rows to hand out at most.
    """

    def __init__(
        self, chain: OverlapChain[R], *, span: Span, take: int, limit: int | None
    ) -> None:
        self._chain: Final = chain
        self._span: Final = span
        self._first_key: Final[Any] = span.first_key("asc")
        self._take: Final = max(take, _SURE_TAKE)
        self._limit: Final = limit
        self._windows: deque[Window] = deque()
        self._looks = not chain.done
        self._report: ReadReport | None = None
        self._position = 0

    @property
    def windows(self) -> Sequence[Window]:
        """The windows whose pages are still wanted, in the order of taking."""
        return self._windows if self._looks else self._chain.windows

    @property
    def done(self) -> bool:
        """Whether nothing more is wanted."""
        return self._report is not None or self._chain.done

    @property
    def total(self) -> int | None:
        """None: how many rows a range holds is not known before the end."""
        return self._chain.total

    @property
    def sends_sort_by(self) -> bool:
        """Whether the server has not refused ``sort_by``."""
        return self._chain.sends_sort_by

    @property
    def position(self) -> int:
        """About where in the list the rows handed out end, oldest first."""
        return self._position if self._report else self._chain.position

    def report(self, *, requests: int = 0, retries: int = 0) -> ReadReport:
        """Return what is known so far."""
        if self._report is None:
            return self._chain.report(requests=requests, retries=retries)
        return attrs.evolve(self._report, requests=requests, retries=retries)

    def plan(self) -> Window | None:
        """Append the next window, and return it; the newest page comes alone."""
        if not self._looks:
            return self._chain.plan()
        if self._windows:
            return None
        window = Window(1, self._take, newest_first=True)
        self._windows.append(window)
        return window

    def take(self, page: Page[R]) -> Sequence[R]:
        """Take the page of the first window; return the rows to hand out."""
        if not self._looks:
            return self._chain.take(page)
        window = self._windows.popleft()
        check_page(page, window)
        view = View(page, window, longest=0)
        view.check_ids()
        self._looks = False
        if (rows := self._newest_last(view)) is None:
            if _is_newest_first(view):
                self._chain.expect_newest(len(view.keys), view.keys[-1])
            return ()
        return self._conclude(view, rows)

    def take_missing(self) -> Sequence[R]:
        """Take the first window, a 404 past page 1, as an empty page."""
        return self._chain.take_missing()

    def take_oversized(self) -> Sequence[R] | None:
        """Take the first window, whose page was too large to be read.

        The newest page is not asked for again: the rows are read oldest first.
        """
        if not self._looks:
            return self._chain.take_oversized()
        self._windows.clear()
        self._looks = False
        return ()

    def refused(self) -> bool:
        """Go on without ``sort_by``, once, if that may be what was refused."""
        self._windows.clear()
        return self._chain.refused()

    def _newest_last(self, view: View[R]) -> Sequence[R] | None:
        """Return the rows oldest first, None where they are not all of the range."""
        if _is_newest_first(view):
            if not (view.is_end or view.keys[-1] < self._first_key):
                return None
            # Ties stay as they came: a server that orders them does so either way.
            return sorted(view.rows, key=attrgetter("created_at"))
        return view.rows if view.is_end and _is_oldest_first(view) else None

    def _conclude(self, view: View[R], rows: Sequence[R]) -> Sequence[R]:
        """Hand out what of the newest page is wanted, and end.

        Raises:
            UnprovenTiesError: What was read before can't be proven.
        """
        self._span.check_past()
        wanted = [row for row in rows if self._is_wanted(row)][: self._limit]
        until = self._span.until
        newer = 0 if until is None else sum(key >= until for key in view.keys)
        self._position = max(0, view.count - newer)
        shows_order = self._span.resume is not None or view.keys[:1] != view.keys[-1:]
        proof = self._span.past_proof
        self._report = ReadReport(
            complete=proof is not Proof.NONE,
            proof=proof,
            delivered=len(wanted),
            order_observed="asc" if shows_order else None,
            warnings=self._chain.report().warnings,
        )
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
    """Return the walk that proves a read with the fewest requests.

    The arguments are those of `OverlapChain`.
    """
    chain: OverlapChain[Any] = OverlapChain(
        take=take,
        max_take=max_take,
        limit=limit,
        order=order,
        sort_by=sort_by,
        span=span,
        accept_unordered=accept_unordered,
    )
    # Newest first, page 1 is the newest page already.
    if order != "asc" or sort_by not in {None, "created_at"}:
        return chain
    if span.resume is not None and span.resume.order != "asc":
        return chain  # the server kept another order, or has not shown any
    if span.first_key("asc") is None:
        return chain
    return NewestFirst(chain, span=span, take=take, limit=limit)


def _is_newest_first(view: View[Any]) -> bool:
    """Tell whether the rows show that the list is sorted newest first."""
    keys = view.keys
    if not keys or None in keys or keys[0] == keys[-1]:
        return False
    return keys == sorted(keys, reverse=True)


def _is_oldest_first(view: View[Any]) -> bool:
    """Tell whether the rows are oldest first, or of one instant, or none."""
    return None not in view.keys and view.keys == sorted(view.keys)
