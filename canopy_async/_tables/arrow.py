"""Arrow: the schema of a table of events, and record batches with that schema.

Parquet files and tables in memory share this schema. The package pyarrow is imported
by the first call of a function here, not with this module.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from importlib import import_module
from typing import Any, Final, TypeAlias

import msgspec

from canopy_async._api.requests import MAX_TAKE
from canopy_async._tables.columns import (
    COLUMNS,
    EXTRA,
    IDENTITY_ID,
    EventsOfOne,
    columns_of,
)
from canopy_async._util.arguments import check_integer

__all__ = [
    "BATCH_ROWS",
    "ENUMS",
    "BatchBuilder",
    "check_arrow",
    "encode",
    "import_arrow",
    "pack",
    "schema_of_log",
    "schema_of_table",
    "table_of",
]

Columns: TypeAlias = Mapping[str, Sequence[Any]]
"""The values of each column, by the column's name."""

PACKED_ROWS: Final = 1_024
"""The number of rows kept as Python objects at which they are converted to Arrow."""

BATCH_BYTES: Final = 128 * 1024 * 1024
"""The approximate size in bytes at which a record batch gets no more pages."""

BATCH_ROWS: Final = 65_536
"""The default for the most rows in a record batch."""

_ENCODER: Final = msgspec.json.Encoder()

ENUMS: Final = frozenset(("actor_type", "outcome", "category", "severity"))
"""Columns with few distinct texts, stored as dictionaries of Arrow."""

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


@cache
def import_arrow() -> Any:
    """Import and return the module ``pyarrow``.

    Raises:
        ModuleNotFoundError: It is not installed; the message names the extra.
    """
    try:
        return import_module("pyarrow")
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "tables need the package pyarrow: install this library with its extra"
            " 'arrow'",
            name="pyarrow",
        ) from None


def check_arrow(rows: int) -> None:
    """Check, before anything is read, that batches of ``rows`` rows can be made.

    Raises:
        ModuleNotFoundError: The package pyarrow is not installed.
        TypeError: ``rows`` is not an int.
        ValueError: ``rows`` is smaller than the largest page.
    """
    check_integer("rows", rows, minimum=MAX_TAKE)
    import_arrow()


def encode(page: EventsOfOne) -> Columns:
    """Return the events of a page as columns.

    ``metadata`` becomes JSON text. So does ``extra``, which is null where an event has
    no unknown fields.
    """
    columns = columns_of([page])
    columns["metadata"] = _json_of(columns["metadata"])
    if any(columns[EXTRA]):
        texts = _json_of(columns[EXTRA])
        columns[EXTRA] = [
            text if value else None
            for value, text in zip(columns[EXTRA], texts, strict=True)
        ]
    else:
        columns[EXTRA] = [None] * len(columns[EXTRA])
    return columns


def _json_of(column: Sequence[Any]) -> Sequence[bytes]:
    """Return the values of a column as JSON, which never contains a line feed."""
    return _ENCODER.encode_lines(column).split(b"\n")[: len(column)]


def pack(pages: Sequence[Columns]) -> Any:
    """Return pages of columns, made by `encode`, as one record batch of Arrow."""
    arrow, schema = import_arrow(), _plain_schema()
    arrays: list[Any] = []
    for field in schema:
        column: list[Any] = []
        for page in pages:
            column += page[field.name]
        arrays.append(arrow.array(column, field.type))
    return arrow.RecordBatch.from_arrays(arrays, schema=schema)


class BatchBuilder:
    """Builder of large record batches from small pages.

    To save memory, at most about `PACKED_ROWS` rows are held as Python objects; the
    other rows are held as Arrow columns.

    Args:
        rows: The most rows in a batch.

    Attributes:
        held: The number of rows that were added and not taken yet.
    """

    def __init__(self, rows: int) -> None:
        self.held = 0
        self._rows: Final = rows
        self._pages: list[Columns] = []
        self._unpacked = 0
        self._packed: list[Any] = []
        self._bytes = 0

    def has_room(self, rows: int) -> bool:
        """Tell whether a page with ``rows`` rows fits into the current batch."""
        if not self.held:
            return True
        return self.held + rows <= self._rows and self._bytes < BATCH_BYTES

    def add(self, page: EventsOfOne) -> None:
        """Add a page of events of one log to the current batch."""
        count = len(page[1])
        self._pages.append(encode(page))
        self._unpacked += count
        self.held += count
        if self._unpacked >= PACKED_ROWS:
            self._pack()

    def take(self) -> Any:
        """Return all held rows as one record batch, and start a new one.

        At least one row must be held.
        """
        self._pack()
        table = import_arrow().Table.from_batches(self._packed)
        self._packed, self._bytes, self.held = [], 0, 0
        (batch,) = table.cast(schema_of_table()).combine_chunks().to_batches()
        return batch

    def _pack(self) -> None:
        if not self._pages:
            return
        piece = pack(self._pages)
        self._packed.append(piece)
        self._bytes += piece.nbytes
        self._pages, self._unpacked = [], 0


def table_of(batches: Sequence[Any]) -> Any:
    """Return record batches as one table, with one dictionary for each enum column."""
    table = import_arrow().Table.from_batches(batches, schema=schema_of_table())
    return table.unify_dictionaries()


@cache
def schema_of_table() -> Any:
    """Return the schema of a table of events, and of a Parquet file.

    ``created_at`` is a timestamp in UTC with microseconds. Enum columns are
    dictionaries.

    Raises:
        ModuleNotFoundError: The package pyarrow is not installed.
    """
    arrow = import_arrow()
    return _schema(arrow, enums=arrow.dictionary(arrow.int32(), arrow.string()))


@cache
def schema_of_log() -> Any:
    """Return the schema of a Parquet file of an account's log.

    It is that of `schema_of_table`, but ``identity_id`` may be null.
    """
    schema = schema_of_table()
    place = schema.get_field_index(IDENTITY_ID)
    return schema.set(place, schema.field(place).with_nullable(True))  # noqa: FBT003 - Arrow's own


@cache
def _plain_schema() -> Any:
    """Return the schema of a table of events with plain text in its enum columns."""
    arrow = import_arrow()
    required = _REQUIRED - {IDENTITY_ID}
    return _schema(arrow, enums=arrow.string(), required=required)


def _schema(arrow: Any, *, enums: Any, required: AbstractSet[str] = _REQUIRED) -> Any:
    """Return the schema of a table of events.

    Args:
        arrow: The module ``pyarrow``.
        enums: The Arrow type of the columns in `ENUMS`.
        required: The columns that have no nulls.
    """
    text, flag = arrow.string(), arrow.bool_()
    types = {
        "created_at": arrow.timestamp("us", tz="UTC"),
        "customer_visible": flag,
        "identity_visible": flag,
    } | dict.fromkeys(ENUMS, enums)
    return arrow.schema(
        [
            arrow.field(name, types.get(name, text), nullable=name not in required)
            for name in COLUMNS
        ]
    )
