"""The log of the account, as `LocalCanopy` keeps its rules, seen over plain HTTP."""

from datetime import UTC, datetime, timedelta

import aiohttp
import attrs
import pytest

from canopy_async.testing import Faults, LocalCanopy, LogRules

LOG = "/portal/v1/accounts/acme/audit-log/identities"
NOW = datetime(2026, 4, 20, 12, tzinfo=UTC)
QUIET = LogRules(own_rows="none")
WHOLE = {"from": "2020-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}


@pytest.fixture
async def server():
    async with LocalCanopy(log_rules=QUIET, clock=lambda: NOW) as running:
        for number in range(3):
            start = NOW - timedelta(days=3, seconds=number)
            running.seed_events(f"idn_{number}", 100, start=start, spacing=60)
        yield running


@pytest.fixture
async def http(server):
    headers = {"Authorization": f"Bearer {server.token}"}
    async with aiohttp.ClientSession(server.base_url, headers=headers) as opened:
        yield opened


async def get(http, path=LOG, params=None):
    async with http.get(path, params=params or {}) as response:
        return response.status, await response.json()


async def walk(http, **query):
    """Follow the cursor; return the pages."""
    pages, after = [], {}
    while True:
        status, body = await get(http, params=WHOLE | query | after)
        assert status == 200
        pages.append(body)
        cursor = body["pagination"]["next_cursor"]
        if cursor is None or (cursor == after.get("cursor") and not body["items"]):
            return pages
        after = {"cursor": cursor}


def ids_of(pages):
    return [row["id"] for page in pages for row in page["items"]]


def all_ids(server, order="desc"):
    return [row["id"] for row in server.account_events(order=order)]


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("end", ["null", "echo"])
async def test_the_cursor_leads_through_all_rows(server, http, order, end):
    server.log_rules = attrs.evolve(QUIET, order=order, end=end)
    assert ids_of(await walk(http, limit="70")) == all_ids(server, order)


async def test_some_pages_may_be_empty_and_have_another_cursor(server, http):
    server.log_rules = attrs.evolve(QUIET, empty_rate=0.5)
    pages = await walk(http, limit="20")
    assert any(not page["items"] for page in pages[:-1])
    assert ids_of(pages) == all_ids(server)


async def test_a_cursor_in_milliseconds_passes_rows_by(server, http):
    at = NOW - timedelta(days=1)
    rows = [{"created_at": at + timedelta(microseconds=n)} for n in range(100, 150)]
    server.add_events("idn_1", rows)
    assert len(ids_of(await walk(http, limit="20"))) == 350
    server.log_rules = attrs.evolve(QUIET, cursor_milliseconds=True)
    assert len(ids_of(await walk(http, limit="20"))) < 350


async def test_without_bounds_the_last_thirty_days_are_shown(server, http):
    old = server.add_event("idn_1", created_at=NOW - timedelta(days=31))
    young = server.add_event("idn_1", created_at=NOW - timedelta(days=29))
    _, body = await get(http, params={"limit": "200"})
    _, rest = await get(
        http, params={"limit": "200", "cursor": body["pagination"]["next_cursor"]}
    )
    ids = ids_of([body, rest])
    assert young["id"] in ids
    assert old["id"] not in ids


async def test_both_bounds_are_inclusive(server, http):
    row = server.add_event("idn_1", created_at=NOW - timedelta(hours=5))
    bounds = {"from": row["created_at"], "to": row["created_at"]}
    _, body = await get(http, params=bounds)
    assert ids_of([body]) == [row["id"]]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"limit": "201"}, "limit must not be greater than 200"),
        ({"limit": "0"}, "limit must not be less than 1"),
        ({"limit": "many"}, "limit must be an integer number"),
        ({"from": "yesterday"}, "from must be a valid ISO 8601 date string"),
        ({"from": WHOLE["to"], "to": WHOLE["from"]}, "from must not be later than to"),
        ({"severity": "apocalyptic"}, "severity must be one of the known values"),
        ({"page": "1"}, "property page should not exist"),
    ],
    ids=str,
)
async def test_a_parameter_that_is_wrong_is_named(http, query, said):
    status, body = await get(http, params=query)
    assert status == 400
    assert said in body["error"]["details"]


async def test_a_parameter_that_is_repeated_is_refused_unless_it_is_the_action(
    server, http
):
    for action in ("role.created", "auth.logout"):
        server.add_event("idn_1", action=action)
    status, body = await get(http, params=[("q", "a"), ("q", "b")])
    assert (status, body["error"]["details"]) == (400, ["q must not be repeated"])
    repeated = [("action", "role.created"), ("action", "auth.logout"), *WHOLE.items()]
    divided = [("action", "role.created,auth.logout"), *WHOLE.items()]
    assert await get(http, params=repeated) == await get(http, params=divided)
    _, body = await get(http, params=repeated)
    found = {row["action"] for row in body["items"]}
    assert found == {"role.created", "auth.logout"}


async def test_a_limit_that_is_too_large_may_be_cut(server, http):
    server.log_rules = attrs.evolve(QUIET, most=30, over_most="cut")
    _, body = await get(http, params=WHOLE | {"limit": "200"})
    assert len(body["items"]) == 30


async def test_a_range_that_is_too_wide_may_be_refused(server, http):
    server.log_rules = attrs.evolve(QUIET, widest_days=31)
    status, body = await get(http, params=WHOLE)
    assert (status, body["error"]["details"]) == (
        400,
        ["from and to must be within 31 days"],
    )


@pytest.mark.parametrize("status", [400, 404, 410])
async def test_a_cursor_may_die(server, http, status):
    server.log_rules = attrs.evolve(QUIET, cursor_requests=1, dead_cursor=status)
    _, body = await get(http, params=WHOLE)
    after = WHOLE | {"cursor": body["pagination"]["next_cursor"]}
    assert (await get(http, params=after))[0] == 200
    assert (await get(http, params=after))[0] == status
    assert (await get(http, params=WHOLE | {"cursor": "none"}))[0] == 400


async def test_who_may_not_read_it_is_told_so(server, http):
    for token, status in (
        (server.issue_token("identity"), 403),
        (server.issue_token(valid=False), 401),
    ):
        headers = {"Authorization": f"Bearer {token}"}
        async with http.get(LOG, headers=headers) as response:
            assert response.status == status
    server.log_rules = LogRules(available=False)
    assert (await get(http))[0] == 404
    assert (await get(http, f"{LOG}/evt_1"))[0] == 404


async def test_what_reads_write_may_be_shown_hidden_or_left_out(server, http):
    for own_rows, more in (("shown", 1), ("hidden", 0), ("none", 0)):
        before = len(server.account_events())
        server.log_rules = LogRules(own_rows=own_rows)
        await get(http)
        assert len(server.account_events()) == before + more


async def test_faults_change_this_log_too(server, http):
    server.faults = Faults(bad_row={"id": ...})
    _, body = await get(http)
    assert "id" not in body["items"][-1]
    server.fail_next(status=503)
    assert (await get(http))[0] == 503


@pytest.mark.parametrize("field", ["most", "widest_days", "cursor_requests"])
async def test_a_rule_that_can_not_be_is_refused(field):
    with pytest.raises(ValueError, match=field):
        LogRules(**{field: 0})
    with pytest.raises(ValueError, match="empty_rate"):
        LogRules(empty_rate=1.5)
