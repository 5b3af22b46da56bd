"""The charts of a report: as Vega-Lite, as a sentence, and as a table."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import attrs

from canopy_async._util.display import clipped
from canopy_async.export.report.timeline import OTHERS, Timeline

__all__ = ["Chart", "charts_of"]

_ORDERS: Final = {
    # What is rare lies at the foot of a stack, where it can be compared.
    "outcome": ("failure", "denied", "success"),
    "severity": ("critical", "warning", "notice", "info"),
    "category": (),
}
_COLOURED: Final = frozenset(_ORDERS["outcome"] + _ORDERS["severity"])
"""Values that have a colour of their own in the style sheet."""
_TROUBLE: Final = ("failure", "denied")

_MOST_SHOWN: Final = 12
"""Values that a chart tells apart; its table has all of them."""
_LONGEST_NAME: Final = 24
_PIXELS_A_CHARACTER: Final = 6.4
_STACK_HEIGHT: Final = 220
_ROWS_HEIGHT: Final = 380
_ROW_SPACING: Final = 8
_LEAST_HEIGHT: Final = 24
_MOST_HEIGHT: Final = 88

_LABELS: Final = {
    "hour": "%Y-%m-%d %H:00",
    "day": "%Y-%m-%d",
    "week": "week of %Y-%m-%d",
    "month": "%Y-%m",
    "year": "%Y",
    "century": "from %Y on",
}
_BAR: Final = {"type": "rect", "stroke": "var(--surface)", "strokeWidth": 0.5}
_TOOLTIP: Final = [
    {"field": "when", "title": "When"},
    {"field": "value", "title": "What"},
    {"field": "events", "title": "Events", "format": ",d"},
]
_TIME: Final = {
    "field": "start",
    "type": "temporal",
    "title": None,
    "scale": {"type": "utc", "nice": False},
    "axis": {
        "tickCount": 6,
        # A clock of 24 hours; Vega's own has 12.
        "format": {
            "seconds": "%H:%M:%S",
            "minutes": "%H:%M",
            "hours": "%H:%M",
            "date": "%b %d",
            "week": "%b %d",
            "month": "%b %Y",
            "quarter": "%b %Y",
            "year": "%Y",
        },
        "labelOverlap": "greedy",
        "labelSeparation": 14,
        "grid": False,
    },
}


@attrs.frozen(kw_only=True)
class Chart:
    """One chart.

    Attributes:
        title: What it shows.
        description: The chart in words, for those who don't see it.
        spec: The chart in Vega-Lite, without a width.
        margin: Pixels of its width that are not for bars, but for names of rows.
        columns: The heads of the table with its numbers.
        rows: The lines of it, the label of a bucket first.
    """

    title: str
    description: str
    spec: Mapping[str, Any]
    margin: int
    columns: Sequence[str]
    rows: Sequence[Sequence[str | int]]


def charts_of(timeline: Timeline) -> Mapping[str, Chart]:
    """Return the charts of a timeline by name; none where nothing happened."""
    if not timeline.buckets:
        return {}
    unit = timeline.unit
    outcomes, severities, categories = (
        _Series.of(timeline, name, _in_order(timeline, name)) for name in _ORDERS
    )
    charts = {
        "outcome": outcomes.as_stack(f"Events by {unit} and outcome"),
        "severity": severities.as_rows(f"Events by {unit} and severity"),
        "category": categories.as_rows(f"Events by {unit} and category"),
    }
    trouble = [value for value in outcomes.values if value in _TROUBLE]
    if trouble:
        series = _Series.of(timeline, "outcome", trouble)
        charts["trouble"] = series.as_rows(f"Failures and denials by {unit}")
    return charts


def _in_order(timeline: Timeline, dimension: str) -> Sequence[str]:
    totals = timeline.totals[dimension]
    known = [value for value in _ORDERS[dimension] if value in totals]
    return list(dict.fromkeys((*known, *totals)))


@attrs.frozen(kw_only=True)
class _Series:
    """Values of one dimension over time.

    Attributes:
        timeline: Where they are from.
        dimension: Which one.
        values: The values, in the order of a legend.
        shown: How many events each bucket has of the values that a chart tells
            apart; the rest of them are one.
        totals: The sums over all buckets.
    """

    timeline: Timeline
    dimension: str
    values: Sequence[str]
    shown: Sequence[Mapping[str, int]]
    totals: Mapping[str, int]

    @classmethod
    def of(cls, timeline: Timeline, dimension: str, values: Sequence[str]) -> "_Series":
        apart = len(values) if len(values) <= _MOST_SHOWN else _MOST_SHOWN - 1
        names = [*values[:apart], *[OTHERS] * (len(values) - apart)]
        shown: list[Counter[str]] = []
        totals: Counter[str] = Counter()
        for bucket in timeline.buckets:
            counts = bucket.counts[dimension]
            here: Counter[str] = Counter()
            for value, name in zip(values, names, strict=True):
                here[name] += counts.get(value, 0)
            shown.append(here)
            totals.update(here)
        return cls(
            timeline=timeline,
            dimension=dimension,
            values=values,
            shown=shown,
            totals=totals,
        )

    def as_stack(self, title: str) -> Chart:
        """Return bars, values stacked."""
        spec = {
            "data": {"values": list(self._bars())},
            "height": _STACK_HEIGHT,
            "mark": _BAR,
            "encoding": {
                "x": _TIME,
                "x2": {"field": "end"},
                "y": {
                    "field": "top",
                    "type": "quantitative",
                    "title": None,
                    "axis": {"tickCount": 5, "tickMinStep": 1, "format": "~s"},
                },
                "y2": {"field": "foot"},
                "color": self._colour(legend={"orient": "top", "title": None}),
                "tooltip": _TOOLTIP,
            },
        }
        return self._chart(title, spec, margin=0)

    def as_rows(self, title: str) -> Chart:
        """Return a row of bars for each value."""
        rows = [self._row(value) for value in self.totals]
        share = _ROWS_HEIGHT // len(rows) - _ROW_SPACING
        spec = {
            "data": {"values": list(self._bars())},
            "facet": {
                "row": {
                    "field": "row",
                    "sort": rows,
                    "title": None,
                    "header": {"labelAngle": 0, "labelAlign": "left"},
                }
            },
            "bounds": "flush",
            "spacing": _ROW_SPACING,
            "resolve": {"scale": {"y": "independent"}},
            "spec": {
                "height": min(max(share, _LEAST_HEIGHT), _MOST_HEIGHT),
                "mark": _BAR,
                "encoding": {
                    "x": _TIME,
                    "x2": {"field": "end"},
                    "y": {"field": "events", "type": "quantitative", "axis": None},
                    "y2": {"datum": 0},
                    "color": self._colour(legend=None),
                    "tooltip": _TOOLTIP,
                },
            },
        }
        margin = round(_PIXELS_A_CHARACTER * max(map(len, rows)))
        return self._chart(title, spec, margin=margin)

    def _chart(self, title: str, spec: Mapping[str, Any], *, margin: int) -> Chart:
        unit = self.timeline.unit
        return Chart(
            title=title,
            description=self._description(),
            spec=spec,
            margin=margin,
            columns=[unit, *(clipped(value, _LONGEST_NAME) for value in self.values)],
            rows=[
                [
                    _label_of(unit, bucket.start),
                    *(
                        bucket.counts[self.dimension].get(value, 0)
                        for value in self.values
                    ),
                ]
                for bucket in self.timeline.buckets
            ],
        )

    def _description(self) -> str:
        unit, buckets = self.timeline.unit, self.timeline.buckets
        sums = [sum(counts.values()) for counts in self.shown]
        busiest = sums.index(max(sums))
        counted = ", ".join(
            f"{clipped(value, _LONGEST_NAME)} {n:,}" for value, n in self.totals.items()
        )
        return (
            f"Bars, one for each {unit} with events,"
            f" from {_label_of(unit, buckets[0].start)}"
            f" to {_label_of(unit, buckets[-1].start)}. In all: {counted}."
            f" Most in one {unit}: {sums[busiest]:,},"
            f" {_label_of(unit, buckets[busiest].start)}."
        )

    def _bars(self) -> Iterator[Mapping[str, Any]]:
        """Yield what is drawn: one bar for each bucket and value."""
        unit, buckets = self.timeline.unit, self.timeline.buckets
        ends = (buckets[0], buckets[-1])
        for bucket, counts in zip(buckets, self.shown, strict=True):
            foot = 0
            for value, n in counts.items():
                # Empty bars at both ends make each chart as long as the timeline.
                if not n and bucket not in ends:
                    continue
                yield {
                    "start": _milliseconds(bucket.start),
                    "end": _milliseconds(bucket.end),
                    "when": _label_of(unit, bucket.start),
                    "value": clipped(value, _LONGEST_NAME),
                    "row": self._row(value),
                    "events": n,
                    "foot": foot,
                    "top": foot + n,
                }
                foot += n

    def _colour(self, *, legend: Mapping[str, Any] | None) -> Mapping[str, Any]:
        return {
            "field": "value",
            "type": "nominal",
            "legend": legend,
            "scale": {
                "domain": [clipped(value, _LONGEST_NAME) for value in self.totals],
                # The style sheet says what they are, by day and by night.
                "range": [
                    f"var(--{value if value in _COLOURED else 'plain'})"
                    for value in self.totals
                ],
            },
        }

    def _row(self, value: str) -> str:
        """Return what a row is called: the value, and how many events it has."""
        return f"{clipped(value, _LONGEST_NAME)}  {self.totals[value]:,}"


def _label_of(unit: str, start: datetime) -> str:
    return start.strftime(_LABELS[unit])


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
