"""Measure how fast this library reads, beside what else there is to read with.

    python benchmarks/run.py              # all of it, some minutes
    python benchmarks/run.py --quick      # the same, smaller, in half a minute
    python benchmarks/run.py --only stream --contestants proven bare --rounds 9

A whole run writes results.md and docs/scaling.svg; --page puts its table into
docs/benchmarks.md as well. The machine should have nothing else to do: ratios stand
some noise, seconds do not.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from typing import Any

import attrs
import costs
import goals
import scaling
import writing
from contestants import CONTESTANTS, Log
from events import WIDTH
from generating import generated_client
from goals import Goal
from measure import measured, running_server
from rounds import Rounds, play
from sizes import FULL, QUICK, Sizes
from tables import Table

FAST = ("bytes", "ceiling", "bare", "bare-msgspec", "plain", "proven")
PEERS = ("aiohttp", "requests", "httpx", "generated")
KEEPING = (
    "proven-list",
    "gathered-dicts",
    "gathered-cattrs",
    "gathered-httpx",
    "gathered-generated",
)


@attrs.define
class Session:
    """What is measured, and what came of it so far."""

    base_url: str
    sizes: Sizes
    contestants: Sequence[str]
    seed: int
    tables: list[Table] = attrs.field(factory=list)
    goals: list[Goal] = attrs.field(factory=list)
    streamed: Rounds | None = None
    scaled: scaling.Scaling | None = None

    def measure(self, parts: Sequence[str]) -> None:
        """Measure these parts, and print each when it is known."""
        for part in parts:
            with _timed(part):
                tables, reached = len(self.tables), len(self.goals)
                PARTS[part](self)
            for table in self.tables[tables:]:
                print(f"\n{table.title}\n\n{table}", flush=True)
            for goal in self.goals[reached:]:
                print(f"{goal.what}: {goal.found}, goal {goal.wanted}", flush=True)
        if self.goals:
            self.tables.insert(0, goals.as_table(self.goals))
            print(f"\nGoals\n\n{self.tables[0]}")

    def stream(self) -> None:
        """Read event by event, and keep none."""
        rounds = self._play(
            dict.fromkeys(FAST, self.sizes.events)
            | dict.fromkeys(PEERS, self.sizes.peer_events)
        )
        self.streamed = rounds
        self.tables.append(rounds.table("Streaming"))
        self.goals += goals.streaming(rounds)

    def keep(self) -> None:
        """Read all events into a list."""
        rounds = self._play(dict.fromkeys(KEEPING, self.sizes.kept_events))
        self.tables.append(rounds.table("Keeping every event in a list"))

    def decode(self) -> None:
        """Decode pages without a network."""
        took = measured("micro:decode", events=self.sizes.micro_events // 5)
        table = Table("Decoding a page of 100", ("to", "CPU µs"))
        table.add("typed rows, and what is unknown", f"{took['page']:.0f}")
        table.add("typed rows, by msgspec alone", f"{took['rows']:.0f}")
        table.add("dicts", f"{took['dicts']:.0f}")
        self.tables.append(table)

    def parts(self) -> None:
        """Tell what a request costs, by part."""
        self.tables += costs.tables(self.base_url, self.sizes)

    def scale(self) -> None:
        """Let the size of a read grow."""
        self.scaled = scaled = scaling.measure(self.base_url, self.sizes)
        self.tables += scaled.tables()
        few, *_, many = scaled.identities
        self.goals.append(
            goals.flat_memory(few.size, many.size, before=few.peak, after=many.peak)
        )

    def slow(self) -> None:
        """Weigh a reader slower than the server."""
        rounds = play(
            self.base_url, {"bytes": self.sizes.peer_events}, rounds=3, seed=self.seed
        )
        self.goals.append(
            goals.slow_consumer(self.base_url, self.sizes, rounds.rate("bytes"))
        )

    def goal(self, measure: Callable[[str, Sizes], Goal]) -> None:
        """Measure one goal."""
        self.goals.append(measure(self.base_url, self.sizes))

    def _play(self, events: Mapping[str, int]) -> Rounds:
        chosen = {name: n for name, n in events.items() if name in self.contestants}
        return play(self.base_url, chosen, rounds=self.sizes.rounds, seed=self.seed)


PARTS: dict[str, Callable[[Session], None]] = {
    "stream": Session.stream,
    "keep": Session.keep,
    "far": lambda session: session.goal(goals.far_server),
    "first": lambda session: session.goal(goals.first_event),
    "slow": Session.slow,
    "identities": lambda session: session.goal(goals.many_identities),
    "import": lambda session: session.goals.append(goals.import_time(session.sizes)),
    "walk": lambda session: session.goals.append(goals.walk_alone(session.sizes)),
    "decode": Session.decode,
    "parts": Session.parts,
    "scaling": Session.scale,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write what was asked for."""
    options = _options(arguments)
    sizes = QUICK if options.quick else FULL
    given = {"rounds": options.rounds, "events": options.events}
    sizes = attrs.evolve(sizes, **{k: v for k, v in given.items() if v is not None})
    contestants = _installed(options.contestants)
    needs_client = any("generated" in name for name in contestants)
    generated = generated_client() if needs_client else nullcontext()
    with running_server() as base_url, generated:
        if options.check:
            return _check(base_url, contestants)
        session = Session(base_url, sizes, contestants, options.seed)
        session.measure(options.only or list(PARTS))
    if options.only or options.quick:
        return 0
    _write(session, page=options.page)
    return 0


def _check(base_url: str, contestants: Sequence[str]) -> int:
    """Let each contestant read small logs; tell whether all saw all of them."""
    readers = [name for name in contestants if name != "bytes"]
    logs = [
        Log(
            base_url=base_url,
            account="acme",
            identity=f"idn_1_{events}",
            events=events,
            order=order,
        )
        for events in (1, 100, 350)
        for order in ("asc", "desc")
    ]
    missed = measured(
        "readers:check", contestants=readers, logs=[attrs.asdict(log) for log in logs]
    )
    print(f"{len(readers)} contestants, missed by: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


def _write(session: Session, *, page: bool) -> None:
    from plot import draw  # only a whole run needs matplotlib

    draw(session.scaled, writing.PLOT)
    writing.write_results(session.tables, session.sizes, WIDTH)
    if page:
        writing.write_page(session.streamed.summary())


def _installed(names: Sequence[str]) -> list[str]:
    missing = {
        module
        for name in names
        for module in CONTESTANTS[name].needs
        if find_spec(module) is None
    }
    if missing:
        print(f"not installed: {', '.join(sorted(missing))}", file=sys.stderr)
    return [name for name in names if missing.isdisjoint(CONTESTANTS[name].needs)]


@contextmanager
def _timed(part: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    print(f"{part}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)


def _options(arguments: Sequence[str] | None) -> Any:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="measure less, write nothing")
    add("--check", action="store_true", help="see that each contestant sees all")
    add("--only", nargs="+", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    add(
        "--contestants",
        nargs="+",
        choices=CONTESTANTS,
        default=list(CONTESTANTS),
        metavar="NAME",
        help=", ".join(CONTESTANTS),
    )
    add("--rounds", type=int, help="of the contestants")
    add("--events", type=int, help="that the fast contestants stream")
    add("--seed", type=int, default=0, help="of the order of turns")
    add("--page", action="store_true", help="rewrite the table of the pages as well")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
