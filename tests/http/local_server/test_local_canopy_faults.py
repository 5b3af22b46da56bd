"""Faults ordered of `LocalCanopy`, seen over plain HTTP."""

import asyncio
import itertools
import time
from collections import Counter
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
import pytest

from canopy_async.testing import Failure, Faults, LocalCanopy
from canopy_async.testing.dice import Dice

IDENTITIES = "/portal/v1/accounts/acme/identities"
AUDIT = f"{IDENTITIES}/idn_1/audit"


@pytest.fixture
async def server():
    async with LocalCanopy() as running:
        running.seed_events("idn_1", 60, tie_probability=0.5)
        yield running


@pytest.fixture
async def http(server):
    headers = {"Authorization": f"Bearer {server.token}"}
    async with aiohttp.ClientSession(server.base_url, headers=headers) as opened:
        yield opened


async def get(http, path=AUDIT, **query):
    async with http.get(path, params=query, allow_redirects=False) as response:
        return response.status, await response.json()


async def status(http, path=AUDIT, **query):
    async with http.get(path, params=query, allow_redirects=False) as response:
        await response.read()
        return response.status


async def ids(http, path=AUDIT, **query):
    _, body = await get(http, path, **query)
    return [row["id"] for row in body["items"]]


async def meta(http, path=AUDIT, **query):
    _, body = await get(http, path, **query)
    return body["pagination"]


async def until(condition):
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0)
    pytest.fail("it never came to pass")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"error_rate": 1.1}, "error_rate"),
        ({"latency": -1}, "latency"),
        ({"rate_limit": 0}, "rate_limit"),
        ({"clamp_take": 0}, "clamp_take"),
        ({"error_rate": 0.6, "reset_rate": 0.6}, "sum up"),
    ],
)
def test_faults_that_make_no_sense_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        Faults(**wrong)


def test_no_faults_are_the_default():
    assert Faults() == LocalCanopy().faults


async def test_latency_delays_every_answer(server, http):
    server.faults = Faults(latency=0.03)
    for path in (AUDIT, f"{AUDIT}?page=0", "/nowhere"):
        started = time.monotonic()
        await status(http, path)
        assert time.monotonic() - started >= 0.029


def test_jitter_and_stragglers_spread_the_latency():
    dice = Dice(0)
    faults = Faults(latency=1, jitter=1, straggler_rate=0.25, straggler_factor=10)
    delays = [faults.draw_delay(dice) for _ in range(400)]
    slow = [delay for delay in delays if delay >= 10]
    assert 70 < len(slow) < 130
    assert all(1 <= delay <= 2 or 10 <= delay <= 20 for delay in delays)


@pytest.mark.parametrize(
    ("serve_at", "sees_it"), [("arrival", False), ("departure", True)]
)
async def test_rows_are_read_on_arrival_or_departure(server, http, serve_at, sees_it):
    server.faults = Faults(latency=0.05, serve_at=serve_at)
    task = asyncio.create_task(ids(http))
    await until(lambda: server.in_flight)
    event = server.add_event("idn_1")
    assert (event["id"] in await task) == sees_it


async def test_requests_overtake_each_other_in_the_middle(server, http):
    served = []
    server.faults = Faults(
        jitter=0.02, mutate=lambda _, request: served.append(request.number)
    )
    await asyncio.gather(*(status(http) for _ in range(30)))
    assert sorted(served) == list(range(1, 31))
    assert served != sorted(served)


async def test_the_rate_limit_holds_over_any_window(server, http):
    server.faults = Faults(rate_limit=50, retry_after="seconds")
    statuses = Counter()
    while statuses[200] < 70:
        async with http.get(AUDIT) as response:
            statuses[response.status] += 1
            if response.status == 429:
                assert response.headers["Retry-After"] == "1"
                await asyncio.sleep(0.05)
    assert statuses.keys() == {200, 429}
    admitted = [r.started for r in server.requests if r.status == 200]
    windows = zip(admitted, admitted[50:], strict=False)
    assert all(later - first > 0.9999 for first, later in windows)
    refused = [r for r in server.requests if r.status == 429]
    assert {r.failure for r in refused} == {"throttle"}


async def test_a_fractional_rate_limit_has_a_longer_window(server, http):
    server.faults = Faults(rate_limit=0.25, retry_after="seconds")
    assert await status(http) == 200
    async with http.get(AUDIT) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "4")


