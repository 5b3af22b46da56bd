"""Pages over the size limit are asked for again in smaller ones, down to one row."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from support.exports import ids_of
from walksim import Scenario, SimList

from canopy_async import (
    CanopyError,
    IncompleteReadError,
    ProtocolError,
    RetryPolicy,
    UnprovenTiesError,
)
from canopy_async._transport import body
from canopy_async._walk import PlainWalk
from canopy_async._walk.chain import OverlapChain
from canopy_async.export import export, verify

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT = 60_000
"""Bytes that an answer may have here: about 30 of the rows."""


@pytest.fixture(autouse=True)
def limited(monkeypatch):
    monkeypatch.setattr(body, "MAX_BODY", LIMIT)


@pytest.fixture
def log(server):
    """A server with a log whose rows are far larger than others are."""
    seed(server, "idn_1", 230)
    return server


def seed(server, identity, rows, *, giant=None):
    for n in range(rows):
        size = LIMIT + 1 if n == giant else 1_500
        at = BEGIN + timedelta(seconds=n)
        server.add_event(identity, created_at=at, metadata={"text": "x" * size})


def ids(events):
    return [event.id for event in events]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("take", [100, 97, 60])
async def test_a_proven_read_goes_on_in_smaller_pages(log, session, order, take):
    async with session.events("idn_1", order=order, take=take).open() as run:
        events = [event async for event in run]
    assert ids(events) == log.event_ids("idn_1", order=order)
    assert run.report.complete
    assert any("larger than can be read" in text for text in run.report.warnings)


@pytest.mark.parametrize("take", [100, 97, 60, 24])
@pytest.mark.parametrize("limit", [None, 150])
async def test_a_plain_read_goes_on_in_smaller_pages(log, session, take, limit):
    events = await session.events(
        "idn_1", order="asc", take=take, limit=limit, lossless=False
    ).collect()
    assert ids(events) == log.event_ids("idn_1")[:limit]


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_part_is_found_and_read_in_smaller_pages(log, session, order):
    everything = await session.events("idn_1", order="asc").collect()
    assert ids(everything) == log.event_ids("idn_1")
    since, until = everything[90].created_at, everything[170].created_at
    part = session.events("idn_1", order=order, since=since, until=until)
    wanted = [e.id for e in everything if since <= e.created_at < until]
    assert sorted(ids(await part.collect())) == sorted(wanted)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_read_is_gone_on_with_in_smaller_pages(log, session, order):
    async with session.events("idn_1", order=order).open() as run:
        first = [await anext(run) for _ in range(120)]
    rest = session.events("idn_1", order=order, resume=run.checkpoint.dumps())
    assert ids(first) + ids(await rest.collect()) == log.event_ids("idn_1", order=order)


async def test_a_fan_out_and_an_export_go_on_in_smaller_pages(log, session, tmp_path):
    log.seed_events("small", 130)
    pairs = await session.fan_out(["idn_1", "small"], order="asc").collect()
    counts = Counter(pair.identity_id for pair in pairs)
    assert counts == {"idn_1": 230, "small": 130}
    await export(session, ["idn_1", "small"], tmp_path / "out")
    assert verify(tmp_path / "out").ok
    assert ids_of(tmp_path / "out")["idn_1"] == log.event_ids("idn_1")


async def test_a_follower_goes_on_in_smaller_pages(log, session):
    seen = []
    async for batch in session.follow("idn_1", start="beginning", every=0.01):
        seen += ids(batch.events)
        if len(seen) >= 230:
            break
    assert seen == log.event_ids("idn_1")


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("giant", [1, 40, 150, 228])
@pytest.mark.parametrize("lossless", [True, False])
async def test_a_row_that_no_page_can_hold_is_named_by_its_place(
    server, connect, order, giant, lossless
):
    seed(server, "idn_1", 230, giant=giant)
    session = connect(retry=RetryPolicy(attempts=3))
    listed = server.event_ids("idn_1", order=order)
    at = giant if order == "asc" else 229 - giant
    before = []

    async def read():
        async for event in session.events("idn_1", order=order, lossless=lossless):
            before.append(event.id)  # what came before the error

    with pytest.raises(ProtocolError) as caught:
        await read()
    assert f"row {at + 1} of the list: the body is over {LIMIT} bytes" in str(
        caught.value
    )
    assert before == listed[: len(before)]
    assert len(before) <= at
    assert caught.value.checkpoint.delivered == len(before)


async def test_rows_that_only_fit_one_by_one_are_named_where_a_proof_needs_more(
    server, session
):
    server.seed_events("idn_1", 1)
    for _ in range(30):
        server.add_event("idn_1", metadata={"text": "x" * (LIMIT // 3)})
    with pytest.raises(ProtocolError, match="together over the size limit"):
        await session.events("idn_1", order="asc").collect()
    plain = session.events("idn_1", order="asc", lossless=False)
    assert ids(await plain.collect()) == server.event_ids("idn_1")


@pytest.mark.usefixtures("log")
async def test_one_page_that_is_too_large_names_its_rows(session):
    with pytest.raises(ProtocolError, match="rows 101 to 200 of the list") as caught:
        await session.page("idn_1", 2, take=100)
    assert caught.value.too_large
    assert len((await session.page("idn_1", 9, take=20)).items) == 20


# In simulation: a list that moves, of rows of all sizes


def read_with_limit(seed, walk, scenario):
    """Read a list that moves between any two answers; answers are bounded."""
    rng = random.Random(seed)
    server = SimList(scenario, rng)
    weights = {}

    def is_too_large(page):
        for row in page.items:
            weights.setdefault(row.id, rng.choice((1, 1, 2, 4)))
        return sum(weights[row.id] for row in page.items) > 48

    owed, read, answers = None, [], {}
    while not walk.done:
        while len(walk.windows) < 3 and walk.plan() is not None:
            pass
        for window in list(walk.windows)[: rng.choice((1, 3))]:
            if window in answers:
                continue
            if rng.random() < 0.3:
                server.move()
            answers[window] = server.serve(window)
            owed = server.ids() if owed is None else owed
        page = answers.pop(walk.windows[0])
        rows = walk.accept_oversized() if is_too_large(page) else walk.accept_page(page)
        assert rows is not None
        read += [row.id for row in rows]
    return owed & server.ids(), read


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize(
    "kinds", [{}, {"inserts": True}, {"inserts": True, "purges": True}]
)
def test_no_row_of_a_moving_list_is_lost_where_pages_are_too_large(order, kinds):
    scenario = Scenario(
        name="large",
        order=order,
        rows=(0, 300),
        ties=0.05,
        **dict.fromkeys(kinds, True),
    )
    outcomes = Counter()
    for number in range(150):
        walk = OverlapChain(take=50, max_take=50, order=order)
        try:
            owed, read = read_with_limit(number, walk, scenario)
        except CanopyError as error:
            outcomes[type(error).__name__] += 1
            continue
        outcomes["read"] += 1
        assert owed <= set(read)
        assert len(read) == len(set(read))
        assert walk.report().complete
    assert outcomes["read"] >= 140, outcomes


@pytest.mark.parametrize("take", [1, 2, 30, 49, 50])
def test_a_plain_read_of_a_list_that_holds_still_has_each_row_once(take):
    for number in range(40):
        walk = PlainWalk(take=take)
        scenario = Scenario(name="large", order="asc", rows=(0, 300))
        owed, read = read_with_limit(number, walk, scenario)
        assert len(read) == len(set(read))
        assert set(read) == owed


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages_grow_again_behind_a_place_of_large_rows(server, session, order):
    """Pages of at most 8 rows never overlap at row 840, nor those of 10 at 2 520."""
    for n in range(3_000):
        size = 6_500 if 700 <= n < 720 else 100
        at = BEGIN + timedelta(seconds=n)
        server.add_event("idn_1", created_at=at, metadata={"text": "x" * size})
    async with session.events("idn_1", order=order).open() as run:
        events = [event async for event in run]
    assert ids(events) == server.event_ids("idn_1", order=order)
    assert run.report.complete
    assert run.report.requests < 200


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_place_that_no_page_crosses_is_said_to_be_that(server, session, order):
    seed_large(server, "idn_1", 1_700)
    with pytest.raises(IncompleteReadError, match="no page of up to 8 rows") as caught:
        await session.events("idn_1", order=order).collect()
    assert not isinstance(caught.value, UnprovenTiesError)
    assert caught.value.report.delivered == 840
    assert not caught.value.report.complete


def seed_large(server, identity, rows):
    """A log of which never more than eight rows fit into an answer."""
    for n in range(rows):
        at = BEGIN + timedelta(seconds=n)
        server.add_event(identity, created_at=at, metadata={"text": "x" * 6_500})
