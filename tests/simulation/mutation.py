"""Mutants of the core, held against its tests: which changes does no test notice?

    python tests/simulation/mutation.py [--sample N] [--seed N] [--map FILE]

The tests run once, while it is measured which of them reach which line. Then each
mutant is run against the tests that reach it, the fastest first, up to the first that
fails. A sample of 60 takes minutes, with some parameters of each test; all mutants and
all parameters (`--sample 0 --parameters 0 --seconds 600`) a night.

The mutants are made here, as those of cosmic-ray are of annotations for the most part
in this code (``str | None``), and as mutmut takes no samples. The source is never
changed: a mutant is loaded in the place of its module.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
from mutants import mutants_of, path_of, spread
from survivors import why

ROOT = Path(__file__).parents[2]
CORE = (
    *("_walk", "_api", "checkpoint"),
    *(f"_follow.{it}" for it in ("lateness", "follow_checkpoint", "poll_choice")),
    *(
        f"_transport.{it}"
        for it in (
            *("width", "pace", "spacing", "cooldown"),
            *("retry_budget", "outage", "turns"),
        )
    ),
)
"""The part of the package that decides, and does no I/O."""

TESTS = (
    "tests/unit",
    "tests/simulation/test_walk_simulation.py",
    "tests/http/reads/test_limits.py",
    "tests/http/transport/test_hostile_answers.py",
)
"""The tests of the core: two files with tests over HTTP have some of it alone, too."""

OPTIONS = ("-q", "-n0", "--randomly-dont-reorganize", "-p", "no:cacheprovider")
LONGEST_TEST = 40
"""Seconds of one test at most, as a mutant may loop without end."""

PASSED, FAILED = 0, 1
ALIVE = ("survived", "not reached", "out of time")


def modules():
    for name in CORE:
        path = path_of(f"canopy_async.{name}")
        if path.name != "__init__.py":
            yield f"canopy_async.{name}"
            continue
        for file in sorted(path.parent.glob("*.py")):
            if file.stem != "__init__":
                yield f"canopy_async.{name}.{file.stem}"


class Reached:
    """Which tests reach which lines, and how long each of them takes.

    Args:
        measured: What `measure` has written.
    """

    def __init__(self, measured):
        self.seconds = measured["seconds"]
        self._lines = {
            file: {int(line): set(tests) for line, tests in lines.items()}
            for file, lines in measured["lines"].items()
        }

    def by(self, mutant):
        """Return the tests that reach a mutant, the fastest first."""
        lines = self._lines.get(str(path_of(mutant.module)), {})
        found = set()
        for line in mutant.lines:
            tests = lines.get(line, set())
            # What an import runs, each test of the module depends on.
            found |= set().union(*lines.values()) if "" in tests else tests
        return sorted(found - {""}, key=self.seconds.get)


def measure(target, parameters):
    """Run all tests, and write down which lines each of them reaches."""
    import coverage  # mutants are run without it
    import pytest

    measuring = coverage.Coverage(
        data_file=None, include=[f"{ROOT}/canopy_async/*"], config_file=False
    )
    measuring.start()
    watcher = _Watcher(measuring, parameters)
    status = pytest.main([*OPTIONS, *TESTS], plugins=[watcher])
    measuring.stop()
    if status != PASSED:
        sys.exit(f"the tests fail without any mutant: {status}")
    data = measuring.get_data()
    lines = {file: data.contexts_by_lineno(file) for file in data.measured_files()}
    measured = {"lines": lines, "seconds": watcher.seconds}
    target.write_text(json.dumps(measured), encoding="utf-8")


class _Watcher:
    """A plugin of pytest that tells the measuring which test runs."""

    def __init__(self, measuring, parameters):
        self._measuring = measuring
        self._parameters = parameters
        self.seconds = defaultdict(float)

    def pytest_collection_modifyitems(self, items):
        items[:] = spread(items, self._parameters)

    def pytest_runtest_logstart(self, nodeid):
        self._measuring.switch_context(_function(nodeid))

    def pytest_runtest_logfinish(self):
        self._measuring.switch_context("")

    def pytest_runtest_logreport(self, report):
        self.seconds[_function(report.nodeid)] += report.duration


def _function(nodeid):
    return nodeid.partition("[")[0]


@attrs.frozen
class Runner:
    """Runs tests against mutants.

    Attributes:
        reached: Which tests reach which mutant.
        parameters: Parameters of one test at most; 0 is all of them.
        seconds: Seconds for one mutant at most.
    """

    reached: Reached
    parameters: int
    seconds: float

    def check(self):
        """Run all tests with a module that is loaded as a mutant is, but unchanged."""
        tests = sorted(self.reached.seconds)
        verdict, reason = self._run("canopy_async._walk.planner", -1, tests, None)
        if verdict != "survived":
            sys.exit(f"the tests fail with a mutant that changes nothing: {reason}")

    def judge(self, mutant):
        """Return a mutant, its verdict, and the test that has noticed it."""
        tests = self.reached.by(mutant)
        if not tests:
            return mutant, "not reached", ""
        return mutant, *self._run(mutant.module, mutant.number, tests, self.seconds)

    def _run(self, module, number, tests, seconds):
        env = os.environ | {
            "PYTHONPATH": str(Path(__file__).parent),
            "PYTHONDONTWRITEBYTECODE": "1",
            "MUTANT_MODULE": module,
            "MUTANT_NUMBER": str(number),
            "MUTANT_PARAMETERS": str(self.parameters),
        }
        command = (sys.executable, "-m", "pytest", "-p", "mutant_plugin", *OPTIONS)
        limits = ("-x", "--timeout", str(LONGEST_TEST), "--tb", "line")
        try:
            done = subprocess.run(
                (*command, *limits, *tests),
                env=env,
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "out of time", ""
        if done.returncode == PASSED:
            return "survived", ""
        lines = (*done.stdout.splitlines(), *done.stderr.splitlines()[-1:], "")
        reason = next((it for it in lines if it.startswith(("FAILED", "ERROR"))), "")
        return ("killed" if done.returncode == FAILED else "not loaded"), reason


def measured(path, parameters):
    """Return which tests reach which lines, measured now if that is in no file yet."""
    if not path.exists():
        command = (sys.executable, __file__, "--measure", str(path))
        subprocess.run(
            (*command, "--parameters", str(parameters)),
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return Reached(json.loads(path.read_text(encoding="utf-8")))


def show(found, seconds):
    verdicts = Counter(verdict for _, verdict, _ in found)
    for mutant, verdict, _ in found:
        if verdict in ALIVE:
            print(
                f"{verdict}: {mutant}\n    {why(mutant) or 'WHY? name it or kill it'}"
            )
    print("\n| mutants | |\n|---|---|")
    for verdict, count in sorted(verdicts.items()):
        print(f"| {verdict} | {count} |")
    alive = sum(verdicts[verdict] for verdict in ALIVE)
    share = 100 * (len(found) - alive) / len(found)
    print(
        f"| share killed, of all | {share:.1f} % of {len(found)}, in {seconds:.0f} s |"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=60, help="0 is all of them")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--parameters", type=int, default=4, help="of a test; 0: all")
    parser.add_argument("--seconds", type=float, default=120, help="for one mutant")
    parser.add_argument("--match", default="", help="only mutants whose line has this")
    parser.add_argument("--map", type=Path, help="keeps what was measured")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure is not None:
        measure(chosen.measure, chosen.parameters)
        return
    began = time.monotonic()
    mutants = [it for name in modules() for it in mutants_of(name)]
    print(f"{len(mutants)} mutants of {len(list(modules()))} modules", flush=True)
    mutants = [it for it in mutants if chosen.match in str(it)]
    if 0 < chosen.sample < len(mutants):
        mutants = random.Random(chosen.seed).sample(mutants, chosen.sample)
    with TemporaryDirectory() as directory:
        path = chosen.map or Path(directory) / "reached.json"
        reached = measured(path, chosen.parameters)
    print(f"measured after {time.monotonic() - began:.0f} s", flush=True)
    runner = Runner(reached, chosen.parameters, chosen.seconds)
    runner.check()
    found = []
    with ThreadPoolExecutor(chosen.jobs) as pool:
        for it in pool.map(runner.judge, mutants):
            print(f"{it[1]}: {it[0]}  {it[2][:120]}", flush=True)
            found.append(it)
    show(found, time.monotonic() - began)


if __name__ == "__main__":
    main()
