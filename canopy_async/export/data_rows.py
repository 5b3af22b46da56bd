"""Reading the rows of data files of any format, in constant memory.

Only the fields that a report needs are read: never ``metadata`` and unknown fields.
"""

import csv
import gzip
import zlib
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import msgspec

from canopy_async._util.plain_files import open_plain
from canopy_async.errors import ExportError
from canopy_async.export.batches import (
    COLUMNS,
    ArrowBatch,
    Batch,
    CellBatch,
    Line,
    LineBatch,
)
from canopy_async.export.names import stem_of_partial
from canopy_async.export.whole_lines import ByteStream, whole_lines
from canopy_async.export.writers.compressors import import_zstandard
from canopy_async.export.writers.parquet import import_pyarrow

__all__ = ["read_batches"]

_BLOCK: Final = 1 << 21
"""The number of bytes to decode at a time."""
_PACKED_BLOCK: Final = 1 << 14
"""The number of compressed bytes to decompress at a time; they may grow much."""
_BATCH: Final = 1 << 17
"""The most rows in a batch of a Parquet file: as many as in a row group."""
_LINES: Final = 1 << 14
"""The most rows in a batch of a CSV file."""
_LONGEST_CELL: Final = 1 << 28


def read_batches(path: Path) -> Iterator[Batch]:
    """Yield the rows of one data file in batches.

    Args:
        path: A committed file of an export, with its final or its preliminary name.
            The suffix of the final name tells the format.

    Yields:
        Batches in the order of the file.

    Raises:
        ExportError: While iterating: the file is missing, damaged, or has a suffix of
            no known format.
        OSError: While iterating: the file can't be read.

    Example:
        >>> for batch in read_batches(Path("export/events-00001.jsonl")):
        ...     print(dict(batch.counts("action", "outcome")))
    """
    name = stem_of_partial(path.name) or path.name
    for suffix, read in _READERS.items():
        if name.endswith(suffix):
            with _errors_name_file(path):
                yield from read(path)
            return
    raise ExportError(f"{path.name} has no suffix of a data file")


@contextmanager
def _errors_name_file(path: Path) -> Generator[None]:
    """Turn errors of reading a file into an `ExportError` that names the file."""
    try:
        yield
    except FileNotFoundError:
        raise ExportError(f"{path.name} is missing") from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise ExportError(f"{path.name} is damaged: {error}") from None
    except (EOFError, ValueError, csv.Error, zlib.error, msgspec.MsgspecError) as error:
        raise ExportError(f"{path.name} is damaged: {error}") from None


def _read_jsonl(path: Path) -> Iterator[Batch]:
    with open_plain(path) as stream:
        yield from _decoded(stream)


def _read_gzip(path: Path) -> Iterator[Batch]:
    with open_plain(path) as file, gzip.open(file, "rb") as stream:
        yield from _decoded(stream)


def _read_zstandard(path: Path) -> Iterator[Batch]:
    zstandard = import_zstandard()
    with open_plain(path) as file:
        frame = zstandard.ZstdDecompressor().decompressobj()
        try:
            yield from _decoded(_Frame(file, frame))
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from None


class _Frame:
    """The content of a Zstandard file of one frame; reading raises if it is cut."""

    def __init__(self, file: ByteStream, frame: Any) -> None:
        self._file: Final = file
        self._frame: Final = frame

    def read(self, size: int, /) -> bytes:
        parts: list[bytes] = []
        missing = size
        while missing > 0 and (block := self._file.read(_PACKED_BLOCK)):
            parts.append(self._frame.decompress(block))
            missing -= len(parts[-1])
        if missing > 0 and not self._frame.eof:
            raise ValueError("it ends too early")
        return b"".join(parts)


def _decoded(stream: ByteStream) -> Iterator[Batch]:
    decode = msgspec.json.Decoder(Line).decode_lines
    for lines in whole_lines(stream, _BLOCK):
        if decoded := decode(lines):
            yield LineBatch(decoded)


def _read_csv(path: Path) -> Iterator[Batch]:
    # A cell of metadata may be as long as a whole response of the server.
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
    with TextIOWrapper(open_plain(path), encoding="utf-8-sig", newline="") as stream:
        lines = _needed_cells(csv.reader(stream, strict=True))
        while batch := list(islice(lines, _LINES)):
            yield CellBatch(batch)


def _needed_cells(lines: Iterator[list[str]]) -> Iterator[Sequence[str]]:
    header: list[str] = next(lines, list[str]())
    _check_columns(header)
    cells_of = itemgetter(*(header.index(name) for name in COLUMNS))
    for line in lines:
        if len(line) != len(header):
            raise ValueError("it has a line with too many or too few cells")
        yield cells_of(line)


def _check_columns(names: Collection[str]) -> None:
    for name in COLUMNS:
        if name not in names:
            raise ValueError(f"it has no column {name}")


def _read_parquet(path: Path) -> Iterator[Batch]:
    arrow = import_pyarrow()
    with (
        open_plain(path) as plain,
        arrow.parquet.ParquetFile(plain, pre_buffer=False) as file,
    ):
        _check_columns(file.schema_arrow.names)
        for batch in file.iter_batches(batch_size=_BATCH, columns=list(COLUMNS)):
            if batch.num_rows:
                yield ArrowBatch(batch)


_READERS: Final[dict[str, Callable[[Path], Iterator[Batch]]]] = {
    ".jsonl": _read_jsonl,
    ".jsonl.gz": _read_gzip,
    ".jsonl.zst": _read_zstandard,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
