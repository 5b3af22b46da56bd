"""Fixtures of the whole suite."""

import gc
import os
import signal
import sys
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import settings

import canopy_async
from canopy_async.export.writers import FORMATS
from canopy_async.testing import LocalCanopy

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it runs in the background so, and tests send this signal.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Where this variable is set, each process of the tests compiles every module anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

FIRST = (
    "tests/cluster/",
    "tests/simulation/test_distributed_nights.py",
    "tests/simulation/test_export_nights.py",
    "tests/simulation/test_small_world.py",
    "tests/export/test_report_page.py",
    "tests/export/test_spreadsheets.py",
    "tests/packaging/",
    "tests/crash/",
    "tests/cli/",
)
"""The tests that take longest, or wait longest for processes."""

settings.register_profile(
    "suite", deadline=None, derandomize=True, database=None, max_examples=50
)
settings.register_profile("free", deadline=None, database=None, max_examples=50)
settings.register_profile("thorough", deadline=None, max_examples=2_000)
settings.load_profile("suite")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Search for no garbage among what is made now: it lasts as long as the tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        leave_out_what_lasts()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Run what takes long first, so that no worker is alone with it at the end.

    Otherwise, the order stays the random one.
    """
    items.sort(key=lambda item: not item.nodeid.startswith(FIRST))


def leave_out_what_lasts():
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module")
def short_searches():
    """Searches for garbage that leave out what was there before this module."""
    leave_out_what_lasts()


@pytest.fixture(scope="module")
def database():
    """Makes the databases of the module's servers: empty ones, in memory."""
    return lambda: nullcontext(":memory:")


def years_from_now():
    """A server's clock: no range of the tests' logs is in its future.

    It is not this machine's, and never near it.
    """
    return datetime.now(UTC) + timedelta(days=2000)


@pytest.fixture
async def server(database):
    """A running local server of the API, empty unless the module fills it."""
    with database() as path:
        async with LocalCanopy(path=path, clock=years_from_now) as local:
            yield local


@pytest.fixture
async def connect(server):
    """Makes sessions on ``server``, closed after the test."""
    sessions = []

    def make(token=None, **options):
        options.setdefault("base_url", server.base_url)
        session = canopy_async.CanopySession(
            server.account, token or server.token, **options
        )
        sessions.append(session)
        return session

    yield make
    for session in sessions:
        await session.aclose()


@pytest.fixture
async def session(connect):
    """A session on ``server``."""
    return connect()


@pytest.fixture
def chunks_of(monkeypatch):
    """Makes an export write so many rows of JSON lines at a time, and not 1024."""

    def make(rows):
        small = attrs.evolve(FORMATS["jsonl"], chunk_rows=rows)
        monkeypatch.setitem(FORMATS, "jsonl", small)

    return make


@pytest.fixture
def quick():
    """Retries that lose no time: the fourth failure of a request is final."""
    return canopy_async.RetryPolicy(attempts=4, base=0.001, throttled_base=0.001)
