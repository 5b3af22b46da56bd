"""Windows of the account's log: one request each, and what its answer shows first."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Final

import attrs

from canopy_async._util.instants import moved
from canopy_async._walk import Window
from canopy_async.models import AuditEvent

__all__ = ["Crowd", "Glance", "Kind", "LogWindow", "instant_of", "ms_of"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


def ms_of(instant: datetime) -> int:
    """Return the millisecond that an instant lies in, counted from 1970."""
    return (instant - _EPOCH) // _MS


def instant_of(ms: int) -> datetime:
    """Return the first instant of a millisecond, within the calendar."""
    return moved(_EPOCH, ms * _MS)


class Kind(Enum):
    """The purpose of a request."""

    PAGE = auto()
    """Rows to hand out."""
    CHECK = auto()
    """A second reading of one crowded millisecond, with other page edges."""
    ORDER = auto()
    """A look for rows before those of a page that does not tell the order."""
    PROBE = auto()
    """A look whether rows that a request did not show any more are still there."""


class LogWindow(Window):
    """One request: the rows of some milliseconds, or what follows a cursor.

    Attributes:
        low: The first millisecond that is asked for.
        high: The last millisecond whose rows are wanted. The request asks for one
            more, so that rows with finer instants than the server prints are in it.
        cursor: The server's cursor of the page before, None for a first page.
        kind: What the request is for.
        crowd: The crowded millisecond that it reads, None where it reads none.
        learnt: Whether the answer was looked at to ask for the page after it.
        rows: How many rows that answer has.
        fault: Why the page after it can't be asked for.
    """

    __slots__ = ("crowd", "cursor", "fault", "high", "kind", "learnt", "low", "rows")

    def __init__(
        self,
        *,
        low: int,
        high: int,
        take: int,
        page: int = 1,
        cursor: str | None = None,
        kind: Kind = Kind.PAGE,
        crowd: "Crowd | None" = None,
    ) -> None:
        super().__init__(page, take)
        self.low: Final = low
        self.high: Final = high
        self.cursor: Final = cursor
        self.kind: Final = kind
        self.crowd = crowd
        self.learnt = False
        self.rows = 0
        self.fault: str | None = None

    def __repr__(self) -> str:
        """Show what is asked for."""
        after = "" if self.cursor is None else ", after a cursor"
        return (
            f"LogWindow({self.since.isoformat()} to {self.until.isoformat()},"
            f" {self.take} rows{after})"
        )

    @property
    def since(self) -> datetime:
        """The ``from`` of the request."""
        return instant_of(self.low)

    @property
    def until(self) -> datetime:
        """The ``to`` of the request."""
        return instant_of(self.high + 1)


@attrs.define(eq=False)
class Crowd:
    """Rows of one millisecond that don't fit into a page: the cursor leads through.

    The server's cursor may be coarser than its rows, and pass some of them by. So the
    millisecond is read again with other page edges, and must show the rows of before.

    Attributes:
        first: The request that began it.
        edge: The millisecond, None before there was a row.
        cursors: The cursors that were sent.
        empty: Empty pages in a row.
        on_first: Its rows on the first page that has some.
        rows: What was read of it, and of what follows in its last page.
        after: The request that comes next once it is checked, None at the end.
        checks: How often it was begun to be read again.
        cursor: The cursor that is followed once the order is known.
        check_cursors: The cursors that were sent for the check.
        check_rows: Its rows that the check has shown.
        deaths: How often its cursor was refused.
    """

    first: LogWindow
    edge: int | None
    cursors: set[str] = attrs.field(factory=set[str])
    empty: int = 0
    on_first: int = 0
    rows: list[AuditEvent] = attrs.field(factory=list[AuditEvent])
    after: LogWindow | None = None
    checks: int = 0
    cursor: str | None = None
    check_cursors: set[str] = attrs.field(factory=set[str])
    check_rows: list[AuditEvent] = attrs.field(factory=list[AuditEvent])
    deaths: int = 0

    @property
    def ends_earlier(self) -> bool:
        """Whether the first page of the check can end earlier than the one before."""
        return self.on_first > self.checks

    @property
    def agrees(self) -> bool:
        """Whether the check shows the rows of before.

        More of them are rows that came meanwhile, where its page edges are earlier.
        """
        seen = {row.id for row in self.rows if ms_of(row.created_at) == self.edge}
        shown = {row.id for row in self.check_rows}
        return seen <= shown if self.ends_earlier else seen == shown


@attrs.frozen
class Glance:
    """The facts of an answer on which the next page depends.

    Attributes:
        count: How many rows the answer has.
        first: The instant of its first row.
        last: The instant of its last row.
        with_last: Its rows in the millisecond of the last one.
        cursor: Where the server says that its list goes on, None at the end.
    """

    count: int
    first: datetime | None
    last: datetime | None
    with_last: int
    cursor: str | None

    @classmethod
    def of(cls, instants: Sequence[datetime], cursor: str | None) -> "Glance":
        """Return the glance at a page whose rows have these instants, in its order."""
        if not instants:
            return cls(0, None, None, 0, cursor)
        last, with_last = ms_of(instants[-1]), 0
        for instant in reversed(instants):
            if ms_of(instant) != last:
                break
            with_last += 1
        return cls(len(instants), instants[0], instants[-1], with_last, cursor)

    def ends(self, window: LogWindow) -> bool:
        """Tell whether the server says that nothing comes after this answer.

        It does without a cursor, and with an empty page whose cursor is the one that
        was sent.
        """
        if self.cursor is None:
            return True
        return self.count == 0 and self.cursor == window.cursor
