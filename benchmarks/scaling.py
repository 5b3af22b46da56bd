"""The growth of the cost of a read with its events, requests and identities."""

from collections.abc import Sequence

import attrs
from contestants import TAKE
from goals import LATENCY, fan_out, read
from sizes import Sizes
from tables import Table, number

_EVENTS_OF_IDENTITY = 10


@attrs.frozen
class Point:
    """One measurement.

    Attributes:
        size: How much there was of what grows.
        seconds: Wall time.
        ideal: The least wall time that was possible, 0 where that is unknown.
        peak: Megabytes.
    """

    size: int
    seconds: float
    ideal: float
    peak: float


@attrs.frozen
class Scaling:
    """Three series."""

    events: Sequence[Point]
    in_flight: Sequence[Point]
    identities: Sequence[Point]

    def tables(self) -> list[Table]:
        """Return a table for each."""
        return [
            _table("Events in a log", "events", self.events),
            _table(
                "Requests in flight, at 30 ms", "requests in flight", self.in_flight
            ),
            _table("Identities of ten events each", "identities", self.identities),
        ]


def measure(base_url: str, sizes: Sizes) -> Scaling:
    """Measure each point once."""
    return Scaling(
        [_of_events(base_url, events) for events in sizes.log_lengths],
        [_of_width(base_url, width, sizes.width_pages) for width in sizes.widths],
        [_of_identities(base_url, count) for count in sizes.fan_outs],
    )


def _of_events(base_url: str, events: int) -> Point:
    run = read(base_url, events)
    return Point(events, run["wall"], 0, run["peak"])


def _of_width(base_url: str, width: int, pages: int) -> Point:
    run = read(base_url, pages * TAKE, LATENCY, in_flight=width)
    ideal = LATENCY * (1 + (run["requests"] - 1) / width)
    return Point(width, run["wall"], ideal, run["peak"])


def _of_identities(base_url: str, count: int) -> Point:
    run = fan_out(
        base_url, 0, identities=count, events=_EVENTS_OF_IDENTITY, in_flight=32
    )
    return Point(count, run["wall"], 0, run["peak"])


def _table(title: str, size: str, points: Sequence[Point]) -> Table:
    table = Table(title, (size, "seconds", "ideal", "peak MB"))
    for point in points:
        ideal = f"{point.ideal:.2f}" if point.ideal else ""
        seconds = f"{point.seconds:.2f}"
        table.add(number(point.size), seconds, ideal, f"{point.peak:.0f}")
    return table
