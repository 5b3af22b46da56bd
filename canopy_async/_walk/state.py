"""The state of an overlap chain: what its phases share."""

from collections.abc import Sequence
from typing import Any, Final, Generic, TypeVar

import attrs

from canopy_async._walk.cover import Accepted, Cover
from canopy_async._walk.id_cover import IdCover
from canopy_async._walk.key_cover import KeyCover
from canopy_async._walk.ledger import Ledger
from canopy_async._walk.list_end import ListEnd
from canopy_async._walk.page_size import SURE_TAKE
from canopy_async._walk.planner import Planner
from canopy_async._walk.span import WHOLE, Span
from canopy_async._walk.ties import TieRun
from canopy_async._walk.view import Row, View, check_page
from canopy_async._walk.window import Window
from canopy_async.errors import RequestBudgetError, UnorderedListError
from canopy_async.models import Page
from canopy_async.report import Proof, ReadReport, weakest

__all__ = ["ChainState", "Wanted"]

R = TypeVar("R", bound=Row)

_MOST_BARREN: Final = 8
"""Windows of the plan in a row that bring nothing new, before the cover is sought."""

_MOST_BARREN_AT_ALL: Final = 160
"""Answers in a row that bring nothing new: to search, to seek and to sample a run of
ties takes 40 each at most."""


@attrs.frozen(kw_only=True)
class Wanted:
    """The rows that are wanted of a list, and how the server was asked for them.

    Attributes:
        take: Rows per page at most, of the windows that are planned.
        limit: Rows to hand out at most.
        order: The order that is asked for.
        sort_by: The column that is asked for.
        span: The part of the list that is wanted.
        accept_unordered: Whether a list that is not sorted by ``created_at`` is read
            by the shared-id certificate instead of raising.
    """

    take: int
    limit: int | None = None
    order: str | None = None
    sort_by: str | None = None
    span: Span = WHOLE
    accept_unordered: bool = False


@attrs.define(eq=False)
class Gap(Generic[R]):
    """The gap at a seam that does not hold, and the run of ties that it may lie in.

    Attributes:
        held: The view after the gap. It is looked at again once the gap is closed.
        ties: The run of ties at the cover, where no window can bridge it.
        leans_on_ties: Whether rows were accepted because their window shares a tied
            row with the cover, which alone proves nothing.
        has_sampled: Whether rows of a run of ties were missing, and looked for in the
            middle of the run. From then on, not each window shares a row with the one
            before it, and the server is known to keep no fixed order.
    """

    held: View[R] | None = None
    ties: TieRun[R] | None = None
    leans_on_ties: bool = False
    has_sampled: bool = False


@attrs.define(eq=False)
class Patience:
    """The count of answers in a row that brought nothing new.

    Attributes:
        is_lost: Whether the plan was left because its windows brought nothing new.
            Until some row is new, one window is asked for at a time.
    """

    is_lost: bool = False
    _barren: int = 0

    @property
    def is_short(self) -> bool:
        """Whether so many answers brought nothing new that the plan leads nowhere."""
        return self._barren >= _MOST_BARREN

    def renew(self) -> None:
        """Begin to count anew: an answer brought rows."""
        self._barren, self.is_lost = 0, False

    def note_barren(self, *, is_done: bool, counted: int) -> None:
        """Count an answer that brought nothing new.

        Args:
            is_done: Whether the walk is done with it.
            counted: How many rows the server counts.

        Raises:
            RequestBudgetError: There are too many of them, and the walk is not done.
        """
        self._barren += 1
        if self._barren > _MOST_BARREN_AT_ALL and not is_done:
            raise RequestBudgetError(
                f"{self._barren} answers in a row brought nothing new, though the"
                f" server counts {counted} rows"
            )


@attrs.frozen
class Head:
    """The keys and ids of page 1.

    The rows themselves are let go of: those of many reads at once would take the
    processor's cache from each other.
    """

    keys: Sequence[Any] = ()
    ids: Sequence[str] = ()

    def is_still(self, view: View[Any]) -> bool:
        """Tell whether page 1, asked for again, shows that nothing moved there."""
        if not view.keys or view.keys != self.keys:
            return False
        # Where all rows have one key, rows may have come or gone without a trace.
        return view.keys[0] != view.keys[-1] or view.members == frozenset(self.ids)