@pytest.mark.parametrize(
    ("ordered", "sent"),
    [(None, None), (7, "7"), (0.5, "0.5"), ("soon", "soon"), ("seconds", "1")],
)
async def test_retry_after_is_sent_as_ordered(server, http, ordered, sent):
    server.faults = Faults(error_rate=1, error_statuses=(503,), retry_after=ordered)
    async with http.get(AUDIT) as response:
        assert response.status == 503
        assert response.headers.get("Retry-After") == sent


async def test_retry_after_as_a_date_is_in_the_future(server, http):
    server.faults = Faults(rate_limit=1, retry_after="date")
    await status(http)
    now = datetime.now(UTC)
    async with http.get(AUDIT) as response:
        when = parsedate_to_datetime(response.headers["Retry-After"])
        assert response.headers["Retry-After"].endswith(" GMT")
    assert 0.9 < (when - now).total_seconds() < 3


async def test_errors_come_at_their_rate_with_their_statuses(server, http):
    server.faults = Faults(error_rate=0.4, error_statuses=(500, 503))
    statuses = Counter([await status(http) for _ in range(150)])
    assert statuses.keys() == {200, 500, 503}
    assert 40 <= statuses[500] + statuses[503] <= 80
    failed = [r.status for r in server.requests if r.failure == "status"]
    assert len(failed) == statuses[500] + statuses[503]


async def test_equal_seeds_make_equal_faults():
    async def run(seed):
        faults = Faults(error_rate=0.3, html_rate=0.3)
        async with LocalCanopy(seed=seed, faults=faults) as server:
            server.add_identity(id="idn_1")
            headers = {"Authorization": f"Bearer {server.token}"}
            async with aiohttp.ClientSession(server.base_url, headers=headers) as http:
                return [await status(http) for _ in range(30)]

    assert await run(1) == await run(1) != await run(2)


async def test_errors_have_the_envelope(server, http):
    server.fail_next(status=500)
    found, body = await get(http)
    assert found == body["error"]["statusCode"] == 500


async def test_a_proxy_may_answer_html(server, http):
    server.faults = Faults(html_rate=1)
    async with http.get(AUDIT) as response:
        assert (response.status, response.content_type) == (502, "text/html")
        assert "<html>" in await response.text()


async def test_a_proxy_may_answer_nothing(server, http):
    server.faults = Faults(empty_rate=1)
    async with http.get(AUDIT) as response:
        assert response.status == 502
        assert await response.read() == b""


@pytest.mark.parametrize("kind", ["html", "empty"])
async def test_what_a_proxy_says_may_be_a_200(server, http, kind):
    server.fail_next(kind=kind, status=200)
    async with http.get(AUDIT) as response:
        assert response.status == 200
        with pytest.raises((aiohttp.ContentTypeError, ValueError)):
            await response.json()


async def test_a_reset_aborts_the_connection(server, http):
    server.faults = Faults(reset_rate=1)
    with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
        await status(http)
    await until(lambda: not server.in_flight and not server.open_connections)
    assert {(r.status, r.failure) for r in server.requests} == {(None, "reset")}


@pytest.mark.parametrize("mode", ["length", "chunked"])
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_a_truncated_body_ends_too_early(server, http, mode, encoding):
    server.faults = Faults(truncate_rate=1, truncate_mode=mode)
    async with http.get(AUDIT, headers={"Accept-Encoding": encoding}) as response:
        assert response.status == 200
        assert ("Content-Length" in response.headers) == (mode == "length")
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    await until(lambda: not server.in_flight and not server.open_connections)
    server.faults = Faults()
    assert await status(http) == 200


async def test_a_hanging_request_never_answers(server, http):
    server.faults = Faults(hang_rate=1)
    request = asyncio.ensure_future(http.get(AUDIT))
    await until(lambda: server.in_flight == 1)
    done, _ = await asyncio.wait([request], timeout=0.02)
    assert not done
    request.cancel()
    await until(lambda: not server.in_flight)
    assert server.requests[0].failure == "hang"


