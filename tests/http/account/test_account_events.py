"""The log of a whole account, over real HTTP."""

import asyncio
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from canopy_async import (
    AccountReport,
    AccountStream,
    BadRequestError,
    BrokenCursorError,
    CanopySession,
    Category,
    CheckpointError,
    ForbiddenError,
    FutureRangeError,
    InconsistentLogError,
    NotFoundError,
    PageReceived,
    Proof,
    ProtocolError,
    SessionClosedError,
    Severity,
    Stream,
    UnorderedListError,
    UnprovenTiesError,
)
from canopy_async.testing import Faults, LocalCanopy, LogRules

START = datetime(2026, 3, 1, tzinfo=UTC)
LOG = "/portal/v1/accounts/acme/audit-log/identities"
QUIET = LogRules(own_rows="none")


@pytest.fixture
async def server():
    """A server whose clock is that of this machine, more or less."""
    async with LocalCanopy() as local:
        yield local


@pytest.fixture
def filled(server):
    """A server with the events of five identities."""
    server.log_rules = QUIET
    fill(server)
    return server


def fill(server, each=300, **options):
    for number in range(5):
        start = START + timedelta(seconds=number)
        server.seed_events(f"idn_{number}", each, start=start, **options)


def ids_of(events):
    return [event.id for event in events]


def expected(server, **fields):
    return [
        row["id"]
        for row in server.account_events()
        if all(row.get(name) == value for name, value in fields.items())
    ]


async def test_all_events_of_the_account_come_newest_first(filled, session):
    async with session.account_events().open() as run:
        events = [event async for event in run]
        report = run.report
    assert ids_of(events) == expected(filled)
    assert isinstance(report, AccountReport)
    assert report.complete
    assert report.proof is Proof.CURSOR
    assert report.delivered == 1500
    assert report.expected is None
    assert report.slices > 1
    assert report.seams > 5
    assert report.requests == len(filled.requests)


async def test_each_request_says_from_when_up_to_when_and_how_many(filled, session):
    await session.account_events(outcome="denied", q="role").collect()
    for request in filled.requests:
        assert request.path == LOG
        assert {"from", "to", "limit"} <= request.query.keys()
        assert request.query["limit"] == "200"
        assert (request.query["outcome"], request.query["q"]) == ("denied", "role")
        assert "cursor" not in request.query


async def test_the_newest_twenty_that_were_denied_are_one_request(filled, session):
    denied = await session.account_events(outcome="denied", limit=20).collect()
    assert ids_of(denied) == expected(filled, outcome="denied")[:20]
    (request,) = filled.requests
    assert request.query["limit"] == "20"


async def test_the_first_event_is_one_request(filled, session):
    first = await session.account_events().first()
    assert first.id == expected(filled)[0]
    assert len(filled.requests) == 1


@pytest.mark.parametrize("limit", [0, 1, 199, 200, 201, 700])
async def test_a_limit_is_kept(filled, session, limit):
    events = await session.account_events(limit=limit).collect()
    assert ids_of(events) == expected(filled)[:limit]


async def test_a_read_with_a_limit_asks_for_no_more_than_it_needs(filled, session):
    await session.account_events(limit=600).collect()
    assert len(filled.requests) <= 5


FILTERS = [
    {"category": "rbac"},
    {"category": Category.MFA},
    {"severity": Severity.CRITICAL},
    {"outcome": "failure"},
    {"actor_type": "api_key"},
    {"resource_type": "role"},
    {"outcome": "denied", "severity": "warning"},
    {"action": "role.created"},
]


@pytest.mark.parametrize("filters", FILTERS, ids=str)
async def test_a_filter_is_for_the_server_to_keep(filled, session, filters):
    events = await session.account_events(**filters).collect()
    assert ids_of(events) == expected(filled, **filters)
    assert events


