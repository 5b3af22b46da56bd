"""The plan of slices: how wide each is, and which request comes next."""

from collections import deque
from math import sqrt
from typing import Final

from canopy_async._account.log_limits import WIDE
from canopy_async._account.log_slice import Slice
from canopy_async._account.log_window import Glance, LogWindow, ms_of

__all__ = ["SlicePlan"]

_PAGES: Final = 4
"""Pages that a slice is to have, about."""

_SPARE: Final = 0.4
"""The share of the last page that is left empty, so that few slices need one more."""

_MOST_PAGES: Final = 16
"""Pages that a slice has at most where its rows come oldest first and are held."""

_NARROWER: Final = 4


class SlicePlan:
    """The slices of a read, in list order: the newest first.

    What lies below the last of them is not cut yet. A slice is cut off there when
    there is room for one, as wide as the density of the rows seen last suggests. The
    more slices had rows, the more are read at a time: where the log began is not
    known, and each request below that place is one too many.

    Args:
        low: The first millisecond that is wanted.
        high: The last millisecond that is wanted.
        now: About which millisecond it is: there are few rows after it.
        concurrency: Slices that are read at a time at most.
        take: Rows per page.

    Attributes:
        take: Rows per page.
        widest: Milliseconds that a request may span, None for any number.
        newest_first: Whether the server sends the newest rows first, None where
            that is unknown.
        begun: Slices that were begun so far.
    """

    def __init__(
        self, *, low: int, high: int, now: int, concurrency: int, take: int
    ) -> None:
        self.take = take
        self.widest: int | None = None
        self.newest_first: bool | None = None
        self.begun = 0
        self._now = now
        self._concurrency: Final = concurrency
        self._slices: Final = deque([Slice(low=low, high=high)])
        self._with_rows = 0
        self._per_ms: float | None = None

    @property
    def slices(self) -> deque[Slice]:
        """The slices that were not taken as a whole, the newest first."""
        return self._slices

    @property
    def windows(self) -> list[LogWindow]:
        """The windows that were asked for and not taken yet, in the order of taking."""
        return [window for part in self._slices for window in part.windows]

    def start_over(self, *, high: int, now: int) -> None:
        """Begin anew with one slice, before any row was handed out."""
        low = self._slices[-1].low
        self._slices.clear()
        self._slices.append(Slice(low=low, high=high))
        self._now, self._per_ms = now, None
        self._with_rows = self.begun = 0
        self.newest_first = None

    def is_last(self, part: Slice) -> bool:
        """Tell whether a slice has none after it."""
        return part is self._slices[-1]

    def front(self) -> LogWindow:
        """Return the request whose answer is taken next."""
        part = self._slices[0]
        if part.windows:
            return part.windows[0]
        return part.send() if part.next is not None else self._begin(part)

    def next(self, *, enough: int | None) -> LogWindow | None:
        """Return one more request, None where none is to be sent for now.

        Args:
            enough: How many rows are wanted beside those that came, None for all.
        """
        if enough is not None and enough <= 0:
            return None
        for part in self._slices:
            if part.next is not None:
                return part.send()
        active = sum(part.is_active for part in self._slices)
        if active >= min(self._concurrency, 1 + self._with_rows):
            return None
        if enough is not None and self._expected() >= enough:
            return None
        for part in self._slices:
            if not part.started:
                return self._begin(part)
        return None

    def _expected(self) -> float:
        if self._per_ms is None:
            return 0.0
        spans = (part.high - part.low + 1 for part in self._slices if part.started)
        return self._per_ms * sum(spans)

    def _begin(self, part: Slice) -> LogWindow:
        """Cut a slice to its width, and return its first request."""
        width = self._width_of(part)
        low = part.low if width is None else self._low_of(part, width)
        if low > part.low:
            self._cut(part, low)
        part.started, part.above, part.width = True, None, width
        part.next = LogWindow(low=part.low, high=part.high, take=self.take)
        part.pages = 1
        self.begun += 1
        return part.send()

    def _low_of(self, part: Slice, width: int) -> int:
        top = part.high
        if not self.newest_first and part.low < self._now < part.high:
            top = self._now
        low = max(part.low, min(top - width, part.high - 1))
        return low if self.widest is None else max(low, part.high - self.widest)

    def _width_of(self, part: Slice) -> int | None:
        above = part.above
        width: int | None = None
        if self._per_ms is not None and self.newest_first is not None:
            width = self._usual_width()
            if part.width is not None:
                width = min(width, part.width)
            elif above is not None and above.ended and above.is_empty:
                # It may be the begin of the log: then one request is enough to tell.
                width = None
                if not self.newest_first and above.width is not None:
                    width = _NARROWER * above.width
        if self.widest is not None:
            width = self.widest if width is None else min(width, self.widest)
        return width

    def _usual_width(self) -> int:
        per_ms = self._per_ms or 1.0
        return self._span_for(_PAGES, per_ms)

    def _span_for(self, pages: int, per_ms: float) -> int:
        """Return in how many milliseconds so many pages of rows lie, about."""
        return max(1, int((pages - _SPARE) * self.take / per_ms))

    def _cut(self, part: Slice, low: int) -> None:
        """Let a slice begin later, and another one have the rest."""
        place = self._slices.index(part)
        rest = Slice(low=part.low, high=low, above=part)
        self._slices.insert(place + 1, rest)
        part.low = low

    def page_after(self, part: Slice, window: LogWindow, last: int) -> LogWindow:
        """Return the request for what comes after a millisecond in the server's order.

        It shows this millisecond once more: all of it, from its begin.
        """
        part.pages += 1
        low, high = (part.low, last) if self.newest_first else (last, part.high)
        return LogWindow(low=low, high=high, take=self.take, page=window.page + 1)

    def page_at(self, part: Slice, window: LogWindow, cursor: str) -> LogWindow:
        """Return the request for what a cursor leads to."""
        part.pages += 1
        return LogWindow(
            low=window.low,
            high=window.high,
            take=window.take,
            page=window.page + 1,
            cursor=cursor,
            crowd=window.crowd,
        )

    def learn(self, part: Slice, window: LogWindow, glance: Glance) -> None:
        """Learn from an answer where rows are, and cut its slice where it has many."""
        is_first = window.page == 1
        if is_first:
            part.is_empty = glance.count == 0
            self._with_rows += not part.is_empty
        if glance.first is None or glance.last is None:
            if is_first and glance.ends(window) and window.high <= self._now:
                self._note_density(0.5 / (window.high - window.low + 1))
            return
        first, last = ms_of(glance.first), ms_of(glance.last)
        if window.crowd is not None or (first == last and not glance.ends(window)):
            return  # a moment that says nothing of others
        here = glance.count / self._span_of(window, glance, first, last)
        self._note_density(here)
        if glance.ends(window) or self.newest_first is None:
            return
        if self.newest_first:
            self._split(part, last, here)
        else:
            self._narrow(part, last, here, is_first=is_first, oldest=first)

    def _note_density(self, here: float) -> None:
        self._per_ms = here if self._per_ms is None else sqrt(self._per_ms * here)

    def _span_of(self, window: LogWindow, glance: Glance, first: int, last: int) -> int:
        """Return how many milliseconds the rows of an answer are spread over."""
        if glance.ends(window):
            low, high = window.low, window.high
            if high > self._now or low < min(first, last) - WIDE:
                low, high = min(first, last), max(first, last)
            return max(1, high - low)
        return max(1, abs(first - last))

    def _split(self, part: Slice, last: int, per_ms: float) -> None:
        """Give what lies far below the rows of now to a slice of its own."""
        rows = (last - part.low) * per_ms
        if self._concurrency == 1 or rows <= 2 * _PAGES * self.take:
            return
        low = last - self._span_for(_PAGES - 1, per_ms)
        if low > part.low:
            self._cut(part, low)

    def _narrow(
        self, part: Slice, last: int, per_ms: float, *, is_first: bool, oldest: int
    ) -> None:
        """Let a slice be read anew in narrower ones where it has too many rows."""
        if part.low >= part.high:
            return
        if is_first and self.is_last(part):
            part.low = min(max(part.low, oldest), part.high)
        top = max(min(part.high, self._now), last)
        left = (top - last) * per_ms
        if part.pages <= _MOST_PAGES and left <= 2 * _PAGES * self.take:
            return
        usual = self._span_for(_PAGES, per_ms)
        part.width = max(1, min(usual, (top - part.low) // _NARROWER))
        part.doomed = part.ended = True