async def test_a_stalling_body_stops_halfway(server, http):
    server.faults = Faults(stall_rate=1)
    headers = {"Accept-Encoding": "identity"}
    async with http.get(AUDIT, headers=headers) as response:
        assert response.status == 200
        length = int(response.headers["Content-Length"])
        assert len(await response.content.readexactly(length // 2)) == length // 2
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await response.content.read(1)
    await until(lambda: not server.in_flight)


async def test_a_redirect_sends_elsewhere(server, http):
    server.faults = Faults(redirect="https://elsewhere.example/")
    async with http.get(AUDIT, allow_redirects=False) as response:
        assert response.status == 302
        assert response.headers["Location"] == "https://elsewhere.example/"


async def test_failures_are_queued_for_the_next_requests(server, http):
    server.fail_next(2, status=429, retry_after=3)
    server.fail_next(status=500)
    assert [await status(http) for _ in range(4)] == [429, 429, 500, 200]


async def test_queued_failures_wait_for_the_request_they_are_meant_for(server, http):
    server.fail_next(status=418, only=lambda request: request.page == 2)
    pages = [await status(http, page=page) for page in (1, 2, 2)]
    assert pages == [200, 418, 200]


async def test_faults_apply_to_the_requests_selected(server, http):
    server.faults = Faults(
        error_rate=1, error_statuses=(500,), only=lambda request: request.attempt == 1
    )
    assert [await status(http, page=p) for p in (1, 1, 2, 2)] == [500, 200, 500, 200]


async def test_any_body_can_be_served(server, http):
    server.faults = Faults(body=b"[1, 2")
    async with http.get(AUDIT) as response:
        assert response.status == 200
        assert await response.read() == b"[1, 2"
    assert await status(http, page=0) == 400


async def test_a_large_body_is_served_compressed(server, http):
    server.faults = Faults(body=b" " * 5_000_000)
    async with http.get(AUDIT) as response:
        assert int(response.headers["Content-Length"]) < 50_000
        assert len(await response.read()) == 5_000_000


async def test_one_row_of_each_page_can_be_bad(server, http):
    fields = {"created_at": 5, "outcome": ..., "more": [1]}
    server.faults = Faults(bad_row=fields)
    _, body = await get(http)
    *good, bad = body["items"]
    assert all("outcome" in row and "more" not in row for row in good)
    assert (bad["created_at"], bad["more"], "outcome" in bad) == (5, [1], False)
    _, empty = await get(http, page=99)
    assert empty["items"] == []


async def test_pages_can_be_tampered_with(server, http):
    def tamper(page):
        page["pagination"]["has_next_page"] = True
        return [page]

    server.faults = Faults(tamper=tamper)
    _, (page,) = await get(http, page=99)
    assert page["pagination"]["has_next_page"] is True


@pytest.mark.parametrize("said", [True, False])
async def test_a_large_take_is_cut(server, http, said):
    server.faults = Faults(clamp_take=25, clamp_said=said)
    expected = server.event_ids("idn_1", order="desc")
    assert await ids(http, take=1000) == expected[:25]
    assert await ids(http, take=1000, page=2) == expected[25:50]
    found = await meta(http, take=1000)
    assert found["take"] == (25 if said else 1000)
    assert (found["page_count"], found["has_next_page"]) == (3, True)
    assert (await meta(http, take=10))["take"] == 10
    assert await status(http, take=0) == 400


async def test_take_can_be_ignored(server, http):
    server.faults = Faults(take_ignored=7)
    assert len(await ids(http, take=50)) == 7
    assert (await meta(http, take=50))["take"] == 7
    assert (await meta(http))["page_count"] == 9


async def test_past_the_end_can_be_a_404(server, http):
    assert await ids(http, page=4) == []
    server.faults = Faults(past_end="404")
    assert await status(http, page=3) == 200
    assert await status(http, page=4) == 404
    server.add_identity(id="empty")
    assert await status(http, f"{IDENTITIES}/empty/audit") == 200


async def test_pages_can_start_at_zero(server, http):
    server.faults = Faults(zero_based=True)
    expected = server.event_ids("idn_1", order="desc")
    pages = [await get(http, page=page, take=25) for page in range(3)]
    assert [r["id"] for _, body in pages for r in body["items"]] == expected
    flags = [body["pagination"] for _, body in pages]
    assert [f["has_next_page"] for f in flags] == [True, True, False]
    assert [f["has_previous_page"] for f in flags] == [False, True, True]
    assert (await meta(http))["page"] == 0


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_ties_can_be_shuffled_for_each_request(server, http, order):
    server.faults = Faults(tie_order="shuffled")
    rows = {row["id"]: row["created_at"] for row in server.events("idn_1")}
    seen = set()
    for _ in range(5):
        found = await ids(http, take=100, order=order)
        stamps = [rows[event_id] for event_id in found]
        assert stamps == sorted(stamps, reverse=order == "desc")
        assert sorted(found) == sorted(rows)
        seen.add(tuple(found))
    assert len(seen) == 5


async def test_shuffled_ties_cross_the_borders_of_pages(server, http):
    server.seed_events("tied", 10, tie_probability=1)
    server.faults = Faults(tie_order="shuffled")
    path = f"{IDENTITIES}/tied/audit"
    pages = {tuple(sorted(await ids(http, path, take=5))) for _ in range(10)}
    assert len(pages) > 1
    assert await ids(http, path, take=5, page=3) == []


async def test_a_list_can_have_no_order_at_all(server, http):
    server.faults = Faults(unsorted=True)
    first, second = [await ids(http, take=100) for _ in range(2)]
    assert first != second
    assert sorted(first) == sorted(second) == sorted(server.event_ids("idn_1"))
    assert len(await ids(http, take=50, page=2)) == 10


async def test_order_can_default_to_ascending_and_be_ignored(server, http):
    ascending = server.event_ids("idn_1", order="asc")
    descending = server.event_ids("idn_1", order="desc")
    server.faults = Faults(default_order="asc")
    assert await ids(http, take=60) == ascending
    assert await ids(http, take=60, order="desc") == descending
    server.faults = Faults(ignore_order=True)
    assert await ids(http, take=60, order="asc") == descending
    assert await status(http, order="sideways") == 400


async def test_sort_by_can_be_ignored_or_rejected(server, http):
    server.faults = Faults(ignore_sort_by=True)
    plain = await ids(http)
    assert await ids(http, sort_by="action") == plain
    assert await ids(http, sort_by="shoe_size") == plain
    server.faults = Faults(reject_sort_by=True)
    assert await status(http, sort_by="created_at") == 400
    assert await status(http) == 200


async def test_the_count_can_lag_behind(server, http):
    server.faults = Faults(
        count_lag=2, mutate=lambda canopy, _: canopy.add_event("idn_1")
    )
    counts = [(await meta(http))["item_count"] for _ in range(5)]
    assert counts == [61, 61, 61, 62, 63]


@pytest.mark.parametrize(
    ("write_at", "expected"),
    [("before", (61, True)), ("between", (60, True)), ("after", (60, False))],
)
@pytest.mark.parametrize(
    "fault",
    [
        {"insert_per_request": 1},
        {"writes_on_read": True},
        {"mutate": lambda server, _: server.add_event("idn_1")},
    ],
)
async def test_reads_can_write(server, http, fault, write_at, expected):
    server.faults = Faults(write_at=write_at, **fault)
    _, body = await get(http)
    newest = server.events("idn_1")[-1]
    assert server.count("idn_1") == 61
    assert (body["pagination"]["item_count"], newest in body["items"]) == expected
    if "writes_on_read" in fault:
        assert newest["action"] == "audit.query.executed"


async def test_reads_can_delete_the_oldest(server, http):
    server.faults = Faults(delete_per_request=2, write_at="between")
    oldest = server.event_ids("idn_1")[:2]
    _, body = await get(http, take=100)
    assert body["pagination"]["item_count"] == 60
    assert len(body["items"]) == 58
    assert not set(oldest) & {row["id"] for row in body["items"]}


async def test_fractions_of_writes_add_up(server, http):
    server.faults = Faults(insert_per_request=0.25, delete_per_request=1.5)
    counts = [(await meta(http))["item_count"] for _ in range(8)]
    steps = [later - sooner for sooner, later in itertools.pairwise([60, *counts])]
    assert steps == [-1, -2, -1, -1, -1, -2, -1, -1]


async def test_only_reads_of_a_log_write_to_it(server, http):
    server.faults = Faults(insert_per_request=1, writes_on_read=True)
    await status(http, IDENTITIES)
    await status(http, f"{IDENTITIES}/nobody/audit")
    await status(http, page=0)
    assert server.count("idn_1") == 60
    assert not server.has_identity("nobody")


async def test_the_hook_may_do_anything_before_a_read(server, http):
    seen = []

    def delete(canopy, request):
        seen.append((request.identity, request.page))
        canopy.delete_identity("idn_1")

    server.faults = Faults(mutate=delete)
    assert await status(http, page=2) == 404
    assert seen == [("idn_1", 2)]


async def test_the_hook_sees_reads_of_the_identity_list(server, http):
    server.faults = Faults(mutate=lambda canopy, _: canopy.add_identity())
    assert [(await meta(http, IDENTITIES))["item_count"] for _ in range(3)] == [2, 3, 4]


async def test_a_hook_that_fails_is_logged_and_answered_500(server, http, caplog):
    server.faults = Faults(mutate=lambda canopy, _: canopy.delete_event("idn_1", "no"))
    assert await status(http) == 500
    assert "no event 'no' of identity 'idn_1'" in caplog.text
    assert server.in_flight == 0


def test_a_failure_may_hit_any_request_by_default():
    assert Failure() == Failure(kind="status", status=503)