async def test_several_actions_are_sent_each(filled, session):
    actions = ["role.created", "api_key.created"]
    events = await session.account_events(action=actions).collect()
    wanted = [e["id"] for e in filled.account_events() if e["action"] in actions]
    assert ids_of(events) == wanted
    assert {event.action for event in events} == set(actions)


async def test_ids_of_actors_and_resources_are_filters(filled, session):
    row = next(row for row in filled.account_events() if row.get("actor_id"))
    for name in ("actor_id", "correlation_id", "application_id", "environment_id"):
        if row.get(name) is None:
            continue
        events = await session.account_events(**{name: row[name]}).collect()
        assert ids_of(events) == expected(filled, **{name: row[name]})
        assert row["id"] in ids_of(events)


async def test_bounds_in_time_are_kept(filled, session):
    since, until = START + timedelta(hours=1), START + timedelta(hours=2)
    events = await session.account_events(since=since, until=until).collect()
    wanted = [
        row["id"]
        for row in filled.account_events()
        if since <= datetime.fromisoformat(row["created_at"]) < until
    ]
    assert ids_of(events) == wanted
    assert len(filled.requests) <= -(-len(wanted) // 199) + 1


async def test_a_clock_that_is_years_behind_loses_nothing():
    def years_from_now():
        return datetime.now(UTC) + timedelta(days=2000)

    async with LocalCanopy(clock=years_from_now, log_rules=QUIET) as server:
        fill(server)
        server.add_event("idn_1", action="role.created")  # by the server's clock
        async with CanopySession(
            "acme", server.token, base_url=server.base_url
        ) as session:
            async with session.account_events().open() as run:
                events = [event async for event in run]
            assert ids_of(events) == expected(server)
            assert run.report.requests == len(server.requests)
            assert run.report.until > years_from_now()


def fill_with_a_crowd(server):
    """Add events, more of which share a millisecond than fit into a page."""
    fill(server, tie_probability=0.4)
    at = START + timedelta(hours=1)
    for number in range(450):
        moment = at + timedelta(microseconds=number % 3 if number < 20 else 0)
        server.add_event("idn_1", created_at=moment, action=f"crowd.{number}")


RULES = {
    "oldest first": LogRules(order="asc"),
    "a limit that is cut": LogRules(most=50, over_most="cut"),
    "a limit that is refused": LogRules(most=50),
    "an end without null": LogRules(end="echo"),
    "empty pages": LogRules(empty_rate=0.2),
    "cursors in milliseconds": LogRules(cursor_milliseconds=True),
    "bounds in milliseconds": LogRules(bounds_milliseconds=True),
    "a window that moves": LogRules(default_window="moving"),
    "31 days at most": LogRules(widest_days=31),
    "its own rows": LogRules(own_rows="shown"),
    "its own rows, oldest first": LogRules(own_rows="shown", order="asc"),
    "hidden rows": LogRules(own_rows="hidden"),
}


@pytest.mark.parametrize("name", RULES)
async def test_what_nobody_knows_of_the_server_is_survived(server, connect, name):
    rules = RULES[name]
    own_rows = rules.own_rows if "rows" in name else "none"
    server.log_rules = attrs.evolve(rules, own_rows=own_rows)
    fill_with_a_crowd(server)
    owed = expected(server)
    since = None if rules.widest_days is None else START - timedelta(days=90)
    async with connect(concurrency=4).account_events(since=since).open() as run:
        events = ids_of([event async for event in run])
    assert len(events) == len(set(events))
    assert set(owed) <= set(events)
    assert run.report.complete


@pytest.mark.parametrize("status", [400, 404, 410, 422])
async def test_a_cursor_that_dies_three_times_is_survived(server, connect, status):
    """How long it lives is counted in its own uses, whatever else is asked for."""
    server.log_rules = QUIET
    fill_with_a_crowd(server)
    server.fail_next(3, status=status, only=lambda request: "cursor" in request.query)
    async with connect(concurrency=4).account_events().open() as run:
        events = ids_of([event async for event in run])
    assert len(events) == len(set(events))
    assert set(events) == set(expected(server))
    assert run.report.complete
    assert 1 <= run.report.repairs <= 3
    assert [r.status for r in server.requests].count(status) == 3


async def test_a_crowd_that_its_cursor_passes_by_is_said_to_be_unproven(
    server, session
):
    server.log_rules = LogRules(
        cursor_milliseconds=True, bounds_milliseconds=True, own_rows="none"
    )
    at = START + timedelta(microseconds=456)
    server.add_events("idn_1", [{"created_at": at}] * 700)
    server.add_event("idn_1", created_at=START - timedelta(hours=1))
    with pytest.raises(UnprovenTiesError, match="passes rows by") as raised:
        await session.account_events().collect()
    assert isinstance(raised.value.report, AccountReport)
    assert raised.value.checkpoint is not None


async def test_rows_out_of_order_end_a_read_with_what_is_known(filled, session):
    def shuffle(page):
        page["items"] = page["items"][100:] + page["items"][:100]
        return page

    filled.faults = Faults(tamper=shuffle)
    with pytest.raises(UnorderedListError) as raised:
        await session.account_events().collect()
    assert raised.value.report.delivered == 0
    assert raised.value.checkpoint.key is None


async def test_rows_of_another_time_end_a_read(filled, session):
    def old(page):
        page["items"][-1]["created_at"] = "1999-01-01T00:00:00.000Z"
        return page

    filled.faults = Faults(tamper=old)
    with pytest.raises(InconsistentLogError, match="outside of that time"):
        await session.account_events().collect()


async def test_a_cursor_that_is_sent_again_ends_a_read(filled, session):
    def again(page):
        page["pagination"]["next_cursor"] = "again"
        page["items"] = []
        return page

    filled.log_rules = attrs.evolve(QUIET, dead_cursor=410)
    filled.faults = Faults(tamper=again)
    with pytest.raises(BrokenCursorError):
        await session.account_events().collect()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda page: {"items": page["items"]}, "pagination"),
        (lambda page: page | {"pagination": None}, "pagination"),
        (lambda page: page | {"pagination": {}}, "pagination.next_cursor"),
        (lambda page: page | {"pagination": {"next_cursor": 7}}, "next_cursor"),
        (lambda page: page | {"items": {}}, "items"),
        (lambda page: {"pagination": page["pagination"]}, "items"),
        (lambda page: page | {"items": [{"id": "evt"}]}, "items[0]"),
        (lambda page: [page], "expected an object"),
    ],
)
async def test_an_answer_that_breaks_the_contract_names_the_field(
    filled, session, change, field
):
    filled.faults = Faults(tamper=change)
    with pytest.raises(ProtocolError) as raised:
        await session.account_events().collect()
    assert field in str(raised.value)
    assert LOG in str(raised.value)


