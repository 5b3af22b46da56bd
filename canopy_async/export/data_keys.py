"""Reading the keys of a data file: identity, instant and id of each event."""

import csv
import gzip
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from io import TextIOWrapper
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, Final, TypeAlias

import msgspec

from canopy_async._tables.columns import COLUMNS, IDENTITY_ID
from canopy_async._util.plain_files import open_plain
from canopy_async.errors import ExportError
from canopy_async.export.whole_lines import whole_lines
from canopy_async.export.writers.compressors import import_zstandard
from canopy_async.export.writers.csv_ import unguarded
from canopy_async.export.writers.parquet import import_pyarrow
from canopy_async.models import AwareDatetime

__all__ = ["KEY_COLUMNS", "Key", "microseconds", "read_keys"]

Key: TypeAlias = tuple[str, int, str]
"""An identity's id, an instant in microseconds since 1970, and an event's id.

For a row of an account's log, which has no identity, the first text is empty."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
KEY_COLUMNS: Final = (IDENTITY_ID, "created_at", "id")
"""The columns that a `Key` is made of."""
_BLOCK: Final = 1 << 20
_LONGEST_CELL: Final = 1 << 28


class _Line(msgspec.Struct, gc=False):
    identity_id: str | None
    created_at: AwareDatetime
    id: str


def read_keys(path: Path, written_as: str) -> Iterator[Key]:
    """Yield the key of each row of a data file, in the order of the file.

    Args:
        path: The file.
        written_as: The name of its format.

    Raises:
        ExportError: While iterating: the file is damaged, or its format is unknown.
        OSError: While iterating: the file can't be read.
    """
    read = _READERS.get(written_as)
    if read is None:
        raise ExportError(f"{path.name}: the format {written_as!r} is unknown")
    try:
        yield from read(path)
    except (EOFError, ValueError, csv.Error, zlib.error, msgspec.MsgspecError) as error:
        raise ExportError(f"{path.name} is damaged: {error}") from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise ExportError(f"{path.name} is damaged: {error}") from None


def microseconds(instant: datetime) -> int:
    """Return an instant in microseconds since 1970 in UTC, as in a `Key`."""
    return (instant - _EPOCH) // _MICROSECOND


def _keys_of_jsonl(
    path: Path, unpack: Callable[[Path], AbstractContextManager[IO[bytes]]]
) -> Iterator[Key]:
    decode = msgspec.json.Decoder(_Line).decode_lines
    with unpack(path) as stream:
        for lines in whole_lines(stream, _BLOCK):
            for line in decode(lines):
                yield line.identity_id or "", microseconds(line.created_at), line.id


@contextmanager
def _open_file(path: Path) -> Generator[IO[bytes]]:
    with open_plain(path) as file:
        yield file


@contextmanager
def _open_gzip(path: Path) -> Generator[Any]:
    with open_plain(path) as file, gzip.open(file, "rb") as stream:
        yield stream


@contextmanager
def _open_zstandard(path: Path) -> Generator[IO[bytes]]:
    decompressor = import_zstandard().ZstdDecompressor()
    with open_plain(path) as file, decompressor.stream_reader(file) as stream:
        yield stream


def _keys_of_csv(path: Path) -> Iterator[Key]:
    # A cell of metadata may be as long as a whole response of the server.
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
    keys_of = itemgetter(*map(COLUMNS.index, KEY_COLUMNS))
    with TextIOWrapper(open_plain(path), encoding="utf-8-sig", newline="") as stream:
        lines = csv.reader(stream, strict=True)
        if tuple(next(lines, ())) != COLUMNS:
            raise ValueError("its header is not the header of an export")
        for line in lines:
            if len(line) != len(COLUMNS):
                raise ValueError("a line has too many or too few cells")
            identity_id, instant, event_id = keys_of(line)
            at = microseconds(datetime.fromisoformat(instant))
            yield unguarded(identity_id), at, unguarded(event_id)


def _keys_of_parquet(path: Path) -> Iterator[Key]:
    arrow = import_pyarrow()
    with open_plain(path) as plain, arrow.parquet.ParquetFile(plain) as file:
        for batch in file.iter_batches(columns=list(KEY_COLUMNS)):
            identity_ids, instants, event_ids = map(batch.column, KEY_COLUMNS)
            yield from zip(
                (identity_id or "" for identity_id in identity_ids.to_pylist()),
                instants.cast(arrow.int64()).to_pylist(),
                event_ids.to_pylist(),
                strict=True,
            )


_READERS: Final[dict[str, Callable[[Path], Iterable[Key]]]] = {
    "jsonl": partial(_keys_of_jsonl, unpack=_open_file),
    "jsonl.gz": partial(_keys_of_jsonl, unpack=_open_gzip),
    "jsonl.zst": partial(_keys_of_jsonl, unpack=_open_zstandard),
    "csv": _keys_of_csv,
    "csv-bom": _keys_of_csv,
    "parquet": _keys_of_parquet,
}
