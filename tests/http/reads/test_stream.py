"""Streams and runs on a real server: order, limits, fresh passes, bounded memory."""

import asyncio
import gc
import math

import pytest
from support.samples import event_row, full_row, page_body
from support.scripted import simulated
from support.seeded import copies_of
from support.waiting import until

from canopy_async import (
    AuditEvent,
    CanopySession,
    Identity,
    PageReceived,
    Proof,
    RequestFinished,
    RetryPolicy,
    Stream,
    converter,
)
from canopy_async._read.readahead import READY_PER_REQUEST
from canopy_async.testing import Faults

ROWS = 777
AS_ESCAPE = "read a character that can't be one as the text of its escape"


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("stream") / "rows.db"
    return copies_of(path, lambda server: server.seed_events("idn_1", ROWS))


@pytest.fixture
def log(server):
    """The server, whose ``idn_1`` has many events."""
    return server


def ids(rows):
    return [row.id for row in rows]


# What comes out


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("take", [20, 33, 100])
async def test_events_come_in_list_order_whatever_order_pages_arrive_in(
    log, connect, order, take, lossless
):
    log.faults = Faults(jitter=0.01, straggler_rate=0.1, straggler_factor=3)
    stream = connect(concurrency=6).events(
        "idn_1", order=order, take=take, lossless=lossless
    )
    assert ids(await stream.collect()) == log.event_ids("idn_1", order=order)


@pytest.mark.parametrize("take", [1, 2, 3, 5, 7])
async def test_a_small_take_is_as_good_as_any(server, session, take):
    server.seed_events("other", 60, tie_probability=0)
    events = await session.events("other", order="asc", take=take).collect()
    assert ids(events) == server.event_ids("other")


async def test_events_are_what_the_server_holds_field_by_field(log, session):
    events = await session.events("idn_1", order="asc").collect()
    rows = log.events("idn_1")
    assert events == [converter.structure(row, AuditEvent) for row in rows]


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("rows", [0, 1, 2, 99, 100, 101, 200, 201])
async def test_a_log_of_any_length_comes_out_whole(server, session, rows, lossless):
    server.add_identity(id="other")
    server.seed_events("other", rows)
    events = await session.events("other", order="asc", lossless=lossless).collect()
    assert ids(events) == server.event_ids("other")


async def test_without_an_order_none_is_sent_and_the_servers_own_is_kept(log, session):
    events = await session.events("idn_1").collect()
    assert ids(events) == log.event_ids("idn_1", order="desc")
    assert not [request for request in log.requests if "order" in request.query]


async def test_the_query_is_sent_with_every_page(log, session):
    stream = session.events(
        "idn_1", q="login", sort_by="created_at", order="asc", take=20
    )
    events = await stream.collect()
    expected = [r["id"] for r in log.events("idn_1") if "login" in r["action"]]
    assert set(expected) <= set(ids(events))
    assert len(events) < ROWS
    queries = {
        (r.query["q"], r.query["sort_by"], r.query["order"]) for r in log.requests
    }
    assert queries == {("login", "created_at", "asc")}


async def test_identities_are_read_as_events_are(server, session):
    server.delete_identity("idn_1")
    expected = server.seed_identities(250)
    found = await session.identities(order="asc").collect()
    assert {type(identity) for identity in found} == {Identity}
    assert sorted(ids(found)) == sorted(expected)


async def test_inactive_identities_are_left_to_the_server(server, session):
    server.delete_identity("idn_1")
    server.seed_identities(120)
    active = await session.identities(status="active").collect()
    inactive = await session.identities(status="inactive").collect()
    assert {who.is_active for who in active} == {True}
    assert {who.is_active for who in inactive} == {False}
    assert len(active) + len(inactive) == 120


# Limits


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("limit", [0, 1, 19, 20, 21, 100, 101, 350, ROWS, ROWS + 9])
async def test_a_limit_is_the_number_of_events_in_all(log, session, limit, lossless):
    stream = session.events("idn_1", order="asc", limit=limit, lossless=lossless)
    expected = log.event_ids("idn_1")[:limit]
    assert ids(await stream.collect()) == expected
    assert [event.id async for event in stream] == expected


async def test_a_limit_of_twenty_is_one_request_of_twenty(log, session):
    for order in ("asc", "desc", None):
        log.reset_requests()
        assert len(await session.events("idn_1", order=order, limit=20).collect()) == 20
        assert [(r.page, r.take) for r in log.requests] == [(1, 20)]


async def test_a_limit_of_nothing_asks_nothing(log, session):
    stream = session.events("idn_1", limit=0)
    assert await stream.collect() == []
    assert await stream.first() is None
    assert await stream.count() == 0
    assert [page async for page in stream.pages()] == []
    assert not log.requests


