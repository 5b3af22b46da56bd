"""Checks that a change has to pass: `nox` runs all but those that take long."""

import hashlib
import secrets
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["tests", "lint", "typing", "docs", "build"]

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
OLDEST = PYTHONS[0]

NEEDED_BY_TESTS = (
    "tests",
    "benchmarks",
    "docs",
    "examples",
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "mkdocs.yml",
    "noxfile.py",
    "pyproject.toml",
)
"""Files that a run of the tests away from the source takes along."""

ALL_TESTS = ("-q", "-m", "")
"""Options of pytest: with no mark asked for, the slow tests run too."""

BUILT_AT = "1767225600"
"""The ``SOURCE_DATE_EPOCH`` of builds: archives hold no time of their own."""


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests on each supported Python that is installed."""
    session.install("-e", ".[all]", *_group("tests"))
    session.run("pytest", *ALL_TESTS, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check the code's style and its format."""
    session.install(*_group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def typing(session: nox.Session) -> None:
    """Check the types of the package and of code that uses it."""
    session.install("-e", ".[all]", *_group("tests", "typing"))
    session.run("mypy")
    session.run("pyright")


@nox.session(python=OLDEST)
def docs(session: nox.Session) -> None:
    """Build the pages strictly, and check that they load nothing from other hosts."""
    session.install("-e", ".", *_group("docs"))
    quiet = {"NO_MKDOCS_2_WARNING": "1"}
    session.run("mkdocs", "build", "--strict", *session.posargs, env=quiet)
    session.run("python", "tests/support/check_site.py", "build/site")


@nox.session
def build(session: nox.Session) -> None:
    """Build both distributions twice, check them, and test the wheel without source."""
    session.install(*_group("release"))
    made = _built(session, "dist")
    again = _built(session, "again")
    if _hashes(made) != _hashes(again):
        session.error("two builds of one source differ")
    session.log("both builds are equal, byte by byte")
    (wheel,) = made.glob("*.whl")
    session.run("twine", "check", "--strict", *map(str, made.iterdir()))
    session.run("check-wheel-contents", str(wheel))
    if session.posargs == ["--no-tests"]:
        return
    session.install(f"canopy-async[all] @ {wheel.as_uri()}", *_group("tests"))
    elsewhere = _copy_for_tests(session)
    with session.chdir(elsewhere):
        session.run("python", "-c", _IMPORTED_FROM_WHEEL)
        session.run("pytest", *ALL_TESTS, *session.posargs)


@nox.session(python=OLDEST)
def lowest(session: nox.Session) -> None:
    """Run the tests with the lowest versions that the project allows."""
    session.install("uv")
    python = str(Path(session.bin) / "python")
    lowest_versions = ("--resolution", "lowest-direct", "--python", python)
    session.run(
        "uv", "pip", "install", *lowest_versions, "-e", ".[all]", *_group("tests")
    )
    session.run("uv", "pip", "list", "--python", python)
    session.run("pytest", *ALL_TESTS, *session.posargs)


@nox.session(python=OLDEST)
def coverage(session: nox.Session) -> None:
    """Run the tests, and print which branches none of their processes takes."""
    session.install("-e", ".[all]", *_group("tests", "coverage"))
    # Not `coverage run`: with these, it begins in each process before all imports.
    measured = {
        "COVERAGE_PROCESS_START": str(Path("pyproject.toml").resolve()),
        "COVERAGE_FILE": str(Path(".coverage").resolve()),
    }
    session.run("coverage", "erase")
    session.run("pytest", *ALL_TESTS, *session.posargs, env=measured)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session(python=OLDEST)
def free_seeds(session: nox.Session) -> None:
    """Run the tests in another order, and on other drawn examples, than by default.

    The seed is drawn and printed; give it as an argument to run with it once more.
    """
    seed = session.posargs[0] if session.posargs else str(secrets.randbelow(2**32))
    session.log(f"the seed is {seed}")
    session.install("-e", ".[all]", *_group("tests"))
    options = ("--randomly-seed", seed, "--hypothesis-seed", seed)
    session.run("pytest", "-q", *options, "--hypothesis-profile", "free")


@nox.session(python=OLDEST)
def thorough(session: nox.Session) -> None:
    """Run the tests that draw their examples, on forty times as many."""
    session.install("-e", ".[all]", *_group("tests"))
    options = ("-q", "-m", "hypothesis", "--hypothesis-profile", "thorough")
    session.run("pytest", *options, "--timeout", "0", *session.posargs)


@nox.session(python=OLDEST)
def simulation(session: nox.Session) -> None:
    """Read simulated moving lists, for long, and print how that went."""
    session.install("-e", ".")
    options = session.posargs or ("--runs", "1000", "--hard-runs", "400")
    session.run("python", "tests/simulation/walksim.py", *options)


@nox.session(python=OLDEST)
def small_world(session: nox.Session) -> None:
    """Read small lists through every schedule that there is, and print how many."""
    session.install("-e", ".")
    session.run("python", "tests/simulation/smallworld.py", *session.posargs)


@nox.session(python=OLDEST)
def injection(session: nox.Session) -> None:
    """End reads in every step of the event loop, in every way, and go on with them."""
    session.install("-e", ".[all]", *_group("tests"))
    helpers = {"PYTHONPATH": "tests"}
    session.run("python", "tests/crash/injection.py", *session.posargs, env=helpers)


@nox.session(python=OLDEST)
def soak(session: nox.Session) -> None:
    """Follow, fan out, export and read for web pages at once, with all faults on."""
    session.install("-e", ".[all]", *_group("tests"))
    helpers = {"PYTHONPATH": "tests"}
    session.run("python", "tests/simulation/soak.py", *session.posargs, env=helpers)


@nox.session(python=OLDEST)
def fuzz(session: nox.Session) -> None:
    """Decode bodies that no server should send, in two ways that have to agree."""
    session.install("-e", ".[all]", *_group("tests"))
    helpers = {"PYTHONPATH": "tests"}
    script = "tests/simulation/fuzz_decoding.py"
    session.run("python", script, *session.posargs, env=helpers)


@nox.session(python=OLDEST)
def mutation(session: nox.Session) -> None:
    """Change the core in small ways, and print which changes no test notices."""
    session.install("-e", ".[all]", *_group("tests", "coverage"))
    session.run("python", "tests/simulation/mutation.py", *session.posargs)


@nox.session(python=OLDEST)
def benchmarks(session: nox.Session) -> None:
    """Measure how fast reads are, beside what else there is to read with."""
    session.install("-e", ".[parquet,zstd]", *_group("benchmarks"))
    session.run("python", "benchmarks/run.py", *session.posargs)


_IMPORTED_FROM_WHEEL = """
import canopy_async
assert "site-packages" in canopy_async.__file__, canopy_async.__file__
"""


def _copy_for_tests(session: nox.Session) -> Path:
    """Return a directory with the tests and what they look at, but no package."""
    target = Path(session.create_tmp()).resolve() / "elsewhere"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for name in NEEDED_BY_TESTS:
        source = Path(name)
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, target / name, ignore=ignore)
        else:
            shutil.copy(source, target / name)
    return target


def _group(*names: str) -> list[str]:
    """Return the requirements of dependency groups, each once."""
    groups = (nox.project.dependency_groups(PROJECT, name) for name in names)
    return sorted({line for group in groups for line in group})


def _built(session: nox.Session, name: str) -> Path:
    """Build the sdist, and the wheel from the sdist; return their directory."""
    target = Path(session.create_tmp()).resolve() / name
    shutil.rmtree(target, ignore_errors=True)
    fixed = {"SOURCE_DATE_EPOCH": BUILT_AT}
    session.run("python", "-m", "build", "--outdir", str(target), env=fixed)
    return target


def _hashes(directory: Path) -> dict[str, str]:
    """Return the sha256 of each file in a directory."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.iterdir()
    }
