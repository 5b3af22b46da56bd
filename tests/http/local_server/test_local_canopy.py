"""The rules of the API, as `LocalCanopy` keeps them, seen over plain HTTP."""

import asyncio
import math
import socket
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from canopy_async.testing import Faults, LocalCanopy

IDENTITIES = "/portal/v1/accounts/acme/identities"
AUDIT = f"{IDENTITIES}/idn_1/audit"


@pytest.fixture
async def server():
    async with LocalCanopy() as running:
        yield running


@pytest.fixture
async def http(server):
    async with aiohttp.ClientSession(server.base_url, headers=bearer(server)) as opened:
        yield opened


def bearer(server, token=None):
    return {"Authorization": f"Bearer {token or server.token}"}


async def get(http, path=AUDIT, *, headers=None, **query):
    async with http.get(path, params=query, headers=headers) as response:
        return response.status, await response.json()


async def until(condition):
    """Turns the event loop until something is so; no time has to pass for it."""
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0)
    pytest.fail("it never came to pass")


async def walk(http, path=AUDIT, **query):
    ids, page, more = [], 1, True
    while more:
        status, body = await get(http, path, page=page, **query)
        assert status == 200
        ids += [row["id"] for row in body["items"]]
        page, more = page + 1, body["pagination"]["has_next_page"]
    return ids


@pytest.mark.parametrize(("count", "take"), [(0, 20), (20, 20), (21, 20), (250, 100)])
async def test_page_metadata_is_that_of_the_page_dto(server, http, count, take):
    server.seed_events("idn_1", count)
    page_count = math.ceil(count / take)
    for page in range(1, page_count + 2):
        status, body = await get(http, page=page, take=take)
        assert status == 200
        assert len(body["items"]) == max(0, min(take, count - (page - 1) * take))
        assert body["pagination"] == {
            "page": page,
            "take": take,
            "item_count": count,
            "page_count": page_count,
            "has_previous_page": page > 1,
            "has_next_page": page < page_count,
        }


async def test_defaults_are_the_first_twenty_newest_first(server, http):
    server.seed_events("idn_1", 50)
    _, body = await get(http)
    assert body["items"] == server.events("idn_1", order="desc")[:20]
    assert body["pagination"]["take"] == 20


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("take", [1, 7, 100])
async def test_pages_add_up_to_the_log(server, http, order, take):
    server.seed_events("idn_1", 60, tie_probability=0.6)
    expected = server.event_ids("idn_1", order=order)
    assert await walk(http, order=order, take=take) == expected


async def test_ties_keep_their_insertion_order_in_both_directions(server, http):
    same = "2026-05-01T00:00:00.000Z"
    server.add_event("idn_1", id="first", created_at="2026-04-01T00:00:00.000Z")
    server.add_events("idn_1", [{"id": i, "created_at": same} for i in "abc"])
    assert await walk(http, order="asc") == ["first", "a", "b", "c"]
    assert await walk(http, order="desc") == ["a", "b", "c", "first"]


async def test_sort_by_another_column(server, http):
    for name in ("role.created", "auth.logout", "mfa.challenge.passed"):
        server.add_event("idn_1", id=name, action=name)
    expected = ["auth.logout", "mfa.challenge.passed", "role.created"]
    assert await walk(http, sort_by="action", order="asc") == expected
    assert await walk(http, sort_by="action", order="desc") == expected[::-1]
    server.add_event("idn_1", id="new", action="billing.invoice.paid")
    assert (await walk(http, sort_by="action", order="asc"))[1] == "new"


@pytest.mark.parametrize(
    ("fields", "term", "found"),
    [
        ({"action": "role.created"}, "ROLE.c", True),
        ({"actor_label": "Björn Ångström"}, "ÅNG", True),
        ({"resource_label": "50% off"}, "0% O", True),
        ({"resource_label": "500 off"}, "0% o", False),
        ({"resource_label": "a_b"}, "A_B", True),
        ({"resource_label": "axb"}, "a_b", False),
        ({"category": "billing"}, "illin", True),
        ({"actor_id": "needle"}, "needle", False),
    ],
)
async def test_search(server, http, fields, term, found):
    server.add_event("idn_1", **{"action": "x", "actor_label": None} | fields)
    status, body = await get(http, q=term)
    assert status == 200
    assert body["pagination"]["item_count"] == len(body["items"]) == int(found)


