"""`AccountWalk`: the log of an account, read by time, and what is proven of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from canopy_async._account.log_limits import KnownLimits, LimitSearch
from canopy_async._account.log_range import LogRange
from canopy_async._account.log_rows import LogRows
from canopy_async._account.log_seam import DisagreementError, split_at
from canopy_async._account.log_slice import Slice
from canopy_async._account.log_window import Glance, Kind, LogWindow, instant_of, ms_of
from canopy_async._account.page_plan import FEW, PagePlan
from canopy_async._account.row_check import RowCheck
from canopy_async._account.slice_plan import SlicePlan
from canopy_async.checkpoint import Checkpoint
from canopy_async.errors import (
    BrokenCursorError,
    InconsistentLogError,
    UnprovenTiesError,
)
from canopy_async.models import AuditEvent, CursorPage
from canopy_async.report import AccountReport, Proof

__all__ = ["AccountWalk"]

_LEAST: Final = 2
"""Rows of a page that can be cut: of one row nothing would be shared with the next."""

_MOST_TRIES: Final = 2
_MOST_CHECKS: Final = 3
_MOST_DEATHS: Final = 3
_MOST_ROWS: Final = 100_000
"""Rows of one millisecond at most that can be proven."""

_PROBE_SPAN: Final = 1_000
"""Milliseconds that a probe asks for after the one in question."""


class AccountWalk:
    """Reads the log of an account, the newest events first.

    It decides what is asked for and what an answer adds; it sends nothing. Answers
    are shown to it twice: `learn`, in the order of arrival, says which request comes
    after an answer, and `accept_page`, in the order of `windows`, hands out its rows.

    Args:
        now: What time it is, about: a read without ``until`` looks a day ahead.
        since: The earliest instant that is wanted, None for no bound.
        until: The first instant that is not wanted, None for no bound.
        resume: Where an earlier read ended.
        limit: Rows to hand out at most, None for all.
        take: Rows per page.
        concurrency: Slices that are read at a time at most.
        known: What the server refuses, as far as reads have found out; this one adds
            what it finds.

    Attributes:
        has_answer: Whether an answer was taken.
    """

    def __init__(
        self,
        *,
        now: datetime,
        since: datetime | None = None,
        until: datetime | None = None,
        resume: Checkpoint | None = None,
        limit: int | None = None,
        take: int = 200,
        concurrency: int = 8,
        known: KnownLimits | None = None,
    ) -> None:
        self._range: Final = LogRange.of(now, since=since, until=until, resume=resume)
        rows = take if limit is None else min(take, max(FEW, limit))
        self._plan: Final = SlicePlan(
            low=self._range.low,
            high=self._range.high,
            now=ms_of(now),
            concurrency=concurrency,
            take=rows,
        )
        self._pages: Final = PagePlan(
            self._plan, self._range, is_limited=limit is not None
        )
        self._check: Final = RowCheck(self._plan)
        self._rows: Final = LogRows(self._plan, self._range, limit)
        self._limits: Final = LimitSearch(known or KnownLimits(), self._range, rows)
        self._repairs = 0
        self.has_answer = False
        self._apply_limits()

    # What a run asks of a walk.

    @property
    def windows(self) -> Sequence[LogWindow]:
        """The requests whose answers are still wanted, in the order of taking."""
        return self._plan.windows

    @property
    def done(self) -> bool:
        """Whether nothing more is wanted."""
        return self._rows.done

    @property
    def total(self) -> int | None:
        """Never a number: the server does not count this log."""
        return None

    @property
    def position(self) -> int:
        """The number of rows handed out."""
        return self._rows.delivered

    @property
    def sends_sort_by(self) -> bool:
        """Never: this log has one order."""
        return False

    @property
    def newest_first(self) -> bool | None:
        """Whether the server sends the newest rows first, None where unknown."""
        return self._plan.newest_first

    def front(self) -> LogWindow:
        """Return the request whose answer is taken next, planned if it was not yet."""
        return self._plan.front()

    def plan(self) -> LogWindow | None:
        """Return one more request, None where none is to be sent for now."""
        if self.done:
            return None
        enough = self._rows.left
        if enough is not None:
            for window in self._plan.windows:
                if not window.learnt:
                    break
                enough -= window.rows
        return self._plan.next(enough=enough)

    def report(self, *, requests: int = 0, retries: int = 0) -> AccountReport:
        """Return what was read so far, and what it proves."""
        order = {None: None, True: "desc", False: "asc"}[self.newest_first]
        return AccountReport(
            complete=self.done,
            proof=Proof.CURSOR,
            delivered=self._rows.delivered,
            duplicates=self._rows.duplicates + self._check.duplicates,
            repairs=self._repairs,
            requests=requests,
            retries=retries,
            order_observed=order,
            warnings=self._limits.warnings,
            since=self._range.asked_since,
            until=self._range.asked_until(
                names_future=self._limits.limits.names_future
            ),
            slices=self._plan.begun,
            seams=self._rows.seams,
        )

    def note_clock(self, now: datetime | None) -> None:
        """Take it that a refusal tells the server's time, before any answer."""
        if now is not None and not self.has_answer:
            self._range.now = now

    def note_time(self, now: datetime) -> bool:
        """Take it that the first answer tells the server's time.

        Returns:
            Whether the walk begins anew, as the time that it began with would leave
            out the newest rows: its answer is not to be taken.
        """
        if self._range.answered is None:
            self._range.answered = now
        if self.has_answer or not self._range.correct(now):
            return False
        self._plan.start_over(high=self._range.high, now=ms_of(now))
        return True

    def learn(self, window: LogWindow, glance: Glance) -> None:
        """Plan the request after an answer, which may be taken much later."""
        self._pages.learn(window, glance)

    def names_until(self, window: LogWindow) -> bool:
        """Tell whether a request says up to when rows are wanted.

        It does not where that is ahead of the clock of a server that refuses it.
        """
        return self._limits.names_until(window.high)

    # What an answer adds, in list order.

    def accept_page(self, page: CursorPage[AuditEvent]) -> Sequence[AuditEvent]:
        """Take the answer of the first of `windows`; return the rows to hand out.

        Raises:
            UnorderedListError: Its rows are not in one order, or not in the server's.
            InconsistentLogError: It contradicts an answer before.
            BrokenCursorError: The server's cursor leads nowhere.
            UnprovenTiesError: A millisecond has rows that can't be proven.
        """
        window = self._plan.front()
        part = self._plan.slices[0]
        cursor = page.pagination.next_cursor
        self.learn(window, Glance.of([row.created_at for row in page.items], cursor))
        self.has_answer = True
        self._limits.was_answered()
        part.windows.popleft()
        if part.doomed:
            if not part.windows:
                part.begin_again(None)
            return ()
        items: Sequence[AuditEvent] = page.items
        if not self.names_until(window):
            items = [row for row in items if ms_of(row.created_at) <= window.high + 1]
        rows = self._check.checked(window, items)
        if window.fault is not None:
            raise BrokenCursorError(f"{window!r}: {window.fault}")
        match window.kind:
            case Kind.PROBE:
                is_all = cursor is None or self.newest_first is False
                self._take_probe(part, rows, is_all=is_all)
                return ()
            case Kind.ORDER:
                return self._take_order(part, window)
            case Kind.CHECK:
                return self._take_check(part, window, rows)
            case Kind.PAGE:
                return self._take_page(part, window, rows)

    def _take_page(
        self, part: Slice, window: LogWindow, rows: list[AuditEvent]
    ) -> Sequence[AuditEvent]:
        crowd = window.crowd
        if crowd is not None and crowd.edge is not None:
            crowd.rows += rows
            if len(crowd.rows) > _MOST_ROWS:
                raise UnprovenTiesError(
                    f"{window!r}: one millisecond has more than {_MOST_ROWS} rows"
                )
            return ()
        if not rows and not part.is_over:
            return ()
        return self._absorb_or_ask(part, window, rows)

    def _take_order(self, part: Slice, window: LogWindow) -> Sequence[AuditEvent]:
        """Hand out the first rows of a crowd, where they are all that is wanted."""
        crowd = window.crowd
        if crowd is None or crowd.cursor is None:
            raise AssertionError("the order is looked for in a crowd")
        if self.newest_first and self._rows.suffices(crowd.rows):
            return self._rows.hand_out(crowd.rows)
        part.next = self._plan.page_at(part, crowd.first, crowd.cursor)
        return ()

    def _take_check(
        self, part: Slice, window: LogWindow, rows: list[AuditEvent]
    ) -> Sequence[AuditEvent]:
        crowd = window.crowd
        if crowd is None or crowd.edge is None:
            raise AssertionError("only a crowd is checked")
        crowd.check_rows += split_at(rows, crowd.edge)[0]
        following = part.windows[0] if part.windows else part.next
        if following is not None and following.kind is Kind.CHECK:
            return ()
        if crowd.agrees:
            others = split_at(crowd.rows, crowd.edge)[1]
            rows = [*crowd.check_rows, *others]
            rows.sort(
                key=lambda row: row.created_at,
                reverse=self.newest_first is not False,
            )
            return self._absorb_or_ask(part, crowd.first, rows)
        if crowd.checks >= _MOST_CHECKS:
            raise UnprovenTiesError(
                f"the millisecond {instant_of(crowd.edge).isoformat()} has more rows"
                f" than fit into a page, and was read {1 + crowd.checks} times with"
                " other rows each time: the server's cursor passes rows by"
            )
        self._repairs += 1
        self._pages.begin_crowd_again(part, crowd)
        return ()

    def _take_probe(self, part: Slice, rows: list[AuditEvent], *, is_all: bool) -> None:
        """Take a look at an instant, and ask again for what did not show all of it.

        Args:
            part: The slice.
            rows: The rows of the probe.
            is_all: Whether it would have shown the missing rows if they were there.
        """
        redo = part.redo
        if redo is None:
            raise AssertionError("a probe is for a request that is sent again")
        shown = part.missing
        if is_all:
            shown &= {row.id for row in rows}
        part.gone |= part.missing - shown
        part.tries += 1
        if shown and part.tries > _MOST_TRIES:
            raise InconsistentLogError(
                f"{len(shown)} rows of {instant_of(redo.high).isoformat()} are shown by"
                " one request and not by another that asks for that instant, too"
            )
        part.redo = None
        part.begin_again(None if self.newest_first is False else redo)
        self._repairs += 1

    def _absorb_or_ask(
        self, part: Slice, window: LogWindow, rows: list[AuditEvent]
    ) -> Sequence[AuditEvent]:
        """Return what rows add; where others contradict them, ask for them again."""
        try:
            return self._rows.take(part, window, rows)
        except DisagreementError as found:
            part.redo = LogWindow(low=window.low, high=window.high, take=window.take)
            part.missing = found.missing
            probe = LogWindow(
                low=found.at,
                high=found.at + _PROBE_SPAN,
                take=self._plan.take,
                kind=Kind.PROBE,
            )
            part.begin_again(probe)
            return ()

    # What else may come of a request.

    def accept_missing(self) -> Sequence[AuditEvent]:
        """Take it that the cursor of the first of `windows` is not known any more."""
        if not self.cursor_died("the server knows its cursor no more (404)"):
            raise AssertionError("a request without a cursor has none to forget")
        return ()

    def cursor_died(self, reason: str) -> bool:
        """Take it that the server refused the cursor of the first of `windows`.

        Returns:
            Whether the walk goes on: not where that request had no cursor.

        Raises:
            BrokenCursorError: It did so again and again.
        """
        window = self._plan.front()
        part = self._plan.slices[0]
        crowd = window.crowd
        if window.cursor is None or crowd is None:
            return False
        crowd.deaths += 1
        if crowd.deaths > _MOST_DEATHS:
            raise BrokenCursorError(f"{window!r}: {reason}, {crowd.deaths} times")
        self._repairs += 1
        self._pages.begin_crowd_again(part, crowd)
        return True

    def retry_without_sort(self) -> bool:
        """Take it that the first of `windows` was a 400 or 422.

        Returns:
            Whether the walk goes on: it asks for less time, or for fewer rows.
        """
        if self.cursor_died("the server refuses its cursor (400)"):
            return True
        if self.has_answer:
            return False
        if not self._limits.weaken():
            return False
        self._apply_limits()
        self._plan.start_over(high=self._range.high, now=ms_of(self._range.now))
        return True

    def _apply_limits(self) -> None:
        self._plan.widest = self._limits.limits.widest
        self._plan.take = self._limits.take

    def accept_oversized(self) -> Sequence[AuditEvent] | None:
        """Take it that the answer of the first of `windows` was too large to be read.

        Returns:
            No rows, where fewer are asked for at a time; None where one alone is
            too large.
        """
        window = self._plan.front()
        part = self._plan.slices[0]
        if window.take <= _LEAST or window.kind is not Kind.PAGE or window.cursor:
            return None
        smaller = LogWindow(
            low=window.low,
            high=window.high,
            take=window.take // 2,
            page=window.page,
        )
        self._plan.take = min(self._plan.take, smaller.take)
        part.begin_again(smaller)
        return ()
