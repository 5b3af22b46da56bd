"""What a format is: how to write rows to a sink of bytes."""

from collections.abc import Callable, Sequence
from typing import Protocol

import attrs

from canopy_async.identity_events import IdentityBatch

__all__ = ["Format", "Sink", "Writer"]


class Sink(Protocol):
    """Where a writer puts its bytes."""

    def write(self, data: bytes, /) -> int:
        """Write all of ``data``; return its length."""
        ...


class Writer(Protocol):
    """Writes the rows of one file, some at a time."""

    def write(self, batches: Sequence[IdentityBatch], /) -> None:
        """Encode events, and write what is ready of them."""
        ...

    def close(self) -> None:
        """Write what is left; the sink stays open."""
        ...


@attrs.frozen
class Format:
    """A format of data files.

    Attributes:
        suffix: Of the files, without the dot; the name of the format as well.
        open: Makes the writer of a new file, given its sink and the bytes that
            the file should have at most.
        check: Raises `ExportError` where a package that it needs is missing.
    """

    suffix: str
    open: Callable[[Sink, int], Writer]
    check: Callable[[], object]
