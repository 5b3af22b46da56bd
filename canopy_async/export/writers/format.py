"""The protocol of a format: rows become bytes, and bytes a file."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import attrs

from canopy_async._tables.columns import EventsOfOne

__all__ = ["Format", "Sink", "Writer"]


class Sink(Protocol):
    """The sink that a writer puts its bytes into."""

    def write(self, data: bytes, /) -> int:
        """Write all of ``data``; return its length."""
        ...


class Writer(Protocol):
    """Writes the rows of one file, some at a time."""

    def write(self, chunks: Sequence[Any], /) -> None:
        """Write chunks, as ``Format.pack`` has made them."""
        ...

    def close(self) -> None:
        """Write what is left; the sink stays open."""
        ...


@attrs.frozen(kw_only=True)
class Format:
    """A format of data files.

    Attributes:
        name: The name of the format.
        suffix: The suffix of its files, without the dot.
        encode: Encodes the events of one page. It is called where the page is
            read, while its rows are in the processor's cache: two threads that
            both run Python would only wait for each other.
        pack: Makes one chunk of some encoded pages. It is called there, too.
        chunk_rows: How many rows a chunk has, about.
        open: Makes the writer of a new file, given its sink and the bytes that
            the file should have at most. It is called in another thread.
        check: Raises `ExportError` where a package that it needs is missing.
    """

    name: str
    suffix: str
    encode: Callable[[EventsOfOne], Any]
    pack: Callable[[Sequence[Any]], Any]
    chunk_rows: int
    open: Callable[[Sink, int], Writer]
    check: Callable[[], object]