async def test_no_page_is_asked_for_larger_than_take(log, session):
    await session.events("idn_1", take=33).collect()
    assert max(request.take for request in log.requests) <= 33
    assert min(request.take for request in log.requests) >= 1


# In one place, for it depends on how a log is cut into pages.
async def test_exact_requests_of_plain_pages(log, session):
    stream = session.events("idn_1", order="asc", lossless=False)
    await stream.collect()
    assert sorted((r.page, r.take) for r in log.requests) == [
        (page, 100) for page in range(1, 9)
    ]
    assert log.requests[0].page == 1
    log.reset_requests()
    sizes = [len(page.items) async for page in stream.pages()]
    assert sizes == [100] * 7 + [77]
    log.reset_requests()
    limited = session.events("idn_1", limit=250, lossless=False)
    await limited.collect()
    assert sorted((r.page, r.take) for r in log.requests) == [
        (1, 100),
        (2, 100),
        (3, 100),
    ]


# Ways to read


async def test_first_is_the_first_event_by_one_request_of_one_row(log, session):
    expected = log.event_ids("idn_1", order="desc")[0]
    assert (await session.events("idn_1", order="desc").first()).id == expected
    assert [(r.page, r.take) for r in log.requests] == [(1, 1)]


async def test_first_of_an_empty_log_is_none(server, session):
    server.add_identity(id="other")
    assert await session.events("other").first() is None


async def test_count_is_the_servers_count_by_one_request_and_at_most_the_limit(
    log, session
):
    assert await session.events("idn_1").count() == ROWS
    assert await session.events("idn_1", limit=30).count() == 30
    assert await session.events("idn_1", limit=10_000).count() == ROWS
    assert [(r.page, r.take) for r in log.requests] == [(1, 1)] * 3


@pytest.mark.parametrize("lossless", [True, False])
async def test_pages_hold_every_event_once_in_order(log, session, lossless):
    stream = session.events("idn_1", order="asc", take=50, lossless=lossless)
    pages = [page async for page in stream.pages()]
    assert [event.id for page in pages for event in page.items] == log.event_ids(
        "idn_1"
    )
    assert all(page.items for page in pages)
    assert {page.pagination.item_count for page in pages} == {ROWS}


async def test_each_iteration_is_a_pass_of_its_own(log, session):
    stream = session.events("idn_1", order="asc", limit=150)
    before = await stream.collect()
    log.delete_oldest("idn_1", 10)
    assert ids(await stream.collect()) == log.event_ids("idn_1")[:150]
    assert ids(before)[10:] == log.event_ids("idn_1")[:140]


async def test_one_stream_can_be_iterated_twice_at_once(log, session):
    stream = session.events("idn_1", order="asc")
    first, second = await asyncio.gather(stream.collect(), stream.collect())
    assert ids(first) == ids(second) == log.event_ids("idn_1")


async def test_a_stream_is_no_list_and_no_coroutine(log, session):
    stream = session.events("idn_1")
    assert isinstance(stream, Stream)
    with pytest.raises(TypeError, match="async for"):
        list(stream)
    with pytest.raises(TypeError, match="async for"):
        for _ in stream:
            pass
    with pytest.raises(TypeError, match="await"):
        await stream
    assert not log.requests


async def test_a_stream_can_not_be_changed(session):
    stream = session.events("idn_1")
    with pytest.raises(AttributeError):
        stream.limit = 5


# Runs


async def test_progress_counts_what_was_handed_out(log, session):
    async with session.events("idn_1", order="asc", take=100).open() as run:
        assert (run.progress.seen, run.progress.total) == (0, None)
        seen = 0
        async for _ in run:
            seen += 1
            assert run.progress.seen == seen
            assert run.progress.total == ROWS
        assert run.progress.seen == ROWS
        assert run.progress.requests == len(log.requests)


async def test_the_total_of_a_limited_run_is_the_limit(log, session):
    async with session.events("idn_1", limit=30).open() as run:
        await anext(run)
        assert run.progress.total == 30
    assert log.requests


async def test_a_proven_read_reports_that_it_is_complete(log, session):
    async with session.events("idn_1", order="asc").open() as run:
        events = [event async for event in run]
        report = run.report
    assert report.complete
    assert report.proof is not Proof.NONE
    assert report.expected == report.delivered == len(events) == ROWS
    assert report.requests == len(log.requests)
    assert (report.retries, report.late, report.purged) == (0, 0, 0)
    assert report.order_observed == "asc"


async def test_a_plain_read_proves_nothing_and_says_so(log, session):
    async with session.events("idn_1", lossless=False).open() as run:
        events = [event async for event in run]
        report = run.report
    assert not report.complete
    assert report.proof is Proof.NONE
    assert report.delivered == len(events) == log.count("idn_1")


