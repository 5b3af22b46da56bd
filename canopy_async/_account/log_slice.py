"""Slices: parts of the time that is read, each a sequence of requests of its own."""

from collections import deque

import attrs

from canopy_async._account.log_window import LogWindow
from canopy_async.models import AuditEvent

__all__ = ["Slice"]


@attrs.define(eq=False)
class Slice:
    """Some milliseconds of the log.

    It shares its first millisecond with the slice after it in the list, and its last
    one with the slice before: both read these rows.

    Attributes:
        low: Its first millisecond.
        high: Its last millisecond.
        width: Milliseconds that its first request may span at most, None for any.
        above: The slice before it in the list, until this one is begun.
        windows: What was asked for and not taken yet.
        next: What is to be asked for next.
        started: Whether something was asked for.
        ended: Whether nothing comes after the last of ``windows``.
        doomed: Whether what was read is to be dropped, and read in narrower slices.
        is_empty: Whether the server had no row for it.
        pages: Requests for pages so far.
        rows: What was read of a server that sends the oldest rows first.
        edge_rows: Rows of the last millisecond of the page before, of such a server.
        redo: A request to be sent again, as its answer contradicts another one.
        missing: The rows that it did not show.
        gone: Rows that are known to have been deleted meanwhile.
        tries: How often such an answer was asked for again.
        newer: Pages in a row that showed nothing but what came since the read began.
    """

    low: int
    high: int
    width: int | None = None
    above: "Slice | None" = None
    windows: deque[LogWindow] = attrs.field(factory=deque[LogWindow])
    next: LogWindow | None = None
    started: bool = False
    ended: bool = False
    doomed: bool = False
    is_empty: bool = False
    pages: int = 0
    rows: list[AuditEvent] = attrs.field(factory=list[AuditEvent])
    edge_rows: list[AuditEvent] = attrs.field(factory=list[AuditEvent])
    redo: LogWindow | None = None
    missing: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    tries: int = 0
    newer: int = 0

    @property
    def is_active(self) -> bool:
        """Whether more is to be asked for, or waited for."""
        return self.started and not self.ended

    @property
    def is_over(self) -> bool:
        """Whether all of it was taken."""
        return self.ended and not self.windows

    def send(self) -> LogWindow:
        """Return the next request, as one that is under way."""
        window = self.next
        if window is None:
            raise AssertionError("there is nothing to ask for")
        self.next = None
        self.windows.append(window)
        return window

    def begin_again(self, window: LogWindow | None) -> None:
        """Drop what is under way, and go on with another request.

        Args:
            window: The request; None for a slice that is to be cut anew.
        """
        self.windows.clear()
        self.next = window
        self.ended = self.doomed = False
        if window is None:
            self.started = self.is_empty = False
            self.pages = 0
            self.rows, self.edge_rows = [], []
