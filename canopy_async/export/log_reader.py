"""Reading the logs of an export concurrently, and committing their new events."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, Literal, Protocol, Self

import attrs

from canopy_async._fanout.results import (
    FanOutProgress,
    IdentityBatch,
    IdentityOutcome,
)
from canopy_async._tables.columns import EventsOfOne
from canopy_async._transport.server_clock import check_is_over
from canopy_async.checkpoint import Checkpoint
from canopy_async.errors import CanopyError, CheckpointError, ExportError
from canopy_async.export.chunk_writer import ChunkWriter
from canopy_async.export.clock import Clock
from canopy_async.export.directory import ExportDirectory
from canopy_async.export.journal import Journal
from canopy_async.export.manifest_records import Header
from canopy_async.export.one_thread import OneThread, finished
from canopy_async.export.pending import OpenLog, Pending
from canopy_async.export.progress import ExportProgress
from canopy_async.export.writers import FORMATS, LOG_FORMATS
from canopy_async.models import AuditEvent
from canopy_async.session import CanopySession

__all__ = ["LogReader", "ReadLimits", "Reading"]

MAX_ENDED: Final = 10_000
"""The number of ended identities at which a commit is due."""


class Reading(Protocol):
    """The protocol of a read of logs: a `FanOut`, or a read of an account's log."""

    @property
    def progress(self) -> FanOutProgress:
        """The progress of the read."""
        ...

    @property
    def checkpoints(self) -> Mapping[str, Checkpoint | None]:
        """The checkpoint of each log whose read continues."""
        ...

    @property
    def failures(self) -> Mapping[str, CanopyError]:
        """The error of each log that could not be read."""
        ...

    async def next_batch(self) -> IdentityBatch | None:
        """Return the next events of one of the logs, or None at the end."""
        ...

    async def aclose(self) -> None:
        """End all reads that are still running."""
        ...

    async def __aenter__(self) -> Self:
        """Return the read itself."""
        ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End all reads that are still running."""
        ...


@attrs.frozen(kw_only=True)
class ReadLimits:
    """The limits of an export's reading and writing.

    Attributes:
        look_back: The length of the time before a log's newest event that is read
            again.
        width: The most identities that are read at a time.
        max_file_bytes: The size in bytes at which a file is closed.
        commit_every: The most seconds between two commits.
        events_each: The most events to read of each identity, or None for no limit. A
            log with more events stays open.
        until: The instant up to which logs are read; they stay open. None to read them
            to the end of the export's range.
    """

    look_back: timedelta
    width: int
    max_file_bytes: int
    commit_every: float
    events_each: int | None = None
    until: datetime | None = None


class LogReader:
    """Reads logs from where earlier runs stopped, and commits new events.

    Args:
        session: The session to read with.
        target: The directory to write to. It is only used in ``thread``.
        thread: The thread for all calls of ``target``.
        header: The header of the export's manifest.
        journal: The state of each identity, which commits update.
        limits: The limits of reading and writing.
        on_progress: Called with the progress, if given.
        on_end: Called with each log whose read has ended, and its outcome.

    Attributes:
        clock: The server's clock.
        complete: The number of logs that this read and earlier ones have proven
            complete.
    """

    def __init__(
        self,
        session: CanopySession,
        target: ExportDirectory,
        thread: OneThread,
        *,
        header: Header,
        journal: Journal,
        limits: ReadLimits,
        on_progress: Callable[[ExportProgress], None] | None,
        on_end: Callable[[OpenLog, IdentityOutcome], None] | None = None,
    ) -> None:
        self._session: Final = session
        self._target: Final = target
        self._header: Final = header
        query = header.query
        self._query: Final = attrs.evolve(query, until=limits.until or query.until)
        formats = FORMATS if header.log_key is None else LOG_FORMATS
        self._chunks: Final = ChunkWriter(
            target,
            thread,
            written_as=formats[header.format],
            max_file_bytes=limits.max_file_bytes,
        )
        self._journal: Final = journal
        self._limits: Final = limits
        self._on_progress: Final = on_progress
        self._on_end: Final = on_end
        self._logs: Final[dict[str, OpenLog]] = {}
        self._resume: Final[dict[str, str | None]] = {}
        self._since: Final[dict[str, datetime | None]] = {}
        self._deadline = 0.0
        self._events = 0
        self._late = 0
        self._skipped = 0
        self.complete = 0
        self.clock: Final = Clock(session)
        self._pending: Final = Pending(goes_on=header.until is None, at=self.clock.at)

    async def read(self, ids: AsyncGenerator[str]) -> Reading:
        """Read the logs of some identities to their ends, and commit new events.

        Args:
            ids: The ids of the identities, each once.

        Returns:
            The read; it has ended.

        Raises:
            CanopyError: The read can't continue. Events read so far are committed.
        """
        self._reset_deadline()
        async with aclosing(self._wanted(ids)) as wanted, self._open(wanted) as reading:
            await self._read_all(reading)
        return reading

    def _open(self, wanted: AsyncGenerator[str]) -> Reading:
        """Return the read of the wanted ids. It sends nothing before it is iterated."""
        return self._session.fan_out(
            wanted,
            on_error="collect",
            width=self._limits.width,
            resume=self._resume,
            since_each=self._since,
            on_end=self._on_log_end,
            limit=self._limits.events_each,
            **self._query.options,
        )

    def _page(self, identity_id: str, events: Sequence[AuditEvent]) -> EventsOfOne:
        """Return a page of events in the form that `Format.encode` takes."""
        return IdentityBatch(identity_id, events)

    @property
    def skipped(self) -> int:
        """The number of identities that an earlier run finished, so not read again."""
        return self._skipped

    async def _wanted(self, ids: AsyncGenerator[str]) -> AsyncGenerator[str]:
        """Yield the ids that are not done, after looking up where their reads start."""
        async with aclosing(ids):
            async for identity_id in ids:
                self._check_until()
                before = self._journal.standings.of(identity_id)
                if self._header.until is not None and before.state == "done":
                    self._skipped += 1
                    continue
                log = OpenLog.of(
                    str(identity_id),
                    before,
                    since=self._header.since,
                    began=asyncio.get_running_loop().time(),
                    span=self._limits.look_back,
                    scope=self._header.scope,
                )
                self._logs[identity_id] = log
                self._resume[identity_id] = before.checkpoint
                self._since[identity_id] = log.since
                yield identity_id

    def _on_log_end(self, outcome: IdentityOutcome) -> None:
        self._check_until()
        name = outcome.identity_id
        del self._resume[name], self._since[name]
        log = self._logs.pop(name)
        self._note_begin(log)
        log.left = self._left(outcome)
        self._pending.end(log, outcome)
        self.complete += log.is_proven_by(outcome)
        if self._on_end is not None:
            self._on_end(log, outcome)

    def _left(self, outcome: IdentityOutcome) -> Literal["limit", "until"] | None:
        """Return the limit that ended the read of a log before its end, or None."""
        limit, report = self._limits.events_each, outcome.report
        if limit is not None and report is not None and report.delivered >= limit:
            return "limit"
        return "until" if self._limits.until is not None else None

    async def _read_all(self, reading: Reading) -> None:
        try:
            while not await self._read_until_due(reading):
                if self._chunks.is_full:
                    await self._chunks.start_writing()
                if self._is_commit_due:
                    await self._commit_if_possible(reading)
                self._tell(reading)
            await self._commit(reading)
        except BaseException:
            await reading.aclose()
            # If this commit fails, too, raise the first error.
            with suppress(ExportError, CheckpointError):
                await self._commit(reading)
            raise
        self._tell(reading)

    async def _read_until_due(self, reading: Reading) -> bool:
        """Read until a commit or the writing of a chunk is due.

        Nothing is written here: the time limit of a commit ends the wait for a page,
        and must not end the wait for the disk.

        Returns:
            True if the read ended before that.
        """
        limit = asyncio.timeout_at(self._deadline)
        try:
            async with limit:
                while (batch := await reading.next_batch()) is not None:
                    # Added without an await before it: the fan-out's checkpoints
                    # include this batch from now on, and so must the next commit.
                    self._add(self._logs[batch.identity_id], batch.events)
                    if self._chunks.is_full or self._is_commit_due:
                        return False
                    self._tell(reading)
        except TimeoutError:
            if not limit.expired():
                raise
            return False
        return True

    @property
    def _is_commit_due(self) -> bool:
        return (
            self._target.bytes_under_way >= self._limits.max_file_bytes
            or self._pending.ended >= MAX_ENDED
            or asyncio.get_running_loop().time() >= self._deadline
        )

    def _check_until(self) -> None:
        """Check ``until`` against the server's clock, once a response told the time.

        Raises:
            FutureRangeError: ``until`` is in the future.
        """
        until = self._header.until
        if until is None:
            return
        now = self._session.server_time
        if now is not None:
            check_is_over(until, now)

    def _add(self, log: OpenLog, events: Sequence[AuditEvent]) -> None:
        self._check_until()
        self._note_begin(log)
        late = log.look_back.late
        new = log.take(events)
        if new:
            self._pending.add(log)
            self._chunks.add(self._page(log.identity_id, new))
            self._events += len(new)
            self._late += log.look_back.late - late

    def _note_begin(self, log: OpenLog) -> None:
        is_told = self.clock.is_told
        if log.look_back.began is None or not is_told:
            log.note_begin(self.clock.at(log.began), is_told=is_told)

    async def _commit_if_possible(self, reading: Reading) -> None:
        # Between very many events of one instant, no checkpoint can be made. Commit
        # after them.
        with suppress(CheckpointError):
            await self._commit(reading)

    async def _commit(self, reading: Reading) -> None:
        """Commit all events that were read so far."""
        await self._chunks.written()
        self._reset_deadline()
        if not self._pending:
            return
        # No await between these two, so that the rows fit the commit.
        commit = self._pending.take(reading.checkpoints, self.clock.now())
        work = self._chunks.start_commit(commit)
        try:
            await finished(work)
        finally:
            if work.exception() is None:  # it was committed, even if this is cancelled
                self._journal.add(commit)

    def _reset_deadline(self) -> None:
        now = asyncio.get_running_loop().time()
        self._deadline = now + self._limits.commit_every

    def _tell(self, reading: Reading) -> None:
        if self._on_progress is None:
            return
        progress = reading.progress
        self._on_progress(
            ExportProgress(
                done=progress.done,
                complete=self.complete,
                failed=progress.failed,
                skipped=self._skipped,
                open=progress.open,
                events=self._events,
                late=self._late,
                requests=progress.requests,
                files=len(self._target.files),
                bytes=self._target.bytes,
            )
        )