@attrs.define(eq=False)
class Extent:
    """The stretch of the list that was accepted, by position: evidence for counting.

    Attributes:
        begin: Position of the first accepted row, None before any was accepted.
        end: Position after the last view that was accepted.
        shares_rows: Whether each accepted view has shared a row with the one before,
            so that the list may be read on by shared rows.
    """

    begin: int | None = None
    end: int = 0
    shares_rows: bool = False

    def is_filled_by(self, rows: int) -> bool:
        """Tell whether so many rows are one for each place from first to last."""
        return rows == self.end - (self.begin or 0)


@attrs.define(eq=False)
class Hints:
    """Hints on the end of the wanted rows, which decide where to look.

    Attributes:
        newest: Where the list ends, if it is read oldest first: how many of its newest
            rows have this ``created_at`` or a later one. None where that is unknown.
        probe_end_at: How many rows are handed out before the end of a list that grows
            at its end is looked for.
        rows_to_bound: About how many rows are left up to the bound, None if unknown.
    """

    newest: tuple[int, Any] | None = None
    probe_end_at: int = 0
    rows_to_bound: int | None = None


class ChainState(Generic[R]):
    """The state that the phases of one overlap chain share.

    Args:
        wanted: The rows that are wanted.
        max_take: Rows per page at most of windows that bridge a gap, where more rows
            help; None for ``take``, or for as many as suffice.

    Attributes:
        wanted: The rows that are wanted.
        plan: The windows that are asked for.
        first_take: Rows per page of page 1.
        ledger: The counts for the report.
        cover: What is covered so far: the evidence.
        extent: Where in the list that is, by position.
        end: What was seen of the end of the list.
        head: Page 1.
        gap: The gap that is bridged.
        patience: The answers in a row that brought nothing new.
        hints: Where the end of what is wanted may be.
        best_proof: The strongest proof that the walk can still reach.
        is_sort_refused: Whether the server has refused ``sort_by``.
    """

    def __init__(self, wanted: Wanted, *, max_take: int | None) -> None:
        # Where a part begins depends on the order, which one row can't show.
        fewest = 1 if wanted.span.is_whole else 2
        take = wanted.take
        rows = take if wanted.limit is None else max(wanted.limit, fewest)
        self.wanted: Final = wanted
        self.plan: Final = Planner(take, max_take or max(take, SURE_TAKE))
        self.first_take = min(take, rows)
        self.ledger: Final = Ledger(wanted.order)
        self.cover: Cover[R] = KeyCover()
        self.extent: Final = Extent(shares_rows=wanted.accept_unordered)
        self.end: Final = ListEnd()
        self.head = Head()
        self.gap: Gap[R] = Gap()
        self.patience: Final = Patience()
        self.hints: Final = Hints()
        self.best_proof = Proof.STRICT_KEY
        self.is_sort_refused = False

    # What is asked for

    @property
    def sort_by(self) -> str | None:
        """The column that the server was asked for, and did not refuse."""
        return None if self.is_sort_refused else self.wanted.sort_by

    @property
    def is_by_key(self) -> bool:
        """Whether the cover is one of keys; it is one of shared rows otherwise."""
        return self.cover.proof is Proof.STRICT_KEY

    def plan_ahead(self) -> Window | None:
        """Ask for the next window of the plan, None if none is wanted for now."""
        if self.plan.windows and (self.extent.begin is None or self.patience.is_lost):
            return None  # all depends on the answer that is under way
        return self.plan.plan(
            covered=self.cover.position.end,
            horizon=self._horizon(),
            reach=self._limit_end(),
        )

    def _horizon(self) -> int:
        """Return the position that planned windows must reach to prove the end."""
        end = self.ledger.latest + 1
        if (limit_end := self._limit_end()) is not None:
            end = min(end, limit_end)
        if (left := self.hints.rows_to_bound) is not None:
            # An estimate: a quarter more, so as to be past it more often.
            margin = left // 4 + self.plan.overlap
            end = min(end, self.cover.position.end + left + margin)
        return end

    def _limit_end(self) -> int | None:
        if self.wanted.limit is None:
            return None
        return self.cover.position.end + self.wanted.limit - self.ledger.handed_out

    # What comes

    def view_of(self, page: Page[R], window: Window) -> View[R]:
        """Check a page, and return what it shows of the list.

        Raises:
            ProtocolError: The page contradicts what was asked, or itself.
        """
        check_page(page, window)
        self.ledger.learn(page, window)
        longest, suspect = self.plan.size.cut.longest, self.plan.size.cut.suspect
        view = View(page, window, longest=longest, suspect=suspect)
        view.check_ids()
        return view

    def begin_with(self, view: View[R]) -> None:
        """Note page 1: it says how long the list is."""
        limit, count = self.wanted.limit, view.count
        self.ledger.expected = count
        self.head = Head(view.keys, view.ids)
        rows = count
        if limit is not None and self.wanted.span.is_whole:
            rows = min(count, limit)
        self.plan.begin(end=view.end, rows=rows)
        self.hints.probe_end_at = count + self.plan.size.take

    def choose(self, cover: Cover[R]) -> None:
        """Read by a certificate, which page 1 decides on."""
        self.cover = cover
        if not self.is_by_key:
            self._warn_unordered()

    def check(self, view: View[R], *, may_fall_back: bool) -> None:
        """Raise where a view breaks what the proof rests on, and no other is left.

        A list whose first pages are in order of time by chance is read by the rows
        that its windows share, as if that had been chosen on page 1.

        Raises:
            UnorderedListError: The list is in no order that proves anything.
            ProtocolError: A row changed its key.
        """
        try:
            self.cover.check(view)
        except UnorderedListError:
            shares_rows = self.extent.shares_rows and not self.gap.has_sampled
            if not (may_fall_back and self.is_by_key and shares_rows):
                raise
            self.choose(IdCover(self.cover.recent, self.cover.position))
            self.gap = Gap()
            self.cover.check(view)

    def _warn_unordered(self) -> None:
        self.ledger.warn(
            "not read by created_at: complete if the server keeps one fixed order"
        )

    # What is handed out

    def accept(self, view: View[R]) -> list[R]:
        """Move the cover to the end of a certified view; return rows to hand out."""
        extent = self.extent
        if extent.shares_rows and extent.begin is not None:
            extent.shares_rows = any(map(self.cover.recent.knows, view.ids))
        accepted = self.cover.accept(view)
        extent.shares_rows = extent.shares_rows and not accepted.late
        if extent.begin is None:
            extent.begin = view.end - len(accepted.rows)
            self.hints.probe_end_at -= extent.begin
        extent.end = view.end
        self.hints.rows_to_bound = self.cover.rows_to_bound(view)
        return self.hand_out(accepted)

    def hand_out(self, accepted: Accepted[R]) -> list[R]:
        """Return rows as far as they are wanted, and count them."""
        self.ledger.duplicates += accepted.duplicates
        self.ledger.late += accepted.late
        rows = self.cover.wanted(accepted.rows)
        if self.wanted.limit is not None:
            rows = rows[: self.wanted.limit - self.ledger.handed_out]
        self.ledger.handed_out += len(rows)
        return rows

    @property
    def is_limit_reached(self) -> bool:
        """Whether as many rows were handed out as are wanted."""
        return self.ledger.handed_out == self.wanted.limit

    def ends_with(self, view: View[R]) -> bool:
        """Tell whether nothing is left to read after a view that was accepted."""
        at_end = self.end.is_shown_by(view, longest=self.plan.size.cut.longest)
        if not (at_end or self.is_limit_reached or self.cover.is_past_bound):
            return False
        is_whole = self.wanted.span.is_whole and not self.is_limit_reached
        # Where a count was ahead of its rows, that of page 1 may have been, too.
        is_counted = view.is_end and self.end.counts_hold
        self.ledger.to_the_end = is_whole and is_counted
        return True

    @property
    def is_chasing(self) -> bool:
        """Whether the end of the list has moved on by more than a page meanwhile."""
        return (
            self.ledger.handed_out >= self.hints.probe_end_at
            and self.cover.order == "asc"
            and not self.cover.is_bounded
        )

    @property
    def adds_up(self) -> bool:
        """Whether as many rows were accepted as there are places from first to last."""
        return self.extent.is_filled_by(self.cover.recent.accepted)

    # What can be said

    def report(self, *, requests: int, retries: int) -> ReadReport:
        """Return what is known so far."""
        report = self.ledger.report(
            proof=self._proof(),
            order=self.cover.order,
            requests=requests,
            retries=retries,
        )
        is_whole = self.wanted.span.is_whole
        return report if is_whole else attrs.evolve(report, expected=None)

    def _proof(self) -> Proof:
        own = self.cover.proof
        if self.gap.leans_on_ties:
            own = Proof.COUNT if self.ledger.complete else Proof.SHARED_ID
        return weakest((own, self.best_proof, self.wanted.span.past_proof))
