"""Batches of rows of a data file, with the counts that a report needs of them."""

import heapq
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from importlib import import_module
from operator import attrgetter, itemgetter
from typing import Any, Final, Protocol

import msgspec

from canopy_async._tables.columns import IDENTITY_ID
from canopy_async.export.data_keys import KEY_COLUMNS, Key, microseconds
from canopy_async.export.writers.csv_ import unguarded
from canopy_async.export.writers.parquet import import_pyarrow
from canopy_async.models import AwareDatetime

__all__ = [
    "COLUMNS",
    "DAY",
    "HOUR",
    "MINUTE",
    "PERIODS",
    "ArrowBatch",
    "Batch",
    "CellBatch",
    "Line",
    "LineBatch",
    "Row",
    "as_datetime",
]

MINUTE: Final = "minute"
"""The name of a computed column: an event's minute, counted from 1970 in UTC."""
HOUR: Final = "hour"
"""The name of a computed column: an event's hour, counted from 1970 in UTC."""
DAY: Final = "day"
"""The name of a computed column: an event's day, counted from 1970 in UTC."""
PERIODS: Final = {MINUTE: 60_000_000, HOUR: 3_600_000_000, DAY: 86_400_000_000}
"""The computed columns, with the length of their period in microseconds."""

_CREATED_AT: Final = "created_at"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_EARLIEST: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LATEST: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND


class Row(msgspec.Struct, gc=False):
    """One event of an identity, with the fields that a report needs.

    Attributes:
        identity_id: The identity whose log the event is in; empty in an account's log.
        id: The event's id.
        created_at: The time of the event, in microseconds since 1970 in UTC.
        actor_type: The kind of the actor.
        actor_id: The actor's id.
        actor_label: The actor's name.
        action: The action, such as ``role.created``.
        resource_type: The kind of the resource that was changed.
        resource_id: The resource's id.
        resource_label: The resource's name.
        outcome: The outcome of the action.
        category: The area of the platform that the event belongs to.
        severity: The severity of the event.
    """

    identity_id: str
    id: str
    created_at: int
    actor_type: str
    actor_id: str | None
    actor_label: str | None
    action: str
    resource_type: str | None
    resource_id: str | None
    resource_label: str | None
    outcome: str
    category: str | None
    severity: str


class Line(msgspec.Struct, gc=False):
    """A row in a file of JSON lines, with the fields that a report needs."""

    identity_id: str | None
    id: str
    created_at: AwareDatetime
    actor_type: str
    action: str
    outcome: str
    severity: str
    actor_id: str | None = None
    actor_label: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    resource_label: str | None = None
    category: str | None = None


COLUMNS: Final = Row.__struct_fields__
_NULLABLE: Final = frozenset(
    field.name for field in msgspec.structs.fields(Row) if field.type == str | None
)


class Batch(Protocol):
    """Some rows of a file. Counting them creates no `Row` objects."""

    def __len__(self) -> int:
        """Return the number of rows, at least one."""
        ...

    def span(self) -> tuple[int, int]:
        """Return the earliest and the latest ``created_at``."""
        ...

    def counts(self, *names: str) -> Iterable[tuple[tuple[Any, ...], int]]:
        """Return each combination of values in some columns, and its number of rows.

        Args:
            *names: Fields of `Row`, `MINUTE`, `HOUR` or `DAY`.
        """
        ...

    def spans(self, name: str) -> Iterable[tuple[Any, int, int]]:
        """Return each value of a column, with its earliest and latest ``created_at``.

        Args:
            name: A field of `Row`.
        """
        ...

    def of_actions(self, actions: Sequence[str]) -> list[Row]:
        """Return the rows that have one of these actions, in the order of the file."""
        ...

    def rows(self) -> list[Row]:
        """Return all rows, in the order of the file."""
        ...

    def keys(self) -> Iterable[Key]:
        """Return the key of each row, in the order of the file."""
        ...

    def latest(self, most: int, *, after: int | None) -> list[Row]:
        """Return the latest rows, in any order.

        Args:
            most: The most rows to return.
            after: Return only rows with a later ``created_at`` than this, if given.
        """
        ...


