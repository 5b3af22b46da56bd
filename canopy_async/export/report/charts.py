"""The charts of a report: as numbers that are drawn, as a sentence, and as a table."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import attrs

from canopy_async._util.display import clipped
from canopy_async.export.report.cells import LONGEST_CELL
from canopy_async.export.report.timeline import OTHERS, Timeline

__all__ = ["Chart", "charts_of", "steps_of"]

_ORDERS: Final = {
    # What is rare lies at the foot of a stack, where it can be compared.
    "outcome": ("failure", "denied", "success"),
    "severity": ("critical", "warning", "notice", "info"),
    "category": (),
}
_TROUBLE: Final = ("failure", "denied")

_MOST_SHOWN: Final = 12
"""Values that a chart tells apart; its table has all of them."""
_LONGEST_NAME: Final = 24

_LABELS: Final = {
    "minute": "%Y-%m-%d %H:%M",
    "quarter-hour": "%Y-%m-%d %H:%M",
    "hour": "%Y-%m-%d %H:00",
    "day": "%Y-%m-%d",
    "week": "week of %Y-%m-%d",
    "month": "%Y-%m",
    "year": "%Y",
    "century": "from %Y on",
}


@attrs.frozen(kw_only=True)
class Chart:
    """One chart.

    Attributes:
        title: What it shows.
        description: The chart in words, for those who don't see it.
        drawn: What is drawn: the field of events that is counted, the values of it that
            are told apart, what each is called, and the number of events of each step
            and value.
        columns: The heads of the table with its numbers.
        rows: The lines of it, the label of a bucket first.
    """

    title: str
    description: str
    drawn: Mapping[str, Any]
    columns: Sequence[str]
    rows: Sequence[Sequence[str | int]]


def charts_of(timeline: Timeline) -> Mapping[str, Chart]:
    """Return the charts of a timeline by name; none where nothing happened."""
    if not timeline.buckets:
        return {}
    outcomes, severities, categories = (
        _Series.of(timeline, name, _in_order(timeline, name)) for name in _ORDERS
    )
    charts = {
        "outcome": outcomes.as_chart("Events by {} and outcome"),
        "severity": severities.as_chart("Events by {} and severity"),
        "category": categories.as_chart("Events by {} and category"),
    }
    trouble = [value for value in outcomes.values if value in _TROUBLE]
    if trouble:
        series = _Series.of(timeline, "outcome", trouble)
        charts["trouble"] = series.as_chart("Failures and denials by {}")
    return charts


def steps_of(timeline: Timeline) -> Mapping[str, Any]:
    """Return the unit of a timeline, and where each step with events is in time.

    Times are milliseconds since 1970.
    """
    return {
        "unit": timeline.unit,
        "starts": [_milliseconds(bucket.start) for bucket in timeline.buckets],
        "ends": [_milliseconds(bucket.end) for bucket in timeline.buckets],
    }


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

    def as_chart(self, title: str) -> Chart:
        """Return a chart of them.

        Args:
            title: What it shows, with a place for the unit of time.
        """
        unit = self.timeline.unit
        return Chart(
            title=title.format(unit),
            description=self._description(),
            drawn={
                "title": title,
                "field": self.dimension,
                "values": [clipped(value, LONGEST_CELL) for value in self.totals],
                "names": [clipped(value, _LONGEST_NAME) for value in self.totals],
                "counts": [[counts[it] for it in self.totals] for counts in self.shown],
            },
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


def _label_of(unit: str, start: datetime) -> str:
    return start.strftime(_LABELS[unit])


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
