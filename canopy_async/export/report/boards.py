"""The rankings of a report as its tables show them."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final, TypeVar

from canopy_async._util.display import clipped
from canopy_async.export.report.cells import LONGEST_CELL, actor_cell, rate_cell
from canopy_async.export.report.ranking import Ranked, Ranking
from canopy_async.export.report.summary import Summary

__all__ = ["boards_of"]

T = TypeVar("T")

_events_of: Final = attrgetter("events")
_trouble_of: Final = attrgetter("trouble")


def boards_of(summary: Summary) -> dict[str, dict[str, Any]]:
    """Return the rankings of a summary by name: most active, and most troubled."""
    return {
        "actors": _board(summary.actors, actor_cell, _events_of),
        "actions": _board(summary.actions, _action_cell, _events_of),
        "troubled_actors": _board(summary.troubled_actors, actor_cell, _trouble_of),
        "troubled_actions": _board(summary.troubled_actions, _action_cell, _trouble_of),
    }


def _action_cell(action: str) -> tuple[str, str]:
    return clipped(action, LONGEST_CELL), ""


def _board(
    ranking: Ranking[T],
    name: Callable[[T], tuple[str, str]],
    size: Callable[[Ranked[T]], int],
) -> dict[str, Any]:
    """Return a ranking as its table shows it, bars in percent of the first."""
    largest = max(map(size, ranking.entries), default=1)
    return {
        "note": _board_note(ranking),
        "entries": [
            {
                "label": name(entry.what)[0],
                "detail": name(entry.what)[1],
                # Each bar lies on the one before it.
                "bars": {
                    "all": round(100 * size(entry) / largest, 2),
                    "denied": round(100 * entry.trouble / largest, 2),
                    "failure": round(100 * entry.failures / largest, 2),
                },
                "events": entry.events,
                "failures": entry.failures,
                "denials": entry.denials,
                "trouble": entry.trouble,
                "rate": rate_cell(entry.trouble, entry.events),
            }
            for entry in ranking.entries
        ],
    }


def _board_note(ranking: Ranking[Any]) -> str:
    shown = len(ranking.entries)
    if ranking.shortfall:
        return (
            f"The first {shown:,} of too many to tell each apart: a number may be too"
            f" low by up to {ranking.shortfall:,}. The others have"
            f" {ranking.others:,} events at most."
        )
    if not ranking.others:
        return f"All {shown:,}."
    return (
        f"The first {shown:,} of {ranking.different:,}. The others have"
        f" {ranking.others:,} events."
    )
