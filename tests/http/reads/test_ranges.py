"""Time ranges and resumed reads over HTTP."""

import contextlib
import itertools
from datetime import UTC, datetime, timedelta, timezone

import pytest
from support.seeded import copies_of

from canopy_async import (
    CanopyError,
    Checkpoint,
    CheckpointError,
    NotFoundError,
    Proof,
    UnorderedListError,
    UnprovenTiesError,
)
from canopy_async.testing import Faults

START = datetime(2026, 4, 20, tzinfo=UTC)
ROWS = 2500
SPACING = 30.0


def seed(server):
    server.seed_events(
        "idn_1", ROWS, start=START, spacing=SPACING, tie_probability=0.05
    )


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return copies_of(tmp_path_factory.mktemp("ranges") / "rows.db", seed)


@pytest.fixture
def log(server):
    """The server, whose ``idn_1`` has many events."""
    return server


def ids(rows):
    return [row.id for row in rows]


def instant_of(row):
    return datetime.fromisoformat(row["created_at"])


def between(log, since, until, order, *, identity="idn_1"):
    return within(log.events(identity, order=order), since, until)


def within(rows, since, until):
    return [
        row["id"]
        for row in rows
        if (since is None or instant_of(row) >= since)
        and (until is None or instant_of(row) < until)
    ]


# Ranges


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize(
    ("first", "last"),
    [(0, 1), (0, None), (None, 2499), (700, 701), (1200, 1900), (2490, None),
     (None, 3), (None, None)],
)  # fmt: skip
async def test_a_range_holds_since_and_not_until(log, connect, order, first, last):
    rows = log.events("idn_1", order=order)
    by_time = sorted(rows, key=instant_of)
    since = None if first is None else instant_of(by_time[first])
    until = None if last is None else instant_of(by_time[last])
    stream = connect().events("idn_1", order=order, since=since, until=until)
    async with stream.open() as run:
        read = [event.id async for event in run]
    assert read == within(rows, since, until)
    assert run.report.complete
    assert run.report.proof == Proof.STRICT_KEY
    assert await stream.count() == len(read)


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("days", [-30, 300])
@pytest.mark.usefixtures("log")
async def test_a_range_outside_the_log_is_empty(connect, order, days):
    since = START + timedelta(days=days)
    stream = connect().events(
        "idn_1", order=order, since=since, until=since + timedelta(days=1)
    )
    assert await stream.collect() == []


async def test_a_range_of_an_empty_log_is_empty(server, session):
    server.add_identity(id="idn_0")
    assert await session.events("idn_0", since=START).collect() == []


async def test_bounds_may_have_any_offset(log, session):
    zone = timezone(timedelta(hours=-7))
    since = START + timedelta(hours=3)
    events = await session.events(
        "idn_1", order="asc", since=since.astimezone(zone)
    ).collect()
    assert ids(events) == between(log, since, None, "asc")


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_range_costs_a_search_and_its_own_pages(log, connect, order):
    since = START + timedelta(seconds=SPACING * 1500)
    until = since + timedelta(seconds=SPACING * 150)
    await connect().events("idn_1", order=order, since=since, until=until).collect()
    assert len(log.requests) <= 20


async def test_the_latest_events_cost_one_request(log, session):
    newest = instant_of(log.events("idn_1", order="desc")[0])
    since = newest - timedelta(minutes=10)
    events = await session.events("idn_1", order="desc", since=since).collect()
    assert ids(events) == between(log, since, None, "desc")
    assert len(log.requests) == 1


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_range_may_begin_inside_a_long_run_of_ties(server, connect, order):
    server.seed_events("tied", 300, start=START, spacing=1.0, tie_probability=0)
    tied = START + timedelta(days=1)
    server.add_events("tied", [{"created_at": tied} for _ in range(90)])
    for _ in range(300):
        server.add_event("tied")
    events = (
        await connect()
        .events("tied", order=order, since=tied, until=tied + timedelta(milliseconds=1))
        .collect()
    )
    assert len(events) == 90
    rest = await connect().events("tied", order=order, until=tied).collect()
    assert ids(rest) == between(server, None, tied, order, identity="tied")


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_range_is_read_while_the_log_moves(log, connect, order):
    log.faults = Faults(insert_per_request=3, delete_per_request=2, jitter=0.005)
    before = log.events("idn_1", order=order)
    since = START + timedelta(seconds=SPACING * 900)
    until = since + timedelta(seconds=SPACING * 900)
    events = (
        await connect(concurrency=6)
        .events("idn_1", order=order, since=since, until=until)
        .collect()
    )
    left = set(log.event_ids("idn_1"))
    owed = {
        row["id"]
        for row in before
        if since <= instant_of(row) < until and row["id"] in left
    }
    assert owed <= set(ids(events))
    assert len(set(ids(events))) == len(events)
    assert all(since <= event.created_at < until for event in events)


