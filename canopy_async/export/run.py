"""One run of an export: it reads, writes and commits side by side."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import attrs

from canopy_async.errors import CanopyError, CheckpointError, ExportError
from canopy_async.export.directory import ExportDirectory
from canopy_async.export.manifest import FileEntry, Header, IdentityEntry
from canopy_async.export.pending import Pending
from canopy_async.fanout import FanOut
from canopy_async.identity_events import IdentityBatch, IdentityOutcome
from canopy_async.identity_ids import IdentityIds, each_id
from canopy_async.session import CanopySession

__all__ = ["ExportProgress", "ExportResult", "Run"]

P = ParamSpec("P")
T = TypeVar("T")

CHUNK_ROWS: Final = 1_024
"""Rows that are encoded at a time, while as many are read."""

MAX_ENDED: Final = 10_000
"""Identities that end between two commits at most."""


@attrs.frozen(kw_only=True)
class ExportProgress:
    """How far a run of an export is.

    Attributes:
        done: Identities that were read to their end.
        complete: How many of these were proven complete.
        failed: Identities that could not be read.
        skipped: Identities that an earlier run had done.
        open: Identities that are being read now.
        events: Events read.
        requests: Requests sent, retries included.
        files: Files that are final.
        bytes: Their size, and that of the one under way.
    """

    done: int = 0
    complete: int = 0
    failed: int = 0
    skipped: int = 0
    open: int = 0
    events: int = 0
    requests: int = 0
    files: int = 0
    bytes: int = 0


@attrs.frozen(kw_only=True)
class ExportResult:
    """What one run of an export did; `read_manifest` tells of all of them.

    Attributes:
        directory: Where the files are.
        done: Identities that were read to their end.
        complete: How many of these were proven complete.
        skipped: Identities that an earlier run had done.
        events: Events written.
        files: The files that were added.
        failures: The error of each identity that could not be read. What was
            read of it is in the files, and another run goes on from there.
    """

    directory: Path
    done: int
    complete: int
    skipped: int
    events: int
    files: tuple[FileEntry, ...]
    failures: Mapping[str, CanopyError]

    @property
    def failed(self) -> int:
        """How many identities could not be read."""
        return len(self.failures)


class Run:
    """One run of an export.

    Args:
        target: Where to write. All that is done with it is done in a thread.
        max_file_bytes: When to commit, by the size of the file under way.
        commit_every: When to commit, by seconds.
        on_progress: Whom to tell.
        resume: Where to begin, for identities that were begun elsewhere.
        on_end: Is told how the read of each identity ended.
    """

    def __init__(
        self,
        target: ExportDirectory,
        *,
        max_file_bytes: int,
        commit_every: float,
        on_progress: Callable[[ExportProgress], None] | None,
        resume: Mapping[str, str] | None = None,
        on_end: Callable[[IdentityOutcome], None] | None = None,
    ) -> None:
        self._target: Final = target
        self._max_file_bytes: Final = max_file_bytes
        self._commit_every: Final = commit_every
        self._on_progress: Final = on_progress
        self._thread: Final = ThreadPoolExecutor(1, "canopy-export")
        self._done_before: set[str] = set()
        self._resume: dict[str, str | None] = dict(resume or {})
        self._on_end: Final = on_end
        self._pending: Final = Pending()
        self._chunk: list[IdentityBatch] = []
        self._chunk_rows = 0
        self._writing: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._skipped = 0

    async def export(
        self,
        session: CanopySession,
        identities: IdentityIds,
        header: Header,
        *,
        width: int,
        limit: int | None = None,
    ) -> ExportResult:
        """Read and write what an earlier run has left."""
        try:
            await self._do(self._target.open, self._restore)
            self._put_off()
            async with aclosing(self._wanted(identities)) as wanted:
                fan_out = session.fan_out(
                    wanted,
                    on_error="collect",
                    width=width,
                    resume=self._resume,
                    on_end=self._ended,
                    limit=limit,
                    order=header.order,
                    since=header.since,
                    until=header.until,
                    q=header.q,
                )
                async with fan_out:
                    await self._read(fan_out)
            return self._result(fan_out)
        finally:
            await self._do(self._target.close)
            self._thread.shutdown(wait=False)

    def _restore(self, entries: Sequence[IdentityEntry]) -> None:
        """Learn from a commit of an earlier run what is left."""
        for entry in entries:
            if entry.state == "done":
                self._done_before.add(entry.id)
                self._resume.pop(entry.id, None)
            else:
                self._resume[entry.id] = entry.checkpoint

    def _ended(self, outcome: IdentityOutcome) -> None:
        self._pending.end(outcome)
        if self._on_end is not None:
            self._on_end(outcome)

    async def _wanted(self, identities: IdentityIds) -> AsyncGenerator[str]:
        """Yield the ids that are left to read, each once."""
        named: set[str] = set()
        async with aclosing(each_id(identities)) as ids:
            async for identity_id in ids:
                if identity_id in named:
                    continue
                named.add(identity_id)
                if identity_id in self._done_before:
                    self._skipped += 1
                else:
                    yield identity_id

    async def _read(self, fan_out: FanOut) -> None:
        try:
            while (batch := await self._next_batch(fan_out)) is not None:
                await self._take(fan_out, batch)
            await self._commit(fan_out)
        except BaseException:
            await fan_out.aclose()
            # What ended it is what is raised, also where this fails.
            with suppress(ExportError, CheckpointError):
                await self._commit(fan_out)
            raise
        self._tell(fan_out)

    async def _next_batch(self, fan_out: FanOut) -> IdentityBatch | None:
        """Return the next events; commit in time while they don't come."""
        while True:
            limit = asyncio.timeout_at(self._deadline)
            try:
                async with limit:
                    return await fan_out.next_batch()
            except TimeoutError:
                if not limit.expired():
                    raise
            await self._commit_if_possible(fan_out)
            self._tell(fan_out)

    async def _take(self, fan_out: FanOut, batch: IdentityBatch) -> None:
        # First of all, and at once: from here on, a commit includes it.
        self._pending.add(batch)
        self._chunk.append(batch)
        self._chunk_rows += len(batch.events)
        if self._chunk_rows >= CHUNK_ROWS:
            await self._written()
            self._writing = self._start(self._target.write, self._take_chunk())
        if self._is_due():
            await self._commit_if_possible(fan_out)
        self._tell(fan_out)

    def _is_due(self) -> bool:
        return (
            self._target.bytes_under_way >= self._max_file_bytes
            or self._pending.ended >= MAX_ENDED
            or asyncio.get_running_loop().time() >= self._deadline
        )

    async def _commit_if_possible(self, fan_out: FanOut) -> None:
        # Among very many events of one instant, no place can be written down;
        # after them one can.
        with suppress(CheckpointError):
            await self._commit(fan_out)

    async def _commit(self, fan_out: FanOut) -> None:
        """Make final all that was handed out so far."""
        await self._written()
        self._put_off()
        if not self._pending:
            return
        # No await in between: rows and what is said of them belong together.
        entries = self._pending.take(fan_out.checkpoints, self._resume)
        chunk = self._take_chunk()
        await self._do(self._write_and_commit, chunk, entries)

    def _write_and_commit(
        self, chunk: Sequence[IdentityBatch], entries: Sequence[IdentityEntry]
    ) -> None:
        if chunk:
            self._target.write(chunk)
        self._target.commit(entries)

    def _take_chunk(self) -> Sequence[IdentityBatch]:
        chunk, self._chunk, self._chunk_rows = self._chunk, [], 0
        return chunk

    def _put_off(self) -> None:
        self._deadline = asyncio.get_running_loop().time() + self._commit_every

    async def _written(self) -> None:
        """Wait for the chunk that is being written."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await _finished(writing)

    def _start(
        self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._thread, lambda: work(*args, **kwargs))

    async def _do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await _finished(self._start(work, *args, **kwargs))

    def _tell(self, fan_out: FanOut) -> None:
        if self._on_progress is None:
            return
        progress, files = fan_out.progress, self._target.files
        self._on_progress(
            ExportProgress(
                done=progress.done,
                complete=progress.complete,
                failed=progress.failed,
                skipped=self._skipped,
                open=progress.open,
                events=progress.events,
                requests=progress.requests,
                files=len(files),
                bytes=self._target.bytes,
            )
        )

    def _result(self, fan_out: FanOut) -> ExportResult:
        return ExportResult(
            directory=self._target.path,
            done=fan_out.progress.done,
            complete=fan_out.progress.complete,
            skipped=self._skipped,
            events=fan_out.progress.events,
            files=tuple(self._target.files),
            failures=fan_out.failures,
        )


async def _finished(work: asyncio.Future[T]) -> T:
    """Wait for what must not be left half done, also when cancelled meanwhile."""
    interrupted: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait((work,))
        except asyncio.CancelledError as error:
            interrupted = error
    if interrupted is not None:
        work.exception()  # so that it is not called forgotten
        raise interrupted
    return work.result()