async def test_a_read_that_is_left_is_not_complete(log, session):
    async with session.events("idn_1").open() as run:
        await anext(run)
        assert not run.report.complete
    assert not run.report.complete
    assert log.requests


async def test_retries_are_reported(log, connect, quick):
    log.fail_next(2, status=500)
    async with connect(retry=quick).events("idn_1").open() as run:
        _ = [event async for event in run]
        assert run.report.retries == 2
        assert run.report.requests == run.progress.requests == len(log.requests)


async def test_a_run_is_one_pass(log, session):
    async with session.events("idn_1").open() as run:
        first = [event async for event in run]
        again = [event async for event in run]
    assert len(first) == log.count("idn_1")
    assert again == []


async def test_a_run_is_read_row_by_row_and_batch_by_batch_in_turn(log, session):
    seen = []
    async with session.events("idn_1", order="asc").open() as run:
        while (event := await anext(run, None)) is not None:
            seen.append(event.id)
            seen += ids(await run.next_batch() or [])
            assert run.progress.seen == len(seen)
            assert run.checkpoint.position == len(seen)
    assert seen == log.event_ids("idn_1")


@pytest.mark.parametrize("rows", [0, 1, 42, 100])
async def test_a_run_that_was_closed_gives_no_more_and_loses_nothing(
    log, session, rows
):
    stream = session.events("idn_1", order="asc")
    run = stream.open()
    seen = [(await anext(run)).id for _ in range(rows)]
    await run.aclose()
    assert await run.next_batch() is None
    assert [event async for event in run] == []
    later = session.events("idn_1", order="asc", resume=run.checkpoint)
    assert seen + ids(await later.collect()) == log.event_ids("idn_1")


async def test_an_answer_is_taken_once_and_only_where_there_is_one(session):
    async with session.events("idn_1").reader() as reader:
        with pytest.raises(RuntimeError, match=r"await wait\(\)"):
            reader.decode()
        assert await reader.wait()
        assert len(reader.decode()) == 100
        with pytest.raises(RuntimeError, match=r"await wait\(\)"):
            reader.decode()
        assert await reader.wait()
    with pytest.raises(RuntimeError, match=r"await wait\(\)"):
        reader.decode()


async def test_a_run_read_by_two_tasks_at_once_says_so(log, session):
    log.faults = Faults(hang_rate=1)
    async with session.events("idn_1").open() as run:
        reading = asyncio.create_task(anext(run))
        await until(lambda: log.in_flight)
        with pytest.raises(RuntimeError, match="another task"):
            await anext(run)
        reading.cancel()
        await asyncio.wait([reading])


async def test_pages_are_told_to_hooks_as_they_are_taken(log, connect):
    seen = []
    canopy = connect(hooks=[seen.append])
    await canopy.events("idn_1", order="asc", take=50).collect()
    taken = [record for record in seen if isinstance(record, PageReceived)]
    assert sum(record.rows for record in taken) >= ROWS
    assert {record.item_count for record in taken} == {ROWS}
    finished = [record for record in seen if isinstance(record, RequestFinished)]
    assert len(finished) == len(log.requests)


# Room


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("concurrency", [1, 3])
async def test_pages_held_ready_for_a_slow_reader_are_bounded(
    server, connect, concurrency, lossless
):
    server.seed_events("other", 1_200)
    canopy = connect(concurrency=concurrency)
    stream = canopy.events("other", order="asc", take=20, lossless=lossless)
    async with stream.open() as run:
        for _ in range(30):
            await anext(run)
        for _ in range(50):  # whoever would ask for more has the time to
            await until(lambda: canopy.stats.in_flight == 0)
            await asyncio.sleep(0)
        asked = len(server.requests)
        assert ids([event async for event in run]) == server.event_ids("other")[30:]
    taken = 3
    assert asked <= taken + (READY_PER_REQUEST + 1) * concurrency
    assert asked < len(server.requests)


async def test_few_large_pages_are_under_way_at_once(log, connect, monkeypatch):
    monkeypatch.setattr("canopy_async._read.readahead.READY_BYTES", 60_000)
    canopy = connect(concurrency=20)
    log.faults = Faults(latency=0.005)
    stream = canopy.events("idn_1", order="asc", take=50)
    events = await stream.collect()
    assert ids(events) == log.event_ids("idn_1")
    assert 1 < log.peak_in_flight <= 3


@pytest.mark.parametrize("own", [1, 2, 5])
async def test_a_stream_keeps_to_a_concurrency_of_its_own(log, connect, own):
    log.faults = Faults(latency=0.005)
    canopy = connect(concurrency=5)
    await canopy.events("idn_1", take=20, concurrency=own).collect()
    assert log.peak_in_flight <= own
    assert own == 1 or log.peak_in_flight > 1


