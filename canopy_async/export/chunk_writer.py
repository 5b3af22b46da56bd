"""The writing of an export's events, in chunks and in a thread."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from canopy_async._tables.columns import EventsOfOne
from canopy_async.export.directory import ExportDirectory
from canopy_async.export.manifest_records import Commit
from canopy_async.export.one_thread import OneThread, finished
from canopy_async.export.writers import Format

__all__ = ["ChunkWriter"]

_LEAST_ROW_BYTES: Final = 100
"""The least size of a row in a file, in bytes.

A chunk gets no more rows than may fit into a file of the maximal size."""


class ChunkWriter:
    """Encodes pages of events, and lets a thread write some pages at a time: a chunk.

    One chunk is filled while the thread writes the chunk before it.

    Args:
        target: The directory to write to. It is only used in ``thread``.
        thread: The thread for all calls of ``target``.
        written_as: The format of the data files.
        max_file_bytes: The size in bytes at which a file is closed.
    """

    def __init__(
        self,
        target: ExportDirectory,
        thread: OneThread,
        *,
        written_as: Format,
        max_file_bytes: int,
    ) -> None:
        self._target: Final = target
        self._thread: Final = thread
        self._format: Final = written_as
        self._most_rows: Final = min(
            written_as.chunk_rows, max(1, max_file_bytes // _LEAST_ROW_BYTES)
        )
        self._pages: list[Any] = []
        self._rows = 0
        self._writing: asyncio.Future[None] | None = None

    @property
    def is_full(self) -> bool:
        """Whether the chunk has as many rows as are written at a time."""
        return self._rows >= self._most_rows

    def add(self, page: EventsOfOne) -> None:
        """Add a page of events to the chunk.

        The page is encoded now, while its rows are in the processor's cache.
        """
        self._pages.append(self._format.encode(page))
        self._rows += len(page[1])

    async def start_writing(self) -> None:
        """Let the thread write the chunk, once it has written the chunk before.

        Raises:
            ExportError: The chunk before could not be written.
        """
        await self.written()
        self._writing = self._thread.start(self._target.write, *self._take())

    async def written(self) -> None:
        """Wait until the chunk that is being written is written.

        Raises:
            ExportError: It could not be written.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            await finished(writing)

    def start_commit(self, commit: Commit) -> asyncio.Future[None]:
        """Let the thread write the chunk, then commit.

        Args:
            commit: The commit, of the events of all chunks since the commit before.

        Returns:
            The future of the work.
        """
        chunk, rows = self._take()
        return self._thread.start(self._write_and_commit, chunk, rows, commit)

    def _write_and_commit(
        self, chunk: Sequence[Any], rows: int, commit: Commit
    ) -> None:
        if chunk:
            self._target.write(chunk, rows)
        self._target.commit(commit)

    def _take(self) -> tuple[Sequence[Any], int]:
        pages, rows = self._pages, self._rows
        self._pages, self._rows = [], 0
        return [self._format.pack(pages)] if pages else [], rows
