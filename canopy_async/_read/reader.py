"""`PageReader`: one pass over a list, page by page, without a public face.

A reader drives a walk: it keeps requests in flight ahead of whoever reads, and lets the
walk accept their answers in its order. `Run` hands its rows out one by one; a fan-out
and a follower choose for themselves when an answer is decoded.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Generic, TypeVar

import attrs

from canopy_async._api.requests import MAX_TAKE, Endpoint, Query
from canopy_async._api.responses import Response, page_from
from canopy_async._api.retry_after import date_of
from canopy_async._read.readahead import Outcome, ReadAhead
from canopy_async._transport.lanes import Lane, PageRequest
from canopy_async._transport.server_clock import check_is_over
from canopy_async._util.arguments import check_flag, check_integer
from canopy_async._util.closeable import Closeable
from canopy_async._walk import Span, Walk, Window
from canopy_async.checkpoint import Checkpoint, CheckpointBuilder
from canopy_async.errors import (
    BadRequestError,
    CanopyError,
    IncompleteReadError,
    NotFoundError,
    ProtocolError,
)
from canopy_async.hooks import PageReceived
from canopy_async.models import Page, PageMeta
from canopy_async.report import Progress, ReadReport

__all__ = ["PageReader", "ReadOptions"]

T = TypeVar("T")

_MAX_NOTES: Final = 8
"""Notes on values that were read with care which one report keeps at most."""


@attrs.frozen(kw_only=True, eq=False)
class ReadOptions:
    """The options of a read that say how it reads, and not which rows.

    Attributes:
        limit: Rows to hand out at most, None for all.
        take: Rows per page at most.
        concurrency: Requests in flight at most.
        lossless: Whether the read is to be proven.

    Raises:
        TypeError: A field has the wrong type.
        ValueError: A field is out of bounds; the message names it.
    """

    limit: int | None
    take: int
    concurrency: int
    lossless: bool

    def __attrs_post_init__(self) -> None:
        """Check each field, by name."""
        if self.limit is not None:
            check_integer("limit", self.limit, minimum=0)
        check_integer("take", self.take, minimum=1, maximum=MAX_TAKE)
        check_integer("concurrency", self.concurrency, minimum=1)
        check_flag("lossless", self.lossless)


class PageReader(Closeable, Generic[T]):
    """One pass over a list, a page at a time.

    Args:
        endpoint: Where the list is.
        query: What is asked of it.
        walk: Steers the pass.
        lane: Sends the requests.
        span: The part of the list that is wanted.
        scope: Returns the hash of the read, for its checkpoints.
        concurrency: Requests in flight at most.

    Attributes:
        batch: The rows of the latest page that was decoded.
        handed: How many of these were handed out.
        closed: Whether `aclose` was called.
        is_waiting: Whether somebody waits for an answer.
    """

    def __init__(
        self,
        *,
        endpoint: Endpoint[T],
        query: Query,
        walk: Walk[T],
        lane: Lane,
        span: Span,
        scope: Callable[[], str],
        concurrency: int,
    ) -> None:
        self._endpoint: Final = endpoint
        self._query: Final = query
        self._walk: Final = walk
        self._lane: Final = lane
        self._place: Final = CheckpointBuilder(scope, span.resume)
        self._ahead: Final = ReadAhead(lane, concurrency, self._refill)
        self.batch: Sequence[T] = ()
        self.handed = 0
        self.closed = False
        self.is_waiting = False
        self._rows_before = 0
        self._pagination: PageMeta | None = None
        self._arrived: Window | None = None
        self._plans_more = True
        self._unchecked_until = span.until
        self._notes: Final[list[str]] = []

    @property
    def progress(self) -> Progress:
        """The progress of this pass."""
        return Progress(
            seen=self._rows_before + self.handed,
            total=self._walk.total,
            requests=self._ahead.requests,
        )

    @property
    def checkpoint(self) -> Checkpoint:
        """The place after the last row that was handed out."""
        return self.checkpoint_after(self.handed)

    def checkpoint_after(self, rows: int) -> Checkpoint:
        """Return the place after the first ``rows`` of the latest batch."""
        left = len(self.batch) - rows
        return self._place.checkpoint(
            self.batch[:rows],
            self._walk.report(),
            position=self._walk.position - left,
        )

    @property
    def report(self) -> ReadReport:
        """The rows read so far, and what this pass can prove of them."""
        report = self._walk.report(
            requests=self._ahead.requests, retries=self._ahead.retries
        )
        if not self._notes:
            return report
        return attrs.evolve(report, warnings=(*report.warnings, *self._notes))

    @property
    def pagination(self) -> PageMeta:
        """The counts that the server sent with the latest page.

        Raises:
            RuntimeError: None was taken yet, or the list has no numbered pages.
        """
        if self._pagination is None:
            raise RuntimeError("no numbered page was taken yet")
        return self._pagination

    async def next_batch(self) -> Sequence[T] | None:
        """Return the rows of the next page that adds any, or None at the end.

        Raises:
            CanopyError: The read failed; carries ``checkpoint``.
            RuntimeError: Another task waits for rows of this pass.
        """
        try:
            while await self.wait():
                if batch := self.decode():
                    return batch
        except CanopyError:
            await self.aclose()
            raise
        return None

    async def wait(self) -> bool:
        """Finish the current batch, then wait until the next page has arrived.

        The page is not decoded yet: its bytes take less memory than its rows.

        Returns:
            Whether a page has arrived: False at the end, and where this was closed.

        Raises:
            CanopyError: The read failed; carries ``checkpoint``.
            RuntimeError: Another task waits for rows of this pass.
        """
        if self.is_waiting:
            raise RuntimeError("this run is being read by another task")
        if self.closed:
            return False
        self.finish_batch()
        self.is_waiting = True
        try:
            while not (self._walk.done or self.closed):
                self._lane.check_open()
                window = self._ask_for_next()
                self._plan_ahead()
                if await self._ahead.arrived(window):
                    self._arrived = window
                    return True
        except CanopyError as error:
            self._explain(error)
            raise
        finally:
            self.is_waiting = False
        await self.aclose()
        return False

    def decode(self) -> Sequence[T]:
        """Return the rows that the page adds, maybe none, and count them as handed out.

        Raises:
            CanopyError: The read failed; carries ``checkpoint``. Its requests that
                are under way go on until `aclose`.
            RuntimeError: No page has arrived: `wait` comes first.
        """
        window, self._arrived = self._arrived, None
        if window is None:
            raise RuntimeError("there is no answer to decode: await wait() first")
        try:
            self._lane.check_open()
            self.batch = self._absorb(window, self._ahead.pop(window))
            self.handed = len(self.batch)
            self._ahead.keep_only(self._walk.windows)
        except CanopyError as error:
            self._explain(error)
            raise
        return self.batch

    def finish_batch(self) -> None:
        """Move past the latest batch, and release its rows."""
        self._rows_before += len(self.batch)
        self._place.advance(self.batch)
        self.batch, self.handed = (), 0

    async def aclose(self) -> None:
        """Cancel the requests that are still running, and await them."""
        self._lane.check_loop()
        self.closed = True
        self._arrived = None
        await self._ahead.aclose()

    def _absorb(self, window: Window, outcome: Outcome) -> Sequence[T]:
        self._plans_more = True
        if isinstance(outcome, Response):
            self._check_until(outcome)
            page = page_from(
                self._endpoint,
                outcome,
                page=window.page,
                note=partial(self._note, window.page),
            )
            self._note_page(window, page)
            return self._walk.accept_page(page)
        if isinstance(outcome, NotFoundError) and window.page > 1:
            return self._walk.accept_missing()
        if isinstance(outcome, ProtocolError) and outcome.too_large:
            rows = self._walk.accept_oversized()
            if rows is not None:
                self._ahead.failing = False
                return rows
        if isinstance(outcome, BadRequestError) and self._walk.retry_without_sort():
            self._ahead.failing = False
            return ()
        raise outcome

    def _check_until(self, answer: Response) -> None:
        """Raise at the first answer if the range was not over when the read began."""
        until, self._unchecked_until = self._unchecked_until, None
        if until is not None:
            check_is_over(until, date_of(answer.headers))

    def _refill(self) -> None:
        """Use the room that an answer leaves in flight."""
        if self._ahead.failing or self._walk.done:
            return
        try:
            self._ask_for_next()  # the answer taken last may have changed it
            self._plan_ahead()
        except CanopyError:
            self._ahead.failing = True  # raised again when the reader gets there

    def _ask_for_next(self) -> Window:
        """Return the window that the walk takes next; ask for it, if not done yet."""
        if not self._walk.windows:
            self._walk.plan()
        window = self._walk.windows[0]
        if window not in self._ahead:
            self._start(window, urgent=True)
        return window

    def _plan_ahead(self) -> None:
        """Ask for later windows, as far as there is room."""
        while self._plans_more and self._ahead.find_room():
            window = self._walk.plan()
            if window is None:
                self._plans_more = False  # until the next answer is taken
                return
            self._start(window, urgent=False)

    def _start(self, window: Window, *, urgent: bool) -> None:
        self._ahead.start(window, self._request_for(window, urgent=urgent))

    def _request_for(self, window: Window, *, urgent: bool) -> PageRequest:
        query = self._query
        if not self._walk.sends_sort_by:
            query = attrs.evolve(query, sort_by=None)
        if window.newest_first:
            query = attrs.evolve(query, order="desc")
        return PageRequest(
            endpoint=self._endpoint,
            query=query,
            page=window.page,
            take=window.take,
            urgent=urgent,
            on_sent=self._ahead.sent,
        )

    def _note_page(self, window: Window, page: Page[T]) -> None:
        self._pagination = page.pagination
        self._tell_received(window, page, page.pagination.item_count)

    def _tell_received(
        self, window: Window, page: Page[T], item_count: int | None
    ) -> None:
        if not self._lane.hooks:
            return
        self._lane.hooks(
            PageReceived(
                path=self._endpoint.template,
                page=window.page,
                take=window.take,
                rows=len(page.items),
                item_count=item_count,
            )
        )

    def _note(self, page: int, sentence: str) -> None:
        """Keep a note for the report: a value was not read as the server wrote it."""
        if len(self._notes) < _MAX_NOTES:
            self._notes.append(f"page {page}: {sentence}")

    def _explain(self, error: CanopyError) -> None:
        """Add the checkpoint to an error, and the report to one of the proof."""
        error.checkpoint = self.checkpoint
        if isinstance(error, IncompleteReadError):
            error.report = self.report