async def test_fields_and_values_that_are_new_are_kept(filled, session):
    filled.add_event("idn_1", severity="apocalyptic", shoe_size=44)
    event = await session.account_events().first()
    assert event.severity == "apocalyptic"
    assert event.extra == {"shoe_size": 44}


async def test_instants_that_are_finer_than_a_microsecond_are_cut_and_not_rounded(
    server, session
):
    server.log_rules = QUIET
    for number in range(700):
        at = START + timedelta(milliseconds=number // 3)
        text = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}9999997Z"
        server.add_event("idn_1", created_at=text)
    events = await session.account_events().collect()
    assert len(events) == len(set(ids_of(events))) == 700
    assert events[0].created_at == START + timedelta(microseconds=233_999)


@pytest.mark.parametrize("status", [403, 404])
async def test_an_account_without_this_log_is_told_what_to_read(
    filled, connect, status
):
    filled.log_rules = LogRules(available=False)
    token = filled.issue_token("identity") if status == 403 else None
    error = ForbiddenError if status == 403 else NotFoundError
    session = connect(token)
    for ask in (session.account_events().collect, lambda: session.event("evt_1")):
        with pytest.raises(error, match=r"events\(\) or fan_out\(\)"):
            await ask()


async def test_a_category_that_the_server_does_not_know_may_be_asked_for(
    filled, session
):
    with pytest.raises(BadRequestError, match="category"):
        await session.account_events(category="weather").collect()
    filled.log_rules = attrs.evolve(QUIET, unknown_values="nothing")
    assert await session.account_events(category="weather").collect() == []


