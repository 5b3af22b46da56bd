"""The formats of data files."""

from collections.abc import Mapping
from typing import Final

from canopy_async.export.writers.comma import CsvWriter
from canopy_async.export.writers.compression import (
    gzip_compressor,
    import_zstandard,
    zstd_compressor,
)
from canopy_async.export.writers.jsonl import JsonLinesWriter
from canopy_async.export.writers.parquet import ParquetWriter, import_pyarrow
from canopy_async.export.writers.protocol import Format, Writer

__all__ = ["FORMATS", "Format", "Writer"]

_FORMATS: Final = (
    Format("jsonl", lambda sink, _: JsonLinesWriter(sink), lambda: None),
    Format(
        "jsonl.gz",
        lambda sink, _: JsonLinesWriter(sink, gzip_compressor()),
        lambda: None,
    ),
    Format(
        "jsonl.zst",
        lambda sink, _: JsonLinesWriter(sink, zstd_compressor()),
        import_zstandard,
    ),
    Format("csv", lambda sink, _: CsvWriter(sink), lambda: None),
    Format("parquet", ParquetWriter, import_pyarrow),
)

FORMATS: Final[Mapping[str, Format]] = {made.suffix: made for made in _FORMATS}
"""Each format by its name."""
