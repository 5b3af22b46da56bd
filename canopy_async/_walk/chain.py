"""The overlap chain: a concurrent read of a moving list that proves itself.

Windows of varying take overlap by at least two rows. A window is accepted only
if it certifies its seam with what is covered (`canopy_async._walk.key_cover`); a seam
that does not hold is bridged by windows fetched for it (`canopy_async._walk.bridge`)
while those in flight stay valid evidence. The read ends with a window that
proves to reach the end of the list, or past a bound.
"""

from collections.abc import Sequence
from functools import partial
from operator import eq
from typing import Any, Final, Generic, TypeVar

import attrs

from canopy_async._walk.bridge import Bridge, unproven_ties
from canopy_async._walk.cover import Accepted, Cover
from canopy_async._walk.fence import FencedWalk
from canopy_async._walk.id_cover import IdCover
from canopy_async._walk.key_cover import KeyCover
from canopy_async._walk.ledger import Ledger
from canopy_async._walk.opening import Direction, is_undirected, open_cover
from canopy_async._walk.oversize import LEAST_ROWS, OversizedRow
from canopy_async._walk.plain import PlainWalk
from canopy_async._walk.planner import Planner
from canopy_async._walk.search import Search
from canopy_async._walk.span import WHOLE, Span
from canopy_async._walk.view import DoubtfulEnd, Row, View, check_page
from canopy_async._walk.walk import Walk
from canopy_async._walk.window import OVERLAP, Window, plan_window
from canopy_async.errors import ProtocolError, RequestBudgetError, UnorderedListError
from canopy_async.models import Page
from canopy_async.report import Proof, ReadReport, weakest

__all__ = ["OverlapChain"]

R = TypeVar("R", bound=Row)

_SURE_TAKE: Final = 20
"""Rows per page that any server allows, as they are the API's default."""

_EMPTY_FIRST_PAGES: Final = 3
_MOST_BARREN: Final = 8
"""Windows of the plan in a row that bring nothing new, before the cover is sought."""

_MOST_BARREN_AT_ALL: Final = 160
"""Answers in a row that bring nothing new: to search, to seek and to sample a run of
ties takes 40 each at most."""

_STRAY_TIES: Final = 1
_END_PROBES: Final = 4


