"""The goals of speed: each function measures one, and tells whether it is met."""

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any

import attrs
from contestants import TAKE
from measure import in_turns, measured
from rounds import Rounds
from sizes import Sizes
from tables import Table, number

LATENCY = 0.03
FAN_OUT_LATENCY = 0.02
PAGES_OF_IDENTITY = 3
FAR_WIDTH = 32
FAN_OUT_WIDTH = 64


@attrs.frozen
class Goal:
    """A goal, and what came of it.

    Attributes:
        what: What was measured.
        wanted: What is to be reached.
        found: What was.
        reached: Whether that is enough.
    """

    what: str
    wanted: str
    found: str
    reached: bool


def as_table(goals: list[Goal]) -> Table:
    """Return the goals as a table."""
    table = Table("Goals", ("what", "goal", "measured", "reached"))
    for goal in goals:
        reached = "yes" if goal.reached else "no"
        table.add(goal.what, goal.wanted, goal.found, reached)
    return table


def streaming(rounds: Rounds) -> Iterator[Goal]:
    """Compare rates of one interleaved run."""
    for name, other, least, what in (
        ("proven", "bare", 0.8, "proven read ÷ bare aiohttp"),
        ("plain", "bare", 0.95, "plain pages ÷ bare aiohttp"),
        ("proven", "requests", 2.5, "proven read ÷ requests, dicts"),
        ("proven", "httpx", 3.5, "proven read ÷ httpx, pydantic"),
        ("proven", "generated", 5.5, "proven read ÷ openapi-python-client"),
    ):
        if not {name, other} <= rounds.readings.keys():
            continue
        ratio, cpu = rounds.ratio(name, other), rounds.ratio(name, other, "cpu")
        ratios = rounds.ratios(name, other)
        found = f"{ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f}; CPU {cpu:.2f})"
        yield Goal(f"events/s, {what}", f"≥ {least}", found, ratio >= least)


def far_server(base_url: str, sizes: Sizes) -> Goal:
    """Read from far away, against the ideal schedule of the same requests."""
    width = FAR_WIDTH
    log = log_of(base_url, sizes.far_pages * TAKE, LATENCY, in_flight=width)
    turns = in_turns(
        sizes.repeats,
        {
            "ours": partial(measured, "scenarios:read", log=log),
            "bare": partial(measured, "readers:read", contestant="bare", log=log),
        },
    )
    runs = turns["ours"]
    over = median(run["wall"] / _ideal(run["requests"], width) - 1 for run in runs)
    run = runs[0]
    bare_ideal = _ideal(sizes.far_pages, width)
    bare_over = median(run["wall"] / bare_ideal - 1 for run in turns["bare"])
    return Goal(
        f"{number(sizes.far_pages)} pages at 30 ms, {width} in flight, proven:"
        " over the ideal schedule of its requests",
        "≤ 8 %",
        f"{over:+.1%} ({_wall(runs)}, {run['requests']} requests,"
        f" ideal {_ideal(run['requests'], width):.2f} s, CPU {_cpu(runs)};"
        f" bare aiohttp, over that of its own: {bare_over:+.1%})",
        over <= 0.08 and all(run["complete"] for run in runs),
    )


def first_event(base_url: str, sizes: Sizes) -> Goal:
    """Wait for the first event of a new session in a new process."""
    log = log_of(base_url, 10 * TAKE, LATENCY)
    runs = [measured("scenarios:read", log=log) for _ in range(sizes.repeats)]
    over = median(run["first"] for run in runs) - LATENCY
    return Goal(
        "first event, beyond one round trip",
        "≤ 10 ms",
        f"{1000 * over:.1f} ms",
        over <= 0.01,
    )


def slow_consumer(base_url: str, sizes: Sizes, server_rate: float) -> Goal:
    """Weigh a process that takes events ten times slower than they can come."""
    rate = server_rate / 10

    def peak(events: int) -> float:
        log = log_of(base_url, events)
        done = measured("scenarios:read_slowly", log=log, per_second=rate)
        return done["peak"]

    few, many = peak(10_000), peak(sizes.events)
    return Goal(
        f"peak memory, {number(sizes.events)} events against 10 000,"
        " a consumer ten times slower than the server",
        "≤ 15 MB more",
        f"{many - few:+.1f} MB ({few:.0f} → {many:.0f};"
        f" {number(round(rate))} events/s)",
        many - few <= 15,
    )


