"""The events of a report's table, column by column, as they stand in the page."""

from collections.abc import Hashable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from canopy_async._util.display import clipped
from canopy_async.export.batches import Row, as_datetime
from canopy_async.export.report.cells import (
    LONGEST_CELL,
    actor_cell,
    actor_of,
    resource_cell,
)

__all__ = ["COLUMNS", "event_store"]

COLUMNS: Final = {
    "time": "Time (UTC)",
    "action": "Action",
    "outcome": "Outcome",
    "severity": "Severity",
    "actor": "Actor",
    "resource": "Resource",
    "category": "Category",
    "identity": "Identity",
    "event": "Event",
}
"""The columns of the table of events, and their heads."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def event_store(rows: Sequence[Row]) -> dict[str, Any]:
    """Return rows column by column: each different value once, then places of values.

    Times are milliseconds since 1970, each less the one before it. An actor has its
    name, what else is known of it, and a number that all names of one actor share.

    Args:
        rows: The newest first.
    """
    times = [_milliseconds(row.created_at) for row in rows]
    columns = {name: _Values() for name in COLUMNS if name != "time"}
    actors: dict[Hashable, int] = {}
    for row in rows:
        for name, value in zip(columns, _cells(row, actors), strict=True):
            columns[name].add(value)
    before = [0, *times][: len(times)]
    return {
        "time": [time - last for time, last in zip(times, before, strict=True)],
        **{name: column.encoded() for name, column in columns.items()},
    }


class _Values:
    """The values of a column, each different one once."""

    def __init__(self) -> None:
        self._place_of: Final[dict[Hashable, int]] = {}
        self._places: Final[list[int]] = []

    def add(self, value: Hashable) -> None:
        places = self._place_of
        self._places.append(places.setdefault(value, len(places)))

    def encoded(self) -> dict[str, Any]:
        values = list(self._place_of)
        if len(values) == len(self._places):
            return {"values": values}  # in their order
        return {"values": values, "places": self._places}


def _milliseconds(created_at: int) -> int:
    return (as_datetime(created_at) - _EPOCH) // _MILLISECOND


def _cells(row: Row, actors: dict[Hashable, int]) -> tuple[Hashable, ...]:
    """Return a row of the table of events without its time, as its columns are."""
    clip = partial(clipped, most=LONGEST_CELL)
    label = row.actor_label if row.actor_id is None else None
    who = actors.setdefault((row.actor_type, row.actor_id, label), len(actors))
    return (
        clip(row.action),
        clip(row.outcome),
        clip(row.severity),
        (*actor_cell(actor_of(row)), who),
        resource_cell(row),
        clip(row.category or ""),
        clip(row.identity_id),
        clip(row.id),
    )
