"""Writers of data files: each format by its name."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Literal, TypeAlias

import attrs

from canopy_async.export.writers import csv_, jsonl, parquet
from canopy_async.export.writers.compressors import (
    Compressor,
    gzip_compressor,
    import_zstandard,
    zstd_compressor,
)
from canopy_async.export.writers.format import Format, Sink, Writer
from canopy_async.export.writers.text import TextWriter

__all__ = ["FORMATS", "LOG_FORMATS", "Format", "FormatName", "Writer"]

FormatName: TypeAlias = Literal[
    "jsonl", "jsonl.gz", "jsonl.zst", "csv", "csv-bom", "parquet"
]

_CHUNK_ROWS: Final = 1_024
"""The approximate number of rows in a chunk: they fit into a processor's cache."""


def _text(
    sink: Sink,
    _max_bytes: int,
    *,
    begin: bytes = b"",
    compressor: Callable[[], Compressor] | None = None,
) -> Writer:
    """Return a writer of a text file.

    Args:
        sink: The sink that the writer writes to.
        _max_bytes: Unused: text is written at once, whatever the file's size is.
        begin: The first bytes of the file.
        compressor: Returns a new compressor, if the file is compressed.
    """
    return TextWriter(sink, None if compressor is None else compressor(), begin)


def _jsonl(
    suffix: str,
    compressor: Callable[[], Compressor] | None = None,
    check: Callable[[], object] = lambda: None,
) -> Format:
    return Format(
        name=suffix,
        suffix=suffix,
        encode=jsonl.encode,
        pack=b"".join,
        chunk_rows=_CHUNK_ROWS,
        open=partial(_text, compressor=compressor),
        check=check,
    )


def _csv(name: str, mark: bytes) -> Format:
    return Format(
        name=name,
        suffix="csv",
        encode=csv_.encode,
        pack=b"".join,
        chunk_rows=_CHUNK_ROWS,
        open=partial(_text, begin=mark + csv_.HEADER),
        check=lambda: None,
    )


_FORMATS: Final = (
    _jsonl("jsonl"),
    _jsonl("jsonl.gz", gzip_compressor),
    _jsonl("jsonl.zst", zstd_compressor, import_zstandard),
    _csv("csv", b""),
    _csv("csv-bom", csv_.BYTE_ORDER_MARK),
    Format(
        name="parquet",
        suffix="parquet",
        encode=parquet.encode,
        pack=parquet.pack,
        chunk_rows=_CHUNK_ROWS,
        open=parquet.ParquetWriter,
        check=parquet.import_pyarrow,
    ),
)

FORMATS: Final[Mapping[str, Format]] = {made.name: made for made in _FORMATS}
"""Each format by its name."""

LOG_FORMATS: Final[Mapping[str, Format]] = {
    **FORMATS,
    "parquet": attrs.evolve(FORMATS["parquet"], open=parquet.open_log),
}
"""Each format by its name, as files of an account's log have it."""