def many_identities(base_url: str, sizes: Sizes) -> Goal:
    """Fan out over identities far away, against the ideal schedule."""
    width = FAN_OUT_WIDTH
    options = identities_of(sizes) | {"account": account_at(FAN_OUT_LATENCY)}
    turns = in_turns(
        sizes.repeats,
        {
            way: partial(measured, f"scenarios:{way}", base_url=base_url, **options)
            for way in ("fan_out", "fan_out_bare", "fan_out_raw")
        },
    )
    runs = turns["fan_out"]
    ideal = runs[0]["requests"] * FAN_OUT_LATENCY / width
    share, bare, raw = (
        median(ideal / run["wall"] for run in runs) for runs in turns.values()
    )
    return Goal(
        f"{number(sizes.identities)} identities of {PAGES_OF_IDENTITY} pages at"
        f" 20 ms, {width} in flight: share of the ideal schedule",
        "≥ 0.88",
        f"{share:.2f} ({_wall(runs)}, ideal {ideal:.2f} s, CPU {_cpu(runs)};"
        f" bare aiohttp: {bare:.2f}, raw sockets: {raw:.2f})",
        share >= 0.88 and all(run["complete"] for run in runs),
    )


def identities_of(sizes: Sizes) -> dict[str, Any]:
    """Return what a fan-out is asked for."""
    return {
        "identities": sizes.identities,
        "events": PAGES_OF_IDENTITY * TAKE - 50,
        "in_flight": FAN_OUT_WIDTH,
    }


def flat_memory(few: int, many: int, *, before: float, after: float) -> Goal:
    """Compare the megabytes of a fan-out over few identities and over many."""
    return Goal(
        f"peak memory, {number(many)} identities against {number(few)}",
        "flat: ≤ 5 MB more",
        f"{after - before:+.1f} MB ({before:.0f} → {after:.0f})",
        after - before <= 5,
    )


def walk_alone(sizes: Sizes) -> Goal:
    """Compare what the proof costs with what decoding costs."""
    took = measured("micro:walk", events=sizes.micro_events)
    share = took["walk"] / took["decode"]
    return Goal(
        "the walk of a window ÷ decoding it",
        "≤ 15 %",
        f"{share:.1%} ({took['walk']:.1f} of {took['decode']:.0f} µs;"
        f" to see each id and key once: {took['look']:.1f})",
        share <= 0.15,
    )


def import_time(sizes: Sizes) -> Goal:
    """Compare imports, each in a new interpreter, in turns.

    By the median of the ratios, as one import right after the other finds the
    machine about as fast.
    """
    ours, theirs = "canopy_async", "aiohttp, attrs, msgspec"
    _seconds_to_import(ours)  # which may have to compile it
    pairs = [
        (_seconds_to_import(ours), _seconds_to_import(theirs))
        for _ in range(sizes.imports)
    ]
    one, two = (1000 * median(times) for times in zip(*pairs, strict=True))
    over = median(one / two - 1 for one, two in pairs)
    return Goal(
        f"import canopy_async, over import {theirs}",
        "≤ 20 %",
        f"{over:+.1%} ({one:.0f} and {two:.0f} ms of CPU)",
        over <= 0.2,
    )


def fan_out(base_url: str, latency: float, **options: int) -> dict[str, Any]:
    """Fan out over identities, once."""
    account = account_at(latency)
    return measured("scenarios:fan_out", base_url=base_url, account=account, **options)


def read(
    base_url: str, events: int, latency: float = 0, *, in_flight: int = 8
) -> dict[str, Any]:
    """Read a log with the proof, once."""
    log = log_of(base_url, events, latency, in_flight=in_flight)
    return measured("scenarios:read", log=log)


def log_of(
    base_url: str, events: int, latency: float = 0, *, in_flight: int = 8
) -> dict[str, Any]:
    """Return the fields of a `Log` of so many events, so far away."""
    return {
        "base_url": base_url,
        "account": account_at(latency),
        "identity": f"idn_1_{events}",
        "events": events,
        "in_flight": in_flight,
    }


def account_at(latency: float) -> str:
    """Return the account that the server answers for after so many seconds."""
    return f"acme-{1000 * latency:.0f}" if latency else "acme"


def _ideal(requests: int, width: int) -> float:
    """Return the seconds of page 1 alone, and all others side by side."""
    return LATENCY * (1 + -(-(requests - 1) // width))


def _wall(runs: list[dict[str, Any]]) -> str:
    return f"{median(run['wall'] for run in runs):.2f} s"


def _cpu(runs: list[dict[str, Any]]) -> str:
    return f"{median(run['cpu'] for run in runs):.2f} s"


def _seconds_to_import(modules: str) -> float:
    code = (
        "import time; began = time.process_time(); import "
        f"{modules}; print(time.process_time() - began)"
    )
    # Compiled once and for all, as where it is installed.
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=env,
    )
    return float(done.stdout)
