"""The lines and the sentences of a report's sections."""

from itertools import islice
from typing import Any, Final

from canopy_async._util.display import clipped
from canopy_async.export.batches import Row
from canopy_async.export.manifest import Manifest
from canopy_async.export.report.audit import FailureRun, IdentityTally
from canopy_async.export.report.cells import (
    LONGEST_CELL,
    actor_cell,
    actor_of,
    moment_cell,
    rate_cell,
    resource_cell,
)
from canopy_async.export.report.summary import Summary

__all__ = [
    "change_line",
    "changed_lines",
    "changed_note",
    "changes_note",
    "drawn_run",
    "identities_note",
    "identity_lines",
    "latest_note",
    "listed_events",
    "run_line",
    "runs_note",
    "trouble_note",
]

_MOST_ACTIONS: Final = 500
"""Actions that change privileges, listed with their numbers at most."""
_MICROSECONDS: Final = 1_000
"""Microseconds in a millisecond."""
_MOST_IDENTITIES: Final = 50_000
"""Identities that the page lists at most."""


def identity_lines(manifest: Manifest, summary: Summary) -> list[dict[str, Any]]:
    """Return each identity as its table shows it, those with most trouble first."""
    lines: list[dict[str, Any]] = []
    for entry in manifest.identities.values():
        # The rows of an account's log belong to no identity.
        whose = "" if entry.id == manifest.header.log_key else entry.id
        tally = summary.audit.identities.get(whose, IdentityTally())
        lines.append(
            {
                "id": clipped(entry.id, LONGEST_CELL),
                "events": tally.events,
                "failures": tally.failures,
                "denials": tally.denials,
                "first": "" if tally.first is None else moment_cell(tally.first),
                "last": "" if tally.last is None else moment_cell(tally.last),
                "proof": f"proven: {entry.proof}" if entry.complete else entry.state,
            }
        )
    lines.sort(
        key=lambda it: (-it["failures"] - it["denials"], -it["events"], it["id"])
    )
    return lines[:_MOST_IDENTITIES]


def identities_note(manifest: Manifest) -> str:
    """Say how many identities are listed, and in which order."""
    count = len(manifest.identities)
    if count <= _MOST_IDENTITIES:
        return f"All {count:,}, those with most failures and denials first."
    return (
        f"The first {_MOST_IDENTITIES:,} of {count:,}: those with most failures and"
        " denials, then those with most events."
    )


def change_line(row: Row) -> dict[str, Any]:
    """Return a change of privileges as its table shows it."""
    name, detail = actor_cell(actor_of(row))
    resource, resource_detail = resource_cell(row)
    return {
        "time": moment_cell(row.created_at),
        "action": clipped(row.action, LONGEST_CELL),
        "outcome": row.outcome,
        "actor": name,
        "actor_detail": detail,
        "resource": resource,
        "resource_detail": resource_detail,
        "identity": clipped(row.identity_id, LONGEST_CELL),
    }


def changed_lines(summary: Summary) -> list[tuple[str, int]]:
    """Return the actions that change privileges, with how many events each has."""
    counted = islice(summary.audit.changed.items(), _MOST_ACTIONS)
    return [(clipped(action, LONGEST_CELL), n) for action, n in counted]


def changed_note(summary: Summary) -> str:
    """Say how many actions that change privileges are listed."""
    count = len(summary.audit.changed)
    if count <= _MOST_ACTIONS:
        return "How many there are of each action"
    return f"How many there are of {_MOST_ACTIONS:,} of {count:,} actions"


def changes_note(summary: Summary) -> str:
    """Say how many changes of privileges are listed."""
    count, shown = sum(summary.audit.changed.values()), len(summary.audit.changes)
    if not count:
        return "No event changed privileges."
    listed = "All are" if shown == count else f"The latest {shown:,} of {count:,} are"
    return f"{listed} listed, the newest first. Times are UTC."


def run_line(run: FailureRun) -> dict[str, Any]:
    """Return a run of failures as its table shows it."""
    change = change_line(run.last)
    return {
        "actor": change["actor"],
        "actor_detail": change["actor_detail"],
        "action": change["action"],
        "failures": run.failures,
        "began": moment_cell(run.began),
        "ended": change["time"],
        "succeeded": "" if run.succeeded is None else moment_cell(run.succeeded),
    }


def drawn_run(run: FailureRun) -> dict[str, Any]:
    """Return a run of failures as its chart needs it, times in milliseconds."""
    name, _ = actor_cell(actor_of(run.last))
    succeeded = run.succeeded
    return {
        "actor": name,
        "action": clipped(run.last.action, LONGEST_CELL),
        "failures": run.failures,
        "began": run.began // _MICROSECONDS,
        "ended": run.last.created_at // _MICROSECONDS,
        "succeeded": None if succeeded is None else succeeded // _MICROSECONDS,
    }


def runs_note(summary: Summary) -> str:
    """Say what a run of failures is, and among which events they were looked for."""
    of = listed_events(summary)
    return (
        "Three or more failures or denials of one actor and one action, with no success"
        f" between them, among {of} events; at most fifty, those that a success came"
        " after first, then the longest. Actions that differ in a last word for how"
        " they went, as failed and succeeded, count as one. Actors without id and label"
        " are left out."
    )


def trouble_note(summary: Summary) -> str:
    """Say how many events failed, and how many were denied."""
    outcomes = summary.timeline.totals["outcome"]
    failures, denials = outcomes.get("failure", 0), outcomes.get("denied", 0)
    if not failures + denials:
        return "No event failed, and none was denied."
    return (
        f"{failures:,} failed and {denials:,} were denied, which together is"
        f" {rate_cell(failures + denials, summary.events)} of all events."
    )


def listed_events(summary: Summary) -> str:
    """Say which events the page has a row of: ``all``, or how many of the latest."""
    shown = len(summary.latest)
    return "all" if shown == summary.events else f"the latest {shown:,}"


def latest_note(summary: Summary) -> str:
    """Say how many events the table has, and where it is cut."""
    shown = len(summary.latest)
    if shown == summary.events:
        return f"All {shown:,} events. Times are UTC."
    return (
        f"The latest {shown:,} of {summary.events:,} events, none of them before"
        f" {moment_cell(summary.latest[-1].created_at)}. Times are UTC."
    )
