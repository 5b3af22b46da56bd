"""Rows that were read, some at a time, and what is asked of them together."""

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
    "PERIODS",
    "ArrowBatch",
    "Batch",
    "CellBatch",
    "Line",
    "LineBatch",
    "Row",
    "as_datetime",
]

HOUR: Final = "hour"
"""The name of a further column: the hour of an event, counted from 1970 in UTC."""
DAY: Final = "day"
"""The name of another one: the day, counted likewise."""
PERIODS: Final = {HOUR: 3_600_000_000, DAY: 86_400_000_000}
"""How many microseconds each of them has."""

_CREATED_AT: Final = "created_at"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_EARLIEST: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LATEST: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND


class Row(msgspec.Struct, gc=False):
    """One event of an identity, as far as a report needs it.

    Attributes:
        identity_id: The identity whose log it is in; empty in an account's log.
        id: The event's id.
        created_at: When it was, in microseconds since 1970 in UTC.
        actor_type: What kind of actor did it.
        actor_id: The actor's id.
        actor_label: What the actor is called.
        action: What was done.
        resource_type: What kind of thing it was done to.
        resource_id: The thing's id.
        resource_label: What the thing is called.
        outcome: How it ended.
        category: The area it belongs to.
        severity: How much it matters.
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
    """The rows of a file of JSON lines."""

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
    """Some rows of a file; what is counted of all of them needs no row itself."""

    def __len__(self) -> int:
        """Return how many rows there are, one or more."""
        ...

    def span(self) -> tuple[int, int]:
        """Return the earliest ``created_at`` and the latest."""
        ...

    def counts(self, *names: str) -> Iterable[tuple[tuple[Any, ...], int]]:
        """Return the different values of these columns together, and how many each.

        Args:
            *names: Fields of `Row`, `HOUR` or `DAY`.
        """
        ...

    def spans(self, name: str) -> Iterable[tuple[Any, int, int]]:
        """Return each value of a column, with its earliest ``created_at`` and latest.

        Args:
            name: A field of `Row`.
        """
        ...

    def of_actions(self, actions: Sequence[str]) -> list[Row]:
        """Return the rows of these actions, in the order of the file."""
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
            most: How many at most.
            after: The ``created_at`` that they are all later than, None for any.
        """
        ...


def as_datetime(created_at: int) -> datetime:
    """Return the instant of a row, in UTC."""
    return _EPOCH + timedelta(microseconds=min(max(created_at, _EARLIEST), _LATEST))


class _ListBatch(ABC):
    """A batch whose columns are lists."""

    def __init__(self) -> None:
        self._columns: Final[dict[str, list[Any]]] = {}

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def listed(self, name: str) -> list[Any]:
        """Return a field of each row."""

    @abstractmethod
    def taken(self, places: Iterable[int]) -> "_ListBatch":
        """Return a batch of the rows at these places."""

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
        return self.taken([n for n, action in found if action in wanted]).rows()

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
        return self.taken(places).rows()

    def _column(self, name: str) -> list[Any]:
        if name not in self._columns:
            self._columns[name] = self._periods(name) or self.listed(name)
        return self._columns[name]

    def _periods(self, name: str) -> list[int] | None:
        period = PERIODS.get(name)
        if period is None:
            return None
        return [instant // period for instant in self._column(_CREATED_AT)]


class LineBatch(_ListBatch):
    """Lines of JSON.

    Args:
        lines: The lines, decoded.
    """

    def __init__(self, lines: list[Line]) -> None:
        super().__init__()
        self._lines: Final = lines

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self._lines)

    def listed(self, name: str) -> list[Any]:
        """Return a field of each row."""
        values = list(map(attrgetter(name), self._lines))
        if name == IDENTITY_ID:
            return [value or "" for value in values]
        return list(map(microseconds, values)) if name == _CREATED_AT else values

    def taken(self, places: Iterable[int]) -> "LineBatch":
        """Return a batch of the rows at these places."""
        return LineBatch([self._lines[place] for place in places])


