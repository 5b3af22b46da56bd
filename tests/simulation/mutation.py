"""Mutants of the core, held against its tests: which changes does no test notice?

    python tests/simulation/mutation.py [--sample N] [--seed N] [--of _walk _read]

The tests run once, while it is measured which of them reach which line; that is kept
under `build/mutation` for each file of tests, until it changes. Then each mutant is run
against the tests that reach it, up to the first that fails. First come those that
noticed other mutants of the module, then the fastest. A mutant costs half a second of a
core as a rule, and `--seconds` where it survives.

The mutants are made here, as those of cosmic-ray are of annotations for the most part
in this code (``str | None``), and as mutmut takes no samples. The source is never
changed.
"""

import argparse
import random
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest
from mutant_judges import LONGEST_TEST, ForkingJudge, judge_alone
from mutant_reach import OPTIONS, ROOT, measured
from mutants import mutants_of, path_of
from survivors import why


@attrs.frozen
class Part:
    """A part of the package, and the tests that are about it.

    Attributes:
        modules: Packages and modules of `canopy_async`.
        tests: Files and folders under `tests`.
    """

    modules: tuple[str, ...]
    tests: tuple[str, ...]


SIMULATED = (
    "unit/walk",
    "simulation/test_walk_simulation.py",
    "simulation/test_span_simulation.py",
    "simulation/test_small_world.py",
)
"""Tests without a network."""

PARTS = {
    "_walk": Part(("_walk", "checkpoint"), SIMULATED),
    "_api": Part(("_api",), ("unit/api", "http/transport/test_hostile_answers.py")),
    "_read": Part(("_read",), ("unit/walk", "http/reads", "http/transport")),
    "_transport": Part(("_transport",), ("unit/policies", "http/transport")),
    "_fanout": Part(("_fanout",), ("unit/policies", "http/fanout")),
    "_follow": Part(("_follow",), ("unit/follow", "http/follow")),
    "_account": Part(
        ("_account",), ("http/account", "simulation/test_account_log_simulation.py")
    ),
}


def modules_of(part):
    """Yield the modules of a part by their dotted names."""
    for name in part.modules:
        path = path_of(f"canopy_async.{name}")
        if path.name != "__init__.py":
            yield f"canopy_async.{name}"
            continue
        for file in sorted(path.parent.glob("*.py")):
            if file.stem != "__init__":
                yield f"canopy_async.{name}.{file.stem}"


def judge(mutants, tests, chosen):
    """Return the verdicts on mutants, each told as it comes."""
    found = []

    def tell(verdict):
        found.append(verdict)
        print(f"{verdict.word}: {verdict.mutant}  # {verdict.test[:120]}", flush=True)

    reached = measured(chosen.map, tests)
    print(f"{len(reached.seconds)} tests measured", flush=True)
    limits = {"jobs": chosen.jobs, "seconds": chosen.seconds}
    forking = ForkingJudge(
        [it for it in mutants if it.is_inside], reached, tell=tell, **limits
    )
    options = (*OPTIONS, "--timeout", str(LONGEST_TEST))
    status = pytest.main([*options, *tests], plugins=[forking])
    if status != pytest.ExitCode.OK:
        sys.exit(f"the tests were not collected: {status!r}")
    alone = [it for it in mutants if not it.is_inside] + forking.retry_alone
    with ThreadPoolExecutor(chosen.jobs) as pool:
        for verdict in pool.map(
            lambda mutant: judge_alone(mutant, reached, seconds=chosen.seconds), alone
        ):
            tell(verdict)
    return found


ALIVE = ("survived", "not reached", "out of time", "ended")


def alive_in(text):
    """Return the mutants that had survived, by what was printed of them."""
    lines = (line.partition("  # ")[0].partition(": ") for line in text.splitlines())
    return {mutant for word, _, mutant in lines if word.startswith(ALIVE)}


def show(found, seconds):
    """Print what has survived, and why it may; then a table of all."""
    alive = [it for it in found if it.word.startswith(ALIVE)]
    reasons = Counter()
    for verdict in alive:
        reason = why(verdict.mutant)
        reasons[(reason or "unexplained").partition(":")[0]] += 1
        print(f"{verdict.word}: {verdict.mutant}\n    {verdict.mutant.source}")
        print(f"    {reason or 'WHY? name it or kill it'}")
    words = Counter(it.word.partition(",")[0] for it in found)
    print("\n| mutants | |\n|---|---|")
    for word, count in sorted((words | reasons).items()):
        print(f"| {word} | {count} |")
    changing = len(found) - words["no change"] - reasons["equivalent"]
    killed = 100 * words["killed"] / max(1, changing)
    print(f"| killed, of all that change what happens | {killed:.1f} % |")
    print(f"| all | {len(found)}, in {seconds:.0f} s |")
    return reasons["unexplained"]


def main():
    """Judge the mutants of some parts, and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--of", nargs="*", default=[*PARTS], choices=[*PARTS])
    parser.add_argument("--sample", type=int, default=60, help="0 is all of them")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20, help="tests of a mutant")
    parser.add_argument("--again", type=Path, help="only what survived in that output")
    parser.add_argument("--match", default="", help="only mutants whose line has this")
    parser.add_argument("--map", type=Path, default=ROOT / "build" / "mutation")
    chosen = parser.parse_args()
    began = time.monotonic()
    by_part = {
        name: [
            mutant
            for module in modules_of(PARTS[name])
            for mutant in mutants_of(module)
            if chosen.match in str(mutant)
        ]
        for name in chosen.of
    }
    everything = [it for mutants in by_part.values() for it in mutants]
    if chosen.again is not None:
        alive = alive_in(chosen.again.read_text(encoding="utf-8"))
        everything = [it for it in everything if str(it) in alive]
    print(f"{len(everything)} mutants of {', '.join(by_part)}", flush=True)
    if 0 < chosen.sample < len(everything):
        everything = random.Random(chosen.seed).sample(everything, chosen.sample)
    tests = dict.fromkeys(test for name in by_part for test in PARTS[name].tests)
    found = judge(everything, [f"tests/{it}" for it in tests], chosen)
    return 1 if show(found, time.monotonic() - began) else 0


if __name__ == "__main__":
    sys.exit(main())
