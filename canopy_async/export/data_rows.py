"""The rows of an export's files, whatever their format, in flat memory.

Only what a report needs is read: never ``metadata``, and no unknown field.
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
from typing import Any, Final, Protocol

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
from canopy_async.export.data_keys import LONGEST_LINE
from canopy_async.export.names import stem_of_partial
from canopy_async.export.writers.compressors import import_zstandard
from canopy_async.export.writers.parquet import import_pyarrow

__all__ = ["read_batches"]

_BLOCK: Final = 1 << 21
"""Bytes that are decoded at a time."""
_PACKED_BLOCK: Final = 1 << 14
"""Bytes that are decompressed at a time: there may be far more in them."""
_BATCH: Final = 1 << 17
"""Rows of Parquet that are handed out at a time at most: as many as a row group."""
_LINES: Final = 1 << 14
"""Lines of CSV that are handed out at a time at most."""
_LONGEST_CELL: Final = 1 << 28


class _Stream(Protocol):
    """A stream that lines of JSON are read from."""

    def read(self, size: int, /) -> bytes: ...


def read_batches(path: Path) -> Iterator[Batch]:
    """Yield the rows of one file, some at a time.

    Args:
        path: A file of an export that was committed, whether it has got its final
            name or not; its suffix tells the format.

    Yields:
        Batches in the order of the file.

    Raises:
        ExportError: While iterating: it is missing, damaged, or of no format
            that an export has.
        OSError: While iterating: it can't be read.

    Example:
        >>> for batch in read_batches(Path("export/events-00001.jsonl")):
        ...     print(dict(batch.counts("action", "outcome")))
    """
    name = stem_of_partial(path.name) or path.name
    for suffix, read in _READERS.items():
        if name.endswith(suffix):
            with _faults_named(path):
                yield from read(path)
            return
    raise ExportError(f"{path.name} has no suffix of an export's file")


@contextmanager
def _faults_named(path: Path) -> Generator[None]:
    """Turn what is wrong with a file into an error that names it."""
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
    """The contents of a file of one Zstandard frame, whose early end is noticed."""

    def __init__(self, file: _Stream, frame: Any) -> None:
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


def _decoded(stream: _Stream) -> Iterator[Batch]:
    decode = msgspec.json.Decoder(Line).decode_lines
    for lines in _whole_lines(stream):
        if decoded := decode(lines):
            yield LineBatch(decoded)


def _whole_lines(stream: _Stream) -> Iterator[bytes]:
    """Yield blocks that end where a line does."""
    parts: list[bytes] = []
    size = 0
    while block := stream.read(_BLOCK):
        end = block.rfind(b"\n") + 1
        if end:
            yield b"".join((*parts, block[:end]))
            parts.clear()
            size = 0
        if end < len(block):
            parts.append(block[end:])
            size += len(block) - end
        if size > LONGEST_LINE:
            raise ValueError("it has a line that does not end")
    if parts:
        raise ValueError("it ends within a line")


def _read_csv(path: Path) -> Iterator[Batch]:
    # A cell of metadata may be as long as an answer of the server.
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
            raise ValueError("it has a line of too many or too few cells")
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