async def test_a_stream_never_goes_over_the_concurrency_of_its_session(log, connect):
    log.faults = Faults(latency=0.005)
    await connect(concurrency=2).events("idn_1", take=20, concurrency=50).collect()
    assert log.peak_in_flight == 2


# Faults on the way


async def test_a_read_through_many_faults_loses_nothing(log, connect):
    log.faults = Faults(
        error_rate=0.1,
        reset_rate=0.05,
        truncate_rate=0.05,
        html_rate=0.05,
        jitter=0.003,
    )
    policy = RetryPolicy(attempts=50, base=0.001, throttled_base=0.001)
    canopy = connect(retry=policy, concurrency=6)
    events = await canopy.events("idn_1", order="asc", take=20).collect()
    assert ids(events) == log.event_ids("idn_1")


async def test_a_throttled_read_loses_nothing(log, connect, quick):
    log.faults = Faults(rate_limit=200)
    canopy = connect(retry=quick, max_rate=150)
    events = await canopy.events("idn_1", order="asc", take=20).collect()
    assert ids(events) == log.event_ids("idn_1")
    assert not [request for request in log.requests if request.status == 429]


async def test_a_page_that_is_gone_is_drift_and_not_an_error(server, connect):
    server.seed_events("other", 300)
    server.faults = Faults(past_end="404")
    canopy = connect(concurrency=1)
    async with canopy.events("other", order="desc", lossless=False).open() as run:
        await anext(run)
        server.delete_oldest("other", 150)
        rest = [event async for event in run]
    assert len(rest) == 149


@pytest.mark.parametrize("lossless", [True, False])
async def test_what_was_read_with_care_is_told_in_the_report_with_its_page(lossless):
    rows = [full_row(n, created_at=f"2026-04-20T12:00:0{n}Z") for n in range(3)]
    rows[1] |= {"actor_label": "cut \ud83d", "later": math.nan}
    body = page_body(rows, item_count=3)
    with simulated(lambda _: body):
        async with CanopySession("acme", "t0ken") as canopy:
            stream = canopy.events("idn_1", order="asc", lossless=lossless)
            async with stream.open() as run:
                events = [event async for event in run]
    assert [event.id for event in events] == ["evt_0", "evt_1", "evt_2"]
    assert events[1].actor_label == r"cut \ud83d"
    assert run.report.complete is lossless
    assert run.report.warnings == (
        f"page 1: items[1].actor_label: {AS_ESCAPE}",
        "page 1: items[1].later: read nan where there is no number",
    )


async def test_the_report_tells_of_few_of_many_values_that_were_read_with_care():
    def script(call):
        row = event_row(call.page, created_at=f"2026-04-20T12:00:{call.page:02}Z")
        take = int(call.url.query["take"])
        row["metadata"] = {"x": math.nan}
        return page_body([row], page=call.page, take=take, item_count=40, page_count=40)

    with simulated(script):
        async with CanopySession("acme", "t0ken") as canopy:
            stream = canopy.events("idn_1", order="asc", lossless=False)
            async with stream.open() as run:
                assert len([event async for event in run]) == 40
    assert len(run.report.warnings) == 8


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("at", [0, 250, 499])
async def test_an_unknown_field_of_one_row_of_a_long_log_is_kept(lossless, at):
    rows = [
        full_row(n, created_at=f"2026-04-20T12:{n // 60:02}:{n % 60:02}Z")
        for n in range(500)
    ]
    rows[at]["later"] = {"by": "the API"}

    def script(call):
        take, page = int(call.url.query["take"]), call.page
        shown = rows[(page - 1) * take : page * take]
        count = -(-len(rows) // take)
        return page_body(
            shown,
            page=page,
            take=take,
            item_count=len(rows),
            page_count=count,
            has_previous_page=page > 1,
            has_next_page=page < count,
        )

    with simulated(script):
        async with CanopySession("acme", "t0ken") as canopy:
            events = await canopy.events(
                "idn_1", order="asc", lossless=lossless
            ).collect()
    extras = {n: event.extra for n, event in enumerate(events) if event.extra}
    assert extras == {at: {"later": {"by": "the API"}}}
    assert len(events) == 500


async def test_collecting_leaves_the_garbage_collector_alone(log, connect):
    assert log.event_ids("idn_1")
    seen = set()

    def watch(record):
        if isinstance(record, PageReceived):
            seen.add((gc.get_threshold(), gc.isenabled()))

    before = gc.get_threshold(), gc.isenabled()
    canopy = connect(hooks=[watch])
    await canopy.events("idn_1").collect()
    await canopy.fan_out(["idn_1"] * 20).collect()
    assert seen == {before}
