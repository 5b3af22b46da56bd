"""Files of encoded text, compressed or not."""

from collections.abc import Sequence
from typing import Final

from canopy_async.export.writers.compressors import Compressor
from canopy_async.export.writers.format import Sink

__all__ = ["TextWriter"]


class TextWriter:
    """Writes chunks of encoded text one after the other.

    Args:
        sink: Where they go.
        compressor: What compresses them on the way, None for nothing.
        begin: What the file begins with.
    """

    def __init__(self, sink: Sink, compressor: Compressor | None, begin: bytes) -> None:
        self._sink: Final = sink
        self._compressor: Final = compressor
        if begin:
            self.write([begin])

    def write(self, chunks: Sequence[bytes]) -> None:
        """Write some chunks."""
        data = b"".join(chunks)
        if self._compressor is not None:
            data = self._compressor.compress(data)
        self._sink.write(data)

    def close(self) -> None:
        """Write the end of the compressed stream."""
        if self._compressor is not None:
            self._sink.write(self._compressor.flush())
