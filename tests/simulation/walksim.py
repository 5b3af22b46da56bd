"""Walks over simulated moving lists, under virtual time.

`simulate` drives the same walks that the network does: requests are in flight
together, each is served at an instant of its own between being sent and being
answered, and the list moves meanwhile. What was read is then compared with
what was there. Run as a script, it prints a table:

    python tests/simulation/walksim.py --runs 1000

What a thousand walks do, window by window and row by row, is one hash, to be compared
before and after code is reshaped that is to ask for the same windows as before:

    python tests/simulation/walksim.py --digest
"""

import argparse
import bisect
import hashlib
import heapq
import itertools
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import attrs

from canopy_async._walk import PlainWalk, Walk
from canopy_async._walk.chain import OverlapChain
from canopy_async._walk.window import Window
from canopy_async.errors import CanopyError
from canopy_async.models import Page, PageMeta
from canopy_async.report import ReadReport

EPOCH = datetime(2026, 4, 20, tzinfo=UTC)


@attrs.frozen
class SimRow:
    """A row that has nothing but what a proof needs."""

    id: str
    created_at: datetime


@attrs.frozen(kw_only=True)
class Scenario:
    """What one schedule is drawn from; rates are per second.

    The server may ignore which order it is asked for: the list is in ``order`` then,
    whatever is asked. Each request may itself write rows, ``writes_on_read`` of them.
    The server counts ``before`` it selects, ``after`` it, or ``with`` it; what a
    request writes comes between the two, or before both where they are one.
    """

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
    ignores_order: bool = False
    asked_order: str | None = None
    race: bool = False
    clamp: int | None = None
    clamp_said: bool = True
    sorting: str = "created_at"
    writes_on_read: tuple[int, int] = (0, 0)
    count_taken: str = "with"
    latency: tuple[float, float] = (0.02, 0.3)
    stragglers: float = 0.05


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
        take = window.take
        if scenario.clamp is not None:
            take = min(take, scenario.clamp)
        start = (window.page - 1) * take
        before = len(self.rows)
        if scenario.count_taken != "after":
            self._write()
        order = scenario.order
        if window.newest_first and not scenario.ignores_order:
            order = "desc"
        ids = self._slice(start, start + take, order)
        if scenario.count_taken == "after":
            self._write()
        count = before if scenario.count_taken == "before" else len(self.rows)
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

    def _write(self) -> None:
        """Write what a request adds to the list itself."""
        for _ in range(self.rng.randint(*self.scenario.writes_on_read)):
            self._append(new_key=self.rng.random() >= self.scenario.ties)

    def _slice(self, start: int, end: int, order: str) -> list[str]:
        scenario, rng = self.scenario, self.rng
        rows = self.rows
        if scenario.sorting == "random":
            rows = rng.sample(rows, len(rows))
        elif scenario.sorting == "id":
            rows = sorted(rows, key=lambda row: row[1])
        elif scenario.unstable:
            rows = sorted(rows, key=lambda row: (row[0], rng.random()))
        if order == "desc":
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
    read: int
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
        if self.rng.random() < self.server.scenario.stragglers:
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
            rows = walk.accept_page(network.answers.pop(head))
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
        read=len(read),
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
            yield Scenario(name=name, order=order, **settings)


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
        ("each read writes", {"writes_on_read": (1, 1)}),
        ("fast", {"inserts": True, "rate": (20.0, 40.0)}),
        ("fast ring", {"ring": True, "rate": (20.0, 40.0)}),
        ("fast mixed", {"inserts": True, "purges": True, "rate": (20.0, 40.0)}),
        ("very fast", {"inserts": True, "rate": (50.0, 300.0)}),
        ("very fast ring", {"ring": True, "rate": (50.0, 300.0)}),
    ]
    for name, options in cases:
        for order in ("desc", "asc"):
            yield Scenario(name=name, order=order, **options)


def small_logs() -> Iterator[Scenario]:
    """Yield the schedules of a small log that its own reading writes to."""
    moves: list[tuple[str, dict[str, object]]] = [
        ("a row a read", {"writes_on_read": (1, 1)}),
        ("0-2 rows a read", {"writes_on_read": (0, 2)}),
        ("a row a read, inserts", {"writes_on_read": (1, 1), "inserts": True}),
        ("a row a read, purges", {"writes_on_read": (1, 1), "purges": True}),
        ("a row a read, ring", {"writes_on_read": (1, 1), "ring": True}),
        ("inserts", {"inserts": True}),
    ]
    for take in (100, 20):
        for counted in ("before", "with", "after"):
            for name, kinds in moves:
                for order in ("desc", "asc"):
                    yield Scenario(
                        name=f"{name}, count {counted}, {take}",
                        order=order,
                        take=take,
                        rows=(0, 20),
                        rate=(0.05, 2.0),
                        count_taken=counted,
                        **kinds,
                    )