async def test_search_sees_rows_that_arrive_later(server, http):
    server.add_event("idn_1", action="role.created")
    assert len(await walk(http, q="role.created")) == 1
    server.add_event("idn_1", action="role.created")
    assert len(await walk(http, q="role.created")) == 2
    server.delete_oldest("idn_1")
    assert len(await walk(http, q="role.created")) == 1


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"page": 0}, "page must not be less than 1"),
        ({"page": -1}, "page must not be less than 1"),
        ({"page": "two"}, "page must be an integer number"),
        ({"page": "1.5"}, "page must be an integer number"),
        ({"page": ""}, "page must be an integer number"),
        ({"page": "9" * 5000}, "page must be an integer number"),
        ({"take": 0}, "take must not be less than 1"),
        ({"take": 101}, "take must not be greater than 100"),
        ({"order": "up"}, "order must be one of the following values: asc, desc"),
        (
            {"status": "x"},
            "status must be one of the following values: active, inactive",
        ),
        ({"has_any_assignment": "yes"}, "has_any_assignment must be a boolean value"),
    ],
)
@pytest.mark.parametrize("path", [AUDIT, IDENTITIES])
async def test_a_bad_parameter_is_a_400_with_details(server, http, path, query, detail):
    server.add_identity(id="idn_1")
    status, body = await get(http, path, **query)
    assert status == 400
    assert body["error"]["details"] == [detail]


async def test_every_bad_parameter_is_named(server, http):
    server.add_identity(id="idn_1")
    _, body = await get(http, page=0, take=0, sort_by="shoe_size")
    assert len(body["error"]["details"]) == 3


async def test_a_repeated_parameter_is_a_400(server, http):
    server.add_identity(id="idn_1")
    async with http.get(f"{AUDIT}?page=1&page=2") as response:
        assert response.status == 400


async def test_the_page_limit_is_the_servers(http):
    async with LocalCanopy(page_limit=500) as server:
        server.seed_events("idn_1", 300)
        headers = bearer(server)
        status, body = await get(
            http, server.base_url + AUDIT, take=500, headers=headers
        )
        assert (status, len(body["items"])) == (200, 300)


async def test_the_error_envelope(server, http):
    server.add_identity(id="a b")
    status, body = await get(http, f"{IDENTITIES}/a%20c/audit", take=5)
    assert status == 404
    stamp = datetime.fromisoformat(body["error"].pop("timestamp"))
    assert abs(datetime.now(UTC) - stamp) < timedelta(minutes=1)
    assert body == {
        "error": {
            "statusCode": 404,
            "code": "identity.not_found",
            "message": "Identity not found",
            "path": f"{IDENTITIES}/a%20c/audit",
            "method": "GET",
        }
    }


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{IDENTITIES}/nobody/audit", 404),
        ("/portal/v1/accounts/other/identities/idn_1/audit", 404),
        ("/portal/v1/accounts/other/identities", 404),
        ("/portal/v1/accounts/acme/identities/idn_1", 404),
        ("/", 404),
    ],
)
async def test_what_does_not_exist_is_a_404(server, http, path, status):
    server.add_identity(id="idn_1")
    found, body = await get(http, path)
    assert found == status
    assert body["error"]["statusCode"] == status


async def test_a_deleted_identity_is_a_404(server, http):
    server.seed_events("idn_1", 3)
    server.delete_identity("idn_1")
    assert (await get(http))[0] == 404
    with pytest.raises(LookupError):
        server.delete_identity("idn_1")
    server.add_identity(id="idn_1")
    assert await walk(http) == []


async def test_only_get_is_allowed(server, http):
    server.add_identity(id="idn_1")
    async with http.post(AUDIT) as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET"


@pytest.mark.parametrize(
    "identity",
    ["a/b", "a%2Fb", "..", "ü ñ", "a?b=c#d", "a+b", "100%", "😀", "x" * 500],
)
async def test_any_id_reaches_its_identity(server, http, identity):
    server.add_event(identity, id="mine")
    encoded = quote(identity, safe="").replace(".", "%2E")
    url = URL(f"{server.base_url}{IDENTITIES}/{encoded}/audit", encoded=True)
    _, body = await get(http, url)
    assert [row["id"] for row in body["items"]] == ["mine"]
    assert server.requests[-1].identity == identity


@pytest.mark.parametrize("path", [AUDIT, IDENTITIES])
async def test_tokens(server, http, path):
    server.add_identity(id="idn_1")

    async def status_with(authorization):
        headers = {"Authorization": authorization}
        return (await get(http, path, headers=headers))[0]

    assert await status_with(f"Bearer {server.token}") == 200
    assert await status_with(f"bearer {server.token}") == 200
    assert await status_with(f"Bearer {server.issue_token()}") == 200
    assert await status_with(f"Bearer {server.issue_token('identity')}") == 403
    assert await status_with(f"Bearer {server.issue_token(valid=False)}") == 401
    assert await status_with("Bearer forged") == 401
    assert await status_with("Bearer ") == 401
    assert await status_with(f"Basic {server.token}") == 401
    server.revoke_token(server.token)
    assert await status_with(f"Bearer {server.token}") == 401


