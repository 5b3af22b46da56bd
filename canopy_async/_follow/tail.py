"""One read of a poll: an overlap chain, and the `Tail` that watches its pages."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import attrs

from canopy_async._api.requests import MAX_TAKE
from canopy_async._read.audit_log import AuditLog
from canopy_async._read.reader import PageReader
from canopy_async._transport.lanes import Lanes
from canopy_async._util.arguments import Order
from canopy_async._walk import OverlapChain, Span
from canopy_async.errors import (
    IncompleteReadError,
    RequestBudgetError,
    UnprovenTiesError,
)
from canopy_async.models import AuditEvent, Page

__all__ = ["Tail", "open_tail"]


class Tail:
    """Notes how far back the read of a poll came, and which events it saw.

    Args:
        floor: The earliest instant that is wanted.
        keeps: Whether the events from ``floor`` on are kept in `seen`.
    """

    def __init__(self, *, floor: datetime | None, keeps: bool) -> None:
        self._floor: Final = floor
        self._keeps: Final = keeps
        self.seen: Final[dict[str, AuditEvent]] = {}
        """The events from ``floor`` on, by id, when reading newest first."""
        self.passed = False
        """Whether the list held an event older than ``floor``."""
        self.ended = False
        """Whether a page was empty, or said that no page comes after it."""
        self.oldest_first_row: datetime | None = None
        """The date of the first row of page 1, when page 1 was read last."""

    def see(self, page: Page[AuditEvent]) -> None:
        """Look at a page before the walk takes it."""
        if page.items and page.pagination.page == 1:
            self.oldest_first_row = page.items[0].created_at
        if not (page.items and page.pagination.has_next_page):
            self.ended = True
        self._note(page.items)

    def _note(self, rows: Sequence[AuditEvent]) -> None:
        floor = self._floor
        if floor is not None:
            wanted = [row for row in rows if row.created_at >= floor]
            self.passed = self.passed or len(wanted) < len(rows)
            rows = wanted
        if self._keeps:
            self.seen.update((row.id, row) for row in rows)

    def suffices(self, error: IncompleteReadError, rows: Sequence[AuditEvent]) -> bool:
        """Tell whether a poll may hand out what was seen, although it is not proven.

        It may if the proof failed because of tied events. It also may if the server
        counts events that it does not send, the list has ended, and all events that
        were seen are among the rows.

        Args:
            error: The error with which the read has ended.
            rows: The rows that the read has handed out.
        """
        if isinstance(error, RequestBudgetError):
            return self.ended and self.seen.keys() <= {row.id for row in rows}
        return isinstance(error, UnprovenTiesError)


def open_tail(
    log: AuditLog,
    order: Order,
    *,
    floor: datetime | None,
    take: int,
    concurrency: int | None = None,
    lanes: Lanes | None = None,
) -> tuple[Tail, PageReader[AuditEvent]]:
    """Return the `Tail` of a pass over a log, and the pass.

    Args:
        log: The log of an identity.
        order: ``asc`` or ``desc``.
        floor: The earliest instant that is wanted.
        take: Rows per page at most.
        concurrency: Requests in flight at most, None for the session's own limit.
        lanes: The round in which the pass takes its turns, None for the session's own.
    """
    tail = Tail(floor=floor, keeps=order == "desc")
    walk: OverlapChain[AuditEvent] = OverlapChain(
        take=take,
        max_take=MAX_TAKE,
        order=order,
        span=Span(since=floor),
        on_page=tail.see,
    )
    options = attrs.evolve(
        log.options, take=take, concurrency=concurrency or log.options.concurrency
    )
    query = attrs.evolve(log.query, order=order, since=floor)
    stream = attrs.evolve(log, query=query, options=options).stream()
    return tail, stream.reader(lanes, walk)
