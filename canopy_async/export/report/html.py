"""A report as a page to look at: one HTML file that needs nothing else."""

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

import msgspec

from canopy_async._util.display import clipped
from canopy_async.errors import ExportError
from canopy_async.export.manifest import Manifest
from canopy_async.export.report.audit import (
    PRIVILEGE_WORDS,
    READING_WORDS,
    FailureRun,
    failure_runs,
    is_privilege_change,
)
from canopy_async.export.report.boards import boards_of
from canopy_async.export.report.cells import LONGEST_CELL, number_cell
from canopy_async.export.report.charts import Chart, charts_of, steps_of
from canopy_async.export.report.completeness import Completeness
from canopy_async.export.report.event_store import COLUMNS, event_store
from canopy_async.export.report.headline import (
    LIBRARY,
    asked_of,
    figures_of,
    notes_of,
    range_of,
)
from canopy_async.export.report.sections import (
    change_line,
    changed_lines,
    changed_note,
    changes_note,
    drawn_run,
    identities_note,
    identity_lines,
    latest_note,
    listed_events,
    run_line,
    runs_note,
    trouble_note,
)
from canopy_async.export.report.summary import Summary

__all__ = ["Page"]

_LONGEST_TEXT: Final = 1_000
"""Characters of a text that stand in the page, at most."""
_SIGNS: Final = {"good": "✓", "plain": "i", "warning": "⚠", "bad": "✗"}
_FILTERS: Final = ("outcome", "severity", "category")
_SCRIPTS: Final = ("events", "charts", "sections", "table", "page")
"""The parts of the page's script, each of which uses those before it."""
_LONGEST_UNCUT: Final = 44
"""Characters of an id that has a line to itself; a longer one may be cut."""
_SEPARATORS: Final = re.compile(r"([.:/_-])(?=\w)")
"""The characters after which a long name may go on in the next line."""


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
        self._environment.filters["number"] = number_cell
        self._environment.filters["breakable"] = self._breakable
        tests: dict[str, Any] = self._environment.tests
        tests["long"] = _is_long

    def render(
        self,
        manifest: Manifest,
        summary: Summary,
        completeness: Completeness,
        *,
        top: int,
        made_at: datetime,
    ) -> bytes:
        """Return the page in UTF-8."""
        charts = charts_of(summary.timeline)
        runs = failure_runs(summary.latest)
        scripts = [self._vega, _own_script()]
        style = _template("report.css")
        safe = self._safe
        html = self._environment.from_string(_template("report.html")).render(
            library=LIBRARY,
            policy=_policy(scripts, style),
            style=safe(style),
            title=f"Audit log of {manifest.header.account}",
            account=manifest.header.account,
            range=range_of(summary),
            asked=asked_of(manifest.header),
            figures=figures_of(manifest, summary),
            proof=completeness,
            signs=_SIGNS,
            charts=charts,
            boards=boards_of(summary),
            trouble=trouble_note(summary),
            columns=COLUMNS,
            filters=_FILTERS,
            privilege_words=", ".join(PRIVILEGE_WORDS),
            reading_words=", ".join(READING_WORDS),
            latest_note=latest_note(summary),
            listed=listed_events(summary),
            identities=identity_lines(manifest, summary),
            identities_note=identities_note(manifest),
            changes=[change_line(row) for row in summary.audit.changes],
            changes_note=changes_note(summary),
            changed=changed_lines(summary),
            changed_note=changed_note(summary),
            runs=[run_line(run) for run in runs],
            runs_note=runs_note(summary),
            notes=notes_of(manifest.header, made_at),
            chart_data=safe(_embedded(_drawn(summary, charts, runs))),
            event_data=safe(_embedded(_listed(summary, top))),
            scripts=[safe(script) for script in scripts],
        )
        return html.encode()

    def _shown(self, value: Any) -> Any:
        """Return what stands in the page for a value of the template."""
        if isinstance(value, str) and not isinstance(value, self._safe):
            return clipped(value, _LONGEST_TEXT)
        return value

    def _breakable(self, name: str) -> Any:
        """Return a name that may go on in the next line behind each of its parts."""
        escaped = str(self._safe.escape(self._shown(name)))
        return self._safe(_SEPARATORS.sub(r"\1<wbr>", escaped))


def _is_long(value: str) -> bool:
    return len(value) > _LONGEST_UNCUT


def _drawn(
    summary: Summary, charts: Mapping[str, Chart], runs: Sequence[FailureRun]
) -> dict[str, Any]:
    """Return what the charts are drawn of."""
    return {
        **steps_of(summary.timeline),
        "charts": {name: chart.drawn for name, chart in charts.items()},
        "runs": [drawn_run(run) for run in runs],
    }


def _listed(summary: Summary, top: int) -> dict[str, Any]:
    """Return the events that the page's table lists, and what is said of them."""
    rows = summary.latest
    actions = {row.action for row in rows}
    changes = {
        clipped(action, LONGEST_CELL)
        for action in actions
        if is_privilege_change(action)
    }
    store = event_store(rows)
    return {
        "columns": list(COLUMNS),
        "total": summary.events,
        "top": top,
        "changes": [
            place
            for place, action in enumerate(store["action"]["values"])
            if action in changes
        ],
        "store": store,
    }


@cache
def _vega(bundle: Callable[[str], str]) -> str:
    """Return Vega, Vega-Lite and what draws with them, as one script."""
    script = bundle("window.vegaEmbed = vegaEmbed;")
    # What would end the element around it means the same when it is escaped.
    return script.replace("</script", r"<\/script").replace("<!--", r"<\!--")


@cache
def _own_script() -> str:
    return "\n".join(_template(f"{name}.js") for name in _SCRIPTS)


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
