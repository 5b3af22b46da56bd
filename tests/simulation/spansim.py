"""Parts of simulated moving lists: time ranges, and reads cut in two.

Built on `walksim`: the list moves under virtual time, also between the two
halves of a read that was cut. Run as a script, it prints a table:

    python tests/simulation/spansim.py --runs 200
"""

import argparse
import itertools
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

import attrs
from walksim import EPOCH, Scenario, SimList, SimRow, _Network, _top_up, hard, moving

from canopy_async._walk import Span, Walk, proven_walk
from canopy_async.checkpoint import Checkpoint, CheckpointBuilder
from canopy_async.errors import CanopyError, CheckpointError, IncompleteReadError


@attrs.define
class Trial:
    """What was read of a part of a list, against what was there."""

    read: list[SimRow] = attrs.field(factory=list)
    raised: str | None = None
    lost: int = 0
    repeated: int = 0
    disordered: bool = False
    outside: int = 0
    order: str | None = None
    unsaid: bool = False
    requests: int = 0
    rows: int = 0

    @property
    def wrong(self) -> bool:
        """Whether something is wrong that no error told of."""
        silent = self.raised is None and (self.lost > 0 or self.unsaid)
        return bool(silent or self.repeated or self.disordered or self.outside)


def _walk(scenario: Scenario, span: Span) -> Walk[SimRow]:
    order = scenario.asked_order or scenario.order
    return proven_walk(
        take=scenario.take, max_take=scenario.take, order=order, span=span
    )


def _drive(
    network: _Network,
    scenario: Scenario,
    span: Span,
    concurrency: int,
    *,
    stop_after: int | None = None,
) -> tuple[list[SimRow], Walk[SimRow], Checkpoint]:
    """Read until the end, or until so many rows were handed out."""
    walk = _walk(scenario, span)
    place = CheckpointBuilder(lambda: "sim", span.resume)
    read: list[SimRow] = []
    network.in_flight.clear()
    network.answers.clear()
    while not walk.done:
        _top_up(walk, network, concurrency)
        head = walk.windows[0]
        while head not in network.answers:
            network.step()
        batch = walk.accept_page(network.answers.pop(head))
        left = 0
        if stop_after is not None and len(read) + len(batch) >= stop_after:
            left = len(read) + len(batch) - stop_after
        handed = list(batch[: len(batch) - left])
        read.extend(handed)
        if stop_after is not None and len(read) >= stop_after:
            position = walk.position - left
            return (
                read,
                walk,
                place.checkpoint(handed, walk.report(), position=position),
            )
        place.advance(handed)
    return read, walk, place.checkpoint((), walk.report(), position=walk.position)


def read_range(scenario: Scenario, seed: int, *, concurrency: int) -> Trial:
    """Read the rows between two instants of a moving list."""
    rng = random.Random(seed)
    network = _Network(server=SimList(scenario, rng), rng=rng)
    network.start()
    span = _draw_span(network.server, rng)
    trial = Trial()
    try:
        trial.read, walk, _ = _drive(network, scenario, span, concurrency)
    except CanopyError as error:
        trial.raised = type(error).__name__
    else:
        trial.unsaid = not walk.report().complete
        trial.order = walk.report().order_observed
    _judge(trial, network, scenario, span)
    return trial


def cut_and_resume(scenario: Scenario, seed: int, *, concurrency: int) -> Trial:
    """Read a moving list in two or three halves, each from a checkpoint."""
    rng = random.Random(seed)
    network = _Network(server=SimList(scenario, rng), rng=rng)
    network.start()
    whole = Span() if rng.random() < 0.7 else _draw_span(network.server, rng)
    trial = Trial()
    checkpoint: Checkpoint | None = None
    try:
        for part in range(rng.randint(2, 3), 0, -1):
            # As text, like the one that outlives a process.
            text = None if checkpoint is None else checkpoint.dumps()
            resume = None if text is None else Checkpoint.loads(text)
            stop = None if part == 1 else rng.randint(0, 150)
            rows, walk, checkpoint = _drive(
                network,
                scenario,
                attrs.evolve(whole, resume=resume),
                concurrency,
                stop_after=stop,
            )
            trial.read += rows
            pause = network.now + rng.choice((0.0, 0.5, 5.0))
            while network.now < pause:
                network.step()
        trial.unsaid = not walk.report().complete
        trial.order = walk.report().order_observed
    except (IncompleteReadError, CheckpointError) as error:
        trial.raised = type(error).__name__
    _judge(trial, network, scenario, whole)
    return trial


