"""Full searches for garbage: few while many rows are kept, and then as before."""

import asyncio
import gc
import os
import warnings

import pytest
from support.seeded import copies_of

from canopy_async import CanopyError, PageReceived, RetryPolicy, garbage

ROWS = 777
MANY = 200


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("garbage") / "rows.db"
    return copies_of(path, lambda server: server.seed_events("idn_1", ROWS))


@pytest.fixture(autouse=True)
def before(monkeypatch):
    """The thresholds before each test, which are those after it."""
    monkeypatch.setattr(garbage, "MANY", MANY)
    thresholds = gc.get_threshold()
    yield thresholds
    assert gc.get_threshold() == thresholds


@pytest.fixture
def seen():
    """The thresholds at each page of `session`."""
    return []


@pytest.fixture
def session(connect, seen):
    def watch(record):
        if isinstance(record, PageReceived):
            seen.append(gc.get_threshold())

    retry = RetryPolicy(attempts=1)
    return connect(concurrency=1, hooks=[watch], retry=retry)


def seldom(before):
    return (*before[:2], before[2] * garbage.SELDOM)


async def test_full_searches_are_few_once_many_rows_are_kept(session, seen, before):
    assert len(await session.events("idn_1", order="asc").collect()) == ROWS
    assert set(seen[:3]) == {before}  # the second page makes nearly as many
    assert set(seen[3:]) == {seldom(before)}


async def test_few_rows_change_nothing(session, seen, before):
    await session.events("idn_1", order="asc", limit=MANY - 1).collect()
    assert set(seen) == {before}


async def test_rows_that_are_not_kept_change_nothing(session, seen, before):
    async for _ in session.events("idn_1", order="asc"):
        pass
    assert set(seen) == {before}


async def test_the_events_of_many_identities_are_kept_in_the_same_way(
    session, seen, before
):
    fan_out = session.fan_out(["idn_1"] * 3, order="asc", width=1)
    assert len(await fan_out.collect()) == 3 * ROWS
    assert seen[0] == before
    assert seen[-1] == seldom(before)


async def test_they_are_as_before_after_an_error(server, session, seen, before):
    server.fail_next(status=500, only=lambda request: request.page == 6)
    with pytest.raises(CanopyError):
        await session.events("idn_1", order="asc").collect()
    assert seen[-1] == seldom(before)


async def test_they_are_as_before_once_nobody_keeps_rows_any_more(session, before):
    reading = session.events("idn_1", order="asc").collect()
    with garbage.Keeping() as keeping:
        keeping.count(MANY)
        await reading
        assert gc.get_threshold() == seldom(before)
    assert gc.get_threshold() == before


async def test_they_are_as_before_after_a_cancellation(session, seen, before):
    task = asyncio.create_task(session.events("idn_1", order="asc").collect())
    while seldom(before) not in seen:
        assert not task.done()
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_threshold_that_somebody_restores_too_late_is_not_for_good(before):
    with garbage.Keeping() as keeping:
        keeping.count(MANY)
        saved = gc.get_threshold()
    gc.set_threshold(*saved)
    with garbage.Keeping() as keeping:
        keeping.count(MANY)
        assert gc.get_threshold() == seldom(before)
    assert gc.get_threshold() == before


async def test_a_block_that_ends_within_another_s_beginning_or_end(monkeypatch, before):
    """As one does that nobody awaits any more, when it is found to be garbage."""
    left = garbage.Keeping()
    left.count(MANY)
    thresholds = gc.get_threshold

    def found():
        monkeypatch.setattr(gc, "get_threshold", thresholds)
        left.__exit__(None, None, None)
        return thresholds()

    with garbage.Keeping() as keeping:
        keeping.count(MANY)
        monkeypatch.setattr(gc, "get_threshold", found)
    assert gc.get_threshold() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")
def test_a_forked_process_keeps_no_rows(before):
    with garbage.Keeping() as keeping:
        keeping.count(MANY)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads there
            process = os.fork()
        if not process:
            os._exit(0 if gc.get_threshold() == before else 1)
        assert os.waitpid(process, 0)[1] == 0
        assert gc.get_threshold() == seldom(before)


async def test_a_threshold_that_was_set_meanwhile_stays(before):
    young, middle, _ = before
    try:
        with garbage.Keeping() as keeping:
            keeping.count(MANY)
            gc.set_threshold(young, middle, 5)
        assert gc.get_threshold() == (young, middle, 5)
    finally:
        gc.set_threshold(*before)
