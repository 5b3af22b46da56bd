"""The counts of one walk, for its report."""

from typing import Any, Final, TypeVar

from canopy_async._walk.view import View
from canopy_async._walk.window import Window
from canopy_async.errors import RequestBudgetError
from canopy_async.models import Page
from canopy_async.report import Proof, ReadReport

__all__ = ["Ledger"]

T = TypeVar("T")

_MAX_SAME: Final = 8
"""The most times that one short page may come before the walk ends with an error."""


class Ledger:
    """The counts of one walk.

    Args:
        asked_order: The order that was asked for.

    Attributes:
        expected: Rows that page 1 counted.
        latest: Rows that the latest page counted. After a missing page, the position
            where that page would have begun, if that is less.
        handed_out: Rows that are to be handed out so far, those of the present step
            included. If the step fails, the rows of the step are not delivered.
        delivered: Rows that were handed out by the steps that are over.
        steady: Whether every page counted as many rows as page 1 did, and no page was
            missing.
    """

    def __init__(self, asked_order: str | None) -> None:
        self.asked_order: Final = asked_order
        self.expected: int | None = None
        self.latest = 0
        self.steady = True
        self.handed_out = self.delivered = 0
        self.duplicates = 0
        self.late = 0
        self.repairs = 0
        self.complete = False
        self.to_the_end = False
        self._warnings: dict[str, None] = {}
        self._shorts: dict[tuple[int, int, int], int] = {}

    def learn(self, page: Page[T], window: Window) -> None:
        """Note what a page says about the length of the list and its own size."""
        meta = page.pagination
        self.latest = meta.item_count
        if self.expected is not None and meta.item_count != self.expected:
            self.steady = False
        if meta.page_count != -(-meta.item_count // meta.take):
            self.warn("page_count does not follow from item_count and take")
        if meta.take < window.take:
            self.warn(f"the server sends {meta.take} rows per page at most")

    def note_missing(self, window: Window) -> None:
        """Note a page that the server does not have.

        The list ends where that page would begin, or before.
        """
        if window.start < self.latest:
            self.latest = window.start
            self.steady = False

    def note_short(self, view: View[Any]) -> None:
        """Count how often one short page has come.

        Raises:
            RequestBudgetError: It has come too often. The server never shows the end of
                the list, however often a read asks.
        """
        seen = view.start, view.end, view.count
        self._shorts[seen] = times = self._shorts.get(seen, 0) + 1
        if times <= _MAX_SAME:
            return
        if view.claims_more:
            said = "says that more rows follow"
        else:
            said = f"counts {view.count} rows"
        raise RequestBudgetError(
            f"the server {said}, and sends none after the first {view.end}:"
            " no page proves to be the last"
        )

    def commit(self) -> None:
        """Count the rows of the present step as delivered: the step did not fail."""
        self.delivered = self.handed_out

    def warn(self, sentence: str) -> None:
        """Add a sentence to the warnings of the report, once."""
        self._warnings[sentence] = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings that were noted."""
        return tuple(self._warnings)

    def report(
        self, *, proof: Proof, order: str | None, requests: int, retries: int
    ) -> ReadReport:
        """Return the report of what was read so far."""
        ignored = None not in {self.asked_order, order} and self.asked_order != order
        purged = 0
        if self.to_the_end and self.expected is not None:
            purged = max(0, self.expected - self.delivered)
        return ReadReport(
            complete=self.complete and proof is not Proof.NONE,
            proof=proof,
            expected=self.expected,
            delivered=self.delivered,
            duplicates=self.duplicates,
            late=self.late,
            purged=purged,
            repairs=self.repairs,
            requests=requests,
            retries=retries,
            order_observed=order,
            order_ignored=ignored,
            warnings=self.warnings,
        )