async def test_limit_counts_from_the_start_of_the_range(log, session):
    since = START + timedelta(seconds=SPACING * 1000)
    events = await session.events("idn_1", order="asc", since=since, limit=7).collect()
    assert ids(events) == between(log, since, None, "asc")[:7]


@pytest.mark.parametrize("order", [None, "asc", "desc"])
@pytest.mark.parametrize("faults", [Faults(), Faults(ignore_order=True)])
@pytest.mark.parametrize("limit", [1, 2, 30])
async def test_the_rows_tell_the_order_however_few_are_wanted(
    log, connect, order, faults, limit
):
    log.faults = faults
    since = START + timedelta(seconds=SPACING * 1000)
    until = since + timedelta(seconds=SPACING * 100)
    obeyed = order == "asc" and not faults.ignore_order
    stream = connect().events(
        "idn_1", order=order, since=since, until=until, limit=limit
    )
    async with stream.open() as run:
        read = [event.id async for event in run]
    truth = between(log, since, until, "asc" if obeyed else "desc")
    assert read == truth[:limit]
    assert (await stream.first()).id == truth[0]


@pytest.mark.parametrize("order", [None, "asc", "desc"])
@pytest.mark.parametrize("side", ["oldest", "newest"])
@pytest.mark.parametrize(
    "faults", [Faults(), Faults(ignore_order=True), Faults(take_ignored=50)]
)
async def test_a_first_page_of_one_instant_leaves_the_order_open(
    server, connect, order, side, faults
):
    tied = [{"created_at": START}] * 130
    spread = [{"created_at": START + timedelta(seconds=n)} for n in range(1, 300)]
    if side == "newest":
        tied = [{"created_at": START + timedelta(seconds=400)}] * 130
    server.add_events("tied", [*tied, *spread])
    server.faults = faults
    obeyed = order == "asc" and not faults.ignore_order
    for bounds in (
        {"since": START + timedelta(seconds=200)},
        {"until": START + timedelta(seconds=200)},
        {"since": START + timedelta(seconds=100), "until": START + timedelta(200)},
    ):
        stream = connect().events("tied", order=order, **bounds)
        rows = server.events("tied", order="asc" if obeyed else "desc")
        truth = within(rows, bounds.get("since"), bounds.get("until"))
        async with stream.open() as run:
            read = [event.id async for event in run]
        assert run.report.complete
        assert sorted(read) == sorted(truth)
        assert (await stream.first()).id == read[0]


async def test_a_log_of_one_instant_has_any_order(server, connect):
    server.add_events("tied", [{"created_at": START}] * 250)
    late = START + timedelta(seconds=1)
    for order in (None, "asc", "desc"):
        read = connect().events("tied", order=order, since=START, until=late)
        assert len(await read.collect()) == 250
        assert await connect().events("tied", order=order, until=START).first() is None
        assert await connect().events("tied", order=order, since=late).first() is None


@pytest.mark.parametrize("order", [None, "asc", "desc"])
async def test_a_log_can_be_read_event_by_event(server, connect, order):
    """Each read resumes the last one, and newer events come all the while."""
    server.seed_events("idn_9", 20, start=START, spacing=SPACING, tie_probability=0.3)
    owed = server.event_ids("idn_9")
    session, read, place = connect(), [], None
    while len(read) < len(owed):
        stream = session.events("idn_9", order=order, limit=1, resume=place)
        async with stream.open() as run:
            read += [event.id async for event in run]
        place = run.checkpoint.dumps()
        server.add_event("idn_9")
    assert sorted(read[: len(owed)]) == sorted(owed)
    rest = await session.events("idn_9", order=order, resume=place).collect()
    assert len(rest) == (20 if order == "asc" else 0)


async def test_a_place_before_the_first_event_is_the_start(server, connect):
    server.add_identity(id="idn_9")
    session = connect()
    async with session.events("idn_9").open() as run:
        assert [event async for event in run] == []
    server.seed_events("idn_9", 150)
    stream = session.events("idn_9", resume=run.checkpoint)
    assert len(await stream.collect()) == 150


