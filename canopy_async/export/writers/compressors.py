"""Compressors for gzip and Zstandard files."""

import zlib
from typing import Any, Protocol

from canopy_async.errors import ExportError

__all__ = ["Compressor", "gzip_compressor", "import_zstandard", "zstd_compressor"]

_GZIP_LEVEL = 4
"""Level 4 takes half the time of the default 6; files are a tenth larger."""

_GZIP_HEADER = 16 + zlib.MAX_WBITS
_ZSTD_LEVEL = 3


class Compressor(Protocol):
    """The protocol of a compressor of one stream."""

    def compress(self, data: bytes, /) -> bytes:
        """Add data; return the compressed bytes that are ready, which may be none."""
        ...

    def flush(self) -> bytes:
        """Return the last compressed bytes, with the end of the stream."""
        ...


def gzip_compressor() -> Compressor:
    """Return a compressor for one gzip file."""
    return zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_HEADER)


def zstd_compressor() -> Compressor:
    """Return a compressor for one Zstandard file, with a checksum."""
    zstandard = import_zstandard()
    compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True)
    made: Compressor = compressor.compressobj()
    return made


def import_zstandard() -> Any:
    """Import and return the module ``zstandard``.

    Raises:
        ExportError: It is not installed.
    """
    try:
        import zstandard  # an optional dependency
    except ModuleNotFoundError:
        raise ExportError(
            "Zstandard needs the package zstandard: install this library with its"
            " extra 'zstd'"
        ) from None
    return zstandard