NAIVE = datetime(2026, 1, 1)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"since": NAIVE}, ValueError, "since must have a UTC offset"),
        ({"until": NAIVE}, ValueError, "until must have a UTC offset"),
        ({"since": "2026-01-01"}, TypeError, "since must be a datetime"),
        ({"since": START, "until": START}, ValueError, "since must be before until"),
        ({"action": ""}, ValueError, "action must not be empty"),
        ({"action": ["a", ""]}, ValueError, "action must not be empty"),
        ({"action": "a,b"}, ValueError, "action must not hold a comma"),
        ({"action": 7}, TypeError, "action must be a str or several"),
        ({"action": [7]}, TypeError, "action must be a str"),
        ({"category": ""}, ValueError, "category must not be empty"),
        ({"severity": 3}, TypeError, "severity must be a str"),
        ({"actor_id": ""}, ValueError, "actor_id must not be empty"),
        ({"q": "\ud800"}, ValueError, "q must be valid Unicode"),
        ({"limit": -1}, ValueError, "limit must be 0 or more"),
        ({"limit": True}, TypeError, "limit must be an int"),
        ({"concurrency": 0}, ValueError, "concurrency must be 1 or more"),
        ({"resume": 7}, TypeError, "resume must be a Checkpoint"),
        ({"resume": "{}"}, CheckpointError, "not a checkpoint"),
    ],
    ids=str,
)
async def test_what_can_not_be_asked_for_is_refused_at_the_call(
    server, session, options, error, said
):
    with pytest.raises(error, match=said):
        session.account_events(**options)
    assert server.requests == []


async def test_a_range_that_is_not_over_is_refused(session):
    until = datetime.now(UTC) + timedelta(days=4000)
    with pytest.raises(FutureRangeError):
        await session.account_events(until=until).collect()


async def test_a_checkpoint_goes_on_after_the_last_event(filled, session):
    handed = []
    async with session.account_events().open() as run:
        async for event in run:
            handed.append(event.id)
            if len(handed) == 333:
                break
        text = run.checkpoint.dumps()
    handed += ids_of(await session.account_events(resume=text).collect())
    assert handed == expected(filled)


async def test_a_checkpoint_of_other_filters_is_refused(filled, session):
    async with session.account_events(outcome="denied").open() as run:
        await anext(run)
        checkpoint = run.checkpoint
    with pytest.raises(CheckpointError, match="another read"):
        session.account_events(resume=checkpoint)
    stream = session.events("idn_1")
    async with stream.open() as run:
        await anext(run)
        of_identity = run.checkpoint
    with pytest.raises(CheckpointError, match="another read"):
        session.account_events(resume=of_identity)
    again = session.account_events(outcome="denied", resume=checkpoint)
    assert ids_of(await again.collect()) == expected(filled, outcome="denied")[1:]


async def test_the_order_of_actions_makes_no_other_read(session):
    async with session.account_events(action=["a", "b"]).open() as run:
        await run.next_batch()
        checkpoint = run.checkpoint
    session.account_events(action=["b", "a"], resume=checkpoint)