class CellBatch(_ListBatch):
    """Lines of CSV.

    Args:
        lines: Of each line, the cells of `COLUMNS`.

    Raises:
        ValueError: A ``created_at`` is none.
    """

    def __init__(self, lines: list[Sequence[str]]) -> None:
        super().__init__()
        self._lines: Final = lines
        place = COLUMNS.index(_CREATED_AT)
        self._created_at: Final = [
            microseconds(_instant(line[place])) for line in lines
        ]

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self._lines)

    def listed(self, name: str) -> list[Any]:
        """Return a field of each row."""
        if name == _CREATED_AT:
            return self._created_at
        cells = map(itemgetter(COLUMNS.index(name)), self._lines)
        if name in _NULLABLE:
            return [unguarded(cell) if cell else None for cell in cells]
        return list(map(unguarded, cells))

    def taken(self, places: Iterable[int]) -> "CellBatch":
        """Return a batch of the rows at these places."""
        return CellBatch([self._lines[place] for place in places])


class ArrowBatch:
    """Rows of a Parquet file, which Arrow counts.

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
        """Return how many rows there are."""
        rows: int = self._table.num_rows
        return rows

    def span(self) -> tuple[int, int]:
        """Return the earliest ``created_at`` and the latest."""
        ends = self._compute.min_max(self._table[_CREATED_AT])
        return ends["min"].as_py(), ends["max"].as_py()

    def counts(self, *names: str) -> Iterable[tuple[tuple[Any, ...], int]]:
        """Return the different values of these columns, and how many each."""
        table = self._table
        for name in PERIODS.keys() & set(names):
            table = table.append_column(name, self._periods(PERIODS[name]))
        # In one thread, for the same order each time.
        grouped = table.group_by(list(names), use_threads=False).aggregate(
            [([], "count_all")]
        )
        *keys, counts = (_listed(grouped[name]) for name in (*names, "count_all"))
        return zip(zip(*keys, strict=True), counts, strict=True)

    def spans(self, name: str) -> Iterable[tuple[Any, int, int]]:
        """Return each value of a column, with its first ``created_at`` and last."""
        ends = [(_CREATED_AT, "min"), (_CREATED_AT, "max")]
        grouped = self._table.group_by([name], use_threads=False).aggregate(ends)
        names = (name, f"{_CREATED_AT}_min", f"{_CREATED_AT}_max")
        return zip(*(_listed(grouped[it]) for it in names), strict=True)

    def of_actions(self, actions: Sequence[str]) -> list[Row]:
        """Return the rows of these actions, in the order of the file."""
        wanted = import_pyarrow().array(actions, "string")
        column = self._table["action"]
        found = self._table.filter(self._compute.is_in(column, value_set=wanted))
        return list(map(Row, *(_listed(found[name]) for name in COLUMNS)))

    def rows(self) -> list[Row]:
        """Return all rows, in the order of the file."""
        return list(map(Row, *(_listed(self._table[name]) for name in COLUMNS)))

    def keys(self) -> Iterable[Key]:
        """Return the key of each row, in the order of the file."""
        columns = (_listed(self._table[name]) for name in KEY_COLUMNS)
        return zip(*columns, strict=True)

    def latest(self, most: int, *, after: int | None) -> list[Row]:
        """Return the latest rows, ``most`` of them, later than ``after``."""
        table = self._table
        if after is not None:
            table = table.filter(self._compute.greater(table[_CREATED_AT], after))
        if table.num_rows > most:
            keys = [(_CREATED_AT, "descending")]
            places = self._compute.select_k_unstable(table, k=most, sort_keys=keys)
            table = table.take(places)
        return list(map(Row, *(_listed(table[name]) for name in COLUMNS)))

    def _periods(self, period: int) -> Any:
        # Arrow divides towards zero, so count from before the earliest instant.
        before = -(_EARLIEST // period)
        moved = self._compute.add(self._table[_CREATED_AT], before * period)
        return self._compute.subtract(self._compute.divide(moved, period), before)


def _listed(column: Any) -> list[Any]:
    """Return the values of a column of a table."""
    if hasattr(column.type, "value_type"):
        # As it is, listing the values of a dictionary takes thirty times as long.
        column = column.cast(column.type.value_type)
    values: list[Any] = column.to_pylist()
    return values


def _instant(cell: str) -> datetime:
    instant = datetime.fromisoformat(cell)
    if instant.tzinfo is None:
        raise ValueError("it has a created_at without an offset")
    return instant
