"""Which tests reach which lines of the package, and how long each of them takes."""

import hashlib
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from mutants import body_around, path_of

ROOT = Path(__file__).parents[2]

OPTIONS = ("-q", "-s", "-n0", "--randomly-dont-reorganize", "-p", "no:cacheprovider")
"""Options of pytest, for tests that run one after the other in one process."""

AT_IMPORT = ""
"""The place of a test, in what was measured, for what runs when a module is loaded."""


class Reached:
    """Which tests reach which lines, and how long each of them takes.

    Args:
        measured: What `measure` has written, of each file of tests.

    Attributes:
        seconds: How long each test takes, by its id, while it is measured.
    """

    def __init__(self, measured):
        self.seconds = {}
        self._lines = defaultdict(lambda: defaultdict(set))
        for it in measured:
            self.seconds |= it["seconds"]
            names = it["tests"]
            for file, lines in it["lines"].items():
                for line, reaching in lines.items():
                    tests = (names[at] for at in reaching)
                    self._lines[file][int(line)].update(tests)

    def by(self, mutant):
        """Return the tests that reach a mutant, the fastest first."""
        lines = self._lines.get(_in_project(path_of(mutant.module)), {})
        found = set()
        for line in mutant.lines:
            tests = lines.get(line, set())
            # What an import runs, each test of the module depends on.
            found |= set().union(*lines.values()) if AT_IMPORT in tests else tests
        if found == {AT_IMPORT}:  # a module of classes without code, such as protocols
            found |= self.seconds.keys()
        return sorted(found - {AT_IMPORT}, key=self.seconds.get)

    def ran_at_import(self, mutant):
        """Tell whether an import has run the function that a mutant changes.

        What the function made then, such as other functions, stays what it was when
        its code is replaced.
        """
        lines = self._lines.get(_in_project(path_of(mutant.module)), {})
        return any(AT_IMPORT in lines.get(line, ()) for line in body_around(mutant))


def measured(directory, tests):
    """Return which tests reach which lines.

    It is measured once for each file of tests, and then read from a directory, until
    the file or anything that all tests share is changed.

    Args:
        directory: Keeps what was measured.
        tests: Files and folders of tests.
    """
    kept = directory / _hash_of_shared()
    kept.mkdir(parents=True, exist_ok=True)
    files = _files_in(tests)
    missing = [file for file in files if not _place_of(kept, file).exists()]
    if missing:
        command = (sys.executable, __file__, str(kept), *missing)
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    places = (_place_of(kept, file) for file in files)
    return Reached([json.loads(it.read_text(encoding="utf-8")) for it in places])


def _files_in(tests):
    """Return the files of tests in folders, each once, as pytest names them."""
    found = {}
    for path in (ROOT / it for it in tests):
        for file in sorted(path.rglob("test_*.py")) if path.is_dir() else [path]:
            found[_in_project(file)] = None
    return [*found]


def _in_project(path):
    return Path(path).relative_to(ROOT).as_posix()


def _place_of(kept, file):
    text = (ROOT / file).read_text(encoding="utf-8")
    return kept / f"{Path(file).stem}-{_short_hash(file + text)}.json"


def _hash_of_shared():
    """Return a hash of the package, and of what the tests share."""
    files = [*ROOT.glob("canopy_async/**/*.py"), ROOT / "tests" / "conftest.py"]
    helpers = [*ROOT.glob("tests/support/*.py"), *ROOT.glob("tests/simulation/*sim.py")]
    files += [*helpers, ROOT / "tests" / "simulation" / "smallworld.py"]
    texts = (f"{_in_project(it)}{it.read_text('utf-8')}" for it in sorted(files))
    return _short_hash("".join(texts))


def _short_hash(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def measure(kept, files):
    """Run all tests of some files, and write down which lines each test reaches."""
    import coverage  # mutants are run without it
    import pytest

    measuring = coverage.Coverage(
        data_file=None, include=[f"{ROOT}/canopy_async/*"], config_file=False
    )
    measuring.start()
    watcher = _Watcher(measuring)
    status = pytest.main([*OPTIONS, *files], plugins=[watcher])
    measuring.stop()
    if status != 0:
        sys.exit(f"the tests fail without any mutant: {status}")
    data = measuring.get_data()
    lines = {
        _in_project(file): data.contexts_by_lineno(file)
        for file in data.measured_files()
    }
    for file in files:
        found = _part_of(lines, watcher.seconds, file)
        _place_of(kept, file).write_text(json.dumps(found), encoding="utf-8")


def _part_of(lines, seconds, file):
    """Return what was measured of the tests of one file, and of imports."""
    own = {
        test: took for test, took in seconds.items() if test.partition("::")[0] == file
    }
    names = [*own, AT_IMPORT]
    place = {name: at for at, name in enumerate(names)}
    reached = {
        source: {
            line: [place[test] for test in tests if test in place]
            for line, tests in reaching.items()
        }
        for source, reaching in lines.items()
    }
    return {"tests": names, "lines": reached, "seconds": own}


class _Watcher:
    """A plugin of pytest that tells the measuring which test runs."""

    def __init__(self, measuring):
        self._measuring = measuring
        self.seconds = defaultdict(float)

    def pytest_runtest_logstart(self, nodeid):
        self._measuring.switch_context(nodeid)

    def pytest_runtest_logfinish(self):
        self._measuring.switch_context(AT_IMPORT)

    def pytest_runtest_logreport(self, report):
        self.seconds[report.nodeid] += report.duration


if __name__ == "__main__":
    measure(Path(sys.argv[1]), sys.argv[2:])
