"""Interleaved rounds: whatever the machine does meanwhile, it does to all."""

import random
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Literal

import attrs
from contestants import CONTESTANTS, Log
from measure import measured
from tables import Table, number

By = Literal["wall", "cpu"]
OURS = "proven"


@attrs.frozen(kw_only=True)
class Reading:
    """What one contestant took in one round; seconds and megabytes."""

    events: int
    wall: float
    cpu: float
    first: float
    before: float
    peak: float

    def rate(self, by: By) -> float:
        """Return events per second, of wall time or of CPU time."""
        return self.events / (self.wall if by == "wall" else self.cpu)


@attrs.frozen
class Rounds:
    """The readings of each contestant, one a round."""

    readings: Mapping[str, Sequence[Reading]]

    def rate(self, name: str, by: By = "wall") -> float:
        """Return the median of a contestant's events per second."""
        return median(reading.rate(by) for reading in self.readings[name])

    def ratio(self, name: str, other: str, by: By = "wall") -> float:
        """Return how much faster one was than another: the median over rounds."""
        return median(self.ratios(name, other, by))

    def ratios(self, name: str, other: str, by: By = "wall") -> list[float]:
        """Return how much faster one was than another, in each round."""
        pairs = zip(self.readings[name], self.readings[other], strict=True)
        return [one.rate(by) / two.rate(by) for one, two in pairs]

    def table(self, title: str) -> Table:
        """Return what there is to say, the fastest first."""
        head = ("read by", "events", "events/s", "CPU µs per 100", "first event, ms")
        ours = OURS if OURS in self.readings else next(iter(self.readings))
        head += ("peak MB", f"{CONTESTANTS[ours].title} ÷ it", "the same by CPU")
        table = Table(title, head)
        for name in self._fastest_first():
            readings = self.readings[name]
            table.add(
                CONTESTANTS[name].title,
                number(readings[0].events),
                number(self.rate(name)),
                number(1e8 / self.rate(name, "cpu")),
                f"{1000 * median(reading.first for reading in readings):.1f}",
                self._peak(name),
                f"{self.ratio(ours, name):.2f}",
                f"{self.ratio(ours, name, 'cpu'):.2f}",
            )
        return table

    def summary(self) -> Table:
        """Return the table of the pages: a few columns, without the floor."""
        head = ("read by", "typed", "proven", "events/s", "peak MB")
        table = Table("Streaming", (*head, "canopy_async ÷ it"))
        for name in self._fastest_first():
            who = CONTESTANTS[name]
            if who.made_by == "raw:bodies":
                continue
            table.add(
                who.title,
                "yes" if who.typed else "no",
                "yes" if who.proven else "no",
                number(round(self.rate(name), -3)),
                self._peak(name),
                f"{self.ratio(OURS, name):.2f}",
            )
        return table

    def _fastest_first(self) -> list[str]:
        return sorted(self.readings, key=self.rate, reverse=True)

    def _peak(self, name: str) -> str:
        return f"{median(reading.peak for reading in self.readings[name]):.0f}"


def play(base_url: str, events: Mapping[str, int], *, rounds: int, seed: int) -> Rounds:
    """Let contestants read logs of so many events, in another order each round.

    Raises:
        RuntimeError: One failed, or did not see every event.
    """
    readings: dict[str, list[Reading]] = {name: [] for name in events}
    order, dice = list(events), random.Random(seed)
    for _ in range(rounds):
        dice.shuffle(order)
        for name in order:
            readings[name].append(_read(base_url, name, events[name]))
    return Rounds(readings)


def _read(base_url: str, name: str, events: int) -> Reading:
    log = Log(
        base_url=base_url, account="acme", identity=f"idn_1_{events}", events=events
    )
    figures = measured("readers:read", contestant=name, log=attrs.asdict(log))
    reading = Reading(**figures)
    if reading.events != events:
        raise RuntimeError(f"{name} saw {reading.events} of {events} events")
    return reading
