"""Hooks: typed records, whoever watches, and whoever fails at it."""

import logging

import attrs
import pytest

from canopy_async import (
    CooldownStarted,
    LoggingHook,
    PageReceived,
    RequestFinished,
    RetryScheduled,
)
from canopy_async.hooks import Hooks

PATH = "/portal/v1/accounts/{account}/identities/{id}/audit"
RECORDS = {
    "finished": RequestFinished(
        path=PATH, page=3, take=100, attempt=1, status=200, seconds=0.25, size=512
    ),
    "failed": RequestFinished(
        path=PATH, page=3, take=100, attempt=2, status=None, seconds=1.5, size=0
    ),
    "retry": RetryScheduled(path=PATH, page=3, attempt=1, wait=0.5, reason="503"),
    "cooldown": CooldownStarted(seconds=2.0, status=429),
    "page": PageReceived(path=PATH, page=3, take=100, rows=7, item_count=207),
}


@pytest.mark.parametrize(
    ("name", "level", "said"),
    [
        (
            "finished",
            logging.DEBUG,
            f"GET {PATH} page=3 take=100 attempt=1: 200, 512 bytes in 0.250 s",
        ),
        (
            "failed",
            logging.DEBUG,
            f"GET {PATH} page=3 take=100 attempt=2: no answer, 0 bytes in 1.500 s",
        ),
        (
            "retry",
            logging.WARNING,
            f"GET {PATH} page=3 failed (503), attempt 1; again in 0.50 s",
        ),
        (
            "cooldown",
            logging.WARNING,
            "the server answered 429: no requests for 2.00 s",
        ),
        ("page", logging.DEBUG, f"page 3 of {PATH}: 7 rows of 207"),
    ],
)
def test_the_logging_hook_says_each_record_in_one_line(caplog, name, level, said):
    caplog.set_level(logging.DEBUG)
    LoggingHook()(RECORDS[name])
    assert caplog.record_tuples == [("canopy_async", level, said)]


def test_the_logging_hook_takes_a_logger_of_ones_own(caplog):
    LoggingHook(logging.getLogger("mine"))(RECORDS["cooldown"])
    assert [record.name for record in caplog.records] == ["mine"]


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_records_are_frozen(record):
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        record.page = 1


def test_every_hook_gets_every_record_in_order():
    seen = []
    hooks = Hooks([lambda r: seen.append((1, r)), lambda r: seen.append((2, r))])
    hooks(RECORDS["page"])
    assert seen == [(1, RECORDS["page"]), (2, RECORDS["page"])]


def test_a_hook_that_raises_is_logged_once_and_does_not_keep_others_from_seeing(caplog):
    seen = []

    def broken(_record):
        raise RuntimeError("broken hook")

    hooks = Hooks([broken, seen.append, broken])
    for _ in range(3):
        hooks(RECORDS["page"])
    assert len(seen) == 3
    assert len(caplog.records) == 2  # once for each of the two
    assert "a hook raised" in caplog.text


def test_a_hook_that_stops_the_program_stops_it():
    def leave(_record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Hooks([leave])(RECORDS["page"])


def test_hooks_know_whether_anybody_watches():
    assert not Hooks()
    assert Hooks([print])


@pytest.mark.parametrize("hooks", [["no function"], [None], [print, 5]])
def test_hooks_are_functions(hooks):
    with pytest.raises(TypeError, match="hooks must be plain functions"):
        Hooks(hooks)
