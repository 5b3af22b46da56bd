"""`Run`: one pass over a list, as an async iterator that can be watched."""

from collections.abc import Sequence
from typing import Final, Generic, Self, TypeVar

from canopy_async._read.reader import PageReader
from canopy_async._util.closeable import Closeable
from canopy_async._util.public import publish
from canopy_async.checkpoint import Checkpoint
from canopy_async.models import PageMeta
from canopy_async.report import Progress, ReadReport

__all__ = ["Run"]

T = TypeVar("T")


class Run(Closeable, Generic[T]):
    """One pass over a list: an async iterator, and what there is to watch.

    Use it with ``async with``: leaving the block ends its requests.

    Example:
        >>> async with session.events("idn_1").open() as run:
        ...     async for event in run:
        ...         print(run.progress.seen, event.action)
        ...     print(run.report)
    """

    def __init__(self, reader: PageReader[T]) -> None:
        self._reader: Final = reader

    @property
    def progress(self) -> Progress:
        """The progress of this pass."""
        return self._reader.progress

    @property
    def checkpoint(self) -> Checkpoint:
        """The place after the last row that was handed out.

        Whatever is in flight or held ready, a read with ``resume`` set to it
        begins with the next row, and repeats none.
        """
        return self._reader.checkpoint

    @property
    def report(self) -> ReadReport:
        """The rows read so far, and what this pass can prove of them."""
        return self._reader.report

    @property
    def pagination(self) -> PageMeta:
        """The counts that the server sent with the latest page.

        Raises:
            RuntimeError: None was taken yet, or the list has no numbered pages.
        """
        return self._reader.pagination

    def __aiter__(self) -> Self:
        """Return the run itself: there is one pass."""
        return self

    async def __anext__(self) -> T:
        """Return the next row; there is none once the run was closed.

        Raises:
            CanopyError: The read failed; carries ``checkpoint``.
        """
        reader = self._reader
        if reader.closed:
            raise StopAsyncIteration
        if reader.handed >= len(reader.batch):
            if await reader.next_batch() is None:
                raise StopAsyncIteration
            reader.handed = 0
        row = reader.batch[reader.handed]
        reader.handed += 1
        return row

    async def next_batch(self) -> Sequence[T] | None:
        """Return the next rows in list order, those of one page at most.

        If part of a page was iterated one by one, this returns the rest of it.

        Returns:
            At least one row, or None at the end, and where the run was closed.

        Raises:
            CanopyError: The read failed; carries ``checkpoint``.
            RuntimeError: Another task is waiting for rows of this run.
        """
        reader = self._reader
        if reader.closed:
            return None
        rest = reader.batch[reader.handed :]
        if rest and not reader.is_waiting:
            reader.handed = len(reader.batch)
            return rest
        return await reader.next_batch()

    async def aclose(self) -> None:
        """Cancel the requests that are still running, and await them."""
        await self._reader.aclose()


publish("canopy_async", Run)
