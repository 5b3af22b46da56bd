"""Parquet: typed columns in row groups, zstd inside."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any, Final, TypeAlias

import msgspec

from canopy_async._fanout.results import IdentityBatch
from canopy_async.errors import ExportError
from canopy_async.export.writers.columns import (
    COLUMNS,
    EXTRA,
    IDENTITY_ID,
    columns_of,
)
from canopy_async.export.writers.format import Sink

__all__ = ["ParquetWriter", "encode", "import_pyarrow", "pack"]

Columns: TypeAlias = Mapping[str, Sequence[Any]]
"""The values of each column, by its name."""

ROW_GROUP_ROWS: Final = 128 * 1024
ROW_GROUP_BYTES: Final = 64 * 1024 * 1024
"""Of a row group in memory; written, it has about a quarter of that."""

_ENCODE: Final = msgspec.json.Encoder().encode

_REQUIRED: Final = frozenset(
    (
        IDENTITY_ID,
        "id",
        "actor_type",
        "action",
        "metadata",
        "created_at",
        "outcome",
        "severity",
        "customer_visible",
        "identity_visible",
    )
)
_ENUMS: Final = frozenset(("actor_type", "outcome", "category", "severity"))
_OFTEN_NEW: Final = frozenset(("id", "resource_id", "correlation_id", "metadata"))
"""Columns whose values rarely repeat, so that a dictionary of them is in vain."""

_IN_ONE_PIECE: Final = (*_ENUMS, "metadata")
"""Columns of a row group that are made one piece before they are written.

Parquet takes four times as long to number the texts of an enum piece by piece, and
would compress ``metadata`` in smaller parts. To copy the other columns, too, would fill
as much memory once more, in more than half of the CPU that a row group takes.
"""


@cache
def import_pyarrow() -> Any:
    """Return the module ``pyarrow``, with ``pyarrow.parquet`` loaded.

    Raises:
        ExportError: It is not installed.
    """
    try:
        arrow = import_module("pyarrow")
        import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        raise ExportError(
            "Parquet needs the package pyarrow: install this library with its extra"
            " 'parquet'"
        ) from None
    return arrow


def encode(page: IdentityBatch) -> Columns:
    """Return the events of a page column by column.

    ``metadata`` is JSON text, and so is ``extra``, null where an event has no
    unknown fields.
    """
    columns = columns_of([page])
    columns["metadata"] = [_ENCODE(value) for value in columns["metadata"]]
    columns[EXTRA] = [_ENCODE(value) if value else None for value in columns[EXTRA]]
    return columns


def pack(pages: Sequence[Columns]) -> Any:
    """Return pages, as `encode` has made them, as one record batch of Arrow."""
    arrow, schema = import_pyarrow(), _plain_schema()
    arrays: list[Any] = []
    for field in schema:
        column: list[Any] = []
        for page in pages:
            column += page[field.name]
        arrays.append(arrow.array(column, field.type))
    return arrow.RecordBatch.from_arrays(arrays, schema=schema)


class ParquetWriter:
    """Writes events as rows of typed columns.

    ``created_at`` is a timestamp of microseconds in UTC, and the enums are
    dictionaries. The schema is the same whatever is written.

    Args:
        sink: Where the file goes.
        max_bytes: What the file should have at most: a row group is no larger
            in memory.
    """

    def __init__(self, sink: Sink, max_bytes: int) -> None:
        self._arrow: Final = import_pyarrow()
        self._schema: Final = _schema(self._arrow)
        self._group_bytes: Final = min(ROW_GROUP_BYTES, max_bytes)
        self._waiting: list[Any] = []
        self._rows = 0
        self._bytes = 0
        self._file: Final = self._arrow.parquet.ParquetWriter(
            sink,
            self._schema,
            compression="zstd",
            use_dictionary=[n for n in self._schema.names if n not in _OFTEN_NEW],
        )

    def write(self, batches: Sequence[Any]) -> None:
        """Keep record batches; write a row group once it is full."""
        for batch in batches:
            self._waiting.append(batch)
            self._rows += batch.num_rows
            self._bytes += batch.nbytes
        if self._rows >= ROW_GROUP_ROWS or self._bytes >= self._group_bytes:
            self._write_group()

    def close(self) -> None:
        """Write the last row group and the footer."""
        if self._waiting:
            self._write_group()
        self._file.close()

    def _write_group(self) -> None:
        table = self._arrow.Table.from_batches(self._waiting)
        self._waiting, self._rows, self._bytes = [], 0, 0
        for name in _IN_ONE_PIECE:
            place = table.schema.get_field_index(name)
            column = table.column(place).combine_chunks()
            table = table.set_column(place, table.schema.field(place), column)
        self._file.write_table(
            table.cast(self._schema), row_group_size=max(1, table.num_rows)
        )


@cache
def _plain_schema() -> Any:
    """Return the schema of a page: that of a file, without dictionaries."""
    arrow = import_pyarrow()
    return _schema(arrow, enums=arrow.string())


def _schema(arrow: Any, *, enums: Any = None) -> Any:
    """Return the schema of a file.

    Args:
        arrow: The module ``pyarrow``.
        enums: The type of columns of few different texts; None is a dictionary.
    """
    text, flag = arrow.string(), arrow.bool_()
    types = {
        "created_at": arrow.timestamp("us", tz="UTC"),
        "customer_visible": flag,
        "identity_visible": flag,
    } | dict.fromkeys(_ENUMS, enums or arrow.dictionary(arrow.int32(), text))
    return arrow.schema(
        [
            arrow.field(name, types.get(name, text), nullable=name not in _REQUIRED)
            for name in COLUMNS
        ]
    )
