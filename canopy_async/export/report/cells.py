"""The cells of a report: numbers, moments, actors and resources as text."""

from typing import Final

from canopy_async._util.display import clipped
from canopy_async.export.batches import Row, as_datetime
from canopy_async.export.report.summary import Actor

__all__ = [
    "LONGEST_CELL",
    "actor_cell",
    "actor_of",
    "moment_cell",
    "named_cell",
    "number_cell",
    "rate_cell",
    "resource_cell",
]

LONGEST_CELL: Final = 300
"""Characters of a text that stand in a cell of a table, at most."""

_UNNAMED: Final = "(unnamed)"
_LEAST_PERCENT: Final = 0.1


def number_cell(value: int) -> str:
    """Return a number with its thousands apart."""
    return f"{value:,}"


def rate_cell(part: int, whole: int) -> str:
    """Return a share in percent; what is not nothing does not look like it."""
    if not part:
        return "0%"
    percent = 100 * part / whole
    return "< 0.1%" if percent < _LEAST_PERCENT else f"{percent:.1f}%"


def moment_cell(created_at: int) -> str:
    """Return an instant of a row to the second, in UTC."""
    return f"{as_datetime(created_at):%Y-%m-%d %H:%M:%S}"


def actor_of(row: Row) -> Actor:
    """Return who did what a row is about."""
    return Actor(type=row.actor_type, id=row.actor_id, label=row.actor_label)


def actor_cell(actor: Actor) -> tuple[str, str]:
    """Return what an actor is called, and what else is known of it."""
    if not (actor.label or actor.id):
        return _UNNAMED, clipped(actor.type, LONGEST_CELL)
    return named_cell(actor.label, actor.type, actor.id)


def resource_cell(row: Row) -> tuple[str, str]:
    """Return what the resource of a row is called, and what else is known of it."""
    return named_cell(row.resource_label, row.resource_type, row.resource_id)


def named_cell(
    label: str | None, kind: str | None, its_id: str | None
) -> tuple[str, str]:
    """Return a name and what stands in small letters below it."""
    known = dict.fromkeys(
        clipped(part, LONGEST_CELL) for part in (label, its_id, kind) if part
    )
    name, *rest = known or [""]
    return name, " · ".join(reversed(rest))