def as_datetime(created_at: int) -> datetime:
    """Return the ``created_at`` of a `Row` as a datetime in UTC."""
    return _EPOCH + timedelta(microseconds=min(max(created_at, _EARLIEST), _LATEST))


class _ListBatch(ABC):
    """The base of batches whose columns are Python lists."""

    def __init__(self) -> None:
        self._columns: Final[dict[str, list[Any]]] = {}

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read_column(self, name: str) -> list[Any]:
        """Return a column: one field of each row."""

    @abstractmethod
    def rows_at(self, places: Iterable[int]) -> "_ListBatch":
        """Return a batch of the rows at these indices."""

    def span(self) -> tuple[int, int]:
        instants = self._column(_CREATED_AT)
        return min(instants), max(instants)

    def counts(self, *names: str) -> Iterable[tuple[tuple[Any, ...], int]]:
        return Counter(zip(*map(self._column, names), strict=True)).items()

    def spans(self, name: str) -> Iterable[tuple[Any, int, int]]:
        instants: dict[Any, list[int]] = {}
        for value, at in zip(
            self._column(name), self._column(_CREATED_AT), strict=True
        ):
            instants.setdefault(value, []).append(at)
        return [(value, min(found), max(found)) for value, found in instants.items()]

    def of_actions(self, actions: Sequence[str]) -> list[Row]:
        wanted = frozenset(actions)
        found = enumerate(self._column("action"))
        return self.rows_at([n for n, action in found if action in wanted]).rows()

    def rows(self) -> list[Row]:
        return list(map(Row, *map(self._column, COLUMNS)))

    def keys(self) -> Iterable[Key]:
        return zip(*map(self._column, KEY_COLUMNS), strict=True)

    def latest(self, most: int, *, after: int | None) -> list[Row]:
        instants = self._column(_CREATED_AT)
        places: Sequence[int] = range(len(instants))
        if after is not None:
            places = [place for place in places if instants[place] > after]
        if len(places) > most:
            places = heapq.nlargest(most, places, key=instants.__getitem__)
        return self.rows_at(places).rows()

    def _column(self, name: str) -> list[Any]:
        if name not in self._columns:
            self._columns[name] = self._periods(name) or self.read_column(name)
        return self._columns[name]

    def _periods(self, name: str) -> list[int] | None:
        period = PERIODS.get(name)
        if period is None:
            return None
        return [instant // period for instant in self._column(_CREATED_AT)]


class LineBatch(_ListBatch):
    """A batch of rows from a file of JSON lines.

    Args:
        lines: The decoded lines.
    """

    def __init__(self, lines: list[Line]) -> None:
        super().__init__()
        self._lines: Final = lines

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._lines)

    def read_column(self, name: str) -> list[Any]:
        """Return a column: one field of each row."""
        values = list(map(attrgetter(name), self._lines))
        if name == IDENTITY_ID:
            return [value or "" for value in values]
        return list(map(microseconds, values)) if name == _CREATED_AT else values

    def rows_at(self, places: Iterable[int]) -> "LineBatch":
        """Return a batch of the rows at these indices."""
        return LineBatch([self._lines[place] for place in places])


class CellBatch(_ListBatch):
    """A batch of rows from a CSV file.

    Args:
        lines: The rows; each has the cells of `COLUMNS`.

    Raises:
        ValueError: A cell of ``created_at`` is not a date-time with an offset.
    """

    def __init__(self, lines: list[Sequence[str]]) -> None:
        super().__init__()
        self._lines: Final = lines
        place = COLUMNS.index(_CREATED_AT)
        self._created_at: Final = [
            microseconds(_instant(line[place])) for line in lines
        ]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._lines)

    def read_column(self, name: str) -> list[Any]:
        """Return a column: one field of each row."""
        if name == _CREATED_AT:
            return self._created_at
        cells = map(itemgetter(COLUMNS.index(name)), self._lines)
        if name in _NULLABLE:
            return [unguarded(cell) if cell else None for cell in cells]
        return list(map(unguarded, cells))

    def rows_at(self, places: Iterable[int]) -> "CellBatch":
        """Return a batch of the rows at these indices."""
        return CellBatch([self._lines[place] for place in places])


