"""`AccountWalk`: the log of an account, read by time, and what is proven of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from canopy_async._account.log_seam import DisagreementError, join, split_at
from canopy_async._account.log_slice import Slice
from canopy_async._account.log_window import (
    Crowd,
    Glance,
    Kind,
    LogWindow,
    instant_of,
    ms_of,
)
from canopy_async._account.slice_plan import WIDE, SlicePlan
from canopy_async._util.instants import moved
from canopy_async.checkpoint import Checkpoint
from canopy_async.errors import (
    BrokenCursorError,
    InconsistentLogError,
    UnorderedListError,
    UnprovenTiesError,
)
from canopy_async.models import AuditEvent, CursorPage
from canopy_async.report import AccountReport, Proof

__all__ = ["AccountWalk"]

_LEAST: Final = 2
"""Rows of a page that can be cut: of one row nothing would be shared with the next."""

_EARLIEST: Final = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
"""An instant before any log."""

_AHEAD: Final = 86_400_000
"""How far ahead of now a read looks that has no ``until``, in milliseconds."""

_SAFE_TAKE: Final = 50
"""Rows per page where nothing is said, so that no server refuses it."""

_MOST_EMPTY: Final = 8
_MOST_TRIES: Final = 2
_MOST_CHECKS: Final = 3
_MOST_DEATHS: Final = 3
_MOST_ROWS: Final = 100_000
"""Rows of one millisecond at most that can be proven."""

_FEW: Final = 20
"""Rows of a page at least, as a few alone may not tell the order."""

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
    ) -> None:
        self._since: Final = since
        self._until: Final = until
        self._resume: Final = None if resume is None or resume.key is None else resume
        self._limit: Final = limit
        low = ms_of(_EARLIEST if since is None else since)
        high = ms_of(now) + _AHEAD
        if until is not None:
            high = ms_of(moved(until, -timedelta.resolution))
        if self._resume is not None and self._resume.key is not None:
            high = min(high, ms_of(self._resume.key))
        self._now = now
        self._low: Final = low
        self._high = max(low, high)
        rows = take if limit is None else min(take, max(_FEW, limit))
        self._plan: Final = SlicePlan(
            low=self._low,
            high=self._high,
            now=ms_of(now),
            concurrency=concurrency,
            take=rows,
        )
        self._known: list[AuditEvent] = []
        self._latest: dict[str, AuditEvent] = {}
        self._delivered = self._duplicates = self._seams = self._repairs = 0
        self.has_answer = False
        self._fallbacks: list[tuple[int | None, int]] | None = None
        self._warnings: dict[str, None] = {}
        self._done = limit == 0

    # What a run asks of a walk.

    @property
    def windows(self) -> Sequence[LogWindow]:
        """The requests whose answers are still wanted, in the order of taking."""
        return self._plan.windows

    @property
    def done(self) -> bool:
        """Whether nothing more is wanted."""
        return self._done

    @property
    def total(self) -> int | None:
        """Never a number: the server does not count this log."""
        return None

    @property
    def position(self) -> int:
        """How many rows were handed out."""
        return self._delivered

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
        if self._done:
            return None
        enough = None
        if self._limit is not None:
            enough = self._limit - self._delivered
            for window in self._plan.windows:
                if not window.learnt:
                    break
                enough -= window.rows
        return self._plan.next(enough=enough)

    def report(self, *, requests: int = 0, retries: int = 0) -> AccountReport:
        """Return what was read so far, and what it proves."""
        order = {None: None, True: "desc", False: "asc"}[self.newest_first]
        return AccountReport(
            complete=self._done,
            proof=Proof.CURSOR,
            delivered=self._delivered,
            duplicates=self._duplicates,
            repairs=self._repairs,
            requests=requests,
            retries=retries,
            order_observed=order,
            warnings=tuple(self._warnings),
            since=instant_of(self._low) if self._since is None else self._since,
            until=instant_of(self._high) if self._until is None else self._until,
            slices=self._plan.begun,
            seams=self._seams,
        )

    def note_time(self, now: datetime) -> bool:
        """Take it that the first answer tells the server's time.

        Returns:
            Whether the walk begins anew, as the time that it began with would leave
            out the newest rows: its answer is not to be taken.
        """
        is_open = self._until is None and self._resume is None
        late_by = ms_of(now) - ms_of(self._now)
        if not is_open or self.has_answer or late_by < _AHEAD // 2:
            return False
        self._now = now
        self._high = ms_of(now) + _AHEAD
        self._plan.start_over(high=self._high, now=ms_of(now))
        return True

    # What an answer leads to, in the order of arrival.

    def learn(self, window: LogWindow, glance: Glance) -> None:
        """Plan the request after an answer, which may be taken much later."""
        if window.learnt:
            return
        part = self._part_of(window)
        if part is None:
            return
        window.learnt, window.rows = True, glance.count
        if window.kind is Kind.PROBE:
            return
        if window.kind is Kind.ORDER:
            # Rows that are older, and did not come first: the newest ones do.
            self._plan.newest_first = True if glance.count else None
            return
        if window.kind is Kind.CHECK:
            self._learn_check(part, window, glance)
            return
        self._learn_order(glance)
        self._plan.learn(part, window, glance)
        if not part.doomed:
            self._learn_page(part, window, glance)

    def _part_of(self, window: LogWindow) -> Slice | None:
        for part in self._plan.slices:
            if part.windows and part.windows[-1] is window:
                return part
        return None

    def _learn_order(self, glance: Glance) -> None:
        if self._plan.newest_first is not None:
            return
        if glance.first is None or glance.last is None or glance.first == glance.last:
            return
        self._plan.newest_first = glance.first > glance.last

    def _learn_page(self, part: Slice, window: LogWindow, glance: Glance) -> None:
        if glance.ends(window):
            self._go_on(part, window.crowd, None)
            return
        last = None if glance.last is None else ms_of(glance.last)
        if last is None or not self._has_moved(window, last):
            self._follow(part, window, glance, last)
        elif self._is_beyond(part, last):
            # What is below belongs to the slice after it, which was cut off.
            self._go_on(part, window.crowd, None)
        else:
            after = self._plan.page_after(part, window, last)
            self._go_on(part, window.crowd, after)

    def _go_on(self, part: Slice, crowd: Crowd | None, after: LogWindow | None) -> None:
        """Ask for what comes after a page; first check a crowd that it ends."""
        if crowd is not None and crowd.edge is not None:
            crowd.after = after
            self._check(part, crowd)
            return
        part.next, part.ended = after, after is None

    def _is_beyond(self, part: Slice, last: int) -> bool:
        if not self._plan.newest_first or self._plan.is_last(part):
            return False
        return last <= part.low

    def _has_moved(self, window: LogWindow, last: int) -> bool:
        """Tell whether an answer ends at another millisecond than it began with."""
        newest_first, crowd = self._plan.newest_first, window.crowd
        if newest_first is None:
            return False
        edge = window.high if newest_first else window.low
        if crowd is not None and crowd.edge is not None:
            edge = crowd.edge
        return last < edge if newest_first else last > edge

    def _follow(
        self, part: Slice, window: LogWindow, glance: Glance, last: int | None
    ) -> None:
        """Ask for what the cursor of an answer leads to, in the place of a time."""
        crowd = window.crowd
        if crowd is None:
            crowd = window.crowd = Crowd(window, None)
        if crowd.edge is None:
            crowd.edge, crowd.on_first = last, glance.with_last
        cursor = self._usable(window, glance, crowd, crowd.cursors)
        if cursor is None:
            return
        is_first = window.cursor is None and last is not None
        if is_first and self._limit is not None and self.newest_first is None:
            part.next = self._look_for_order(part, crowd, cursor)
            return
        part.next = self._plan.page_at(part, window, cursor)

    def _look_for_order(
        self, part: Slice, crowd: Crowd, cursor: str
    ) -> LogWindow | None:
        """Return a request that tells whether a crowd comes first as it is the newest.

        Where a few of the newest rows are wanted, all of the crowd need not be read.
        """
        if crowd.edge is None or crowd.edge - 2 < part.low:
            return self._plan.page_at(part, crowd.first, cursor)
        crowd.cursor = cursor
        return LogWindow(
            low=part.low,
            high=crowd.edge - 2,
            take=_FEW,
            kind=Kind.ORDER,
            crowd=crowd,
        )

    def _usable(
        self, window: LogWindow, glance: Glance, crowd: Crowd, used: set[str]
    ) -> str | None:
        """Return the cursor of an answer, None where it leads nowhere."""
        cursor = glance.cursor
        crowd.empty = 0 if glance.count else crowd.empty + 1
        if cursor is None or cursor in used:
            window.fault = "the server sent a cursor that was followed before"
        elif crowd.empty > _MOST_EMPTY:
            window.fault = (
                f"the server sent {crowd.empty} empty pages in a row, each with another"
                " cursor"
            )
        else:
            used.add(cursor)
            return cursor
        return None

    def _check(self, part: Slice, crowd: Crowd) -> None:
        """Read a crowded millisecond again, with other page edges.

        A cursor that is coarser than the rows passes by what follows the first page
        edge in it. A page that ends earlier then shows fewer rows of it; where that
        can't be, a page that is as large as may be shows more.
        """
        if crowd.edge is None:
            raise AssertionError("a crowd that is checked has rows")
        crowd.checks += 1
        crowd.check_cursors, crowd.check_rows = set(), []
        part.next = LogWindow(
            low=crowd.edge,
            high=crowd.edge,
            take=crowd.on_first - crowd.checks
            if crowd.ends_earlier
            else self._plan.take,
            kind=Kind.CHECK,
            crowd=crowd,
        )

    def _learn_check(self, part: Slice, window: LogWindow, glance: Glance) -> None:
        crowd = window.crowd
        if crowd is None:
            raise AssertionError("only a crowd is checked")
        if glance.ends(window):
            part.next, part.ended = crowd.after, crowd.after is None
            return
        cursor = self._usable(window, glance, crowd, crowd.check_cursors)
        if cursor is not None:
            part.next = LogWindow(
                low=window.low,
                high=window.high,
                take=window.take,
                page=window.page + 1,
                cursor=cursor,
                kind=Kind.CHECK,
                crowd=crowd,
            )

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
        part.windows.popleft()
        if part.doomed:
            if not part.windows:
                part.begin_again(None)
            return ()
        rows = self._checked(window, page.items)
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
        if crowd is None or crowd.cursor is None or self._limit is None:
            raise AssertionError("the order is looked for in a crowd")
        wanted = sum(map(self._wants, crowd.rows))
        if self.newest_first and wanted >= self._limit - self._delivered:
            return self._handed_out(crowd.rows)
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
        self._begin_crowd_again(part, crowd)
        return ()

    def _begin_crowd_again(self, part: Slice, crowd: Crowd) -> None:
        """Read a crowd and its check anew: some rows may have come meanwhile."""
        first = crowd.first
        again = LogWindow(
            low=first.low, high=first.high, take=first.take, page=first.page
        )
        again.crowd = Crowd(again, None, checks=crowd.checks, deaths=crowd.deaths)
        part.begin_again(again)

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
            if self._plan.newest_first is False:
                return self._absorb_oldest_first(part, window, rows)
            return self._absorb(part, window.high, rows, is_over=part.is_over)
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

    def _absorb_oldest_first(
        self, part: Slice, window: LogWindow, rows: list[AuditEvent]
    ) -> Sequence[AuditEvent]:
        """Keep rows until all of the slice is there, and turn them round then."""
        within = [row for row in rows if ms_of(row.created_at) <= part.high]
        self._duplicates += len(rows) - len(within)
        joined = join(
            part.edge_rows,
            within,
            at=window.low,
            gone=part.gone,
            newest_first=False,
        )
        self._note_seam(part.edge_rows)
        if not part.is_over:
            edge = ms_of(rows[-1].created_at)
            part.edge_rows, others = split_at(joined, edge)
            part.rows += others
            return ()
        part.rows += joined
        part.rows.reverse()
        return self._absorb(part, part.high, part.rows, is_over=True)

    def _absorb(
        self, part: Slice, high: int, rows: list[AuditEvent], *, is_over: bool
    ) -> Sequence[AuditEvent]:
        """Return the rows, newest first, without those that are to be seen again."""
        within = [row for row in rows if ms_of(row.created_at) <= high]
        joined = join(self._known, within, at=high, gone=part.gone, newest_first=True)
        self._duplicates += len(rows) - len(within)
        self._note_seam(self._known)
        part.tries, part.gone = 0, frozenset()
        is_last = is_over and self._plan.is_last(part)
        self._known = []
        if joined and not is_last:
            edge = part.low if is_over else ms_of(joined[-1].created_at)
            joined = [row for row in joined if ms_of(row.created_at) >= edge]
            self._known, joined = split_at(joined, edge)
        if is_over:
            self._plan.slices.popleft()
        self._done = is_last
        return self._handed_out(joined)

    def _note_seam(self, known: Sequence[AuditEvent]) -> None:
        self._seams += bool(known)
        self._duplicates += len(known)

    def _handed_out(self, rows: list[AuditEvent]) -> Sequence[AuditEvent]:
        wanted = [row for row in rows if self._wants(row)]
        if self._limit is not None:
            left = self._limit - self._delivered
            if len(wanted) < left and self._plan.newest_first:
                known = [row for row in self._known if self._wants(row)]
                if len(wanted) + len(known) >= left:
                    wanted += known
            wanted = wanted[:left]
            self._done = self._done or len(wanted) == left
        self._delivered += len(wanted)
        if self._done:
            self._plan.slices.clear()
        return wanted

    def _wants(self, row: AuditEvent) -> bool:
        key = row.created_at
        if self._since is not None and key < self._since:
            return False
        if self._until is not None and key >= self._until:
            return False
        resume = self._resume
        if resume is None or resume.key is None:
            return True
        return key < resume.key or (key == resume.key and row.id not in resume.ids)

    def _checked(
        self, window: LogWindow, items: Sequence[AuditEvent]
    ) -> list[AuditEvent]:
        """Return the rows of an answer, each once.

        Raises:
            UnorderedListError: They are not in the server's order.
            InconsistentLogError: One is outside of what was asked for, or came before
                with other contents.
        """
        self._check_order(window, items)
        rows: dict[str, AuditEvent] = {}
        for row in items:
            if not window.low <= ms_of(row.created_at) <= window.high + 1:
                raise InconsistentLogError(
                    f"{window!r}: the row {row.id!r} of {row.created_at.isoformat()} is"
                    " outside of that time"
                )
            before = rows.get(row.id) or self._latest.get(row.id)
            if before is not None and before != row:
                raise InconsistentLogError(
                    f"{window!r}: the row {row.id!r} came twice, with other contents"
                )
            self._duplicates += row.id in rows
            rows[row.id] = row
        self._latest = rows
        return list(rows.values())

    def _check_order(self, window: LogWindow, items: Sequence[AuditEvent]) -> None:
        newest_first = self._plan.newest_first
        for row, other in pairwise(items):
            if row.created_at == other.created_at:
                continue
            if newest_first is not (row.created_at > other.created_at):
                raise UnorderedListError(
                    f"{window!r}: the rows {row.id!r} and {other.id!r} are not in the"
                    " order of the rows before"
                )

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
        self._begin_crowd_again(part, crowd)
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
        if self._fallbacks is None:
            self._fallbacks = self._weaker_requests()
        if not self._fallbacks:
            return False
        widest, take = self._fallbacks.pop(0)
        self._plan.widest, self._plan.take = widest, take
        self._warnings = {}
        if widest is not None:
            self._warn("the server refuses to be asked for more than 30 days at a time")
        if take == _SAFE_TAKE:
            self._warn(f"the server refuses pages of more than {_SAFE_TAKE} rows")
        self._plan.start_over(high=self._high, now=ms_of(self._now))
        return True

    def _weaker_requests(self) -> list[tuple[int | None, int]]:
        take = self._plan.take
        takes = [take] if take <= _SAFE_TAKE else [take, _SAFE_TAKE]
        is_wide = self._high + 1 - self._low > WIDE
        spans = [None, WIDE - 1] if is_wide else [None]
        return [(span, rows) for rows in takes for span in spans][1:]

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

    def _warn(self, sentence: str) -> None:
        self._warnings[sentence] = None