# The adversary: small lists, and whatever may happen between any two answers.


@attrs.frozen(kw_only=True)
class Torment:
    """How one adversary behaves; everything else it draws as it goes.

    Attributes:
        order: The order of the list.
        take: Rows per page that the walk is made with.
        max_take: Rows per page that the server allows.
        limit: As in `OverlapChain`.
        rows: Rows to begin with.
        width: Requests in flight at most.
        kinds: What may happen to the list between two answers.
        restless: How likely something happens, each time something may.
        burst: Rows that one event touches at most.
        ties: How likely a new row ties with the one before it.
        unstable: Whether ties come in another order each time.
        race: Whether counts may be those of up to three changes ago.
        counted_after: Whether the list may move between what is selected and what
            is counted.
        cap: What a page is cut to.
        cap_said: Whether a cut ``take`` is echoed.
        cap_counted: Whether ``page_count`` follows from the cut ``take``.
        missing: Whether a page past the end is a 404.
        size: The page size of a server that ignores ``take``.
    """

    order: str = "desc"
    take: int = 4
    max_take: int = 6
    limit: int | None = None
    rows: int = 12
    width: int = 3
    kinds: tuple[str, ...] = ()
    restless: float = 0.3
    burst: int = 1
    ties: float = 0.0
    unstable: bool = False
    race: bool = False
    counted_after: bool = False
    cap: int | None = None
    cap_said: bool = True
    cap_counted: bool = True
    missing: bool = False
    size: int | None = None

    @property
    def keeps_to_its_ends(self) -> bool:
        """Whether rows come at the newest end and go at the oldest only."""
        return set(self.kinds) <= {"insert", "purge", "ring"}


_MOST_ROWS = 150
KINDS = ("insert", "purge", "ring", "late", "remove", "swap", "clear", "tie")


def draw_torment(rng: random.Random) -> Torment:
    """Draw an adversary, simple ones more often than not."""
    take = rng.choice((1, 2, 3, 4, 5, 6, 8))
    size = rng.choice((1, 2, 3, 5, 7)) if rng.random() < 0.06 else None
    kinds = tuple(kind for kind in KINDS if rng.random() < 0.35)
    if rng.random() < 0.2:
        kinds = rng.choice(((), ("insert",), ("purge",), ("ring",), ("late", "remove")))
    return Torment(
        order=rng.choice(("asc", "desc")),
        take=take,
        max_take=take + rng.choice((0, 0, 1, 3, 10)),
        limit=rng.choice((None, None, None, rng.randint(1, 30))),
        rows=rng.choice((0, 1, take, take + 1, 2 * take, rng.randint(0, 60))),
        width=rng.choice((1, 2, 3, 8)),
        kinds=kinds,
        restless=rng.choice((0.05, 0.2, 0.5, 0.8)),
        burst=rng.choice((1, 1, 2, 5, 12)),
        ties=rng.choice((0.0, 0.0, 0.1, 0.4, 0.8, 0.97)),
        unstable=rng.random() < 0.4,
        race=rng.random() < 0.25,
        cap=rng.randint(1, 6) if rng.random() < 0.2 else None,
        cap_said=rng.random() < 0.4,
        cap_counted=rng.random() < 0.5,
        missing=rng.random() < 0.3,
        size=size,
        counted_after=rng.random() < 0.25,
    )