class ArrowBatch:
    """A batch of rows from a Parquet file, counted by Arrow.

    Args:
        batch: A record batch with `COLUMNS`.
    """

    def __init__(self, batch: Any) -> None:
        arrow = import_pyarrow()
        self._compute: Final[Any] = import_module("pyarrow.compute")
        instants = batch.column(_CREATED_AT).cast("int64")
        others = batch.drop_columns([_CREATED_AT])
        place = others.schema.get_field_index(IDENTITY_ID)
        if others.column(place).null_count:
            filled = self._compute.fill_null(others.column(place), "")
            others = others.set_column(place, IDENTITY_ID, filled)
        self._table: Final = arrow.Table.from_batches([others]).append_column(
            _CREATED_AT, instants
        )

    def __len__(self) -> int:
        """Return the number of rows."""
        rows: int = self._table.num_rows
        return rows

    def span(self) -> tuple[int, int]:
        """Return the earliest and the latest ``created_at``."""
        ends = self._compute.min_max(self._table[_CREATED_AT])
        return ends["min"].as_py(), ends["max"].as_py()

    def counts(self, *names: str) -> Iterable[tuple[tuple[Any, ...], int]]:
        """Return each combination of values in some columns, and its number of rows."""
        table = self._table
        for name in PERIODS.keys() & set(names):
            table = table.append_column(name, self._periods(PERIODS[name]))
        # Several threads would return the groups in a random order.
        grouped = table.group_by(list(names), use_threads=False).aggregate(
            [([], "count_all")]
        )
        *keys, counts = (_values_of(grouped[name]) for name in (*names, "count_all"))
        return zip(zip(*keys, strict=True), counts, strict=True)

    def spans(self, name: str) -> Iterable[tuple[Any, int, int]]:
        """Return the values of a column, with earliest and latest ``created_at``."""
        ends = [(_CREATED_AT, "min"), (_CREATED_AT, "max")]
        grouped = self._table.group_by([name], use_threads=False).aggregate(ends)
        names = (name, f"{_CREATED_AT}_min", f"{_CREATED_AT}_max")
        return zip(*(_values_of(grouped[column]) for column in names), strict=True)

    def of_actions(self, actions: Sequence[str]) -> list[Row]:
        """Return the rows that have one of these actions, in the order of the file."""
        wanted = import_pyarrow().array(actions, "string")
        column = self._table["action"]
        found = self._table.filter(self._compute.is_in(column, value_set=wanted))
        return list(map(Row, *(_values_of(found[name]) for name in COLUMNS)))

    def rows(self) -> list[Row]:
        """Return all rows, in the order of the file."""
        return list(map(Row, *(_values_of(self._table[name]) for name in COLUMNS)))

    def keys(self) -> Iterable[Key]:
        """Return the key of each row, in the order of the file."""
        columns = (_values_of(self._table[name]) for name in KEY_COLUMNS)
        return zip(*columns, strict=True)

    def latest(self, most: int, *, after: int | None) -> list[Row]:
        """Return up to ``most`` of the latest rows, only those later than ``after``."""
        table = self._table
        if after is not None:
            table = table.filter(self._compute.greater(table[_CREATED_AT], after))
        if table.num_rows > most:
            keys = [(_CREATED_AT, "descending")]
            places = self._compute.select_k_unstable(table, k=most, sort_keys=keys)
            table = table.take(places)
        return list(map(Row, *(_values_of(table[name]) for name in COLUMNS)))

    def _periods(self, period: int) -> Any:
        # Arrow rounds a quotient towards zero. To round down, shift all instants so
        # that none is negative.
        offset = -(_EARLIEST // period)
        shifted = self._compute.add(self._table[_CREATED_AT], offset * period)
        return self._compute.subtract(self._compute.divide(shifted, period), offset)


def _values_of(column: Any) -> list[Any]:
    """Return the values of a column of a table."""
    if hasattr(column.type, "value_type"):
        # Converting a dictionary to a list without this takes thirty times as long.
        column = column.cast(column.type.value_type)
    values: list[Any] = column.to_pylist()
    return values


def _instant(cell: str) -> datetime:
    instant = datetime.fromisoformat(cell)
    if instant.tzinfo is None:
        raise ValueError("it has a created_at without an offset")
    return instant
