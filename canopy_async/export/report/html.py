"""A report as a page to look at: one HTML file that needs nothing else."""

from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from hashlib import sha256
from importlib.resources import files
from operator import attrgetter
from typing import Any, Final, TypeVar

import msgspec

from canopy_async._util.display import clipped
from canopy_async._version import __version__
from canopy_async.errors import ExportError
from canopy_async.export.batches import Row, as_datetime
from canopy_async.export.manifest import Manifest
from canopy_async.export.manifest_records import Header
from canopy_async.export.report.audit import (
    PRIVILEGE_WORDS,
    READING_WORDS,
    FailureRun,
    IdentityTally,
    failure_runs,
)
from canopy_async.export.report.charts import charts_of
from canopy_async.export.report.completeness import Completeness
from canopy_async.export.report.ranking import Ranked, Ranking
from canopy_async.export.report.summary import Actor, Summary

__all__ = ["Page"]

T = TypeVar("T")

_LIBRARY: Final = "canopy-async"
_LONGEST_TEXT: Final = 1_000
"""Characters of a text that stand in the page, at most."""
_LONGEST_CELL: Final = 300
"""The same, for a cell of the table of events."""
_WHAT_IS_IN_IT: Final = (
    "Labels and ids of actors and resources are part of this page, metadata is not."
    " Treat it as you treat the log. It is one file, which loads and sends nothing."
)
_UNNAMED: Final = "(unnamed)"
_LEAST_PERCENT: Final = 0.1
_DAY: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_MOST_IDENTITIES: Final = 50_000
"""Identities that the page lists at most."""

