"""Parquet: typed columns in row groups, zstd inside."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final

from canopy_async._tables.arrow import (
    ENUMS,
    encode,
    pack,
    schema_of_log,
    schema_of_table,
)
from canopy_async.errors import ExportError
from canopy_async.export.writers.format import Sink

__all__ = ["ParquetWriter", "encode", "import_pyarrow", "open_log", "pack"]

ROW_GROUP_ROWS: Final = 128 * 1024
ROW_GROUP_BYTES: Final = 64 * 1024 * 1024
"""Of a row group in memory; written, it has about a quarter of that."""

_OFTEN_NEW: Final = frozenset(("id", "resource_id", "correlation_id", "metadata"))
"""Columns whose values rarely repeat, so that a dictionary of them is in vain."""

_IN_ONE_PIECE: Final = (*ENUMS, "metadata")
"""Columns of a row group that are made one piece before they are written.

Parquet takes four times as long to number the texts of an enum piece by piece, and
would compress ``metadata`` in smaller parts. To copy the other columns, too, would fill
as much memory once more, in more than half of the CPU that a row group takes.
"""


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


class ParquetWriter:
    """Writes events as rows of typed columns.

    ``created_at`` is a timestamp of microseconds in UTC, and the enums are
    dictionaries. The schema is the same whatever is written.

    Args:
        sink: Where the file goes.
        max_bytes: What the file should have at most: a row group is no larger
            in memory.
        schema: Returns the schema of the file.
    """

    def __init__(
        self,
        sink: Sink,
        max_bytes: int,
        *,
        schema: Callable[[], Any] = schema_of_table,
    ) -> None:
        self._arrow: Final = import_pyarrow()
        self._schema: Final = schema()
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


def open_log(sink: Sink, max_bytes: int) -> ParquetWriter:
    """Return the writer of a file of an account's log: ``identity_id`` is null.

    Args:
        sink: Where the file goes.
        max_bytes: What the file should have at most.
    """
    return ParquetWriter(sink, max_bytes, schema=schema_of_log)
