"""The proof over real HTTP: on `LocalCanopy`, with its faults on."""

import random

import pytest

from canopy_async import (
    IncompleteReadError,
    NotFoundError,
    PageReceived,
    Proof,
    ProtocolError,
    RetryPolicy,
    UnorderedListError,
)
from canopy_async._read.readahead import READY_PER_REQUEST
from canopy_async.testing import Faults

ROWS = 320
WIDTHS = [1, 4, 16]
BOTH = pytest.mark.parametrize("order", ["asc", "desc"])
WIDE = pytest.mark.parametrize("concurrency", WIDTHS)


@pytest.fixture
def patient(connect):
    """Makes sessions that lose no time over retries, and try often."""
    retry = RetryPolicy(attempts=9, base=0.0005, throttled_base=0.0005)
    return lambda concurrency: connect(concurrency=concurrency, retry=retry)


class Watched:
    """A log that remembers what was there when a read began."""

    def __init__(self, server, rows=ROWS, **options):
        self.server = server
        options.setdefault("tie_probability", 0.05)
        server.seed_events("idn_1", rows, **options)
        self.owed = server.event_ids("idn_1")

    async def read(self, session, **options):
        """Read it all; judge it against what was there all the time."""
        async with session.events("idn_1", **options).open() as run:
            events = [event async for event in run]
            self.report = run.report
        ids = [event.id for event in events]
        there = set(self.server.event_ids("idn_1"))
        lost = [id_ for id_ in self.owed if id_ in there and id_ not in set(ids)]
        assert not lost
        assert len(ids) == len(set(ids))
        keys = [event.created_at for event in events]
        observed = self.report.order_observed
        assert keys == sorted(keys, reverse=observed == "desc")
        assert self.report.complete
        assert self.report.delivered == len(ids)
        assert self.report.expected is not None
        return ids


MOVING = {
    "inserts": {"insert_per_request": 1},
    "inserts between COUNT and SELECT": {
        "insert_per_request": 1,
        "write_at": "between",
    },
    "deletes": {"delete_per_request": 1},
    "ring": {"insert_per_request": 1, "delete_per_request": 1},
    "reads that write": {"writes_on_read": True},
    "reads that write afterwards": {"writes_on_read": True, "write_at": "after"},
    "counts that lag": {"count_lag": 3, "insert_per_request": 0.5},
    "shuffled ties": {"tie_order": "shuffled", "insert_per_request": 0.5},
    "404 past the end": {"past_end": "404", "delete_per_request": 2},
    "a take that is cut": {"clamp_take": 40, "insert_per_request": 0.5},
    "a take that is cut silently": {
        "clamp_take": 40,
        "clamp_said": False,
        "insert_per_request": 0.5,
    },
}


@WIDE
@BOTH
@pytest.mark.parametrize("faults", MOVING.values(), ids=MOVING.keys())
async def test_a_log_that_moves_is_read_whole(
    server, patient, faults, order, concurrency
):
    log = Watched(server)
    server.faults = Faults(jitter=0.004, **faults)
    session = patient(concurrency)
    await log.read(session, order=order)
    assert log.report.proof == Proof.STRICT_KEY
    assert log.report.order_observed == order
    assert not log.report.order_ignored
    assert log.report.requests == len(server.requests)


@pytest.mark.parametrize("serve_at", ["arrival", "middle", "departure"])
@BOTH
async def test_answers_that_overtake_each_other_lose_nothing(
    server, patient, order, serve_at
):
    log = Watched(server)
    server.faults = Faults(
        jitter=0.008,
        straggler_rate=0.2,
        straggler_factor=3,
        serve_at=serve_at,
        insert_per_request=2,
        delete_per_request=1,
    )
    await log.read(patient(8), order=order)