_COLUMNS: Final = {
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
_events_of: Final = attrgetter("events")
_trouble_of: Final = attrgetter("trouble")
_SIGNS: Final = {"good": "✓", "plain": "i", "warning": "⚠", "bad": "✗"}
_FILTERS: Final = ("outcome", "severity", "category")


class Page:
    """The page of a report, made of its summary.

    Raises:
        ExportError: The extra that it needs is not installed.
    """

    def __init__(self) -> None:
        try:
            import jinja2  # an extra
            import markupsafe  # comes with it
            from vl_convert import javascript_bundle  # an extra
        except ModuleNotFoundError:
            raise ExportError(
                "a report needs the packages jinja2 and vl-convert-python: install"
                " this library with its extra 'report'"
            ) from None
        self._vega: Final = _vega(javascript_bundle)
        self._safe: Final = markupsafe.Markup
        self._environment: Final = jinja2.Environment(
            autoescape=True,
            finalize=self._shown,
            lstrip_blocks=True,
            trim_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        self._environment.filters["number"] = _number

    def render(
        self,
        manifest: Manifest,
        summary: Summary,
        completeness: Completeness,
        *,
        made_at: datetime,
    ) -> bytes:
        """Return the page in UTF-8."""
        charts = charts_of(summary.timeline)
        scripts = [self._vega, _template("report.js")]
        style = _template("report.css")
        safe = self._safe
        html = self._environment.from_string(_template("report.html")).render(
            library=_LIBRARY,
            policy=_policy(scripts, style),
            style=safe(style),
            title=f"Audit log of {manifest.header.account}",
            account=manifest.header.account,
            range=_range(summary),
            asked=_asked(manifest.header),
            figures=_figures(manifest, summary),
            proof=completeness,
            signs=_SIGNS,
            charts=charts,
            actors=_board(summary.actors, _actor, _events_of),
            actions=_board(summary.actions, _action, _events_of),
            trouble=_trouble(summary),
            troubled_actors=_board(summary.troubled_actors, _actor, _trouble_of),
            troubled_actions=_board(summary.troubled_actions, _action, _trouble_of),
            columns=_COLUMNS,
            filters=_FILTERS,
            privilege_words=", ".join(PRIVILEGE_WORDS),
            reading_words=", ".join(READING_WORDS),
            latest_note=_latest_note(summary),
            identities=_identities(manifest, summary),
            identities_note=_identities_note(manifest),
            changes=[_change(row) for row in summary.audit.changes],
            changes_note=_changes_note(summary),
            changed=summary.audit.changed,
            runs=[_run(run) for run in failure_runs(summary.latest)],
            runs_note=_runs_note(summary),
            notes=_notes(manifest.header, made_at),
            chart_data=safe(
                _embedded(
                    {
                        name: {"spec": chart.spec, "margin": chart.margin}
                        for name, chart in charts.items()
                    }
                )
            ),
            event_data=safe(
                _embedded(
                    {
                        "columns": list(_COLUMNS),
                        "store": _store(summary.latest),
                    }
                )
            ),
            scripts=[safe(script) for script in scripts],
        )
        return html.encode()

    def _shown(self, value: Any) -> Any:
        """Return what stands in the page for a value of the template."""
        if isinstance(value, str) and not isinstance(value, self._safe):
            return clipped(value, _LONGEST_TEXT)
        return value


@cache
def _vega(bundle: Callable[[str], str]) -> str:
    """Return Vega, Vega-Lite and what draws with them, as one script."""
    script = bundle("window.vegaEmbed = vegaEmbed;")
    # What would end the element around it means the same when it is escaped.
    return script.replace("</script", r"<\/script").replace("<!--", r"<\!--")


@cache
def _template(name: str) -> str:
    return (files("canopy_async.export.report") / "templates" / name).read_text("utf-8")


def _policy(scripts: Iterable[str], style: str) -> str:
    """Return the page's policy: it runs what it came with, and loads nothing."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(map(_source_of, scripts))}",
            f"style-src {_source_of(style)}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _source_of(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _embedded(value: Any) -> str:
    """Return JSON that nothing in an element of HTML can end or begin."""
    text = msgspec.json.encode(value).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _number(value: int) -> str:
    return f"{value:,}"


def _rate(part: int, whole: int) -> str:
    """Return a share in percent; what is not nothing does not look like it."""
    if not part:
        return "0%"
    percent = 100 * part / whole
    return "< 0.1%" if percent < _LEAST_PERCENT else f"{percent:.1f}%"


def _moment(created_at: int) -> str:
    return f"{as_datetime(created_at):%Y-%m-%d %H:%M:%S}"


def _range(summary: Summary) -> str:
    if summary.first is None or summary.last is None:
        return "No events"
    return f"{_moment(summary.first)} to {_moment(summary.last)} UTC"


def _figures(manifest: Manifest, summary: Summary) -> list[dict[str, str]]:
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
        note = f"{_rate(count, summary.events)} of events"
        tiles.append((name, count, note, tone if count else ""))
    return [
        {"name": name, "value": _number(count), "note": note, "tone": tone}
        for name, count, note, tone in tiles
    ]


def _pace(summary: Summary) -> str:
    """Say how many events there were a day, if it was more than one day."""
    if summary.first is None or summary.last is None:
        return "none"
    days = (as_datetime(summary.last) - as_datetime(summary.first)) / _DAY
    if days < 1:
        return "in less than a day"
    return f"about {round(summary.events / days):,} a day"


def _trouble(summary: Summary) -> str:
    outcomes = summary.timeline.totals["outcome"]
    failures, denials = outcomes.get("failure", 0), outcomes.get("denied", 0)
    if not failures + denials:
        return "No event failed, and none was denied."
    return (
        f"{failures:,} failed and {denials:,} were denied, which together is"
        f" {_rate(failures + denials, summary.events)} of all events."
    )


def _latest_note(summary: Summary) -> str:
    shown = len(summary.latest)
    if shown == summary.events:
        return f"All {shown:,} events. Times are UTC."
    return f"The latest {shown:,} of {summary.events:,} events. Times are UTC."


def _identities(manifest: Manifest, summary: Summary) -> list[dict[str, Any]]:
    """Return each identity as its table shows it, those with most trouble first."""
    lines: list[dict[str, Any]] = []
    for entry in manifest.identities.values():
        # The rows of an account's log belong to no identity.
        whose = "" if entry.id == manifest.header.log_key else entry.id
        tally = summary.audit.identities.get(whose, IdentityTally())
        lines.append(
            {
                "id": clipped(entry.id, _LONGEST_CELL),
                "events": tally.events,
                "failures": tally.failures,
                "denials": tally.denials,
                "first": "" if tally.first is None else _moment(tally.first),
                "last": "" if tally.last is None else _moment(tally.last),
                "proof": f"proven: {entry.proof}" if entry.complete else entry.state,
            }
        )
    lines.sort(
        key=lambda it: (-it["failures"] - it["denials"], -it["events"], it["id"])
    )
    return lines[:_MOST_IDENTITIES]


def _identities_note(manifest: Manifest) -> str:
    count = len(manifest.identities)
    if count <= _MOST_IDENTITIES:
        return f"All {count:,}, those with most failures and denials first."
    return (
        f"The first {_MOST_IDENTITIES:,} of {count:,}: those with most failures and"
        " denials, then those with most events."
    )


def _change(row: Row) -> dict[str, Any]:
    actor = Actor(type=row.actor_type, id=row.actor_id, label=row.actor_label)
    name, detail = _actor(actor)
    resource, resource_detail = _named(
        row.resource_label, row.resource_type, row.resource_id
    )
    return {
        "time": _moment(row.created_at),
        "action": clipped(row.action, _LONGEST_CELL),
        "outcome": row.outcome,
        "actor": name,
        "actor_detail": detail,
        "resource": resource,
        "resource_detail": resource_detail,
        "identity": clipped(row.identity_id, _LONGEST_CELL),
    }


def _changes_note(summary: Summary) -> str:
    count, shown = sum(summary.audit.changed.values()), len(summary.audit.changes)
    if not count:
        return "No event of these changes anything."
    listed = "All are" if shown == count else f"The latest {shown:,} of {count:,} are"
    return f"{listed} listed, the newest first. Times are UTC."


def _run(run: FailureRun) -> dict[str, Any]:
    change = _change(run.last)
    return {
        "actor": change["actor"],
        "actor_detail": change["actor_detail"],
        "action": change["action"],
        "failures": run.failures,
        "began": _moment(run.began),
        "ended": change["time"],
        "succeeded": "" if run.succeeded is None else _moment(run.succeeded),
    }


def _runs_note(summary: Summary) -> str:
    shown = len(summary.latest)
    of = "all" if shown == summary.events else f"the latest {shown:,}"
    return (
        "Three or more failures or denials of one actor and one action, with no success"
        f" between them, among {of} events; at most fifty, the longest first. Actions"
        " that differ in a last word for how they went, as failed and succeeded, count"
        " as one."
        " Actors without id and label are left out."
    )


def _asked(header: Header) -> str:
    """Say which part of the log was asked for; nothing if it was all of it."""
    parts: list[str] = []
    if header.since is not None:
        parts.append(f"from {_minute(header.since)}")
    if header.until is not None:
        parts.append(f"before {_minute(header.until)}")
    if header.q is not None:
        parts.append(f"that match “{clipped(header.q, _LONGEST_CELL)}”")
    return f"Only events {' and '.join(parts)} were asked for." if parts else ""


def _notes(header: Header, made_at: datetime) -> list[str]:
    begun = (
        f"The export was begun on {_minute(header.created_at)} UTC. This report of it"
        f" was made on {_minute(made_at)} UTC by {_LIBRARY} {__version__}."
    )
    return [begun, _WHAT_IS_IN_IT]


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def _actor(actor: Actor) -> tuple[str, str]:
    """Return what an actor is called, and what else is known of it."""
    if not (actor.label or actor.id):
        return _UNNAMED, clipped(actor.type, _LONGEST_CELL)
    return _named(actor.label, actor.type, actor.id)


def _action(action: str) -> tuple[str, str]:
    return clipped(action, _LONGEST_CELL), ""


def _named(label: str | None, kind: str | None, its_id: str | None) -> tuple[str, str]:
    """Return a name and what stands in small letters below it."""
    known = dict.fromkeys(
        clipped(part, _LONGEST_CELL) for part in (label, its_id, kind) if part
    )
    name, *rest = known or [""]
    return name, " · ".join(reversed(rest))


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
                "rate": _rate(entry.trouble, entry.events),
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


def _store(rows: Sequence[Row]) -> dict[str, Any]:
    """Return rows column by column: each different value once, then places of values.

    Times are milliseconds since 1970, each less the one before it.
    """
    times = [_milliseconds(row.created_at) for row in rows]
    columns = {name: _Values() for name in _COLUMNS if name != "time"}
    for row in rows:
        for name, value in zip(columns, _cells(row), strict=True):
            columns[name].add(value)
    return {
        "time": [
            time - before
            for time, before in zip(times, [0, *times[:-1]], strict=bool(times))
        ]
        if times
        else [],
        **{name: column.encoded() for name, column in columns.items()},
    }


class _Values:
    """The values of a column, each different one once."""

    def __init__(self) -> None:
        self._place_of: Final[dict[Any, int]] = {}
        self._places: Final[list[int]] = []

    def add(self, value: Any) -> None:
        places = self._place_of
        self._places.append(places.setdefault(value, len(places)))

    def encoded(self) -> dict[str, Any]:
        values = list(self._place_of)
        if len(values) == len(self._places):
            return {"values": values}  # in their order
        return {"values": values, "places": self._places}


def _milliseconds(created_at: int) -> int:
    return (as_datetime(created_at) - _EPOCH) // _MILLISECOND


def _cells(row: Row) -> tuple[str | tuple[str, str], ...]:
    """Return a row of the table of events without its time, as its columns are."""
    clip = partial(clipped, most=_LONGEST_CELL)
    actor = Actor(type=row.actor_type, id=row.actor_id, label=row.actor_label)
    return (
        clip(row.action),
        clip(row.outcome),
        clip(row.severity),
        _actor(actor),
        _named(row.resource_label, row.resource_type, row.resource_id),
        clip(row.category or ""),
        clip(row.identity_id),
        clip(row.id),
    )
