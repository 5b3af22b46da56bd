"""The state of an overlap chain, which all its phases share."""

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
from canopy_async._walk.ties import TieRun
from canopy_async._walk.view import Row, View, check_page
from canopy_async._walk.wanted import Wanted
from canopy_async._walk.window import Window
from canopy_async.errors import RequestBudgetError, UnorderedListError
from canopy_async.models import Page
from canopy_async.report import Proof, ReadReport, weakest

__all__ = ["ChainState"]

R = TypeVar("R", bound=Row)

_MOST_BARREN: Final = 8
"""Windows of the plan in a row without a new row, after which the walk looks for the
cover again."""

_MOST_BARREN_AT_ALL: Final = 160
"""The most answers in a row without a new row. Finding the order, closing a gap and
sampling a run of ties take 40 each at most."""


@attrs.define(eq=False)
class Gap(Generic[R]):
    """The gap before a view that is not certified, and the run of ties at the cover.

    Attributes:
        held: The view after the gap. It is compared with the cover again once the gap
            is closed. None while there is no gap.
        ties: The run of ties at the cover, if no window can bridge that run.
        leans_on_ties: Whether rows were accepted because their view shares a tied row
            with the cover, which alone proves nothing.
        has_sampled: Whether rows of a run of ties were missing, and were looked for in
            the middle of the run. From then on, a view may share no row with the view
            before it, and the server is known to keep no fixed order.
        cut: The inferred page size that makes a run of a single row, as no page of that
            size shows the rows on both sides of it. None for a run of several rows.
    """

    held: View[R] | None = None
    ties: TieRun[R] | None = None
    leans_on_ties: bool = False
    has_sampled: bool = False
    cut: int | None = None


@attrs.define(eq=False)
class Patience:
    """The count of answers in a row that brought nothing new.

    Attributes:
        is_lost: Whether the plan was given up because its windows brought no new row.
            Until an answer brings one, a single window is in flight at a time.
    """

    is_lost: bool = False
    _barren: int = 0

    @property
    def is_short(self) -> bool:
        """Whether so many answers brought no new row that the plan is of no use."""
        return self._barren >= _MOST_BARREN

    def renew(self) -> None:
        """Begin to count from zero again, as an answer brought new rows."""
        self._barren, self.is_lost = 0, False

    def note_barren(self, *, is_done: bool, counted: int) -> None:
        """Count an answer that brought no new row.

        Args:
            is_done: Whether the walk is done with this answer.
            counted: How many rows the server counts.

        Raises:
            RequestBudgetError: There are too many such answers in a row, and the walk
                is not done.
        """
        self._barren += 1
        if self._barren > _MOST_BARREN_AT_ALL and not is_done:
            raise RequestBudgetError(
                f"{self._barren} answers in a row brought nothing new, though the"
                f" server counts {counted} rows"
            )


@attrs.define(eq=False)
class Head:
    """The head of the list: page 1, of which keys and ids are kept.

    The rows themselves are not kept: with many reads at once, they would fill the
    processor's cache.

    Attributes:
        take: Rows that page 1 is asked for, also where it is asked for again.
        keys: The keys of its rows.
        ids: Their ids.
    """

    take: int
    keys: Sequence[Any] = ()
    ids: Sequence[str] = ()

    def keep(self, view: View[Any]) -> None:
        """Keep what page 1 shows."""
        self.keys, self.ids = view.keys, view.ids

    def is_still(self, view: View[Any]) -> bool:
        """Tell whether page 1, asked for again, shows that no row moved there."""
        if view.keys != self.keys:
            return False
        # Where all rows have one key, the keys alone don't show that rows were added.
        return view.keys[0] != view.keys[-1] or view.members == frozenset(self.ids)


@attrs.define(eq=False)
class Extent:
    """The positions of the accepted rows, from the first to the last.

    In a list that holds still, as many rows must be accepted as there are positions.

    Attributes:
        shares_rows: Whether each accepted view has shared a row with the view before
            it, so that the read may go on with the shared-id certificate.
        begin: Position of the first accepted row, None before any was accepted.
        end: Position after the last view that was accepted.
    """

    shares_rows: bool
    begin: int | None = None
    end: int = 0

    def is_filled_by(self, rows: int) -> bool:
        """Tell whether there are as many rows as positions from first to last."""
        return rows == self.end - (self.begin or 0)


@attrs.define(eq=False)
class Hints:
    """Hints about the end of the wanted rows, which decide where to look.

    Attributes:
        newest: A number n and a ``created_at``: the last n rows of the list, read
            oldest first, have this ``created_at`` or a later one. None if unknown.
        probe_end_at: How many rows have to be handed out before the walk looks for the
            end of a list that grows at its end.
        rows_to_bound: About how many rows are left up to the bound, None if unknown.
    """

    newest: tuple[int, Any] | None = None
    probe_end_at: int = 0
    rows_to_bound: int | None = None


