"""Judges of mutants: they run tests against one, up to the first that fails.

Most mutants change a function. For these, the tests are collected once, in a process
that has all modules loaded: `ForkingJudge`. It forks for each mutant, and the child
puts the changed code into the function and runs the tests, which takes no start and no
import. What an import does is changed in a process of its own, by `judge_alone`, which
is slow. There, a function is judged once more that an import has run and whose change
no test has noticed: what it made while the modules were loaded is not made anew.
"""

import contextlib
import gc
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from types import FunctionType

import attrs
from mutant_reach import OPTIONS, ROOT
from mutants import changed_code, path_of

LONGEST_TEST = 20
"""Seconds of one test at most, as a mutant may loop without end."""

MOST_MEMORY = 3 * 1024**3
"""Bytes that a process may take: a mutant may fill lists without end."""

SURVIVED, KILLED, CUT, BROKEN = 0, 1, 8, 9


@attrs.frozen
class Verdict:
    """What became of a mutant.

    Attributes:
        mutant: The mutant.
        word: ``killed``, ``survived``, ``survived, in part``, ``no change``, ``not
            reached``, ``out of time``, or how the process ended.
        test: The test that has noticed it, if one has, or how many were not run.
    """

    mutant: object
    word: str
    test: str = ""


class ForkingJudge:
    """A plugin of pytest that judges mutants instead of running the tests.

    Args:
        mutants: The mutants, each of which changes a function.
        reached: Which tests reach which mutant.
        jobs: Mutants that are judged at once.
        seconds: Seconds of the processor that the tests of one mutant take, about, at
            most; the tests that are left then are not run.
        tell: Is called with each verdict.
    """

    def __init__(self, mutants, reached, *, jobs, seconds, tell):
        self._left = list(reversed(mutants))
        self._reached = reached
        self._jobs = jobs
        self._seconds = seconds
        self._tell = tell
        self._items = {}
        self._functions = {}
        self._kills = defaultdict(Counter)
        self._running = {}
        self.retry_alone = []

    def pytest_runtestloop(self, session):
        """Judge all mutants, where pytest would run the tests that it has collected."""
        self._items = {item.nodeid: item for item in session.items}
        self._functions = _functions_of_package()
        while self._left or self._running:
            while self._left and len(self._running) < self._jobs:
                self._begin(self._left.pop())
            self._await_some()
        return True

    def _begin(self, mutant):
        tests = self._reached.by(mutant)
        if not tests:
            self._tell(Verdict(mutant, "not reached"))
            return
        changes = self._changes(mutant)
        if changes is None:
            self.retry_alone.append(mutant)
        elif not changes:
            self._tell(Verdict(mutant, "no change"))
        else:
            self._fork(mutant, changes, self._in_order(mutant, tests))

    def _changes(self, mutant):
        """Return which code each function is to have, None where one is not found."""
        changed = changed_code(mutant)
        if changed is None:
            return None
        file = str(path_of(mutant.module))
        changes = []
        for place, code in changed.items():
            functions = self._functions.get((file, *place), ())
            if not functions:
                return None
            for function in functions:
                if len(code.co_freevars) != len(function.__code__.co_freevars):
                    return None
                changes.append((function, code))
        return changes

    def _in_order(self, mutant, tests):
        """Return tests, first those that have killed others of the module."""
        kills = self._kills[mutant.module]
        tests.sort(key=lambda test: -kills[test])
        return [self._items[test] for test in tests]

    def _fork(self, mutant, changes, items):
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read_end)
            status = BROKEN
            try:
                status = _run_in_child(changes, items, self._seconds, write_end)
            finally:
                os._exit(status)
        os.close(write_end)
        until = time.monotonic() + _patience(self._seconds)
        self._running[child] = (mutant, read_end, until)

    def _await_some(self):
        if not self._running:
            return
        pipes = {it[1]: child for child, it in self._running.items()}
        ready, _, _ = select.select([*pipes], [], [], 1.0)
        for pipe in ready:
            self._end(pipes[pipe])
        now = time.monotonic()
        late = [child for child, it in self._running.items() if now > it[2]]
        for child in late:
            _end_group(child)
            self._end(child, word="out of time")

    def _end(self, child, word=None):
        mutant, pipe, _ = self._running.pop(child)
        with open(pipe, "rb") as told:  # noqa: PTH123 - a descriptor
            said = told.read().decode()
        _end_group(child)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if word is None:
            word = {
                SURVIVED: "survived",
                KILLED: "killed",
                CUT: "survived, in part",
            }.get(status, f"ended with {status}")
        if status == KILLED:
            self._kills[mutant.module][said] += 1
        elif self._reached.ran_at_import(mutant):
            self.retry_alone.append(mutant)
            return
        self._tell(Verdict(mutant, word, said))