async def test_the_stream_is_a_stream_in_all_but_pages(filled, session):
    stream = session.account_events(severity="critical")
    assert isinstance(stream, AccountStream)
    assert isinstance(stream, Stream)
    assert "acme" in repr(stream)
    assert await stream.count() == len(expected(filled, severity="critical"))
    with pytest.raises(TypeError, match="no numbered pages"):
        stream.pages()
    with pytest.raises(TypeError, match="async for"):
        list(stream)
    async with stream.open() as run:
        await anext(run)
        assert run.progress.seen == 1
        assert run.progress.total is None
        with pytest.raises(RuntimeError, match="no numbered page"):
            _ = run.pagination


async def test_leaving_the_read_leaves_no_request_behind(filled, connect):
    filled.faults = Faults(latency=0.02)
    before = len(asyncio.all_tasks())
    async for _ in connect(concurrency=8).account_events():
        break
    async with connect(concurrency=8).account_events().open() as run:
        for _ in range(300):
            await anext(run)
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == before


async def test_closing_the_session_ends_the_read(filled, connect):
    filled.faults = Faults(latency=0.02)
    session = connect()
    run = session.account_events().open()
    await anext(run)
    await session.aclose()
    with pytest.raises(SessionClosedError):
        async for _ in run:
            pass
    with pytest.raises(SessionClosedError):
        session.account_events()


async def test_failed_requests_are_sent_again(filled, connect, quick):
    filled.faults = Faults(error_rate=0.2, truncate_rate=0.1)
    session = connect(retry=attrs.evolve(quick, attempts=12))
    events = await session.account_events().collect()
    assert ids_of(events) == expected(filled)


async def test_slices_are_read_side_by_side_and_in_order(filled, connect):
    fill(filled, each=800)
    filled.faults = Faults(latency=0.01, jitter=0.02)
    events = await connect(concurrency=8).account_events().collect()
    assert ids_of(events) == expected(filled)
    assert filled.peak_in_flight > 3


async def test_no_more_slices_are_read_at_a_time_than_was_said(filled, connect):
    filled.faults = Faults(latency=0.005)
    await connect(concurrency=8).account_events(concurrency=2).collect()
    assert filled.peak_in_flight <= 2


async def test_hooks_are_told_of_pages_that_nobody_counts(filled, connect):
    assert filled.requests == []
    told = []
    await connect(hooks=[told.append]).account_events(limit=20).collect()
    (page,) = [record for record in told if isinstance(record, PageReceived)]
    assert page.path == "/portal/v1/accounts/{account}/audit-log/identities"
    assert (page.rows, page.item_count) == (20, None)


async def test_an_event_comes_with_those_it_belongs_to(filled, session):
    at = START + timedelta(days=3)
    common = {"correlation_id": "c-1", "actor_id": "usr_7"}
    for number in range(60):
        moment = at + timedelta(seconds=number)
        filled.add_event("idn_2", id=f"evt_{number}", created_at=moment, **common)
    for detail in ("wrapped", "bare"):
        filled.log_rules = attrs.evolve(QUIET, detail=detail)
        found = await session.event("evt_7")
        assert found.event.id == "evt_7"
        assert ids_of(found.related_by_correlation)[:3] == ["evt_0", "evt_1", "evt_2"]
        assert len(found.related_by_correlation) == 50
        assert ids_of(found.related_by_actor)[0] == "evt_59"
        assert len(found.related_by_actor) == 10
    assert filled.requests[-1].path == f"{LOG}/evt_7"
    assert filled.requests[-1].event == "evt_7"


async def test_an_event_may_have_no_relations_and_new_fields(filled, session):
    filled.add_event("idn_1", id="evt_a", correlation_id=None, actor_id=None, size=3)
    found = await session.event("evt_a")
    assert found.related_by_correlation == found.related_by_actor == ()
    assert found.event.extra == {"size": 3}


async def test_an_event_that_is_not_there_is_a_404(session):
    with pytest.raises(NotFoundError, match="Audit event not found"):
        await session.event("evt_nowhere")


