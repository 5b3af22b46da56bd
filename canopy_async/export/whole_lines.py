"""The lines of a data file, in blocks that each contain only whole lines."""

from collections.abc import Iterator
from typing import Final, Protocol

__all__ = ["LONGEST_LINE", "ByteStream", "whole_lines"]

LONGEST_LINE: Final = 1 << 28
"""The longest line of a data file, in bytes."""


class ByteStream(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """Return so many bytes at most; none at the end."""
        ...


def whole_lines(stream: ByteStream, block_size: int) -> Iterator[bytes]:
    """Yield blocks of about a size that each contain only whole lines.

    Args:
        stream: The bytes of a file, from its beginning.
        block_size: The number of bytes to read at a time.

    Raises:
        ValueError: While iterating: the last line does not end, or a line is longer
            than `LONGEST_LINE`.
    """
    parts: list[bytes] = []
    size = 0
    while block := stream.read(block_size):
        end = block.rfind(b"\n") + 1
        if end:
            yield b"".join((*parts, block[:end]))
            parts, size = [], 0
        if end < len(block):
            parts.append(block[end:])
            size += len(block) - end
        if size > LONGEST_LINE:
            raise ValueError("it has a line that does not end")
    if parts:
        raise ValueError("it ends in the middle of a line")
