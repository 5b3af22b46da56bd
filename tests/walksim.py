"""Walks over simulated moving lists, under virtual time.

`simulate` drives the same walks that the network does: requests are in flight
together, each is served at an instant of its own between being sent and being
answered, and the list moves meanwhile. What was read is then compared with
what was there. Run as a script, it prints a table:

    python tests/walksim.py --runs 1000
"""

import argparse
import bisect
import heapq
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import attrs

from canopy_async.chain import OverlapChain
from canopy_async.errors import CanopyError
from canopy_async.models import Page, PageMeta
from canopy_async.planner import Window
from canopy_async.report import ReadReport
from canopy_async.walk import PlainWalk, Walk

EPOCH = datetime(2026, 4, 20, tzinfo=UTC)


@attrs.frozen
class SimRow:
    """A row that has nothing but what a proof needs."""

    id: str
    created_at: datetime


@attrs.frozen(kw_only=True)
class Scenario:
    """What one schedule is drawn from; rates are per second."""

    name: str
    order: str = "desc"
    take: int = 20
    rows: tuple[int, int] = (0, 400)
    inserts: bool = False
    purges: bool = False
    ring: bool = False
    late: bool = False
    removals: bool = False
    rate: tuple[float, float] = (0.3, 8.0)
    ties: float = 0.05
    runs: tuple[int, int] | None = None
    unstable: bool = False
    race: bool = False
    clamp: int | None = None
    clamp_said: bool = True
    sorting: str = "created_at"
    writes_on_read: bool = False
    latency: tuple[float, float] = (0.02, 0.3)