@BOTH
async def test_the_plain_reader_loses_on_the_same_log(server, connect, order):
    server.seed_events("idn_1", ROWS, tie_probability=0)
    was_there = server.event_ids("idn_1")
    moves = {"insert_per_request": 2} if order == "desc" else {"delete_per_request": 2}
    server.faults = Faults(jitter=0.004, **moves)
    session = connect(concurrency=8)
    stream = session.events("idn_1", order=order, take=20, lossless=False)
    async with stream.open() as run:
        ids = [event.id async for event in run]
    there = set(server.event_ids("idn_1"))
    lost = [id_ for id_ in was_there if id_ in there and id_ not in set(ids)]
    assert lost or len(ids) > len(set(ids))
    assert not run.report.complete
    assert run.report.proof == Proof.NONE


@WIDE
@BOTH
async def test_failures_in_between_are_later_instants_and_nothing_else(
    server, patient, order, concurrency
):
    log = Watched(server)
    server.faults = Faults(
        error_rate=0.1,
        reset_rate=0.05,
        truncate_rate=0.05,
        html_rate=0.03,
        insert_per_request=1,
        delete_per_request=0.5,
    )
    for place in (2, 5):
        server.fail_next(
            status=429, retry_after=0, only=lambda r, place=place: r.page == place
        )
    await log.read(patient(concurrency), order=order)
    assert log.report.retries > 0
    # Those that were still under way at the end were not answered.
    assert log.report.requests >= log.report.retries + 4


@WIDE
@BOTH
async def test_moves_anywhere_in_the_list_lose_nothing(
    server, patient, order, concurrency
):
    log = Watched(server, tie_probability=0.3)
    rng = random.Random(concurrency)

    def move(local, _request):
        ids = local.event_ids("idn_1")
        for id_ in rng.sample(ids, 3):
            local.delete_event("idn_1", id_)
        local.add_events("idn_1", [{}, {}])

    server.faults = Faults(mutate=move, tie_order="shuffled")
    await log.read(patient(concurrency), order=order)


# Oddities


@BOTH
async def test_an_order_that_is_ignored_is_told(server, session, order):
    log = Watched(server)
    server.faults = Faults(ignore_order=True)
    await log.read(session, order=order)
    assert log.report.order_observed == "desc"
    assert log.report.order_ignored == (order == "asc")


async def test_a_rejected_sort_by_is_asked_for_once(server, session):
    log = Watched(server)
    server.faults = Faults(reject_sort_by=True)
    await log.read(session, sort_by="created_at")
    assert log.report.proof == Proof.STRICT_KEY
    assert log.report.warnings == ("the server refused sort_by='created_at'",)
    assert sum("sort_by" in request.query for request in server.requests) == 1


async def test_a_list_in_no_order_is_refused(server, session):
    server.seed_events("idn_1", ROWS)
    server.faults = Faults(unsorted=True)
    with pytest.raises(UnorderedListError) as caught:
        await session.events("idn_1").collect()
    report = caught.value.report
    assert not report.complete
    assert report.expected == ROWS
    assert report.requests > 0


@BOTH
@WIDE
async def test_a_take_that_is_ignored_is_read_behind_a_fence(
    server, connect, order, concurrency
):
    log = Watched(server, tie_probability=0)
    server.faults = Faults(take_ignored=50)
    ids = await log.read(connect(concurrency=concurrency), order=order, take=20)
    assert sorted(ids) == sorted(log.owed)
    assert log.report.proof == Proof.FENCE
    assert server.requests[-1].page == 1


async def test_a_fence_that_falls_is_an_error_with_a_report(server, session):
    server.seed_events("idn_1", ROWS, tie_probability=0)
    server.faults = Faults(take_ignored=50, delete_per_request=1)
    with pytest.raises(IncompleteReadError) as caught:
        await session.events("idn_1", order="asc", take=20).collect()
    assert caught.value.report.proof == Proof.FENCE
    assert not caught.value.report.complete