class Adversary:
    """A list that changes between any two answers, as a random source says."""

    def __init__(self, torment: Torment, rng: random.Random) -> None:
        self.torment = torment
        self.rng = rng
        self.rows: list[tuple[int, str]] = []
        self.objects: dict[str, SimRow] = {}
        self.counts = [0]
        self._clock = 1000
        for _ in range(torment.rows):
            self._append()

    def _append(self) -> None:
        if self.rng.random() >= self.torment.ties:
            self._clock += 10
        self._insert(self._clock)

    def _insert(self, key: int) -> None:
        # Ids whose order says nothing about the rows.
        number = len(self.objects)
        id_ = f"{number * 7919 % 10007:05d}-{number}"
        bisect.insort(self.rows, (key, id_))
        self.objects[id_] = SimRow(id_, EPOCH + timedelta(milliseconds=key))
        self.counts.append(len(self.rows))

    def _remove(self, at: int) -> None:
        del self.rows[at]
        self.counts.append(len(self.rows))

    def may_move(self) -> None:
        """Let things happen, or not."""
        torment, rng = self.torment, self.rng
        while torment.kinds and rng.random() < torment.restless:
            kind = rng.choice(torment.kinds)
            if kind == "clear":
                if rng.random() < 0.02:
                    self.rows.clear()
                    self.counts.append(0)
                continue
            for _ in range(rng.randint(1, torment.burst)):
                if len(self.rows) < _MOST_ROWS or kind in {"purge", "remove"}:
                    self._happen(kind)

    def _happen(self, kind: str) -> None:
        rng = self.rng
        if kind in {"insert", "ring"}:
            self._append()
        if not self.rows:
            return
        if kind in {"purge", "ring"}:
            self._remove(0)
        elif kind in {"remove", "swap"}:
            self._remove(rng.randrange(len(self.rows)))
        if kind in {"late", "swap"}:
            low, high = min(self.rows, default=(1, ""))[0], self._clock
            self._insert(rng.randint(low, max(low, high)))
        if kind == "tie":
            self._insert(rng.choice(self.rows)[0])

    def serve(self, window: Window) -> Page[SimRow] | None:
        """Return a page, or None for a 404."""
        torment, rng = self.torment, self.rng
        take = said = window.take
        if torment.size is not None:
            take = said = torment.size
        elif torment.cap is not None:
            take = min(take, torment.cap)
            said = take if torment.cap_said else said
        start = (window.page - 1) * take
        rows = self.rows
        if torment.unstable:
            rows = sorted(rows, key=lambda row: (row[0], rng.random()))
        if torment.order == "desc":
            rows = rows[::-1]
        rows = rows[start : start + take]
        if not rows and torment.missing and window.page > 1:
            return None
        if torment.counted_after:
            self.may_move()
        count = rng.choice(self.counts[-4:]) if torment.race else len(self.rows)
        pages = -(-count // (take if torment.cap_counted else said))
        return Page(
            items=tuple(self.objects[id_] for _, id_ in rows),
            pagination=PageMeta(
                page=window.page,
                take=said,
                item_count=count,
                page_count=pages,
                has_previous_page=window.page > 1,
                has_next_page=window.page < pages,
            ),
        )

    def ids(self) -> set[str]:
        """Return the ids in the list now."""
        return {id_ for _, id_ in self.rows}


@attrs.frozen(kw_only=True)
class Verdict:
    """What a walk made of an adversary.

    Attributes:
        wrong: What it got wrong without saying so, None if nothing.
        raised: The error that it raised.
        report: What it said.
        requests: How many windows it asked for.
    """

    wrong: str | None
    raised: str | None
    report: ReadReport
    requests: int


def torment(torment: Torment, rng: random.Random, walk: Walk[SimRow]) -> Verdict:
    """Drive a walk while an adversary moves the list, and judge it.

    Any window in flight may be served at any instant, and the list may change
    between any two of them.
    """
    server = Adversary(torment, rng)
    pages: dict[Window, Page[SimRow] | None] = {}
    read: list[SimRow] = []
    was_there: set[str] = set()
    raised: str | None = None
    requests = 0
    try:
        while not walk.done:
            begun = walk.report().expected is not None
            while len(walk.windows) - len(pages) < torment.width:
                if walk.plan() is None:
                    break
                requests += 1
            wanted = set(walk.windows)
            pages = {window: pages[window] for window in pages if window in wanted}
            waiting = [window for window in walk.windows if window not in pages]
            head = walk.windows[0]
            if waiting and (head not in pages or rng.random() < 0.7):
                server.may_move()
                window = rng.choice(waiting)
                if not begun:
                    was_there = server.ids()
                pages[window] = server.serve(window)
                continue
            page = pages.pop(head)
            read.extend(
                walk.accept_missing() or () if page is None else walk.accept_page(page)
            )
    except CanopyError as error:
        raised = type(error).__name__
    server.may_move()
    wrong = _judge(server, read, was_there, walk.report(), raised)
    return Verdict(wrong=wrong, raised=raised, report=walk.report(), requests=requests)


def _judge(
    server: Adversary,
    read: list[SimRow],
    was_there: set[str],
    report: ReadReport,
    raised: str | None,
) -> str | None:
    how = server.torment
    ids = [row.id for row in read]
    keys = [row.created_at for row in read]
    owed = was_there & server.ids() - set(ids)
    if len(read) == how.limit:  # what comes before the last row is owed
        sign = -1 if how.order == "desc" else 1
        owed = {
            id_
            for id_ in owed
            if keys and sign * (keys[-1] - server.objects[id_].created_at) > timedelta()
        }
    ended = raised is None
    wrong = {
        "a row twice": len(ids) != len(set(ids)),
        "out of order": keys != sorted(keys, reverse=how.order == "desc"),
        "more rows than the limit": how.limit is not None and len(ids) > how.limit,
        "rows miscounted in the report": report.delivered != len(read),
        "complete, though it raised": report.complete and not ended,
        "ended, and not complete": ended and not report.complete,
        f"{len(owed)} lost": ended and bool(owed),
    }
    return next((what for what, is_so in wrong.items() if is_so), None)


def chain_for(torment: Torment) -> Walk[SimRow]:
    """Return the walk under test for an adversary."""
    return OverlapChain(
        take=torment.take,
        max_take=torment.max_take,
        limit=torment.limit,
        order=torment.order,
    )


def promised(torment: Torment, report: ReadReport) -> bool:
    """Whether the certificate of a report holds in the world of an adversary.

    The strict-key certificate holds in all of them. Counting tells that a list
    held still unless rows come and go in its middle in equal numbers, and a
    fence sees what moves at the ends of a list only. Where a server cuts pages
    without a word, and counts another list than it cuts, page 1 may be cut to just
    as many rows as are counted: no client can tell.
    """
    counts_another = torment.race or torment.counted_after
    if torment.cap is not None and counts_another and not torment.cap_said:
        return False
    if report.proof == "count":
        return torment.keeps_to_its_ends and not torment.race
    if report.proof == "fence":
        stable = not torment.unstable or not (torment.kinds or torment.race)
        return torment.keeps_to_its_ends and stable
    return True


def _row(scenario: Scenario, runs: int, seed: int) -> tuple[str, int, int]:
    cells = [f"{scenario.name:40}{scenario.order:5}"]
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


class _Recorded:
    """A walk whose windows and rows go into a hash as they come.

    Args:
        walk: The walk.
        note: Is told of each of them.
    """

    def __init__(self, walk: Walk[SimRow], note: Callable[[str], None]) -> None:
        self._walk = walk
        self._note = note

    def __getattr__(self, name: str) -> object:
        return getattr(self._walk, name)

    def plan(self) -> Window | None:
        """Plan a window, and note it."""
        window = self._walk.plan()
        if window is not None:
            self._note_window("plans", window)
        return window

    def accept_page(self, page: Page[SimRow]) -> Sequence[SimRow]:
        """Take a page; note of which window it is, and its rows."""
        self._note_window("takes", self._walk.windows[0])
        rows = self._walk.accept_page(page)
        self._note(" ".join(row.id for row in rows))
        return rows

    def _note_window(self, does: str, window: Window) -> None:
        order = "newest first" if window.newest_first else "as asked"
        self._note(f"{does} {window.take} rows of page {window.page}, {order}")


def digest(walks: int) -> str:
    """Return a hash of the windows and the rows of so many walks, each of its seed."""
    summed = hashlib.sha256()

    def note(text: str) -> None:
        summed.update(text.encode() + b"\n")

    def recorded(scenario: Scenario) -> Walk[SimRow]:
        return _Recorded(proven(scenario), note)

    schedules = itertools.cycle((*moving(), *hard(), *small_logs()))
    for seed, scenario in enumerate(itertools.islice(schedules, walks)):
        width = (1, 4, 8, 16)[seed % 4]
        outcome = simulate(scenario, seed, concurrency=width, make_walk=recorded)
        note(f"{outcome.raised} {outcome.report}")
    return summed.hexdigest()


def main() -> int:
    """Print the table; fail if any proven walk was wrong."""
    parser = argparse.ArgumentParser(description="Walks over moving lists.")
    parser.add_argument("--runs", type=int, default=150)
    parser.add_argument("--hard-runs", type=int, default=150)
    parser.add_argument("--small-runs", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--digest", action="store_true", help="print one hash of a thousand walks"
    )
    options = parser.parse_args()
    if options.digest:
        print(digest(1000))
        return 0
    began = time.monotonic()
    print(f"{'':46}naive   overlap chain, 1/4/8/16 in flight:")
    print(
        "schedule                                order lost %"
        + "   lost rep dis raised% req/p" * 4
    )
    wrong = total = 0
    for scenarios, runs in (
        (moving(), options.runs),
        (hard(), options.hard_runs),
        (small_logs(), options.small_runs),
    ):
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
