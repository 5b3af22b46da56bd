"""The interface of a format: how rows are encoded and written to a file."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import attrs

from canopy_async._tables.columns import EventsOfOne

__all__ = ["Format", "Sink", "Writer"]


class Sink(Protocol):
    """The protocol of a file that a writer writes bytes to."""

    def write(self, data: bytes, /) -> int:
        """Write all of ``data``; return its length."""
        ...


class Writer(Protocol):
    """The protocol of a writer of the rows of one file."""

    def write(self, chunks: Sequence[Any], /) -> None:
        """Write chunks that `Format.pack` returned."""
        ...

    def close(self) -> None:
        """Write the remaining bytes. The sink stays open."""
        ...


@attrs.frozen(kw_only=True)
class Format:
    """A format of data files.

    Attributes:
        name: The name of the format.
        suffix: The suffix of its files, without the dot.
        encode: Encodes the events of one page. It is called in the event loop's
            thread, while the rows are in the processor's cache. A second thread would
            not be faster, as only one thread at a time runs Python.
        pack: Makes one chunk of some encoded pages. It is called in the event loop's
            thread.
        chunk_rows: The approximate number of rows in a chunk.
        open: Returns the writer of a new file. Its arguments are the sink and the most
            bytes that the file should have. It is called in another thread.
        check: Raises `ExportError` if the format needs a package that is missing.
    """

    name: str
    suffix: str
    encode: Callable[[EventsOfOne], Any]
    pack: Callable[[Sequence[Any]], Any]
    chunk_rows: int
    open: Callable[[Sink, int], Writer]
    check: Callable[[], object]