class ChainState(Generic[R]):
    """The state that the phases of one overlap chain share.

    Args:
        wanted: The rows that are wanted.
        max_take: Rows per page at most, for windows that bridge a gap: the more rows,
            the easier. None for ``take``, or for 20 if that is more: any server allows
            20.

    Attributes:
        wanted: The rows that are wanted.
        plan: The windows that are asked for.
        ledger: The counts for the report.
        cover: The rows that were handed out so far: the evidence.
        extent: The positions of the accepted rows.
        end: The end of the list, as far as views have shown it.
        head: The keys and ids of page 1.
        gap: The gap that is to be closed.
        patience: The count of answers in a row that brought no new row.
        hints: Hints about the end of the wanted rows.
        best_proof: The strongest proof that the walk can still reach.
        is_sort_refused: Whether the server has refused ``sort_by``.
    """

    def __init__(self, wanted: Wanted, *, max_take: int | None) -> None:
        # Page 1 needs two rows to show the order, which a part of a list depends on.
        fewest = 1 if wanted.span.is_whole else 2
        take = wanted.take
        rows = take if wanted.limit is None else max(wanted.limit, fewest)
        self.wanted: Final = wanted
        self.plan: Final = Planner(take, max_take or max(take, SURE_TAKE))
        self.ledger: Final = Ledger(wanted.order)
        self.cover: Cover[R] = KeyCover()
        self.extent: Final = Extent(shares_rows=wanted.accept_unordered)
        self.end: Final = ListEnd()
        self.head: Final = Head(min(take, rows))
        self.gap: Gap[R] = Gap()
        self.patience: Final = Patience()
        self.hints: Final = Hints()
        self.best_proof = Proof.STRICT_KEY
        self.is_sort_refused = False

    # What is asked for

    @property
    def sort_by(self) -> str | None:
        """The column that the server is asked to sort by, None once it has refused."""
        return None if self.is_sort_refused else self.wanted.sort_by

    @property
    def is_by_key(self) -> bool:
        """Whether the certificate is that of keys, and not that of shared rows."""
        return self.cover.proof is Proof.STRICT_KEY

    def plan_ahead(self) -> Window | None:
        """Ask for the next window of the plan, None if none is wanted for now."""
        if self.plan.windows and (self.extent.begin is None or self.patience.is_lost):
            return None  # the next window depends on the answer that is in flight
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
            # The number of rows left is an estimate: a quarter more is planned, so that
            # the last window goes past the bound more often.
            margin = left // 4 + self.plan.overlap
            end = min(end, self.cover.position.end + left + margin)
        return end

    def _limit_end(self) -> int | None:
        if self.wanted.limit is None:
            return None
        return self.cover.position.end + self.wanted.limit - self.ledger.handed_out

    # What comes

    def view_of(self, page: Page[R], window: Window) -> View[R]:
        """Check a page, and return it as a view.

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
        """Note the rows of page 1, and how long the list is."""
        limit, count = self.wanted.limit, view.count
        self.ledger.expected = count
        self.head.keep(view)
        rows = count
        if limit is not None and self.wanted.span.is_whole:
            rows = min(count, limit)
        self.plan.begin(end=view.end, rows=rows)
        self.hints.probe_end_at = count + self.plan.size.take

    def choose(self, cover: Cover[R]) -> None:
        """Set the cover that the read starts from, and so its certificate."""
        self.cover = cover
        if not self.is_by_key:
            self._warn_unordered()

    def check(self, view: View[R], *, may_fall_back: bool) -> None:
        """Check that a view keeps the order that the certificate rests on.

        A list that is not sorted by ``created_at`` may have first pages that are, by
        chance. Where both certificates are allowed, the read then goes on with that of
        shared rows, as if page 1 had shown the order.

        Args:
            view: The view.
            may_fall_back: Whether the certificate may be changed now.

        Raises:
            UnorderedListError: The view breaks the order, and the certificate can't be
                changed.
            ProtocolError: A row has another key than before.
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
        """Move the cover to the end of a certified view; return its new rows."""
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
        """Count new rows, and return those that are wanted by bound and limit."""
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
        """Tell whether no row is left to read after a view that was accepted."""
        at_end = self.end.is_shown_by(view, longest=self.plan.size.cut.longest)
        if not (at_end or self.is_limit_reached or self.cover.is_past_bound):
            return False
        is_whole = self.wanted.span.is_whole and not self.is_limit_reached
        # If one answer counted rows that it did not have, page 1 may have done so, too.
        is_counted = view.is_end and self.end.counts_hold
        self.ledger.to_the_end = is_whole and is_counted
        return True

    @property
    def is_chasing(self) -> bool:
        """Whether the list has grown by more than a page, and its end was not seen."""
        return (
            self.ledger.handed_out >= self.hints.probe_end_at
            and self.cover.order == "asc"
            and not self.cover.is_bounded
        )

    @property
    def adds_up(self) -> bool:
        """Whether as many rows were accepted as there are positions of such rows."""
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