async def test_no_token_is_a_401(server):
    async with aiohttp.ClientSession(server.base_url) as http:
        status, body = await get(http)
        assert status == 401
        assert body["error"]["code"] == "auth.token.missing"


async def test_answers_of_any_kind_are_dated_by_the_servers_clock(http):
    now = datetime(2031, 5, 4, 3, 2, 1, tzinfo=UTC)
    async with LocalCanopy(clock=lambda: now) as server:
        server.seed_events("idn_1", 3)
        dates = []
        for kind in (None, "status", "html", "empty"):
            if kind is not None:
                server.fail_next(kind=kind)
            async with http.get(f"{server.base_url}/nowhere") as answer:
                dates.append(answer.headers["Date"])
            now += timedelta(days=1)
    assert dates == [
        "Sun, 04 May 2031 03:02:01 GMT",
        "Mon, 05 May 2031 03:02:01 GMT",
        "Tue, 06 May 2031 03:02:01 GMT",
        "Wed, 07 May 2031 03:02:01 GMT",
    ]


async def test_tokens_expire_by_the_servers_clock_and_by_use(http):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    async with LocalCanopy(clock=lambda: now) as server:
        server.add_identity(id="idn_1")
        url = server.base_url + AUDIT
        brief = bearer(server, server.issue_token(lifetime=900))
        counted = bearer(server, server.issue_token(uses=2))
        assert (await get(http, url, headers=brief))[0] == 200
        now += timedelta(minutes=15)
        assert (await get(http, url, headers=brief))[0] == 401
        uses = [(await get(http, url, headers=counted))[0] for _ in range(3)]
        assert uses == [200, 200, 401]


async def test_tokens_differ_between_seeds_and_look_like_jwts():
    tokens = {LocalCanopy(seed=seed).token for seed in range(5)}
    assert len(tokens) == 5
    assert all(token.count(".") == 2 for token in tokens)


async def test_every_answer_has_a_request_id_of_its_own(server, http):
    server.add_identity(id="idn_1")
    seen = set()
    for path in (AUDIT, IDENTITIES, "/nowhere", f"{AUDIT}?page=0"):
        async with http.get(path) as response:
            seen.add(response.headers["x-request-id"])
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("accepted", "count", "encoding"),
    [
        ("gzip, deflate", 20, "gzip"),
        ("*", 20, "gzip"),
        ("gzip;q=0.5", 20, "gzip"),
        ("gzip;q=0", 20, None),
        ("identity", 20, None),
        ("gzip", 0, None),
    ],
)
async def test_compression_is_negotiated(server, http, accepted, count, encoding):
    server.seed_events("idn_1", count)
    async with http.get(AUDIT, headers={"Accept-Encoding": accepted}) as response:
        assert response.headers.get("Content-Encoding") == encoding
        assert len((await response.json())["items"]) == count


async def test_the_identity_list(server, http):
    ids = server.seed_identities(130)
    listed = await walk(http, IDENTITIES, order="asc", take=50)
    assert listed == ids
    assert await walk(http, IDENTITIES, order="desc") == ids[::-1]
    _, body = await get(http, IDENTITIES, take=1, order="asc")
    assert list(body["items"][0]) == [
        "id",
        "email",
        "first_name",
        "last_name",
        "avatar_url",
        "external_id",
        "is_active",
        "email_verified",
        "app_membership_count",
        "total_assignments",
        "created_at",
    ]


async def test_the_filters_of_the_identity_list(server, http):
    add = server.add_identity
    add(id="busy", is_active=True, total_assignments=2, apps=["crm", "billing"])
    add(id="idle", is_active=True, total_assignments=0, apps=["crm-eu"])
    add(id="gone", is_active=False, total_assignments=1, email="Gone@Example.com")

    async def ids(**query):
        return set(await walk(http, IDENTITIES, **query))

    assert await ids(status="active") == {"busy", "idle"}
    assert await ids(status="inactive") == {"gone"}
    assert await ids(has_any_assignment="true") == {"busy", "gone"}
    assert await ids(has_any_assignment="false") == {"idle"}
    assert await ids(not_in_app="crm") == {"idle", "gone"}
    assert await ids(not_in_app="crm", status="active") == {"idle"}
    assert await ids(q="gone@EXAMPLE") == {"gone"}
    assert (await get(http, IDENTITIES, sort_by="action"))[0] == 400
    assert await walk(http, IDENTITIES, sort_by="id", order="asc") == [
        "busy",
        "gone",
        "idle",
    ]


