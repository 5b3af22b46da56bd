"""The cost of a range, where a log has little or nothing in it."""

import itertools
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from support.seeded import copies_of

from canopy_async import Proof, UnprovenTiesError
from canopy_async.testing import Faults

START = datetime(2026, 4, 20, tzinfo=UTC)
SIZES = (1, 2, 20, 50, 99, 100, 101, 130, 199, 200, 201, 500, 1234)
ORDERS = ("asc", "desc", None)


def seed(server):
    for size in SIZES:
        server.seed_events(f"idn_{size}", size, start=START, spacing=20.0)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return copies_of(tmp_path_factory.mktemp("cheap") / "rows.db", seed)


@pytest.fixture
def logs(server):
    """When the logs, of many sizes, have become quiet."""
    newest = max(events_of(server, size)[-1] for size in SIZES)
    return newest + timedelta(minutes=5)


def events_of(server, size):
    rows = server.events(f"idn_{size}", order="asc")
    return [datetime.fromisoformat(row["created_at"]) for row in rows]


def within(server, identity, since, until=None, order="asc"):
    return [
        row["id"]
        for row in server.events(identity, order=order)
        if since <= datetime.fromisoformat(row["created_at"])
        and (until is None or datetime.fromisoformat(row["created_at"]) < until)
    ]


async def read(session, identity, **options):
    async with session.events(identity, **options).open() as run:
        rows = [event.id async for event in run]
    assert run.report.complete
    assert run.report.proof == Proof.STRICT_KEY
    assert run.report.delivered == len(rows)
    return rows, run


# The end of a log


@pytest.mark.parametrize("order", ORDERS)
async def test_one_request_shows_that_a_log_has_nothing_since(
    logs, server, session, order
):
    for size in SIZES:
        rows, _ = await read(session, f"idn_{size}", order=order, since=logs)
        assert rows == []
    assert len(server.requests) == len(SIZES)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_the_last_hour_of_quiet_logs_costs_a_request_each(
    logs, server, session, order
):
    for size in SIZES[::2]:
        identity = f"idn_{size}"
        server.seed_events(identity, size % 3 + 1, start=logs + timedelta(minutes=1))
    ids = [f"idn_{size}" for size in SIZES]
    read_ids = [
        event.id
        async for _, event in session.fan_out(ids, order=order, since=logs, width=4)
    ]
    assert sorted(read_ids) == sorted(
        row for identity in ids for row in within(server, identity, logs)
    )
    assert len(server.requests) <= 1.2 * len(ids)


@pytest.mark.parametrize("back", [1, 2, 30, 90])
async def test_what_the_newest_page_holds_comes_oldest_first_from_one_request(
    server, session, back
):
    since = events_of(server, 500)[-back]
    rows, run = await read(session, "idn_500", order="asc", since=since)
    assert rows == within(server, "idn_500", since)
    assert len(server.requests) == 1
    assert run.report.order_observed == "asc"
    assert not run.report.order_ignored


@pytest.mark.parametrize("cut", [0, 1, 40, 80])
async def test_a_range_that_was_turned_round_can_be_left_and_gone_on_with(
    server, session, cut
):
    since = events_of(server, 500)[-80]
    first = []
    async with session.events("idn_500", order="asc", since=since).open() as run:
        first += [(await anext(run)).id for _ in range(cut)]
        text = run.checkpoint.dumps()
    server.seed_events("idn_500", 30)
    rest, _ = await read(session, "idn_500", order="asc", since=since, resume=text)
    assert first + rest == within(server, "idn_500", since)


async def test_going_on_at_the_end_of_a_log_costs_one_request(server, session):
    async with session.events("idn_500", order="asc").open() as run:
        everything = [event.id async for event in run]
    server.reset_requests()
    text = run.checkpoint.dumps()
    rows, second = await read(session, "idn_500", order="asc", resume=text)
    assert (rows, len(server.requests)) == ([], 1)
    assert second.checkpoint.key == run.checkpoint.key
    server.seed_events("idn_500", 7)
    rows, _ = await read(session, "idn_500", order="asc", resume=second.checkpoint)
    assert len(server.requests) == 2
    assert everything + rows == server.event_ids("idn_500", order="asc")