@pytest.mark.parametrize(
    ("event_id", "error"), [("", ValueError), ("..", ValueError), (7, TypeError)]
)
async def test_what_can_not_be_an_id_of_an_event_is_refused(session, event_id, error):
    with pytest.raises(error, match="event_id"):
        await session.event(event_id)


async def test_an_event_that_breaks_the_contract_names_the_field(server, session):
    server.faults = Faults(body=b'{"data": {"id": "evt_1"}}')
    server.add_event("idn_1", id="evt_1")
    with pytest.raises(ProtocolError, match=r"data\.") as raised:
        await session.event("evt_1")
    assert "evt_1" in raised.value.url
    server.faults = Faults(body=b'{"data": {"related_by_actor": 3}}')
    with pytest.raises(ProtocolError, match="related_by_actor"):
        await session.event("evt_1")


async def test_a_chain_is_all_that_a_request_did(filled, session):
    at = START + timedelta(days=3)
    moments = [at + timedelta(seconds=number) for number in range(260)]
    for number, moment in enumerate(moments):
        fields = {"id": f"evt_{number}", "created_at": moment}
        filled.add_event(f"idn_{number % 5}", correlation_id="c-1", **fields)
    far = at + timedelta(days=2)
    filled.add_event("idn_1", id="far", correlation_id="c-1", created_at=far)
    chain = await session.chain("c-1", around=at).collect()
    assert ids_of(chain) == [f"evt_{number}" for number in reversed(range(260))]
    wider = session.chain("c-1", around=at, window=timedelta(days=3))
    assert (await wider.first()).id == "far"


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"around": NAIVE}, ValueError, "around must have a UTC offset"),
        ({"around": START, "window": 3}, TypeError, "window must be a timedelta"),
        ({"around": START, "window": timedelta(0)}, ValueError, "window must be more"),
    ],
)
async def test_a_chain_that_can_not_be_looked_for_is_refused(
    session, options, error, said
):
    with pytest.raises(error, match=said):
        session.chain("c-1", **options)
    with pytest.raises(ValueError, match="correlation_id"):
        session.chain("", around=START)


async def test_reading_the_log_writes_a_row_for_each_request(server, session):
    fill(server)
    server.log_rules = LogRules()
    before = len(server.account_events())
    await session.account_events().collect()
    await session.event(server.account_events()[-1]["id"])
    written = len(server.account_events()) - before
    assert written == len(server.requests)
    actions = [row["action"] for row in server.account_events()[:written]]
    assert actions[0] == "audit.row.viewed"
    assert set(actions[1:]) == {"audit.query.executed"}


async def test_reads_of_the_account_take_turns_with_others(filled):
    """A handler that asks for one page does not wait for the whole of a long read."""
    fill(filled, each=1500)
    filled.faults = Faults(latency=0.01)
    async with CanopySession(
        "acme", filled.token, base_url=filled.base_url, concurrency=2
    ) as session:
        run = session.account_events(concurrency=2).open()
        reading = asyncio.create_task(run.next_batch())
        await reading
        reading = asyncio.create_task(drain(run))
        for _ in range(3):
            await session.page("idn_1", take=1)
        assert not reading.done()
        reading.cancel()
        await asyncio.wait([reading])
        await run.aclose()


async def drain(run):
    while await run.next_batch() is not None:
        pass


NO_FUTURE = LogRules(own_rows="none", future_to="refused")


