"""`AccountReader` and `AccountRun`: one pass over the log of an account."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, cast

from canopy_async._account.account_query import FILTERS
from canopy_async._account.account_walk import AccountWalk
from canopy_async._account.log_window import Glance, LogWindow
from canopy_async._api.log_requests import LogQuery
from canopy_async._api.log_responses import ends_of
from canopy_async._api.requests import Endpoint, Query
from canopy_async._api.responses import Response
from canopy_async._api.retry_after import date_of
from canopy_async._read.readahead import Outcome
from canopy_async._read.reader import PageReader
from canopy_async._read.run import Run
from canopy_async._transport.lanes import Lane, PageRequest
from canopy_async._transport.server_clock import check_is_over
from canopy_async._util.public import publish
from canopy_async._walk import Span, Window
from canopy_async.errors import (
    ApiError,
    BadRequestError,
    CanopyError,
    ForbiddenError,
    NotFoundError,
)
from canopy_async.models import AuditEvent, Page
from canopy_async.report import AccountReport

__all__ = ["AccountReader", "AccountRun", "advise"]

_DEAD: Final = frozenset((400, 404, 410, 422))
"""The statuses with which a server may refuse a cursor that has expired."""

_ADVICE: Final = (
    "; this account, or this token, may have no log of the whole account: read the logs"
    " of its identities, with events() or fan_out()"
)


class AccountReader(PageReader[AuditEvent]):
    """One pass over the log of an account, a page at a time, steered by a walk by time.

    Args:
        endpoint: Where the log is.
        filters: What is asked beside the time.
        walk: The walk.
        lane: Sends the requests.
        span: The part of the log that is read.
        scope: Returns the hash of the read.
        concurrency: Requests in flight at most.
        checks_until: Whether a time that is not over is refused.
        server_time: Returns what time it is by the server's clock.
    """

    def __init__(
        self,
        *,
        endpoint: Endpoint[AuditEvent],
        filters: str,
        walk: AccountWalk,
        lane: Lane,
        span: Span,
        scope: Callable[[], str],
        concurrency: int,
        checks_until: bool,
        server_time: Callable[[], datetime | None],
    ) -> None:
        super().__init__(
            endpoint=endpoint,
            query=Query(),
            walk=cast("Any", walk),
            lane=lane,
            span=span,
            scope=scope,
            concurrency=concurrency,
        )
        self._filters: Final = filters
        self._by_time: Final = walk
        self._server_time: Final = server_time
        if not checks_until:
            self._unchecked_until = None

    @property
    def report(self) -> AccountReport:
        """The report on this pass so far: what was read, and what can be proven."""
        return cast("AccountReport", super().report)

    def _refill(self) -> None:
        """Learn from the answers that came what is to be asked for next."""
        if self._by_time.has_answer:  # the first one tells the time before that
            for window in self._by_time.windows:
                if not window.learnt:
                    self._learn(window)
        self._plans_more = True
        super()._refill()

    def _learn(self, window: LogWindow) -> None:
        answer = self._ahead.answer_of(window)
        if answer is None:
            return
        ends = ends_of(answer.body)
        if ends is not None:
            self._by_time.learn(window, Glance.of(*ends))

    def _ask_for_next(self) -> Window:
        window = self._by_time.front()
        if window not in self._ahead:
            self._start(window, urgent=True)
        return window

    def _request_for(self, window: Window, *, urgent: bool) -> PageRequest:
        if not isinstance(window, LogWindow):
            raise TypeError("a window of the account's log is wanted")
        return PageRequest(
            endpoint=self._endpoint,
            query=LogQuery(
                window.since,
                window.until if self._by_time.names_until(window) else None,
                window.cursor,
                self._filters,
            ),
            page=window.page,
            take=window.take,
            urgent=urgent,
            on_sent=self._ahead.sent,
        )

    def _note_page(self, window: Window, page: Page[AuditEvent]) -> None:
        self._tell_received(window, page, None)

    def _absorb(self, window: Window, outcome: Outcome) -> Sequence[AuditEvent]:
        if isinstance(outcome, BadRequestError):
            self._note_refusal(outcome)
        if isinstance(outcome, ApiError) and isinstance(window, LogWindow):
            is_dead = window.cursor is not None and outcome.status in _DEAD
            if is_dead and self._by_time.cursor_died(
                f"the server refuses its own cursor ({outcome.status})"
            ):
                self._plans_more = True
                self._ahead.failing = False
                return ()
            advise(outcome)
            if isinstance(outcome, NotFoundError):
                raise outcome
        if isinstance(outcome, Response):
            date = date_of(outcome.headers)
            if date is not None and self._by_time.note_time(date):
                self._plans_more = True
                return ()
        return super()._absorb(window, outcome)

    def _note_refusal(self, error: BadRequestError) -> None:
        """Learn the time from a refusal, and raise where it asks for nothing weaker.

        Raises:
            FutureRangeError: What is wanted is not over yet.
            BadRequestError: The server names a filter as what is wrong.
        """
        now = self._server_time()
        until = self._unchecked_until
        if until is not None and now is not None:
            check_is_over(until, now)
        self._by_time.note_clock(now)
        if error.details and all(map(_names_filter, error.details)):
            raise error


def _names_filter(detail: str) -> bool:
    """Tell whether a detail of a refusal begins with the name of a filter."""
    return detail.partition(" ")[0] in FILTERS


class AccountRun(Run[AuditEvent]):
    """One pass over the log of an account: an async iterator that can be watched.

    Example:
        >>> async with canopy.account_events(limit=20).open() as run:
        ...     async for event in run:
        ...         print(event.created_at, event.action)
        ...     print(run.report)
    """

    @property
    def report(self) -> AccountReport:
        """The rows read so far, and what this pass can prove of them."""
        return cast("AccountReport", super().report)


def advise(error: CanopyError) -> None:
    """Add to a 403 or 404 of the account's log what can be read instead."""
    if not isinstance(error, (ForbiddenError, NotFoundError)):
        return
    if not error.message.endswith(_ADVICE):
        error.message += _ADVICE


publish("canopy_async", AccountRun)
