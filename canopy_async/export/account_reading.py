"""Reading an account's log for an export, oldest events first."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Final, TypeVar

import attrs

from canopy_async._account.account_stream import AccountStream
from canopy_async._account.time_parts import LOOK, LogPart, PartReader
from canopy_async._fanout.results import (
    FanOutProgress,
    IdentityBatch,
    IdentityOutcome,
)
from canopy_async._follow.follow_checkpoint import not_ahead
from canopy_async._transport.server_clock import check_is_over
from canopy_async._util.closeable import Closeable
from canopy_async._util.frames import forget_frames
from canopy_async._util.mailbox import Mailbox
from canopy_async._util.tasks import cancel_and_wait, start_task
from canopy_async.checkpoint import Checkpoint
from canopy_async.errors import (
    CanopyError,
    IncompleteReadError,
    ProtocolError,
    SessionClosedError,
)
from canopy_async.models import AuditEvent
from canopy_async.report import AccountReport, Proof

__all__ = ["AccountReading"]

_ROWS: Final = 1_000
"""The most events in a batch."""

_ROWS_PER_SLICE: Final = 1_600
"""The most events in a part, for each slice that is read at a time.

This is twice the number that keeps a slice busy."""
_LEAST: Final = 4_000
"""The lower bound of the most events in a part."""
_MOST: Final = 32_000
"""The upper bound of the most events in a part."""

T = TypeVar("T")


class AccountReading(Closeable):
    """A read of an account's log to its end, oldest events first.

    It has the interface of a `FanOut` with a single identity, whose id is the name of
    the log. While the events of one part of the log are handed out, the next part is
    read.

    Args:
        stream: The stream of the log, with its filters.
        wanted: Yields the name of the log, or nothing if the log is done already.
        since: The ``since`` of the read, by the name of the log.
        until: The ``until`` of the read, or None.
        server_time: Returns the time by the server's clock, or None if unknown.
        scope: The scope of the read's checkpoints.
        on_end: Called with the outcome of the read.

    Attributes:
        failures: The error that ended the read, by the name of the log.
    """

    def __init__(
        self,
        stream: AccountStream,
        wanted: AsyncGenerator[str],
        *,
        since: Mapping[str, datetime | None],
        until: datetime | None,
        server_time: Callable[[], datetime | None],
        scope: str,
        on_end: Callable[[IdentityOutcome], None],
    ) -> None:
        self._wanted: Final = wanted
        self._since: Final = since
        self._until: Final = until
        self._server_time: Final = server_time
        self._scope: Final = scope
        self._on_end: Final = on_end
        rows = _ROWS_PER_SLICE * stream.concurrency
        self._parts: Final = PartReader(
            stream, most=min(max(rows, _LEAST), _MOST), lanes=None, on_read=self._count
        )
        self._mailbox: Final = Mailbox[IdentityBatch](
            "the log of the account", self._has_ended
        )
        self._task: asyncio.Task[None] | None = None
        self._places: Final[dict[str, Checkpoint | None]] = {}
        self._report = AccountReport(proof=Proof.CURSOR, complete=True)
        self._requests = self._retries = self._events = 0
        self._done = self._complete = 0
        self.failures: Final[dict[str, CanopyError]] = {}

    @property
    def progress(self) -> FanOutProgress:
        """The progress of the read, in which the log counts as one identity."""
        return FanOutProgress(
            done=self._done,
            complete=self._complete,
            failed=len(self.failures),
            open=len(self._places),
            events=self._events,
            requests=self._requests,
        )

    @property
    def checkpoints(self) -> Mapping[str, Checkpoint | None]:
        """The checkpoint after the last event handed out, while the read continues."""
        return self._places

    async def next_batch(self) -> IdentityBatch | None:
        """Return the next events, oldest first, or None at the end.

        A call may be cancelled and repeated without losing events.

        Raises:
            CanopyError: The read can't continue.
        """
        if self._task is None and not self._mailbox.closed:
            self._task = start_task(self._read())
            self._task.add_done_callback(self._task_ended)
        batch = await self._mailbox.next()
        if self._mailbox.error is not None:
            raise self._mailbox.error
        if batch is not None:
            self._events += len(batch.events)
            self._places[batch.identity_id] = self._after(batch.events[-1])
        return batch

    async def aclose(self) -> None:
        """Cancel the requests that are still running, and wait for their end."""
        self._mailbox.close()
        if self._task is not None:
            await cancel_and_wait([self._task])

    def _has_ended(self) -> bool:
        return self._task is not None and self._task.done()

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() and not self._mailbox.closed:
            self._mailbox.stop(SessionClosedError("a read was cancelled from outside"))
        self._mailbox.wake()

    def _after(self, event: AuditEvent) -> Checkpoint:
        return Checkpoint(
            scope=self._scope,
            order="asc",
            key=event.created_at,
            ids=frozenset((event.id,)),
            proof=Proof.CURSOR,
        )

    async def _read(self) -> None:
        try:
            async for name in self._wanted:
                await self._read_log(name)
        except Exception as error:  # noqa: BLE001 - `next_batch` raises it
            self._mailbox.stop(error)

    async def _read_log(self, name: str) -> None:
        self._places[name] = None
        try:
            async with aclosing(_one_ahead(self._all_parts(self._since[name]))) as all_:
                async for part in all_:
                    await self._hand_out(name, part)
        except (IncompleteReadError, ProtocolError) as error:
            self._ended(name, error)
        else:
            self._ended(name, None)

    async def _all_parts(self, low: datetime | None) -> AsyncGenerator[LogPart]:
        """Yield all parts of the requested range, the oldest part first."""
        until, most = self._until, LOOK
        while True:
            newest, report = await self._parts.read(low, until, most=most)
            if until is not None:
                check_is_over(until, self._server_time())
            if report is not None:
                yield LogPart(since=low, until=until, rows=newest, report=report)
                return
            dates = [event.created_at for event in newest]
            top = until or max(not_ahead(dates, self._server_time()) or dates)
            async with aclosing(self._parts.oldest_first(low, top, newest)) as parts:
                async for part in parts:
                    yield part
            if until is not None:
                return
            # Events that came meanwhile, or are dated in the future, are read next.
            low, most = top, self._parts.most

    async def _hand_out(self, name: str, part: LogPart) -> None:
        report = self._report
        self._report = attrs.evolve(
            part.report,
            complete=report.complete and part.report.complete,
            delivered=report.delivered + part.report.delivered,
            duplicates=report.duplicates + part.report.duplicates,
            repairs=report.repairs + part.report.repairs,
            slices=report.slices + part.report.slices,
            seams=report.seams + part.report.seams,
            since=part.report.since if report.since is None else report.since,
            warnings=tuple(dict.fromkeys((*report.warnings, *part.report.warnings))),
        )
        rows = part.rows[::-1]
        for start in range(0, len(rows), _ROWS):
            await self._mailbox.put(IdentityBatch(name, rows[start : start + _ROWS]))

    def _ended(self, name: str, error: CanopyError | None) -> None:
        place = self._places.pop(name)
        report = attrs.evolve(
            self._report,
            complete=self._report.complete and error is None,
            requests=self._requests,
            retries=self._retries,
        )
        if error is None:
            self._done += 1
            self._complete += report.complete
        else:
            forget_frames(error)
            self.failures[name] = error
        self._on_end(
            IdentityOutcome(
                identity_id=name, report=report, error=error, checkpoint=place
            )
        )

    def _count(self, report: AccountReport) -> None:
        self._requests += report.requests
        self._retries += report.retries


async def _one_ahead(items: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """Yield the items of a generator, which prepares the next item meanwhile."""
    task = start_task(_next_of(items))
    try:
        while (found := await task) is not None:
            task = start_task(_next_of(items))
            yield found
    finally:
        await cancel_and_wait([task])
        if not task.cancelled():
            task.exception()  # else asyncio warns that it was never retrieved
        await items.aclose()


async def _next_of(items: AsyncGenerator[T]) -> T | None:
    with suppress(StopAsyncIteration):
        return await anext(items)
    return None