async def test_a_server_that_refuses_a_to_in_the_future_is_read_to_the_end(
    filled, session
):
    filled.log_rules = NO_FUTURE
    async with session.account_events().open() as run:
        events = [event async for event in run]
    assert ids_of(events) == [row["id"] for row in filled.account_events()]
    report = run.report
    assert (report.complete, report.proof) == (True, Proof.CURSOR)
    (warning,) = report.warnings
    assert warning.startswith("the server refuses a time ahead of its clock")
    assert abs(report.until - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize("order", ["desc", "asc"])
async def test_a_refused_to_is_learnt_once_by_a_session(filled, session, order):
    filled.log_rules = attrs.evolve(NO_FUTURE, order=order)
    first = await session.account_events(limit=20).collect()
    refused = [r for r in filled.requests if r.status == 400]
    assert len(refused) == 1
    filled.reset_requests()
    assert await session.account_events(limit=20).collect() == first
    row = filled.add_event("idn_1")
    assert (await session.account_events().first()).id == row["id"]
    assert not [r for r in filled.requests if r.status == 400]
    assert all("from" in r.query for r in filled.requests)


async def test_a_narrow_server_that_refuses_a_to_in_the_future_is_read(filled, session):
    filled.log_rules = attrs.evolve(NO_FUTURE, widest_days=31, most=50)
    events = await session.account_events(since=START).collect()
    assert ids_of(events) == [row["id"] for row in filled.account_events()]


async def test_a_crowd_of_now_is_proven_where_a_to_in_the_future_is_refused(
    filled, session
):
    filled.log_rules = NO_FUTURE
    now = datetime.now(UTC)
    filled.add_events("idn_1", [{"created_at": now} for _ in range(450)])
    events = await session.account_events().collect()
    assert sorted(ids_of(events)) == sorted(r["id"] for r in filled.account_events())
    assert len(events) == 1950


async def test_an_end_in_the_future_is_named_where_a_to_in_the_future_is_refused(
    filled, session
):
    filled.log_rules = NO_FUTURE
    until = datetime.now(UTC) + timedelta(hours=2)
    with pytest.raises(FutureRangeError, match="until must not be in the future"):
        await session.account_events(until=until).collect()


async def test_a_filter_that_the_server_names_is_refused_by_one_request(
    filled, session
):
    with pytest.raises(BadRequestError, match="category"):
        await session.account_events(category="strange").collect()
    assert len(filled.requests) == 1


async def test_a_follower_goes_on_where_a_to_in_the_future_is_refused(filled, session):
    filled.log_rules = NO_FUTURE
    seen = []
    follower = session.follow_account(start="beginning", every=0.01)
    async for batch in follower:
        seen += ids_of(batch.events)
        if len(seen) == 1500:
            new = filled.add_event("idn_1")
        if len(seen) > 1500:
            break
    assert seen[-1] == new["id"]
    assert sorted(seen) == sorted(row["id"] for row in filled.account_events())
    assert len([r for r in filled.requests if r.status == 400]) == 1


@pytest.mark.parametrize("future_to", ["answered", "refused"])
@pytest.mark.parametrize("end", ["null", "echo"])
async def test_a_read_does_not_chase_the_rows_that_its_own_requests_write(
    filled, session, end, future_to
):
    there = {row["id"] for row in filled.account_events()}
    filled.log_rules = LogRules(order="asc", end=end, future_to=future_to)
    events = await session.account_events().collect()
    assert there <= set(ids_of(events))
    assert len(filled.requests) < 200


async def test_an_event_that_is_dated_ahead_is_read_though_own_rows_come_before_it(
    filled, session
):
    ahead = filled.add_event("idn_1", created_at=datetime.now(UTC) + timedelta(hours=2))
    filled.log_rules = LogRules(order="asc", end="echo")
    events = await session.account_events().collect()
    assert events[0].id == ahead["id"]
    assert len(filled.requests) < 200


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_read_up_to_now_ends_where_a_to_in_the_future_is_refused(
    filled, session, order
):
    there = {row["id"] for row in filled.account_events()}
    filled.log_rules = LogRules(order=order, end="echo", future_to="refused")
    await session.account_events(limit=1).collect()  # which learns of the refusal
    until = session.server_time + timedelta(seconds=0.9)
    events = await session.account_events(until=until).collect()
    assert there <= set(ids_of(events))
    assert all(event.created_at < until for event in events)