@pytest.mark.parametrize("take", [20, 50])
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_take_is_a_maximum_whatever_is_read(log, connect, take, order):
    """A server may refuse more than it allows."""
    stream = connect().events("idn_1", order=order, take=take)
    since = START + timedelta(seconds=SPACING * 500)
    until = since + timedelta(seconds=SPACING * 500)
    async with stream.open() as run:
        for _ in range(700):
            await anext(run)
    for options in (
        {"since": since},
        {"since": since, "until": until},
        {"resume": run.checkpoint},
    ):
        limited = connect().events("idn_1", order=order, take=take, **options)
        assert await limited.collect()
    log.add_events("idn_1", [{"created_at": START}] * 90)
    await stream.collect()
    assert max(request.take for request in log.requests) == take


@pytest.mark.parametrize("faults", [Faults(unsorted=True), Faults(ignore_sort_by=True)])
async def test_a_list_in_another_order_has_no_ranges(log, session, faults):
    log.faults = faults
    with pytest.raises(UnorderedListError):
        await session.events("idn_1", sort_by="action", since=START).collect()
    if faults.unsorted:
        with pytest.raises(UnorderedListError):
            await session.events("idn_1", since=START).collect()


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_server_of_one_page_size_is_read_from_its_head(log, connect, order):
    log.faults = Faults(take_ignored=50)
    since = START + timedelta(seconds=SPACING * 1000)
    until = since + timedelta(hours=1)
    async with (
        connect().events("idn_1", order=order, since=since, until=until).open() as run
    ):
        read = [event.id async for event in run]
    assert read == between(log, since, until, order)
    assert run.report.proof == Proof.FENCE


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"since": datetime(2026, 4, 20)}, ValueError, "since"),
        ({"until": "2026-04-20"}, TypeError, "until"),
        ({"since": START, "until": START}, ValueError, "since must be before until"),
        ({"since": START, "lossless": False}, ValueError, "lossless"),
        ({"resume": 5}, TypeError, "resume must be"),
        ({"resume": "{}"}, CheckpointError, "not a checkpoint"),
    ],
)
async def test_bad_bounds_are_refused_at_the_call(
    server, session, options, error, message
):
    with pytest.raises(error, match=message):
        session.events("idn_1", **options)
    assert server.requests == []


# Resumed reads


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("cut", [0, 1, 99, 100, 101, 1234, 2499, 2500])
async def test_a_read_goes_on_right_after_the_last_event(log, connect, order, cut):
    session = connect()
    async with session.events("idn_1", order=order).open() as run:
        first = [event.id async for _, event in _first(run, cut)]
    assert run.checkpoint.delivered == len(first) == cut
    text = run.checkpoint.dumps()
    rest = await session.events("idn_1", order=order, resume=text).collect()
    assert first + ids(rest) == log.event_ids("idn_1", order=order)


async def test_every_position_can_be_resumed_from(server, connect):
    server.seed_events("short", 120, start=START, spacing=1.0, tie_probability=0.6)
    session = connect()
    everything = server.event_ids("short", order="asc")
    checkpoints = []
    async with session.events("short", order="asc", take=50).open() as run:
        checkpoints.append(run.checkpoint)
        checkpoints.extend([run.checkpoint async for _ in run])
    for position, checkpoint in enumerate(checkpoints):
        stream = session.events("short", order="asc", take=50, resume=checkpoint)
        assert ids(await stream.collect()) == everything[position:]


@pytest.mark.parametrize("first", [160, 161, 200, 239, 240, 400])
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_read_goes_on_among_runs_that_no_page_can_bridge(
    server, connect, order, first
):
    """Each run fits into a page, but pages do not begin where that would help."""
    for _ in range(8):
        server.seed_events("runs", 1)
        server.seed_events("runs", 79, tie_probability=1.0)
    session = connect(concurrency=4)
    everything = server.event_ids("runs", order=order)
    async with session.events("runs", order=order, limit=first).open() as run:
        assert [event.id async for event in run] == everything[:first]
    assert run.checkpoint.key is not None
    async with session.events("runs", order=order, resume=run.checkpoint).open() as run:
        assert [event.id async for event in run] == everything[first:]
    assert run.report.complete


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_the_log_may_move_between_two_halves(log, connect, order):
    session = connect()
    before = set(log.event_ids("idn_1"))
    async with session.events("idn_1", order=order).open() as run:
        first = [event.id async for _, event in _first(run, 1100)]
    checkpoint = run.checkpoint
    log.delete_oldest("idn_1", 40)
    for _ in range(250):
        log.add_event("idn_1")
    log.delete_event("idn_1", first[-1])
    stream = session.events("idn_1", order=order, resume=checkpoint)
    second = ids(await stream.collect())
    owed = before & set(log.event_ids("idn_1"))
    assert owed <= set(first + second)
    assert not set(first) & set(second)


