"""The head of a report: its range, its figures, how it was made."""

from datetime import UTC, datetime, timedelta
from typing import Final

from canopy_async._util.display import clipped
from canopy_async._version import __version__
from canopy_async.export.batches import as_datetime
from canopy_async.export.manifest import Manifest
from canopy_async.export.manifest_records import Header
from canopy_async.export.report.cells import (
    LONGEST_CELL,
    moment_cell,
    number_cell,
    rate_cell,
)
from canopy_async.export.report.summary import Summary

__all__ = ["LIBRARY", "asked_of", "figures_of", "notes_of", "range_of"]

LIBRARY: Final = "canopy-async"

_WHAT_IS_IN_IT: Final = (
    "Labels and ids of actors and resources are part of this page, metadata is not."
    " Treat it as you treat the log. It is one file, which loads and sends nothing."
)
_DAY: Final = timedelta(days=1)


def range_of(summary: Summary) -> str:
    """Return when the first event was, and the last."""
    if summary.first is None or summary.last is None:
        return "No events"
    return f"{moment_cell(summary.first)} to {moment_cell(summary.last)} UTC"


def figures_of(manifest: Manifest, summary: Summary) -> list[dict[str, str]]:
    """Return the figures of the whole export, with a note and a tone each."""
    outcomes = summary.timeline.totals["outcome"]
    severities = summary.timeline.totals["severity"]
    identities = manifest.identities.values()
    tiles = [
        ("Events", summary.events, _pace(summary), ""),
        (
            "Identities",
            len(identities),
            f"{sum(entry.events > 0 for entry in identities):,} with events",
            "",
        )
        if manifest.header.log_key is None
        else ("Logs", len(identities), "the account's own", ""),
    ]
    for name, count, tone in (
        ("Failures", outcomes.get("failure", 0), "failure"),
        ("Denials", outcomes.get("denied", 0), "denied"),
        ("Critical events", severities.get("critical", 0), "critical"),
    ):
        note = f"{rate_cell(count, summary.events)} of events"
        tiles.append((name, count, note, tone if count else ""))
    return [
        {"name": name, "value": number_cell(count), "note": note, "tone": tone}
        for name, count, note, tone in tiles
    ]


def asked_of(header: Header) -> str:
    """Say which part of the log was asked for; nothing if it was all of it."""
    parts: list[str] = []
    if header.since is not None:
        parts.append(f"from {_minute(header.since)}")
    if header.until is not None:
        parts.append(f"before {_minute(header.until)}")
    if header.q is not None:
        parts.append(f"that match “{clipped(header.q, LONGEST_CELL)}”")
    return f"Only events {' and '.join(parts)} were asked for." if parts else ""


def notes_of(header: Header, made_at: datetime) -> list[str]:
    """Say when the export was begun, when this report was made, and what is in it."""
    begun = (
        f"The export was begun on {_minute(header.created_at)} UTC. This report of it"
        f" was made on {_minute(made_at)} UTC by {LIBRARY} {__version__}."
    )
    return [begun, _WHAT_IS_IN_IT]


def _pace(summary: Summary) -> str:
    """Say how many events there were a day, if it was more than one day."""
    if summary.first is None or summary.last is None:
        return "none"
    days = (as_datetime(summary.last) - as_datetime(summary.first)) / _DAY
    if days < 1:
        return "in less than a day"
    return f"about {round(summary.events / days):,} a day"


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"
