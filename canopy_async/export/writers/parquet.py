"""Parquet: typed columns in row groups, compressed with Zstandard."""

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
"""The most bytes of a row group in memory. In the file it takes about a quarter."""

_MOSTLY_UNIQUE: Final = frozenset(("id", "resource_id", "correlation_id", "metadata"))
"""Columns whose values rarely repeat, so that a dictionary would save nothing."""

_CONTIGUOUS: Final = (*ENUMS, "metadata")
"""Columns of a row group that are copied into one array before they are written.

With many small arrays, Parquet takes four times as long to build the dictionary of an
enum, and compresses ``metadata`` in smaller parts. The other columns are not copied: it
would need as much memory again, and more than half of a row group's CPU time.
"""


def import_pyarrow() -> Any:
    """Import and return the module ``pyarrow``, with ``pyarrow.parquet`` loaded.

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
    """A writer of one Parquet file.

    Args:
        sink: The file to write to.
        max_bytes: The most bytes that the file should have. A row group in memory is
            not larger.
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
            use_dictionary=[n for n in self._schema.names if n not in _MOSTLY_UNIQUE],
        )

    def write(self, batches: Sequence[Any]) -> None:
        """Add record batches to the row group; write the row group if it is full."""
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
        for name in _CONTIGUOUS:
            index = table.schema.get_field_index(name)
            column = table.column(index).combine_chunks()
            table = table.set_column(index, table.schema.field(index), column)
        self._file.write_table(
            table.cast(self._schema), row_group_size=max(1, table.num_rows)
        )


def open_log(sink: Sink, max_bytes: int) -> ParquetWriter:
    """Return a writer of a file of an account's log, where ``identity_id`` is null.

    Args:
        sink: The file to write to.
        max_bytes: The most bytes that the file should have.
    """
    return ParquetWriter(sink, max_bytes, schema=schema_of_log)
