"""One run of an export: its begin, what it reads and commits, and its end."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs

from canopy_async.errors import ExportError
from canopy_async.export.account_source import AccountLogReader, AccountSource
from canopy_async.export.directory import ExportDirectory
from canopy_async.export.journal import Journal
from canopy_async.export.log_reader import LogReader, Reading, ReadLimits
from canopy_async.export.manifest_records import End, Header
from canopy_async.export.one_thread import OneThread
from canopy_async.export.progress import ExportProgress, ExportResult
from canopy_async.export.source import IdentitySource
from canopy_async.session import CanopySession

__all__ = ["Run", "unsettled_from"]


class Run:
    """One run of an export.

    Args:
        session: What to read with.
        source: The identities, or the log of the account.
        target: Where to write.
        header: What the export is of.
        limits: How logs are read.
        on_progress: Whom to tell.
    """

    def __init__(
        self,
        session: CanopySession,
        source: IdentitySource | AccountSource,
        target: ExportDirectory,
        header: Header,
        limits: ReadLimits,
        *,
        on_progress: Callable[[ExportProgress], None] | None,
    ) -> None:
        self._source: Final = source
        self._target: Final = target
        self._header: Final = header
        self._on_progress: Final = on_progress
        self._limits: Final = limits
        self._thread: Final = OneThread("canopy-export")
        self._journal: Final = Journal(source.asked, limits.look_back)
        reader = LogReader if header.log_key is None else AccountLogReader
        self._reader: Final = reader(
            session,
            target,
            self._thread,
            header=header,
            journal=self._journal,
            limits=limits,
            on_progress=None if on_progress is None else self._tell,
        )
        self._session: Final = session
        self._has_end = False

    async def export(self) -> ExportResult:
        """Read and write what is new and what earlier runs have left.

        Raises:
            ExportError: The directory can't be used.
            CanopyError: The read can't go on; what was read is committed.
        """
        try:
            await self._thread.do(self._target.open, self._journal.restore)
            self._journal.check(self._target.path)
            await self._thread.do(self._target.delete_leftovers)
            began = asyncio.get_running_loop().time()
            begin = self._journal.begin(datetime.now(UTC))
            try:
                await self._thread.do(self._target.append, begin)
                reading = await self._reader.read(self._source.ids())
                await self._finish(began)
            except BaseException as error:
                await self._break_off(error, began)
                raise
            return self._result(reading)
        finally:
            await self._thread.do(self._target.close)
            self._thread.close()

    def _tell(self, progress: ExportProgress) -> None:
        if self._on_progress is not None:
            total = self._source.total
            self._on_progress(attrs.evolve(progress, total=total))

    async def _finish(self, began: float) -> None:
        await self._thread.do(self._say_who_is_gone)
        await self._say_what_was_listed()
        now = self._reader.clock.now()
        await self._end(self._journal.end("finished", began=self._told(began), at=now))

    async def _break_off(self, error: BaseException, began: float) -> None:
        """Say how the run ends before its time, where that can be written."""
        if isinstance(error, (TypeError, ValueError)) and self._target.is_empty:
            # An argument can't be used, and nothing was read before that showed.
            with suppress(ExportError):
                await self._thread.do(self._target.discard)
            return
        if not self._has_end:
            with suppress(ExportError):
                await self._say_what_was_listed()
                now = self._reader.clock.now()
                began_at = self._told(began)
                await self._end(self._journal.broken_off(error, began=began_at, at=now))
        error.add_note(self._journal.note_of_kept(self._target.path))

    async def _end(self, end: End) -> None:
        # From here on it is written, also where this is cancelled meanwhile.
        self._has_end = True
        await self._thread.do(self._write_end, end)

    def _write_end(self, end: End) -> None:
        self._target.append(end)
        if end.outcome == "finished":
            self._target.write_sums()

    async def _say_what_was_listed(self) -> None:
        listed = self._source.listed(self._reader.clock.now())
        if listed is not None:
            await self._thread.do(self._target.append, listed)

    def _say_who_is_gone(self) -> None:
        if not self._source.is_whole_list:
            return
        commits = self._journal.commits_of_gone(
            self._source.seen,
            self._reader.clock.now(),
            is_open=self._header.until is None,
        )
        for commit in commits:
            self._target.commit(commit)
            self._journal.add(commit)

    def _told(self, instant: float) -> datetime | None:
        """Return an instant by the server's clock, None where it is not known."""
        if self._session.server_time is None:
            return None
        return self._reader.clock.at(instant)

    def _result(self, reading: Reading) -> ExportResult:
        journal = self._journal
        return ExportResult(
            directory=self._target.path,
            run=journal.run,
            done=reading.progress.done,
            complete=self._reader.complete,
            skipped=self._reader.skipped,
            new_identities=journal.new_identities,
            gone=journal.gone,
            events=journal.events,
            late=journal.late,
            gaps=tuple(journal.gaps),
            as_of=journal.as_of,
            unsettled_from=unsettled_from(
                self._header, self._limits.look_back, journal.as_of
            ),
            files=tuple(self._target.files),
            failures=reading.failures,
        )


def unsettled_from(
    header: Header, look_back: timedelta, as_of: datetime | None
) -> datetime | None:
    """Return from when on events may be committed that no run will look for.

    Args:
        header: What the export is of.
        look_back: How late an event may be committed.
        as_of: How far logs are covered.
    """
    if header.until is None or as_of is None:
        return None
    settled = as_of - look_back
    return settled if settled < header.until else None