async def test_an_error_says_where_to_go_on(log, connect, quick):
    log.faults = Faults(
        error_rate=1.0, only=lambda request: request.page > 9, error_statuses=(500,)
    )
    read = []

    async def read_all():
        async with connect(retry=quick).events("idn_1", order="asc").open() as run:
            while batch := await run.next_batch():
                read.extend(ids(batch))

    with pytest.raises(CanopyError) as caught:
        await read_all()
    assert caught.value.checkpoint.delivered == len(read) > 0
    log.faults = Faults()
    resumed = connect().events("idn_1", order="asc", resume=caught.value.checkpoint)
    assert read + ids(await resumed.collect()) == log.event_ids("idn_1")


async def test_a_first_request_that_fails_can_be_resumed_too(log, connect, quick):
    log.delete_identity("idn_1")
    with pytest.raises(NotFoundError) as caught:
        await connect(retry=quick).events("idn_1").collect()
    assert caught.value.checkpoint.delivered == 0


@pytest.mark.usefixtures("log")
async def test_a_checkpoint_fits_no_other_read(connect):
    session = connect()
    async with session.events("idn_1", order="asc").open() as run:
        await anext(run)
    text = run.checkpoint.dumps()
    others = (
        ("idn_2", {"order": "asc"}),
        ("idn_1", {"order": "desc"}),
        ("idn_1", {"order": "asc", "q": "login"}),
        ("idn_1", {"order": "asc", "since": START}),
    )
    for identity, options in others:
        with pytest.raises(CheckpointError, match="another read"):
            session.events(identity, resume=text, **options)
    session.events("idn_1", order="asc", take=10, limit=3, resume=text)


async def test_a_checkpoint_holds_no_token(log, connect):
    session = connect()
    async with session.events("idn_1").open() as run:
        await anext(run)
    assert log.token not in run.checkpoint.dumps()
    assert log.token not in repr(run.checkpoint)


async def test_a_list_that_turned_round_refuses_the_checkpoint(log, connect):
    session = connect()
    async with session.events("idn_1").open() as run:
        for _ in range(150):
            await anext(run)
    log.faults = Faults(default_order="asc")
    with pytest.raises(CheckpointError, match="order"):
        await session.events("idn_1", resume=run.checkpoint).collect()


@pytest.mark.usefixtures("log")
async def test_what_was_read_unproven_stays_unproven(connect):
    session = connect()
    async with session.events("idn_1", order="asc", lossless=False).open() as run:
        for _ in range(150):
            await anext(run)
    resumed = session.events("idn_1", order="asc", resume=run.checkpoint).open()
    async with resumed as rest:
        assert len([event async for event in rest]) == ROWS - 150
    assert not rest.report.complete
    assert rest.report.proof == Proof.NONE


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_ties_that_two_passes_shared_are_read_and_not_proven(
    server, connect, order
):
    instant = {"created_at": START.isoformat()}
    server.add_events("idn_9", [instant] * 250)
    session = connect()
    async with contextlib.aclosing(session.events("idn_9", order=order).open()) as run:
        read = [event.id async for _, event in _first(run, 180)]
        place = run.checkpoint.dumps()
    with pytest.raises(UnprovenTiesError, match="one pass") as caught:
        await session.events("idn_9", order=order, resume=place).collect()
    assert caught.value.checkpoint.delivered >= len(read) == 180


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_reads_cut_again_and_again_add_up(log, connect, order):
    log.faults = Faults(insert_per_request=1, delete_per_request=1, jitter=0.002)
    session = connect(concurrency=4)
    before = set(log.event_ids("idn_1"))
    read, checkpoint = [], None
    for size in itertools.cycle((130, 377, 51)):
        stream = session.events("idn_1", order=order, resume=checkpoint)
        async with contextlib.aclosing(stream.open()) as run:
            batch = [event.id async for _, event in _first(run, size)]
            read += batch
            checkpoint = run.checkpoint.dumps()
        if len(batch) < size or len(read) > 3 * ROWS:
            break
    assert before & set(log.event_ids("idn_1")) <= set(read)
    assert len(read) == len(set(read))
    assert Checkpoint.loads(checkpoint).delivered == len(read)


async def _first(run, size):
    for number in range(size):
        try:
            yield number, await anext(run)
        except StopAsyncIteration:
            return