class OverlapChain(Generic[R]):
    """A walk that proves its read complete, or says why it can't.

    Args:
        take: Rows per page at most, for the windows that are planned.
        max_take: The same for windows that bridge a gap, where more rows help;
            None for no more, or for as many as suffice.
        limit: Rows to hand out at most.
        order: The order that is asked for, to be compared with what comes.
        sort_by: The column that is asked for.
        span: The part of the list that is wanted.
        accept_unordered: Whether a list that is not sorted by ``created_at``
            is read by the shared-id certificate instead of raising.
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
    ) -> None:
        # Where a part begins depends on the order, which one row can't show.
        fewest = 1 if span.is_whole else 2
        rows = take if limit is None else max(limit, fewest)
        self._first_take = min(take, rows)
        self._plan: Final = Planner(take, max_take or max(take, _SURE_TAKE))
        self._limit: Final = limit
        self._sort_by: Final = sort_by
        self._sends_sort_by = True
        self._span: Final = span
        self._accept_unordered: Final = accept_unordered
        self._direction: Direction[R] | None = None
        self._search: Search[R] | None = None
        self._newest: tuple[int, Any] | None = None
        self._to_bound: int | None = None
        self._base: int | None = None
        self._ledger: Final = Ledger(order)
        self._keys: KeyCover[R] = KeyCover()
        self._cover: Cover[R] = self._keys
        self._by_key = True
        self._shares_rows = accept_unordered
        self._bridge: Bridge[R] = Bridge(self._cover, self._plan, self._ledger, self)
        self._empty_pages = 0
        self._barren = 0
        self._is_lost = False
        self._accepted_end = 0
        self._end_probe_at = 0
        self._doubtful: DoubtfulEnd | None = None
        self._end_is_shown = False
        # Of page 1, but not its rows: those of many reads at once would push each
        # other out of the processor's cache.
        self._head_keys: Sequence[Any] = ()
        self._head_ids: Sequence[str] = ()
        self._done = limit == 0
        self._ledger.complete = self._done
        self._successor: Walk[R] | None = None

    @property
    def windows(self) -> Sequence[Window]:
        """The windows whose pages are still wanted, in the order of taking."""
        return self._successor.windows if self._successor else self._plan.windows

    @property
    def done(self) -> bool:
        """Whether nothing more is wanted."""
        return self._successor.done if self._successor else self._done

    @property
    def total(self) -> int | None:
        """Rows counted by page 1, as far as ``limit`` wants them."""
        expected = self._ledger.expected if self._span.is_whole else None
        if expected is None or self._limit is None:
            return expected
        return min(expected, self._limit)

    @property
    def sends_sort_by(self) -> bool:
        """Whether the server has not refused ``sort_by``."""
        return self._sends_sort_by

    @property
    def position(self) -> int:
        """About where in the list the rows handed out end."""
        return self._cover.track.end

    def report(self, *, requests: int = 0, retries: int = 0) -> ReadReport:
        """Return what is known so far."""
        if self._successor:
            report = self._successor.report(requests=requests, retries=retries)
        else:
            report = self._report_of_chain(requests=requests, retries=retries)
        return report if self._span.is_whole else attrs.evolve(report, expected=None)

    def _report_of_chain(self, *, requests: int = 0, retries: int = 0) -> ReadReport:
        return self._ledger.report(
            proof=self._proof(),
            order=self._cover.order,
            requests=requests,
            retries=retries,
        )

    def expect_newest(self, rows: int, key: Any) -> None:
        """Be told where the list, oldest first, is to end: a hint where to look.

        Args:
            rows: How many of its rows, the newest ones, are about as new as ``key``
                or newer.
            key: The ``created_at`` of the oldest of them.
        """
        self._newest = rows, key

    def plan(self) -> Window | None:
        """Append the next planned window, and return it."""
        if self._successor:
            return self._successor.plan()
        return None if self._done else self._plan_next()

    def _plan_next(self) -> Window | None:
        if self._search is not None:
            probe = self._search.next_window()
            return None if probe is None else self._plan.ask(probe)
        if self._plan.windows and (self._base is None or self._is_lost):
            return None  # all depends on the answer that is under way
        if self._direction is not None:
            return self._plan.ask(self._direction.next_window())
        if self._ledger.expected is None:
            return self._plan.ask(Window(1, self._first_take))
        return self._plan.plan(
            covered=self._cover.track.end,
            horizon=self._horizon(),
            reach=self._limit_end(),
        )

    def take(self, page: Page[R]) -> Sequence[R]:
        """Take the page of the first window; return the rows to hand out."""
        if self._successor:
            return self._successor.take(page)
        return self._note_progress(self._ledger.handing_out(self._take, page))

    def _take(self, page: Page[R]) -> Sequence[R]:
        window = self._plan.windows.popleft()
        check_page(page, window)
        self._ledger.learn(page, window)
        plan = self._plan
        view = View(page, window, longest=plan.longest, suspect=plan.suspect)
        self._cover.track.note_shared(view)
        view.check_ids()
        size = page.pagination.take
        first = self._ledger.expected is None
        if size <= window.take:
            self._learn_size(window.take, size, view)
            if view.is_short:
                self._ledger.note_short(view)
            rows = self._begin(page, view) if first else self._continue(view)
            self._plan.note_progress(len(rows), asked=window.take)
            return rows
        rows = self._begin(page, view, fixed_size=size) if first else ()
        if self._is_open:
            self._fence(size)
        return rows

    def take_missing(self) -> Sequence[R]:
        """Take the first window, a 404 past page 1, as an empty page."""
        if self._successor:
            return self._successor.take_missing()
        self._ledger.note_missing(self._plan.windows.popleft())
        return self._note_progress(self._ledger.handing_out(self._continue, None))

    def take_oversized(self) -> Sequence[R] | None:
        """Take the first window, whose page was too large to be read.

        From here on it is as with a server that sends no more than half of its rows.
        """
        if self._successor:
            return self._successor.take_oversized()
        window = self._plan.windows[0]
        if self._direction is not None and self._direction.fixed_size is not None:
            return None
        if window.take <= LEAST_ROWS:
            self._plan.windows.clear()
            self._successor = OversizedRow(window, self._report_of_chain)
            return ()
        if window.take <= self._plan.max_take:
            self._plan.learn_take(window.take, max(LEAST_ROWS, window.take // 2))
        self._ledger.warn(f"a page of {window.take} rows is larger than can be read")
        return self._ledger.handing_out(self._ask_for_fewer, self._plan.max_take)

    def _ask_for_fewer(self, take: int) -> Sequence[R]:
        """Ask for what the first window was for again, with so many rows at most."""
        if self._ledger.expected is None:
            self._first_take = min(self._first_take, take)
        elif self._direction is not None:
            self._direction.limit(take)
        elif self._search is not None:
            self._search.limit(take)
        elif self._bridge.is_busy:
            return self._bridge.ask_for_fewer()
        self._plan.windows.clear()
        return ()

    def refused(self) -> bool:
        """Go on without ``sort_by``, once, if that may be what was refused."""
        if self._ledger.expected is not None or self._sort_by is None:
            return False
        if not self._sends_sort_by:
            return False
        self._sends_sort_by = False
        self._plan.windows.clear()
        self._ledger.warn(f"the server refused sort_by={self._sort_by!r}")
        return True

    def _begin(
        self, page: Page[R], view: View[R], *, fixed_size: int | None = None
    ) -> Sequence[R]:
        """Take page 1: it says how long the list is, and in which order."""
        if not view.rows and not view.is_end:
            self._empty_pages += 1
            if self._empty_pages > _EMPTY_FIRST_PAGES:
                raise ProtocolError(
                    f"no rows, though {view.count} are counted", page=1, path="items"
                )
            return ()
        if None in view.keys:
            return self._go_on_unproven(page)
        self._ledger.expected = view.count
        self._head_keys, self._head_ids = view.keys, view.ids
        wanted = view.count if self._limit is None else self._limit
        self._plan.rows = min(view.count, wanted) if self._span.is_whole else view.count
        if sum(map(eq, view.keys, view.keys[1:])) > _STRAY_TIES:
            self._plan.expect_ties()
        self._plan.end = view.end
        self._end_probe_at = view.count + self._plan.take
        if self._goes_by_key and is_undirected(view, self._span):
            take = self._plan.max_take
            self._direction = Direction(view, take=take, fixed_size=fixed_size)
            return ()
        return self._open(view)

    @property
    def _goes_by_key(self) -> bool:
        """Whether the rows may be in the order of their keys."""
        return self._sort_by in {None, "created_at"} or not self._sends_sort_by

    @property
    def _is_open(self) -> bool:
        """Whether page 1 was taken, and more is wanted."""
        is_known = self._ledger.expected is not None and self._direction is None
        return is_known and not self._done

    def _learn_order(
        self, direction: Direction[R], view: View[R] | None
    ) -> Sequence[R]:
        """Take a window that may show the order of the list; then begin."""
        if view is not None and view.rows:
            self._cover.check(view)
        direction.learn(view)
        if not direction.is_over:
            return ()
        self._direction = None
        rows = self._open(direction.first, direction.order)
        if direction.fixed_size is not None and self._is_open:
            self._fence(direction.fixed_size)
        return rows

    def _open(self, view: View[R], order: str | None = None) -> Sequence[R]:
        """Begin to read, knowing page 1 and which order other pages have shown."""
        self._choose_cover(view, order)
        if not view.rows:
            self.finish()
            return ()
        if self._cover.has_new(view) or view.is_end:
            return self.accept(view)
        self._begin_search(view)
        return ()

    def _go_on_unproven(self, page: Page[R]) -> Sequence[R]:
        if not self._span.is_whole:
            raise UnorderedListError("rows without created_at have no place in time")
        plain = PlainWalk[R](
            take=self._first_take,
            limit=self._limit,
            warnings=(
                *self._ledger.warnings,
                "rows without created_at: nothing can be proven",
            ),
        )
        plain.plan()
        self._successor = plain
        return plain.take(page)

    def _choose_cover(self, view: View[R], order: str | None) -> None:
        cover = open_cover(
            view,
            span=self._span,
            sort_by=self._sort_by if self._sends_sort_by else None,
            asked_order=self._ledger.asked_order,
            accept_unordered=self._accept_unordered,
            order=order,
        )
        self._cover = cover
        self._bridge = Bridge(cover, self._plan, self._ledger, self)
        if isinstance(cover, KeyCover):
            self._keys = cover
            return
        self._note_unordered()

    def _note_unordered(self) -> None:
        self._by_key = False
        self._ledger.warn(
            "not read by created_at: complete if the server keeps one fixed order"
        )

    def _check(self, view: View[R]) -> None:
        """Raise where a view breaks what the proof rests on, and no other is left.

        A list whose first pages are in order of time by chance is no less read by
        the rows that they share, as if that had been seen from page 1 on.
        """
        try:
            self._cover.check(view)
        except UnorderedListError:
            shares_rows = self._shares_rows and not self._bridge.has_sampled
            if not (self._by_key and shares_rows) or self._bridge.is_busy:
                raise
            self._cover = IdCover(self._keys.track)
            self._bridge = Bridge(self._cover, self._plan, self._ledger, self)
            self._note_unordered()
            self._cover.check(view)

    def _begin_search(self, first: View[R]) -> None:
        """Look for where the wanted part begins, which is not in page 1."""
        resume = self._span.resume
        # Page 1 may end amid the ties that the wanted part begins with.
        low, high = self._keys.rows_before(first), self._ledger.latest
        low_key, high_key = (first.keys[low - 1] if low else None), None
        guess = None if resume is None else resume.position
        if guess is None and self._keys.order == "asc":
            if self._newest is None:
                guess = high  # a range that ends the log is the likeliest one
            else:
                rows, high_key = self._newest
                high -= rows
        self._search = Search(
            self._keys,
            low=low,
            high=high,
            low_key=low_key,
            high_key=high_key,
            take=self._plan.max_take,
            guess=guess,
        )

    def _find(self, search: Search[R], view: View[R] | None) -> list[R]:
        """Take a probe of the search; begin to read where it ends."""
        search.learn(view)
        found = view is not None and self._cover.certifies(view)
        if found and view is not None and self._cover.has_new(view):
            self._search = None
            self._plan.windows.clear()
            return self.accept(view)
        if search.is_over:
            self._search = None
            self._keys.track.found(search.place, self._ledger.latest)
            self._bridge.seek()
        return []

    def _continue(self, view: View[R] | None) -> Sequence[R]:
        """Take any page but the first; None is a page that is not there."""
        if self._direction is not None:
            return self._learn_order(self._direction, view)
        if view is not None and view.rows:
            self._check(view)
            self._cover.bound_growth(view)
        if self._search is not None:
            return self._find(self._search, view)
        if view is None or self._bridge.is_busy or not self._cover.certifies(view):
            return self._bridge.take(view)
        self._plan.tighten()
        rows = self.accept(view)
        is_stuck = not rows and self._barren >= _MOST_BARREN
        if is_stuck and not (self._done or self._is_lost or self._bridge.is_busy):
            self._look_where_the_cover_ends()
        return rows

    def _look_where_the_cover_ends(self) -> None:
        """Leave the plan, whose windows bring nothing new again and again.

        Either the list has moved on by many pages, or the server sends these rows for
        any page: then the place is not found, and the read ends.
        """
        self._is_lost = True
        self._plan.windows.clear()
        self._bridge.seek()

    def _note_progress(self, rows: Sequence[R]) -> Sequence[R]:
        """Count the answers in a row that bring nothing new.

        Raises:
            RequestBudgetError: There are too many of them.
        """
        if rows:
            self._barren, self._is_lost = 0, False
            return rows
        self._barren += 1
        if self._barren > _MOST_BARREN_AT_ALL and not self._done:
            raise RequestBudgetError(
                f"{self._barren} answers in a row brought nothing new, though the"
                f" server counts {self._ledger.latest} rows"
            )
        return rows

    def accept(self, view: View[R]) -> list[R]:
        """Hand out what a window adds that continues the cover."""
        if self._shares_rows and self._base is not None:
            self._shares_rows = any(map(self._cover.track.knows, view.ids))
        accepted = self._cover.accept(view)
        self._shares_rows = self._shares_rows and not accepted.late
        if self._base is None:
            self._base = view.end - len(accepted.rows)
            self._end_probe_at -= self._base
        self._accepted_end = view.end
        self._to_bound = self._cover.rows_to_bound(view)
        rows = self.hand_out(accepted)
        reached_limit = self._ledger.delivered == self._limit
        ends = self.shows_end(view)
        if ends or reached_limit or self._cover.is_past_bound:
            whole = self._span.is_whole and not reached_limit
            # Where a count was ahead of its rows, that of page 1 may have been.
            counts_hold = self._doubtful is None
            self._ledger.to_the_end = view.is_end and whole and counts_hold
            self.finish()
        elif self._is_chasing():
            self._end_probe_at = self._ledger.delivered + self._plan.take
            self._look_for_end(pace=0, tries=_END_PROBES)
        return rows

    def shows_end(self, view: View[R]) -> bool:
        """Tell whether a certified view shows that nothing is left to read.

        It may be the end of the list, or show that one before it was: what was there
        when page 1 was served is covered then, whatever is added since.
        """
        doubtful, longest = self._doubtful, self._plan.longest
        if doubtful is not None and doubtful.is_shown_by(view, longest=longest):
            self._end_is_shown = True
        if view.is_short and view.rows and view.count > view.end:
            self._doubtful = DoubtfulEnd(view)
        return view.is_end or self._end_is_shown

    def _is_chasing(self) -> bool:
        """Whether the end has moved on by more than a page since the start."""
        return (
            self._ledger.delivered >= self._end_probe_at
            and self._cover.order == "asc"
            and not self._bridge.is_busy
            and not self._cover.is_bounded
        )

    def _look_for_end(self, pace: int, tries: int) -> None:
        """Ask for the window where the list should end by the time it is served."""
        counted = self._ledger.latest
        window = plan_window(counted + pace - OVERLAP, self._plan.take)
        self._bridge.send(window, partial(self._saw_end, counted, tries))

    def _saw_end(self, counted: int, tries: int, _view: View[R] | None) -> list[R]:
        if self._cover.is_past_bound:
            self.finish()
        elif not self._cover.is_bounded and tries > 1:
            pace = max(0, self._ledger.latest - counted)
            self._look_for_end(pace, tries - 1)
        return self._bridge.reconsider()

    def hand_out(self, accepted: Accepted[R]) -> list[R]:
        """Hand out rows, as far as they are wanted, and count them."""
        self._ledger.duplicates += accepted.duplicates
        self._ledger.late += accepted.late
        rows = self._cover.wanted(accepted.rows)
        if self._limit is not None:
            rows = rows[: self._limit - self._ledger.delivered]
        self._ledger.delivered += len(rows)
        return rows

    def finish(self) -> None:
        """End, where nothing is left to read and the proof holds."""
        self._plan.windows.clear()
        self._bridge.clear()
        self._span.check_past()
        seen_all = self._cover.track.accepted == self._accepted_end - (self._base or 0)
        if not self._by_key and self._ledger.steady and not seen_all:
            raise UnorderedListError("rows are missing: the list has no fixed order")
        if not self._bridge.leans_on_ties:
            self._done = self._ledger.complete = True
            return
        if not self._ledger.steady or not seen_all:
            raise unproven_ties()
        self._bridge.send(Window(1, self._first_take), self._saw_head)

    def _saw_head(self, view: View[R] | None) -> list[R]:
        """Conclude that the list held still, or that nothing is proven."""
        if view is None or not self._ledger.steady or not self._is_head(view):
            raise unproven_ties()
        self._plan.windows.clear()
        self._done = self._ledger.complete = True
        return []

    def _is_head(self, view: View[R]) -> bool:
        """Tell whether nothing moved at the head of the list."""
        if not view.keys or view.keys != self._head_keys:
            return False
        # Where all keys are one, rows may have come or gone without a trace.
        return view.keys[0] != view.keys[-1] or view.members == set(self._head_ids)

    def _learn_size(self, asked: int, said: int, view: View[R]) -> None:
        """Plan with what the server sends at most, said or not."""
        if len(view.rows) == said == asked:
            self._plan.longest = max(self._plan.longest, said)
            return
        said_less = self._plan.learn_take(asked, said)
        cut = self._plan.learn_length(
            len(view.rows),
            asked=asked,
            short=bool(view.rows) and view.is_short,
            claims_more=view.claims_more,
            behind=view.count - view.end,
        )
        if (said_less or cut) and not self._bridge.is_busy and self._search is None:
            self._plan.windows.clear()

    def _fence(self, size: int) -> None:
        """Go on with a server that has one page size and ignores ``take``."""
        self._successor = FencedWalk(
            cover=self._cover,
            ledger=self._ledger,
            size=size,
            limit=self._limit,
            head=self._head_ids[0],
            span=self._span,
            leans_on_ties=self._bridge.leans_on_ties,
        )

    def _proof(self) -> Proof:
        own = self._cover.proof
        if self._bridge.leans_on_ties:
            own = Proof.COUNT if self._ledger.complete else Proof.SHARED_ID
        return weakest((own, self._span.past_proof))

    def _horizon(self) -> int:
        """The position that planned windows must reach to prove the end."""
        end = self._ledger.latest + 1
        if (limit_end := self._limit_end()) is not None:
            end = min(end, limit_end)
        if self._to_bound is not None:
            # An estimate: a quarter more, so as to be past it more often.
            margin = self._to_bound // 4 + self._plan.overlap
            end = min(end, self._cover.track.end + self._to_bound + margin)
        return end

    def _limit_end(self) -> int | None:
        if self._limit is None:
            return None
        return self._cover.track.end + self._limit - self._ledger.delivered