async def test_another_column_is_read_by_shared_rows(server, session):
    server.seed_events("idn_1", ROWS)
    async with session.events("idn_1", sort_by="id", order="asc").open() as run:
        ids = [event.id async for event in run]
    assert ids == sorted(server.event_ids("idn_1"))
    assert run.report.complete
    assert run.report.proof == Proof.SHARED_ID


async def test_ties_of_another_column_in_no_order_are_refused(server, session):
    server.seed_events("idn_1", ROWS)
    server.faults = Faults(tie_order="shuffled")
    with pytest.raises(IncompleteReadError):
        await session.events("idn_1", sort_by="outcome").collect()


@BOTH
async def test_a_run_of_ties_longer_than_a_page_is_counted(server, session, order):
    log = Watched(server, rows=250, tie_probability=1)
    server.seed_events("idn_1", 120)
    log.owed = server.event_ids("idn_1")
    await log.read(session, order=order)
    assert log.report.proof == Proof.COUNT


async def test_a_run_of_ties_in_a_log_that_moves_is_not_proven(server, session):
    server.seed_events("idn_1", 50)
    server.seed_events("idn_1", 250, tie_probability=1)
    server.seed_events("idn_1", 50)
    server.faults = Faults(insert_per_request=1)
    with pytest.raises(IncompleteReadError) as caught:
        await session.events("idn_1", order="asc").collect()
    report = caught.value.report
    assert report.proof == Proof.SHARED_ID
    assert not report.complete
    assert 0 < report.delivered <= 50 + 250 + 50 + report.requests


async def test_a_zero_based_server_is_an_error(server, session):
    server.seed_events("idn_1", ROWS)
    server.faults = Faults(zero_based=True)
    with pytest.raises(ProtocolError, match="first page"):
        await session.events("idn_1").collect()


async def test_a_404_on_page_1_is_an_unknown_identity(session):
    with pytest.raises(NotFoundError):
        await session.events("idn_unknown").collect()


# What it costs, and what it says


@pytest.mark.parametrize("rows", [0, 1, 99])
@WIDE
async def test_a_small_log_is_one_request(server, connect, rows, concurrency):
    server.seed_events("idn_1", rows)
    events = await connect(concurrency=concurrency).events("idn_1").collect()
    assert len(events) == rows
    assert len(server.requests) == 1


@WIDE
async def test_the_latest_20_are_one_request(server, connect, concurrency):
    server.seed_events("idn_1", ROWS)
    session = connect(concurrency=concurrency)
    events = await session.events("idn_1", order="desc", limit=20).collect()
    assert [event.id for event in events] == server.event_ids("idn_1", order="desc")[
        :20
    ]
    assert [(r.page, r.take) for r in server.requests] == [(1, 20)]


async def test_the_report_of_a_quiet_log(server, session):
    server.seed_events("idn_1", ROWS, tie_probability=0)
    async with session.events("idn_1", order="asc").open() as run:
        async for _ in run:
            pass
    report = run.report
    assert report.complete
    assert report.proof == Proof.STRICT_KEY
    assert report.expected == report.delivered == ROWS
    assert (report.late, report.purged, report.repairs, report.retries) == (0, 0, 0, 0)
    assert report.requests == len(server.requests) == 4
    assert report.duplicates > 0
    assert report.warnings == ()


async def test_the_report_counts_what_was_purged(server, connect):
    log = Watched(server, tie_probability=0)
    server.faults = Faults(delete_per_request=5)
    ids = await log.read(connect(concurrency=1), order="desc")
    assert log.report.purged == log.report.expected - len(ids)


async def test_only_a_window_of_answers_is_held(server, connect):
    taken, ahead = [], []
    server.seed_events("idn_1", 6000)
    concurrency = 2
    session = connect(concurrency=concurrency, hooks=[taken.append])
    async with session.events("idn_1").open() as run:
        async for _ in run:
            pages = sum(isinstance(record, PageReceived) for record in taken)
            ahead.append(len(server.requests) - pages)
    assert max(ahead) <= (READY_PER_REQUEST + 1) * concurrency
