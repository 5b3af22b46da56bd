"""What has to hold before a change is taken: `nox` runs all but what takes long."""

import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2024.10"
nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["tests", "lint", "typing", "build"]

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
OLDEST = PYTHONS[0]

NEEDED_BY_TESTS = (
    "tests",
    "benchmarks",
    "examples",
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "noxfile.py",
    "pyproject.toml",
)
"""What a run of the tests away from the source takes along."""


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests on each supported Python that is installed."""
    session.install("-e", ".[dev]")
    session.run("pytest", "-q", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check the code's style and its format."""
    session.install(*_of_dev("ruff"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def typing(session: nox.Session) -> None:
    """Check the types of the package and of code that uses it."""
    session.install("-e", ".[dev]")
    session.run("mypy")
    session.run("pyright")


@nox.session
def build(session: nox.Session) -> None:
    """Build both distributions, and test the wheel with the source out of reach."""
    session.install("build")
    made = Path(session.create_tmp()).resolve() / "dist"
    shutil.rmtree(made, ignore_errors=True)
    # The wheel is built from the sdist, so this tries both.
    session.run("python", "-m", "build", "--outdir", str(made))
    (wheel,) = made.glob("*.whl")
    session.install(f"canopy-async[dev] @ {wheel.as_uri()}")
    elsewhere = _copy_for_tests(session)
    with session.chdir(elsewhere):
        session.run("python", "-c", _IMPORTED_FROM_WHEEL)
        session.run("pytest", "-q", *session.posargs)


@nox.session(python=OLDEST)
def thorough(session: nox.Session) -> None:
    """Run the tests that draw their examples, on forty times as many."""
    session.install("-e", ".[dev]")
    options = ("-q", "-m", "hypothesis", "--hypothesis-profile", "thorough")
    session.run("pytest", *options, "--timeout", "0", *session.posargs)


@nox.session(python=OLDEST)
def simulation(session: nox.Session) -> None:
    """Read simulated moving lists, for long, and print how that went."""
    session.install("-e", ".")
    options = session.posargs or ("--runs", "1000", "--hard-runs", "400")
    session.run("python", "tests/walksim.py", *options)


@nox.session(python=OLDEST)
def small_world(session: nox.Session) -> None:
    """Read small lists through every schedule that there is, and print how many."""
    session.install("-e", ".")
    session.run("python", "tests/smallworld.py", *session.posargs)


@nox.session(python=OLDEST)
def injection(session: nox.Session) -> None:
    """End reads in every step of the event loop, in every way, and go on with them."""
    session.install("-e", ".[dev]")
    session.run("python", "tests/injection.py", *session.posargs)


@nox.session(python=OLDEST)
def benchmarks(session: nox.Session) -> None:
    """Measure how fast reads are, beside what else there is to read with."""
    session.install("-e", ".[benchmarks]")
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


def _of_dev(*names: str) -> list[str]:
    """Return the requirements of the extra ``dev`` for these packages."""
    extra = PROJECT["project"]["optional-dependencies"]["dev"]
    return [line for line in extra if line.split(">=")[0].split("[")[0] in names]
