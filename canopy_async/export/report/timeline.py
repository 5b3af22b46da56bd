"""The timeline: counts of events in steps that suit the span."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeAlias

import attrs

from canopy_async.export.batches import DAY, HOUR, MINUTE, PERIODS, Batch, as_datetime
from canopy_async.models import Category, Outcome, Severity

__all__ = ["OTHERS", "Bucket", "Timeline", "TimelineCounter"]

OTHERS: Final = "(others)"
"""Stands for all values of a dimension that are not counted for themselves."""
NONE: Final = "(none)"
"""Stands for the value of an event that has none."""

_KNOWN: Final = {
    "category": frozenset(map(str, (NONE, *Category.__members__.values()))),
    "outcome": frozenset(map(str, Outcome.__members__.values())),
    "severity": frozenset(map(str, Severity.__members__.values())),
}
"""Each dimension, and its values that are always counted for themselves."""
_MOST_UNKNOWN: Final = 20
"""The most unknown values of a dimension that are counted for themselves."""
_MOST_DAYS: Final = 100
"""More days than that are shown as weeks."""
_MINUTES_A_QUARTER: Final = 15
_QUARTERS_AN_HOUR: Final = 4
_HOURS_A_DAY: Final = 24
_DAYS_A_WEEK: Final = 7
_MONTHS_A_YEAR: Final = 12
_YEARS_A_CENTURY: Final = 100

_Counts: TypeAlias = Mapping[str, Counter[tuple[int, str]]]
"""Of each dimension, the number of events by place in time and value."""


@attrs.frozen(kw_only=True)
class Bucket:
    """The counts of one step of the timeline.

    Attributes:
        start: Its beginning, in UTC.
        end: The first instant after it.
        counts: The number of events by value, of each dimension.
    """

    start: datetime
    end: datetime
    counts: Mapping[str, Mapping[str, int]]


@attrs.frozen(kw_only=True)
class Timeline:
    """Events over time.

    Attributes:
        unit: How long a bucket is: ``minute``, ``quarter-hour``, ``hour``, ``day``,
            ``week``, ``month``, ``year`` or ``century``.
        buckets: Those with events, the oldest first.
        totals: The number of events by value, of each dimension (``category``,
            ``outcome``, ``severity``), the most frequent first.
    """

    unit: str
    buckets: Sequence[Bucket]
    totals: Mapping[str, Mapping[str, int]]


class _Unit(NamedTuple):
    """A length of buckets, which are numbered in order.

    Attributes:
        name: What it is called.
        most: How many may lie between the first event and the last, inclusive.
        coarser: Returns the number of the bucket of the next unit, of one of this.
        start: Returns the beginning of a bucket.
    """

    name: str
    most: int
    coarser: Callable[[int], int]
    start: Callable[[int], datetime]


class TimelineCounter:
    """Counts events over time, in memory that neither they nor time can fill.

    It counts by the minute as long as that is few minutes, then by the quarter of an
    hour, and so on. Of each dimension the known values are counted for themselves,
    and the first twenty that are not known.
    """

    def __init__(self) -> None:
        self._level = 0
        self._range: tuple[int, int] | None = None
        self._counts: _Counts = {name: Counter() for name in _KNOWN}
        self._unknown: Final = {name: set[str]() for name in _KNOWN}

    def add(self, batch: Batch) -> None:
        """Count the events of a batch."""
        first, last = (instant // PERIODS[MINUTE] for instant in batch.span())
        self._widen(first, last)
        # The longer the period, the fewer there are to count.
        period, level = next(it for it in _COUNTED_BY if it[1] <= self._level)
        place_of = _Places(lambda place: self._place(place, level))
        for dimension in _KNOWN:
            counts = self._counts[dimension]
            for (place, value), n in batch.counts(period, dimension):
                counts[place_of[place], self._kept(dimension, value)] += n

    def result(self) -> Timeline:
        """Return what was counted until now."""
        unit, counts = _UNITS[self._level], self._counts
        if unit is _DAY and self._span() > _MOST_DAYS:
            unit, counts = _WEEK, _coarsened(counts, _week_of_day)
        return Timeline(
            unit=unit.name,
            buckets=list(_buckets(unit, counts)),
            totals={name: _totals(counted) for name, counted in counts.items()},
        )

    def _widen(self, first_minute: int, last_minute: int) -> None:
        """Take these minutes in, by longer buckets where they become too many."""
        first, last = self._place(first_minute, 0), self._place(last_minute, 0)
        if self._range is not None:
            first, last = min(first, self._range[0]), max(last, self._range[1])
        self._range = first, last
        while self._span() > _UNITS[self._level].most:
            coarser = _UNITS[self._level].coarser
            self._counts = _coarsened(self._counts, coarser)
            self._range = coarser(self._range[0]), coarser(self._range[1])
            self._level += 1

    def _span(self) -> int:
        if self._range is None:
            return 0
        first, last = self._range
        return last - first + 1

    def _place(self, place: int, level: int) -> int:
        """Return the number of the bucket of now that one of a level is in."""
        for unit in _UNITS[level : self._level]:
            place = unit.coarser(place)
        return place

    def _kept(self, dimension: str, given: str | None) -> str:
        value = NONE if given is None else given
        unknown = self._unknown[dimension]
        if value in _KNOWN[dimension] or value in unknown:
            return value
        if len(unknown) >= _MOST_UNKNOWN:
            return OTHERS
        unknown.add(value)
        return value


class _Places(dict[int, int]):
    """The bucket of each period, looked up once."""

    def __init__(self, look_up: Callable[[int], int]) -> None:
        self._look_up: Final = look_up

    def __missing__(self, place: int) -> int:
        self[place] = self._look_up(place)
        return self[place]


def _coarsened(counts: _Counts, coarser: Callable[[int], int]) -> _Counts:
    made: dict[str, Counter[tuple[int, str]]] = {}
    for dimension, counted in counts.items():
        made[dimension] = Counter()
        for (place, value), n in counted.items():
            made[dimension][coarser(place), value] += n
    return made


def _buckets(unit: _Unit, counts: _Counts) -> Iterator[Bucket]:
    by_place: dict[int, dict[str, dict[str, int]]] = {}
    for dimension, counted in counts.items():
        for (place, value), n in counted.items():
            here = by_place.setdefault(place, {name: {} for name in counts})
            here[dimension][value] = n
    for place in sorted(by_place):
        yield Bucket(
            start=unit.start(place), end=_end(unit, place), counts=by_place[place]
        )


def _end(unit: _Unit, place: int) -> datetime:
    try:
        return unit.start(place + 1)
    except ValueError:  # after the year 9999
        return datetime.max.replace(tzinfo=UTC)


def _totals(counted: Counter[tuple[int, str]]) -> Mapping[str, int]:
    totals: Counter[str] = Counter()
    for (_, value), n in counted.items():
        totals[value] += n
    return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))


def _quarter_of_minute(minute: int) -> int:
    return minute // _MINUTES_A_QUARTER


def _hour_of_quarter(quarter: int) -> int:
    return quarter // _QUARTERS_AN_HOUR


def _day_of_hour(hour: int) -> int:
    return hour // _HOURS_A_DAY


def _week_of_day(day: int) -> int:
    # 1970 began on a Thursday, and weeks begin on a Monday.
    return (day + 3) // _DAYS_A_WEEK


def _month_of_day(day: int) -> int:
    that = _start_of_day(day)
    return that.year * _MONTHS_A_YEAR + that.month - 1


def _year_of_month(month: int) -> int:
    return month // _MONTHS_A_YEAR


def _century_of_year(year: int) -> int:
    return year // _YEARS_A_CENTURY


def _itself(place: int) -> int:
    return place


def _start_of_minute(minute: int) -> datetime:
    return as_datetime(minute * PERIODS[MINUTE])


def _start_of_quarter(quarter: int) -> datetime:
    return _start_of_minute(quarter * _MINUTES_A_QUARTER)


def _start_of_hour(hour: int) -> datetime:
    return as_datetime(hour * PERIODS[HOUR])


def _start_of_day(day: int) -> datetime:
    return _start_of_hour(day * _HOURS_A_DAY)


def _start_of_week(week: int) -> datetime:
    return _start_of_day(week * _DAYS_A_WEEK - 3)


def _start_of_month(month: int) -> datetime:
    year, index = divmod(month, _MONTHS_A_YEAR)
    return datetime(year, index + 1, 1, tzinfo=UTC)


def _start_of_year(year: int) -> datetime:
    return datetime(year, 1, 1, tzinfo=UTC)


def _start_of_century(century: int) -> datetime:
    # There is no year 0.
    return _start_of_year(max(century * _YEARS_A_CENTURY, 1))


_DAY: Final = _Unit("day", 700, _month_of_day, _start_of_day)
_WEEK: Final = _Unit("week", 101, _itself, _start_of_week)
_UNITS: Final = (
    _Unit("minute", 120, _quarter_of_minute, _start_of_minute),
    _Unit("quarter-hour", 96, _hour_of_quarter, _start_of_quarter),
    _Unit("hour", 96, _day_of_hour, _start_of_hour),
    _DAY,
    _Unit("month", 120, _year_of_month, _start_of_month),
    _Unit("year", 120, _century_of_year, _start_of_year),
    _Unit("century", 100, _itself, _start_of_century),
)
_COUNTED_BY: Final = ((DAY, 3), (HOUR, 2), (MINUTE, 0))
"""The columns that batches count by, each with its first place in `_UNITS`."""