def _draw_span(server: SimList, rng: random.Random) -> Span:
    keys = [key for key, _ in server.rows] or [0]

    newest = keys[-2 * server.scenario.take :]

    def instant() -> datetime:
        places = (rng.choice(keys), rng.choice(newest), keys[0] - 5, keys[-1] + 5)
        key = rng.choice(places)
        return EPOCH + timedelta(milliseconds=key + rng.choice((0, 0, 1)))

    since, until = sorted((instant(), instant()))
    if since == until:
        until += timedelta(milliseconds=1)
    match rng.randrange(3):
        case 0:
            return Span(since=since)
        case 1:
            return Span(until=until)
        case _:
            return Span(since=since, until=until)


def _judge(trial: Trial, network: _Network, scenario: Scenario, span: Span) -> None:
    rows = network.server.objects
    owed = {
        id_
        for id_ in (network.first_ids or set()) & network.server.ids()
        if span.holds(rows[id_].created_at)
    }
    ids = [row.id for row in trial.read]
    keys = [row.created_at for row in trial.read]
    trial.lost = len(owed - set(ids))
    trial.repeated = len(ids) - len(set(ids))
    order = trial.order or scenario.order
    trial.disordered = keys != sorted(keys, reverse=order == "desc")
    trial.outside = sum(not span.holds(key) for key in keys)
    trial.requests = network.sent
    trial.rows = len(ids)


_DEAF: Final = ("quiet", "mixed", "chaos", "ties .5 unstable", "count race")


def scenarios() -> Iterator[Scenario]:
    """Yield the moving and the hard schedules, those without order left out.

    And those of servers that ignore which order they are asked for.
    """
    yield from moving()
    yield from (s for s in hard() if s.sorting == "created_at")
    for kept, asked in itertools.product(("asc", "desc"), repeat=2):
        for scenario in (*moving(), *hard()):
            if scenario.name in _DEAF and scenario.order == kept:
                yield attrs.evolve(
                    scenario,
                    name=f"{scenario.name}, always {kept}",
                    ignores_order=True,
                    asked_order=asked,
                )


def _line(
    name: str,
    trial: Callable[..., Trial],
    scenario: Scenario,
    runs: int,
) -> tuple[str, int]:
    trials = [
        trial(scenario, seed, concurrency=concurrency)
        for concurrency in (1, 4, 16)
        for seed in range(runs)
    ]
    count = len(trials)
    raised = Counter(t.raised for t in trials if t.raised)
    wrong = sum(t.wrong for t in trials)
    kept = [t for t in trials if t.raised is None]
    cost = sum(t.requests for t in kept) / max(1, len(kept))
    return (
        f"{name:7} {scenario.name:28} {scenario.asked_order or scenario.order:5}"
        f" {sum(t.lost > 0 for t in kept):5} {sum(t.repeated > 0 for t in trials):5}"
        f" {sum(t.disordered for t in trials):5} {sum(t.outside > 0 for t in trials):5}"
        f" {100 * sum(raised.values()) / count:7.1f} {cost:8.1f}  {', '.join(raised)}"
    ), wrong


def main() -> int:
    """Print the table; fail if anything was wrong without an error."""
    parser = argparse.ArgumentParser(description="Parts of moving lists.")
    parser.add_argument("--runs", type=int, default=50)
    options = parser.parse_args()
    heads = "  lost   rep   dis   out raised% requests"
    print(f"{'part':7} {'schedule':28} order {heads}")
    total = 0
    for name, trial in (("range", read_range), ("resume", cut_and_resume)):
        for scenario in scenarios():
            text, wrong = _line(name, trial, scenario, options.runs)
            total += wrong
            print(text, flush=True)
    print(f"{total} wrong")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
