"""The writer of text files, compressed or not."""

from collections.abc import Sequence
from typing import Final

from canopy_async.export.writers.compressors import Compressor
from canopy_async.export.writers.format import Sink

__all__ = ["TextWriter"]


class TextWriter:
    """A writer of one text file.

    Args:
        sink: The file to write to.
        compressor: The compressor of the file, or None to not compress it.
        begin: The first bytes of the file, before compression.
    """

    def __init__(self, sink: Sink, compressor: Compressor | None, begin: bytes) -> None:
        self._sink: Final = sink
        self._compressor: Final = compressor
        if begin:
            self.write([begin])

    def write(self, chunks: Sequence[bytes]) -> None:
        """Write chunks of encoded text."""
        data = b"".join(chunks)
        if self._compressor is not None:
            data = self._compressor.compress(data)
        self._sink.write(data)

    def close(self) -> None:
        """Write the end of the compressed stream."""
        if self._compressor is not None:
            self._sink.write(self._compressor.flush())