def _patience(seconds):
    """Return how long tests of so much work may take where others work, too."""
    return 5 * seconds + 3 * LONGEST_TEST


def _functions_of_package():
    """Return all functions of the package, by file, name and first line."""
    gc.unfreeze()  # what is frozen is not listed
    found = defaultdict(list)
    for it in gc.get_objects():
        if isinstance(it, FunctionType):
            code = it.__code__
            if "canopy_async" in code.co_filename:
                found[code.co_filename, code.co_qualname, code.co_firstlineno].append(
                    it
                )
    gc.freeze()
    return found


def _run_in_child(changes, items, seconds, write_end):
    """Put changed code into functions, run tests, and tell which one fails first."""
    until = time.process_time() + seconds
    os.setpgid(0, 0)
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silent, stream)
    _limit_memory()
    for function, code in changes:
        function.__code__ = code
    failed = []

    class Watcher:
        def pytest_runtest_logreport(self, report):
            if report.failed:
                failed.append(report.nodeid)

    config = items[0].config
    config.pluginmanager.register(Watcher())
    for item, next_item in zip(items, [*items[1:], None], strict=True):
        config.hook.pytest_runtest_protocol(item=item, nextitem=next_item)
        if failed:
            os.write(write_end, failed[0].encode())
            return KILLED
        if time.process_time() > until and next_item is not None:
            left_out = len(items) - items.index(item) - 1
            os.write(write_end, f"{left_out} tests were not run".encode())
            return CUT
    return SURVIVED


def _limit_memory():
    import resource  # not on Windows, where nothing forks either

    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


def _end_group(child):
    """End a child, and the processes that its tests have left behind."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)


def judge_alone(mutant, reached, *, seconds):
    """Return the verdict on a mutant that is loaded in a process of its own."""
    tests = reached.by(mutant)
    if not tests:
        return Verdict(mutant, "not reached")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as chosen:
        # A file, as there may be more names than the system lets an environment have.
        chosen.write("\n".join(tests))
        chosen.flush()
        return _run_alone(mutant, tests, chosen.name, seconds=seconds)


def _run_alone(mutant, tests, chosen, *, seconds):
    env = os.environ | {
        "PYTHONPATH": str(Path(__file__).parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "MUTANT_MODULE": mutant.module,
        "MUTANT_NUMBER": str(mutant.number),
        "MUTANT_SECONDS": str(seconds),
        "MUTANT_TESTS": chosen,
    }
    files = sorted({test.partition("::")[0] for test in tests})
    command = (sys.executable, "-m", "pytest", "-p", "mutant_plugin", *OPTIONS)
    limits = ("-x", "--timeout", str(LONGEST_TEST), "--tb", "line")
    try:
        done = subprocess.run(
            (*command, *limits, *files),
            env=env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=_patience(seconds),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Verdict(mutant, "out of time")
    if done.returncode in {SURVIVED, CUT}:
        word = "survived" if done.returncode == SURVIVED else "survived, in part"
        return Verdict(mutant, word)
    lines = (*done.stdout.splitlines(), *done.stderr.splitlines()[-1:], "")
    reason = next((it for it in lines if it.startswith(("FAILED", "ERROR"))), "?")
    # A module that can't be loaded is noticed as well.
    return Verdict(mutant, "killed", reason)