class SimList:
    """A list on a server, and the events that move it."""

    def __init__(self, scenario: Scenario, rng: random.Random) -> None:
        self.scenario = scenario
        self.rng = rng
        self.rows: list[tuple[int, str]] = []
        self.objects: dict[str, SimRow] = {}
        self.counts = [0]
        self._number = 0
        self._clock = 0
        self._fill(rng.randint(*scenario.rows))
        rate = rng.uniform(*scenario.rate)
        self.pause: Callable[[], float] = lambda: rng.expovariate(rate)

    def _fill(self, count: int) -> None:
        scenario, rng = self.scenario, self.rng
        while len(self.rows) < count:
            run = 1
            if scenario.runs is not None:
                run = rng.randint(*scenario.runs) if rng.random() < 0.1 else 1
            self._append(new_key=rng.random() >= scenario.ties)
            for _ in range(min(run, count - len(self.rows)) - 1):
                self._append(new_key=False)

    def _append(self, *, new_key: bool) -> None:
        if new_key:
            self._clock += self.rng.randint(1, 50)
        self._insert(self._clock)

    def _insert(self, key: int) -> None:
        self._number += 1
        id_ = f"{self.rng.getrandbits(32):08x}{self._number:06d}"
        bisect.insort(self.rows, (key, id_))
        created_at = EPOCH + timedelta(milliseconds=key)
        self.objects[id_] = SimRow(id_, created_at)
        self.counts.append(len(self.rows))

    def _remove(self, at: int) -> None:
        del self.rows[at]
        self.counts.append(len(self.rows))

    def move(self) -> None:
        """Let one event of the scenario happen."""
        scenario, rng = self.scenario, self.rng
        kinds: list[str] = []
        kinds += ["insert"] * scenario.inserts + ["purge"] * scenario.purges
        kinds += ["ring"] * scenario.ring + ["late"] * scenario.late
        kinds += ["remove"] * scenario.removals
        if not kinds:
            return
        kind = rng.choice(kinds)
        if kind in {"insert", "ring"}:
            self._append(new_key=rng.random() >= scenario.ties)
        if kind in {"purge", "ring"} and self.rows:
            self._remove(0)
        if kind == "late" and self.rows:
            self._insert(rng.choice(self.rows)[0] + rng.randint(0, 3))
        if kind == "remove" and self.rows:
            self._remove(rng.randrange(len(self.rows)))

    def serve(self, window: Window) -> Page[SimRow]:
        """Return a page as the server sees the list now."""
        scenario, rng = self.scenario, self.rng
        if scenario.writes_on_read:
            self._append(new_key=True)
        take = window.take
        if scenario.clamp is not None:
            take = min(take, scenario.clamp)
        start = (window.page - 1) * take
        ids = self._slice(start, start + take)
        count = len(self.rows)
        if scenario.race:
            count = rng.choice(self.counts[-4:])
        said = take if scenario.clamp_said else window.take
        pages = -(-count // said)
        return Page(
            items=tuple(self.objects[id_] for id_ in ids),
            pagination=PageMeta(
                page=window.page,
                take=said,
                item_count=count,
                page_count=pages,
                has_previous_page=window.page > 1,
                has_next_page=window.page < pages,
            ),
        )

    def _slice(self, start: int, end: int) -> list[str]:
        scenario, rng = self.scenario, self.rng
        rows = self.rows
        if scenario.sorting == "random":
            rows = rng.sample(rows, len(rows))
        elif scenario.sorting == "id":
            rows = sorted(rows, key=lambda row: row[1])
        elif scenario.unstable:
            rows = sorted(rows, key=lambda row: (row[0], rng.random()))
        if scenario.order == "desc":
            size = len(rows)
            rows = rows[max(0, size - end) : max(0, size - start)][::-1]
        else:
            rows = rows[start:end]
        return [id_ for _, id_ in rows]

    def ids(self) -> set[str]:
        """Return the ids in the list now."""
        return {id_ for _, id_ in self.rows}


@attrs.frozen(kw_only=True)
class Outcome:
    """What became of one walk."""

    raised: str | None
    report: ReadReport
    lost: int
    repeated: int
    disordered: bool
    requests: int
    pages: int
    seconds: float
    idle_end: float


@attrs.define
class _Network:
    """Requests in flight over a moving list; time jumps from event to event."""

    server: SimList
    rng: random.Random
    now: float = 0.0
    sent: int = 0
    first_ids: set[str] | None = None
    answers: dict[Window, Page[SimRow]] = attrs.field(factory=dict)
    in_flight: set[Window] = attrs.field(factory=set)
    _events: list[tuple[float, int, str, Window | None]] = attrs.field(factory=list)
    _pages: dict[Window, Page[SimRow]] = attrs.field(factory=dict)
    _number: int = 0

    def start(self) -> None:
        self._at(self.server.pause(), "move", None)

    def send(self, window: Window) -> None:
        low, high = self.server.scenario.latency
        latency = self.rng.uniform(low, high)
        if self.rng.random() < 0.05:
            latency *= 5
        self.sent += 1
        self.in_flight.add(window)
        self._at(self.now + latency * self.rng.random(), "serve", window)
        self._at(self.now + latency, "answer", window)

    def step(self) -> None:
        """Let the next event happen."""
        self.now, _, kind, window = heapq.heappop(self._events)
        if window is None:
            self.server.move()
            self._at(self.now + self.server.pause(), "move", None)
        elif kind == "serve":
            if self.first_ids is None:
                self.first_ids = self.server.ids()
            self._pages[window] = self.server.serve(window)
        else:
            self.in_flight.discard(window)
            self.answers[window] = self._pages.pop(window)

    def _at(self, when: float, kind: str, window: Window | None) -> None:
        self._number += 1
        heapq.heappush(self._events, (when, self._number, kind, window))


def simulate(
    scenario: Scenario,
    seed: int,
    *,
    concurrency: int,
    make_walk: Callable[[Scenario], Walk[SimRow]],
) -> Outcome:
    """Drive one walk over one schedule, and compare it with the truth."""
    rng = random.Random(seed)
    network = _Network(server=SimList(scenario, rng), rng=rng)
    network.start()
    walk = make_walk(scenario)
    read: list[SimRow] = []
    raised: str | None = None
    last_row_at = 0.0
    try:
        while not walk.done:
            _top_up(walk, network, concurrency)
            head = walk.windows[0]
            while head not in network.answers:
                network.step()
            rows = walk.take(network.answers.pop(head))
            if rows:
                last_row_at = network.now
            read.extend(rows)
    except CanopyError as error:
        raised = type(error).__name__
    ids = [row.id for row in read]
    was_there = network.first_ids or set()
    owed = was_there & network.server.ids()
    keys = [row.created_at for row in read]
    return Outcome(
        raised=raised,
        report=walk.report(),
        lost=len(owed - set(ids)),
        repeated=len(ids) - len(set(ids)),
        disordered=keys != sorted(keys, reverse=scenario.order == "desc"),
        requests=network.sent,
        pages=max(1, -(-len(was_there) // scenario.take)),
        seconds=network.now,
        idle_end=network.now - last_row_at,
    )


def _top_up(walk: Walk[SimRow], network: _Network, concurrency: int) -> None:
    known = network.in_flight | network.answers.keys()
    if walk.windows and walk.windows[0] not in known:
        network.send(walk.windows[0])
    while len(network.in_flight) < concurrency and len(walk.windows) < 8 * concurrency:
        window = walk.plan()
        if window is None:
            return
        network.send(window)


def proven(scenario: Scenario) -> Walk[SimRow]:
    """Return the walk under test."""
    return OverlapChain(
        take=scenario.take, max_take=scenario.take, order=scenario.order
    )


def naive(scenario: Scenario) -> Walk[SimRow]:
    """Return what everybody does: pages 1 to page_count, once each."""
    return PlainWalk(take=scenario.take)


def moving(**options: object) -> Iterator[Scenario]:
    """Yield the schedules of a list that is moved by inserts and purges."""
    for order in ("desc", "asc"):
        for name, kinds in (
            ("quiet", {}),
            ("inserts", {"inserts": True}),
            ("purges", {"purges": True}),
            ("ring", {"ring": True}),
            ("mixed", {"inserts": True, "purges": True}),
        ):
            settings = {**kinds, **options}
            yield Scenario(name=name, order=order, **settings)  # type: ignore[arg-type]


_CHAOS = {
    "inserts": True,
    "purges": True,
    "ring": True,
    "late": True,
    "removals": True,
}


def hard() -> Iterator[Scenario]:
    """Yield the schedules that a proof may refuse, but never get wrong."""
    cases: list[tuple[str, dict[str, object]]] = [
        ("late arrivals", {"inserts": True, "late": True}),
        ("removals anywhere", {"inserts": True, "removals": True}),
        ("chaos", _CHAOS),
        ("ties .5", {**_CHAOS, "ties": 0.5}),
        ("ties .5 unstable", {**_CHAOS, "ties": 0.5, "unstable": True}),
        ("ties .9 unstable", {**_CHAOS, "ties": 0.9, "unstable": True}),
        ("quiet, ties .9 unstable", {"ties": 0.9, "unstable": True}),
        ("count race", {"inserts": True, "purges": True, "race": True}),
        ("clamped take", {**_CHAOS, "clamp": 12}),
        ("clamped silently", {**_CHAOS, "clamp": 12, "clamp_said": False}),
        ("runs 8-16 unstable", {**_CHAOS, "runs": (8, 16), "unstable": True}),
        ("runs 15-30", {**_CHAOS, "runs": (15, 30)}),
        ("quiet, runs 15-30", {"runs": (15, 30)}),
        ("runs 15-30 unstable", {**_CHAOS, "runs": (15, 30), "unstable": True}),
        ("quiet, runs 15-30 unstable", {"runs": (15, 30), "unstable": True}),
        ("chaos, race, unstable", {**_CHAOS, "race": True, "unstable": True}),
        ("sorted by id", {**_CHAOS, "sorting": "id"}),
        ("random order", {**_CHAOS, "sorting": "random"}),
        ("each read writes", {"writes_on_read": True}),
        ("fast", {"inserts": True, "rate": (20.0, 40.0)}),
        ("fast ring", {"ring": True, "rate": (20.0, 40.0)}),
        ("fast mixed", {"inserts": True, "purges": True, "rate": (20.0, 40.0)}),
        ("very fast", {"inserts": True, "rate": (50.0, 300.0)}),
        ("very fast ring", {"ring": True, "rate": (50.0, 300.0)}),
    ]
    for name, options in cases:
        for order in ("desc", "asc"):
            yield Scenario(name=name, order=order, **options)  # type: ignore[arg-type]


def _row(scenario: Scenario, runs: int, seed: int) -> tuple[str, int, int]:
    cells = [f"{scenario.name:28}{scenario.order:5}"]
    plain = [
        simulate(scenario, seed + n, concurrency=8, make_walk=naive)
        for n in range(runs)
    ]
    cells.append(f"{100 * sum(o.lost > 0 for o in plain) / runs:7.1f}")
    wrong = 0
    reasons: Counter[str] = Counter()
    for concurrency in (1, 4, 8, 16):
        outcomes = [
            simulate(scenario, seed + n, concurrency=concurrency, make_walk=proven)
            for n in range(runs)
        ]
        kept = [o for o in outcomes if o.raised is None]
        lost = sum(o.lost > 0 for o in kept)
        repeated = sum(o.repeated > 0 for o in outcomes)
        disordered = sum(o.disordered for o in outcomes)
        unsaid = sum(not o.report.complete for o in kept)
        wrong += lost + repeated + disordered + unsaid
        reasons.update(o.raised for o in outcomes if o.raised)
        raised = 100 * (len(outcomes) - len(kept)) / runs
        cost = sum(o.requests for o in kept) / max(1, sum(o.pages for o in kept))
        cells.append(f"{lost:4}{repeated:4}{disordered:4}{raised:7.1f}{cost:6.2f}")
    return "  ".join(cells) + "  " + ", ".join(reasons), wrong, 4 * runs


def main() -> int:
    """Print the table; fail if any proven walk was wrong."""
    parser = argparse.ArgumentParser(description="Walks over moving lists.")
    parser.add_argument("--runs", type=int, default=150)
    parser.add_argument("--hard-runs", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    print(
        "                                  naive   overlap chain, 1/4/8/16 in flight:"
    )
    print(
        "schedule                    order lost %" + "   lost rep dis raised% req/p" * 4
    )
    wrong = total = 0
    for scenarios, runs in ((moving(), options.runs), (hard(), options.hard_runs)):
        for scenario in scenarios:
            if runs:
                text, bad, count = _row(scenario, runs, options.seed)
                wrong += bad
                total += count
                print(text, flush=True)
    seconds = time.monotonic() - began
    print(f"{total} proven walks, {wrong} wrong, {seconds:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