async def test_requests_are_recorded_without_the_token(server, http):
    server.seed_events("idn_1", 5)
    await get(http, page=1, take=5, q="é")
    await get(http, page="x")
    await get(http, page=1, take=5, q="é")
    first, second, third = server.requests
    assert (first.number, first.method, first.status) == (1, "GET", 200)
    assert (first.path, first.account, first.identity) == (AUDIT, "acme", "idn_1")
    assert first.path_template.endswith("/identities/{id}/audit")
    assert first.query == {"page": "1", "take": "5", "q": "é"}
    assert (first.page, first.take) == (1, 5)
    assert (second.page, second.take, second.status) == (None, None, 400)
    assert [r.attempt for r in server.requests] == [1, 1, 2]
    assert first.started <= first.finished <= third.started
    assert first.connection == third.connection
    assert first.headers["authorization"] == "<redacted>"
    assert server.token not in repr(server.requests)


async def test_reset_requests_starts_the_record_again(server, http):
    server.add_identity(id="idn_1")
    server.fail_next(5)
    await get(http)
    server.reset_requests()
    assert server.requests == []
    assert (await get(http))[0] == 200
    assert [(r.number, r.attempt) for r in server.requests] == [(1, 1)]


async def test_in_flight_is_counted(server, http):
    server.seed_events("idn_1", 5)
    server.faults = Faults(hang_rate=1.0)
    tasks = [asyncio.create_task(get(http)) for _ in range(4)]
    await until(lambda: server.in_flight == 4)
    assert server.open_connections == 4
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await until(lambda: not server.in_flight)
    assert server.peak_in_flight == 4
    assert all(r.status is None and r.finished for r in server.requests)
    server.reset_requests()
    assert server.peak_in_flight == 0


async def test_open_connections_follow_the_client(server):
    server.add_identity(id="idn_1")
    async with aiohttp.ClientSession(server.base_url, headers=bearer(server)) as http:
        await get(http)
        await get(http)
        assert server.open_connections == 1
    await until(lambda: not server.open_connections)


async def test_stopping_waits_for_nobody():
    server = LocalCanopy(faults=Faults(latency=3600))
    await server.start()
    async with aiohttp.ClientSession(server.base_url, headers=bearer(server)) as http:
        tasks = [asyncio.create_task(get(http)) for _ in range(3)]
        await until(lambda: server.in_flight == 3)
        async with asyncio.timeout(2):
            await server.stop()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, aiohttp.ClientError) for result in results)
    assert server.in_flight == server.open_connections == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_stopping_closes_idle_connections():
    async with LocalCanopy() as server:
        server.add_identity(id="idn_1")
        http = aiohttp.ClientSession(server.base_url, headers=bearer(server))
        await get(http)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await http.close()


async def test_starting_and_stopping_by_hand():
    server = LocalCanopy()
    with pytest.raises(RuntimeError, match="not been started"):
        _ = server.base_url
    server.seed_events("idn_1", 1)
    assert await server.start() is server
    with pytest.raises(RuntimeError, match="already"):
        await server.start()
    await server.stop()
    await server.stop()
    with pytest.raises(RuntimeError, match="stopped"):
        server.count("idn_1")
    with pytest.raises(RuntimeError, match="stopped"):
        await server.start()


async def test_a_taken_port_is_an_error_that_leaves_nothing():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = LocalCanopy(port=taken.getsockname()[1])
        with pytest.raises(OSError, match="address already in use"):
            await server.start()
        await server.stop()


async def test_an_outage_refuses_connections_and_keeps_the_data(server, http):
    server.seed_events("idn_1", 5)
    assert (await get(http))[0] == 200
    address = server.base_url
    async with server.outage():
        with pytest.raises(aiohttp.ClientConnectorError):
            await get(http)
    assert server.base_url == address
    assert await walk(http, order="asc") == server.event_ids("idn_1")


async def test_two_servers_do_not_meet(server):
    async with LocalCanopy("globex") as other:
        other.seed_events("idn_1", 3)
        assert not server.has_identity("idn_1")
        assert other.base_url != server.base_url
        async with aiohttp.ClientSession(headers=bearer(server)) as http:
            assert (await get(http, other.base_url + AUDIT))[0] == 401