@pytest.mark.parametrize("proof", list(Proof))
async def test_one_request_makes_no_past_better_than_it_was(session, proof):
    async with session.events("idn_50", order="asc", limit=45).open() as run:
        _ = [event async for event in run]
    checkpoint = attrs.evolve(run.checkpoint, proof=proof)
    stream = session.events("idn_50", order="asc", resume=checkpoint)
    async with stream.open() as second:
        if proof is Proof.SHARED_ID:
            with pytest.raises(UnprovenTiesError):
                _ = [event async for event in second]
            assert not second.report.complete
            return
        _ = [event async for event in second]
    weak = proof in {Proof.FENCE, Proof.NONE}
    assert second.report.complete is not weak
    assert second.report.proof == (Proof.NONE if weak else proof)


@pytest.mark.parametrize("limit", [0, 1, 10, 60, 1000])
async def test_a_limit_counts_from_the_oldest_of_the_range(server, session, limit):
    since = events_of(server, 500)[-60]
    rows, _ = await read(session, "idn_500", order="asc", since=since, limit=limit)
    assert rows == within(server, "idn_500", since)[:limit]


# The middle of a log


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_an_empty_day_in_a_log_of_two_pages_costs_two_requests(
    server, session, order
):
    asked = 0
    for older in range(1, 200, 11):
        identity = f"two_{older}"
        day = START + timedelta(days=3)
        server.seed_events(
            identity, older, start=START, spacing=20.0, tie_probability=0
        )
        server.seed_events(
            identity, 200 - older, start=day + timedelta(days=2), spacing=20.0
        )
        rows, _ = await read(
            session, identity, order=order, since=day, until=day + timedelta(days=1)
        )
        assert rows == []
        asked += 1
    assert len(server.requests) <= 2 * asked


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("place", [0.02, 0.3, 0.5, 0.9, 0.99])
async def test_an_empty_range_costs_no_more_than_finding_its_place(
    server, session, order, place
):
    older = int(3_000 * place)
    server.seed_events("idn_1", older, start=START, spacing=20.0)
    gap = START + timedelta(days=30)
    server.seed_events("idn_1", 3_000 - older, start=gap + timedelta(days=3))
    rows, _ = await read(
        session,
        "idn_1",
        order=order,
        since=gap + timedelta(days=1),
        until=gap + timedelta(days=2),
    )
    assert rows == []
    assert len(server.requests) <= 16


# Servers that are not as they should be


@pytest.mark.parametrize(
    ("kept", "order"), [*itertools.product(("asc", "desc"), repeat=2)]
)
@pytest.mark.parametrize("back", [3, 300])
async def test_a_server_that_ignores_order_is_read_right(
    server, session, kept, order, back
):
    server.faults = Faults(ignore_order=True, default_order=kept)
    since = events_of(server, 500)[-back]
    rows, run = await read(session, "idn_500", order=order, since=since)
    assert rows == within(server, "idn_500", since, order=run.report.order_observed)


@pytest.mark.parametrize("fault", ["ignore_sort_by", "reject_sort_by"])
@pytest.mark.parametrize("back", [3, 300])
async def test_a_server_that_does_not_sort_as_asked_is_read_right(
    server, session, fault, back
):
    server.faults = Faults(**{fault: True})
    since = events_of(server, 500)[-back]
    rows, run = await read(
        session, "idn_500", order="asc", sort_by="created_at", since=since
    )
    assert rows == within(server, "idn_500", since)
    refused = any("refused sort_by" in text for text in run.report.warnings)
    assert refused is (fault == "reject_sort_by")


@pytest.mark.parametrize("size", [10, 50])
async def test_a_server_that_ignores_take_needs_no_fence_for_its_newest_page(
    server, session, size
):
    server.faults = Faults(take_ignored=size)
    since = events_of(server, 500)[-5]
    rows, _ = await read(session, "idn_500", order="asc", since=since)
    assert rows == within(server, "idn_500", since)
    assert len(server.requests) == 1


async def test_a_newest_page_of_one_instant_shows_no_order(server, session):
    # All of it is older than since, and yet newer events come after it: the server
    # ignores order, and its oldest page has one instant.
    server.faults = Faults(ignore_order=True, default_order="asc")
    server.seed_events("idn_1", 100, start=START, spacing=0.0, tie_probability=1)
    later = START + timedelta(days=1)
    server.seed_events("idn_1", 30, start=later, tie_probability=0)
    since = later - timedelta(hours=1)
    rows, _ = await read(session, "idn_1", order="asc", since=since)
    assert rows == within(server, "idn_1", since)
    assert len(rows) == 30
