"""One GET and its repeats: waits in virtual time, faults on a real local server."""

import asyncio
import gzip
import zlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import aiohttp
import pytest
from support.raw import http, raw_server
from support.samples import event_row, page_body
from support.scripted import answer, scripted
from support.virtual import now, settle, virtual
from support.waiting import until

from canopy_async import (
    ApiError,
    CanopySession,
    CooldownStarted,
    ForbiddenError,
    NotFoundError,
    ProtocolError,
    RateLimitedError,
    RefreshingToken,
    RequestFinished,
    RequestTimeoutError,
    RetryPolicy,
    RetryScheduled,
    ServerError,
    SessionClosedError,
    TransportError,
    UnauthorizedError,
)
from canopy_async._transport import body
from canopy_async.testing import Faults


def whole(bound):
    """A jitter without luck: all of it."""
    return bound


def steady(**options):
    options.setdefault("retry", RetryPolicy(attempts=4, jitter=whole))
    return CanopySession("acme", "t0ken", **options)


# In virtual time


@virtual
async def test_attempts_are_spaced_by_doubling_waits():
    with scripted(lambda _: 500) as calls:
        async with steady() as canopy:
            with pytest.raises(ServerError):
                await canopy.page("idn_1")
    assert [call.at for call in calls] == pytest.approx([0, 0.25, 0.75, 1.75])


@virtual
async def test_a_success_after_failures_is_a_success():
    with scripted(lambda call: 500 if call.number < 4 else 200) as calls:
        async with steady() as canopy:
            page = await canopy.page("idn_1")
            assert (canopy.stats.requests, canopy.stats.retries) == (4, 3)
    assert len(calls) == 4
    assert len(page.items) == 1


@pytest.mark.parametrize("status", [429, 503])
@virtual
async def test_retry_after_is_waited_for_by_every_request_of_the_session(status):
    async def script(call):
        await asyncio.sleep(0.1)
        if call.number == 1:
            return answer(status, b"", {"Retry-After": "7"})
        return 200

    with scripted(script) as calls:
        async with steady(concurrency=2) as canopy:
            pages = [canopy.page(f"idn_{n}") for n in range(6)]
            await asyncio.gather(*pages)
            assert canopy.stats.cooldowns == 1
    # The second was admitted together with the first, before its answer.
    assert [call.at for call in calls[:2]] == [0, 0]
    later = [call.at for call in calls[2:]]
    assert len(later) == 5
    # Random bits longer: of the cooldown, and of the first that is sent again.
    assert 7 <= min(later) <= 8.5
    assert max(later) - min(later) <= 0.5


@virtual
async def test_a_request_that_gives_up_still_makes_the_others_wait():
    async def script(call):
        await asyncio.sleep(0.1)
        return answer(429, b"", {"Retry-After": "7"}) if call.number == 1 else 200

    with scripted(script) as calls:
        async with steady(concurrency=1, retry=RetryPolicy(attempts=1)) as canopy:
            refused, taken = await asyncio.gather(
                canopy.page("idn_1"), canopy.page("idn_2"), return_exceptions=True
            )
    assert isinstance(refused, RateLimitedError)
    assert len(taken.items) == 1
    assert calls[1].at >= 7


@virtual
async def test_retry_after_holds_the_one_request_only_where_nobody_is_throttled():
    def script(call):
        if call.number == 1:
            return answer(500, b"", {"Retry-After": "7"})
        return 200

    with scripted(script) as calls:
        async with steady() as canopy:
            await asyncio.gather(canopy.page("idn_1"), canopy.page("idn_2"))
            assert canopy.stats.cooldowns == 0
    assert [call.at for call in calls] == pytest.approx([0, 0, 7.25])


@virtual
async def test_a_retry_after_date_is_compared_with_the_date_of_the_answer():
    sent = datetime(2001, 1, 1, tzinfo=UTC)
    headers = {
        "Date": format_datetime(sent, usegmt=True),
        "Retry-After": format_datetime(sent + timedelta(seconds=30), usegmt=True),
    }

    def script(call):
        return answer(429, b"", headers) if call.number == 1 else 200

    with scripted(script) as calls:
        async with steady() as canopy:
            await canopy.page("idn_1")
    assert 30 <= calls[1].at <= 34


@virtual
async def test_a_retry_after_of_more_than_a_minute_is_raised_at_once():
    with scripted(lambda _: answer(429, b"", {"Retry-After": "61"})) as calls:
        async with steady() as canopy:
            with pytest.raises(RateLimitedError) as caught:
                await canopy.page("idn_1")
    assert caught.value.retry_after == 61
    assert len(calls) == 1
    assert now() == 0


@virtual
async def test_the_last_attempt_starts_at_the_deadline():
    with scripted(lambda _: 500) as calls:
        policy = RetryPolicy(base=1, deadline=10, jitter=whole)
        async with steady(retry=policy) as canopy:
            with pytest.raises(ServerError):
                await canopy.page("idn_1")
    assert [call.at for call in calls] == [0, 1, 3, 7, 10]


@virtual
async def test_a_failing_server_is_given_up_after_a_minute_where_nothing_else_is_said():
    with scripted(lambda _: 500) as calls:
        async with CanopySession("acme", "t0ken") as canopy:
            with pytest.raises(ServerError):
                await canopy.page("idn_1")
    assert 40 < calls[-1].at <= 60


@virtual
async def test_an_answer_that_takes_too_long_is_a_timeout_after_its_attempts():
    async def stall(_):
        await asyncio.sleep(1000)

    policy = RetryPolicy(attempts=2, jitter=whole)
    with scripted(stall) as calls:
        async with steady(timeout=5, retry=policy) as canopy:
            with pytest.raises(RequestTimeoutError) as caught:
                await canopy.page("idn_1")
            assert canopy.stats.in_flight == 0
    assert caught.value.attempts == 2
    assert [call.at for call in calls] == pytest.approx([0, 5.25])
    assert now() == pytest.approx(10.25)


@virtual
async def test_time_spent_waiting_for_admission_is_no_part_of_the_timeout():
    async def slow(_):
        await asyncio.sleep(4)
        return 200

    with scripted(slow) as calls:
        async with steady(timeout=5, concurrency=1) as canopy:
            await asyncio.gather(*(canopy.page(f"idn_{n}") for n in range(5)))
    assert [call.at for call in calls] == [0, 4, 8, 12, 16]


@virtual
async def test_max_rate_spaces_the_requests_and_their_repeats():
    def script(call):
        return 500 if call.number % 3 == 0 else 200

    with scripted(script) as calls:
        quick = RetryPolicy(base=0.05, jitter=whole)
        async with steady(max_rate=4, retry=quick) as canopy:
            await asyncio.gather(*(canopy.page(f"idn_{n}") for n in range(9)))
    assert [call.at for call in calls] == pytest.approx(
        [n / 4 for n in range(len(calls))]
    )


@virtual
async def test_strain_halves_the_width_and_success_widens_it_again():
    async def script(call):
        await asyncio.sleep(1)
        return 503 if call.number <= 8 else 200

    with scripted(script):
        async with steady(concurrency=8) as canopy:
            first = asyncio.gather(*(canopy.page(f"idn_{n}") for n in range(8)))
            await asyncio.sleep(1.5)
            assert canopy.stats.width == 4
            await first
            await asyncio.gather(*(canopy.page(f"idn_{n}") for n in range(60)))
            assert canopy.stats.width == 8


@pytest.mark.parametrize("status", [500, 502, 404, 401])
@virtual
async def test_other_faults_are_no_strain(status):
    with scripted(lambda _: status):
        async with steady(retry=RetryPolicy(attempts=1)) as canopy:
            with pytest.raises(ApiError):
                await canopy.page("idn_1")
            assert canopy.stats.width == 8


@virtual
async def test_a_rejected_token_is_refreshed_once_for_all_and_each_is_tried_again():
    fetched = []

    async def fetch():
        await asyncio.sleep(1)
        fetched.append(f"token-{len(fetched) + 1}")
        return fetched[-1]

    async def script(call):
        await asyncio.sleep(0.5)
        return 401 if call.token == "token-1" else 200

    with scripted(script) as calls:
        async with CanopySession("acme", fetch) as canopy:
            await asyncio.gather(*(canopy.page(f"idn_{n}") for n in range(8)))
    assert fetched == ["token-1", "token-2"]
    assert [call.token for call in calls] == ["token-1"] * 8 + ["token-2"] * 8


@virtual
async def test_a_second_rejection_is_final():
    fetched = []

    async def fetch():
        fetched.append(f"token-{len(fetched) + 1}")
        return fetched[-1]

    with scripted(lambda _: 401) as calls:
        async with CanopySession("acme", fetch) as canopy:
            with pytest.raises(UnauthorizedError) as caught:
                await canopy.page("idn_1")
    assert len(calls) == caught.value.attempts == 2
    assert len(fetched) == 2


@virtual
async def test_where_there_is_no_other_token_a_rejection_is_final_at_once():
    with scripted(lambda _: 401) as calls:
        async with steady() as canopy:
            with pytest.raises(UnauthorizedError):
                await canopy.page("idn_1")
    assert len(calls) == 1


@virtual
async def test_hooks_are_told_of_every_attempt_retry_and_cooldown():
    def script(call):
        if call.number == 1:
            return answer(429, b"", {"Retry-After": "2"})
        if call.number == 2:
            raise aiohttp.ServerDisconnectedError
        return 200

    seen = []
    with scripted(script):
        async with steady(hooks=[seen.append]) as canopy:
            await canopy.page("idn_1", 3, take=7)
    path = "/portal/v1/accounts/{account}/identities/{id}/audit"
    finished = [r for r in seen if isinstance(r, RequestFinished)]
    assert [(r.attempt, r.status) for r in finished] == [(1, 429), (2, None), (3, 200)]
    assert {(r.path, r.page, r.take) for r in finished} == {(path, 3, 7)}
    assert finished[-1].size == len(page_body())
    retries = [r for r in seen if isinstance(r, RetryScheduled)]
    assert [(r.attempt, r.reason) for r in retries] == [
        (1, "429"),
        (2, "TransportError"),
    ]
    assert retries[0].wait >= 2
    (cooldown,) = [r for r in seen if isinstance(r, CooldownStarted)]
    assert (cooldown.status, cooldown.seconds) == (429, retries[0].wait)


@virtual
async def test_closing_twice_at_once_ends_both():
    async def stall(_):
        await asyncio.sleep(1000)

    with scripted(stall):
        canopy = steady()
        reading = asyncio.create_task(canopy.page("idn_1"))
        await settle()
        await asyncio.gather(canopy.aclose(), canopy.aclose(), canopy.aclose())
        with pytest.raises(SessionClosedError):
            await reading
        await canopy.aclose()


@virtual
async def test_a_closing_that_is_cancelled_can_be_repeated():
    release = asyncio.Event()

    async def stubborn(_):
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            await release.wait()
            raise

    with scripted(stubborn):
        canopy = steady()
        reading = asyncio.create_task(canopy.page("idn_1"))
        await settle()
        closing = asyncio.create_task(canopy.aclose())
        await settle()
        closing.cancel()
        await settle()
        assert closing.cancelled()
        release.set()
        await canopy.aclose()
        with pytest.raises(SessionClosedError):
            await reading


@pytest.mark.parametrize("where", ["gate", "backoff", "cooldown", "answer", "login"])
@virtual
async def test_closing_reaches_a_request_wherever_it_waits(where):
    async def script(_):
        if where == "answer":
            await asyncio.sleep(1000)
        return {"backoff": 500, "cooldown": 503}.get(where, 200)

    async def fetch():
        if where == "login":
            await asyncio.sleep(1000)
        return "token"

    slow = RetryPolicy(
        base=900, throttled_base=900, cap=900, deadline=1e6, jitter=whole
    )
    with scripted(script):
        canopy = CanopySession("acme", fetch, concurrency=1, max_rate=0.001, retry=slow)
        if where == "gate":
            await canopy.page("idn_0")  # the next may start in 1000 s
        reading = asyncio.create_task(canopy.page("idn_1"))
        await asyncio.sleep(1)
        assert not reading.done()
        await canopy.aclose()
        with pytest.raises(SessionClosedError):
            await reading
        assert canopy.stats.in_flight == canopy.stats.waiting == 0
        assert now() == 1


# On a real server


async def test_the_server_never_sees_more_requests_at_once_than_concurrency(
    server, connect
):
    for n in range(12):
        server.seed_events(f"idn_{n}", 250)
    server.faults = Faults(latency=0.002, jitter=0.004)
    canopy = connect(concurrency=3)
    reads = [canopy.events(f"idn_{n}").collect() for n in range(12)]
    events = await asyncio.gather(*reads)
    assert {len(found) for found in events} == {250}
    assert server.peak_in_flight == 3
    assert canopy.stats.peak_in_flight == 3


async def test_one_429_stops_every_request_for_as_long_as_it_says(server, connect):
    server.seed_events("idn_1", 300)
    server.fail_next(status=429, retry_after=0.3)
    canopy = connect(retry=RetryPolicy(base=0.001))
    pages = await asyncio.gather(*(canopy.page("idn_1", n) for n in range(1, 16)))
    assert {len(page.items) for page in pages} == {20}
    (refused,) = [r for r in server.requests if r.status == 429]
    waits = [r.started - refused.finished for r in server.requests]
    assert len(waits) == 16
    # Eight at most had been admitted when the answer came.
    assert len([wait for wait in waits if wait >= 0.3]) >= 8


@pytest.mark.parametrize("kind", ["reset", "truncate", "html", "empty", "status"])
async def test_a_fault_that_passes_is_not_noticed(server, connect, quick, kind):
    server.seed_events("idn_1", 40)
    server.fail_next(3, kind=kind, status=502)
    page = await connect(retry=quick).page("idn_1")
    assert [event.id for event in page.items] == server.event_ids(
        "idn_1", order="desc"
    )[:20]
    assert len(server.requests) == 4


@pytest.mark.parametrize("mode", ["length", "chunked"])
async def test_half_a_body_is_never_taken_for_a_page(server, connect, quick, mode):
    server.seed_events("idn_1", 40)
    server.faults = Faults(truncate_rate=1, truncate_mode=mode)
    with pytest.raises(TransportError) as caught:
        await connect(retry=quick).page("idn_1")
    assert caught.value.attempts == len(server.requests) == 4


async def test_a_reset_connection_is_a_transport_error_in_the_end(
    server, connect, quick
):
    server.seed_events("idn_1", 1)
    server.faults = Faults(reset_rate=1)
    with pytest.raises(TransportError, match="after 4 attempts"):
        await connect(retry=quick).page("idn_1")


async def test_a_proxys_html_is_a_server_error_that_does_not_quote_it(
    server, connect, quick
):
    server.seed_events("idn_1", 1)
    server.faults = Faults(html_rate=1)
    with pytest.raises(ServerError) as caught:
        await connect(retry=quick).page("idn_1")
    assert caught.value.message == "Bad Gateway"
    assert caught.value.status == 502


async def test_a_refused_connection_is_a_transport_error(server, connect, quick):
    async with server.outage():
        with pytest.raises(TransportError, match="Connect"):
            await connect(retry=quick).page("idn_1")


@pytest.mark.parametrize("kind", ["hang", "stall"])
async def test_a_server_that_says_nothing_more_is_a_timeout(server, connect, kind):
    server.seed_events("idn_1", 40)
    server.fail_next(kind=kind)
    canopy = connect(timeout=0.05, retry=RetryPolicy(attempts=1))
    with pytest.raises(RequestTimeoutError, match="timed out"):
        await canopy.page("idn_1")
    await until(lambda: server.in_flight == 0)
    assert canopy.stats.in_flight == 0


async def test_a_redirect_is_an_error_and_is_not_followed(server, connect):
    server.seed_events("idn_1", 1)
    server.faults = Faults(redirect=f"{server.base_url}/elsewhere")
    with pytest.raises(ApiError, match="redirects are not followed") as caught:
        await connect().page("idn_1")
    assert caught.value.status == 302
    assert len(server.requests) == 1


async def test_403_and_404_are_not_asked_again(server, connect):
    token = server.issue_token("identity")
    with pytest.raises(ForbiddenError):
        await connect(token).page("idn_1")
    with pytest.raises(NotFoundError):
        await connect().page("idn_unknown")
    assert len(server.requests) == 2


async def test_an_expired_token_is_refreshed_once_for_concurrent_pages(server, connect):
    server.seed_events("idn_1", 300)
    tokens = [server.issue_token(valid=False), server.issue_token()]
    fetched = []

    async def fetch():
        fetched.append(tokens[len(fetched)])
        return fetched[-1]

    canopy = connect(RefreshingToken(fetch))
    await asyncio.gather(*(canopy.page("idn_1", n) for n in range(1, 9)))
    assert len(fetched) == 2
    statuses = [request.status for request in server.requests]
    assert statuses.count(401) == statuses.count(200) == 8


async def test_ids_arrive_as_they_were_given(server, connect):
    for identity in ("a/b", "..x", "%2e", "å b?c#d", "\\"):
        server.seed_events(identity, 1)
        page = await connect().page(identity)
        assert len(page.items) == 1
        assert server.requests[-1].identity == identity


def capped(monkeypatch, size):
    monkeypatch.setattr(body, "MAX_BODY", size)


async def refused_as_too_large(base_url):
    async with CanopySession("acme", "t0ken", base_url=base_url) as canopy:
        with pytest.raises(ProtocolError, match=r"rows 1 to 20 .* over 2000 bytes"):
            await canopy.page("idn_1")


@pytest.mark.parametrize("length", ["declared", "chunked", "until the end"])
async def test_a_body_over_the_cap_is_refused_and_not_asked_again(monkeypatch, length):
    capped(monkeypatch, 2000)
    body = page_body([event_row(n) for n in range(20)])
    assert len(body) > 2000
    raw = {
        "declared": http(200, body),
        "chunked": http(
            200,
            b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body),
            Content_Length=None,
            Transfer_Encoding="chunked",
        ),
        "until the end": http(200, body, Content_Length=None, Connection="close"),
    }[length]
    async with raw_server(raw) as (base_url, requests):
        await refused_as_too_large(base_url)
    assert len(requests) == 1


async def test_a_small_body_that_unpacks_over_the_cap_is_refused(monkeypatch):
    capped(monkeypatch, 2000)
    bomb = gzip.compress(b" " * 2_000_000)
    raw = http(200, bomb[:2000] if len(bomb) > 2000 else bomb, Content_Encoding="gzip")
    async with raw_server(raw) as (base_url, requests):
        await refused_as_too_large(base_url)
    assert len(requests) == 1


@pytest.mark.parametrize("room", [0, 1])
async def test_a_body_of_exactly_the_cap_is_read(monkeypatch, room):
    body = page_body()
    capped(monkeypatch, len(body) + room)
    for raw in (
        http(200, body),
        http(200, gzip.compress(body * 1, 9), Content_Encoding="gzip"),
    ):
        async with (
            raw_server(raw) as (base_url, _),
            CanopySession("acme", "t0ken", base_url=base_url) as canopy,
        ):
            assert len((await canopy.page("idn_1")).items) == 1


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP", "identity", ""])
async def test_bodies_are_unpacked_as_they_say(encoding):
    packed = page_body() if encoding in ("identity", "") else gzip.compress(page_body())
    async with (
        raw_server(http(200, packed, Content_Encoding=encoding)) as (base_url, _),
        CanopySession("acme", "t0ken", base_url=base_url) as canopy,
    ):
        page = await canopy.page("idn_1")
    assert [event.id for event in page.items] == ["evt_1"]


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", b"not gzip at all"),
        ("gzip", gzip.compress(page_body())[:-9]),
        ("gzip", gzip.compress(page_body())[:-1] + b"\x7f"),
        ("gzip", b""),
        ("br", page_body()),
        ("deflate", zlib.compress(page_body())),
    ],
)
async def test_what_cannot_be_unpacked_is_a_transport_error(encoding, body, quick):
    async with (
        raw_server(http(200, body, Content_Encoding=encoding)) as (base_url, _),
        CanopySession("acme", "t0ken", base_url=base_url, retry=quick) as canopy,
    ):
        with pytest.raises(TransportError):
            await canopy.page("idn_1")
        assert canopy.stats.in_flight == 0


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00\xff\xfe\r\n\r\n",
        b"HTTP/1.1 200 \xff\xfe\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 999999 X\r\n\r\n",
        b"HTTP/9.9 200 X\r\n\r\n",
        b"HTTP/1.1 200 X\r\n\xff\xfe: \xff\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 X\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 X\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 X\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 X\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 X\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
        b"HTTP/1.1 429 X\r\nRetry-After: \xff\xfe\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 X\r\nx-request-id: \xff\xfe\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=lambda raw: repr(raw[:40]),
)
async def test_broken_http_is_an_error_of_ours_whatever_it_is(raw, quick):
    async with (
        raw_server(raw) as (base_url, _),
        CanopySession("acme", "t0ken", base_url=base_url, retry=quick) as canopy,
    ):
        with pytest.raises((TransportError, ApiError, ProtocolError)) as caught:
            await canopy.page("idn_1")
        assert str(caught.value).encode()
        assert canopy.stats.in_flight == 0


async def test_an_http_session_of_ones_own_is_used_and_stays_open(server, connect):
    server.seed_events("idn_1", 40)
    async with aiohttp.ClientSession(headers={"X-Mine": "1"}) as own:
        canopy = connect(http=own)
        await canopy.page("idn_1")
        await canopy.aclose()
        assert not own.closed
    assert server.requests[0].headers["x-mine"] == "1"


@pytest.mark.parametrize("unpack", [True, False])
async def test_an_http_session_of_ones_own_may_unpack_or_not(unpack):
    body = gzip.compress(page_body())
    async with (
        raw_server(http(200, body, Content_Encoding="gzip")) as (base_url, _),
        aiohttp.ClientSession(auto_decompress=unpack) as own,
        CanopySession("acme", "t0ken", base_url=base_url, http=own) as canopy,
    ):
        assert len((await canopy.page("idn_1")).items) == 1


async def test_a_closed_http_session_of_ones_own_is_named(server, connect):
    own = aiohttp.ClientSession()
    await own.close()
    with pytest.raises(SessionClosedError, match="aiohttp session that was given"):
        await connect(http=own).page("idn_1")
    assert not server.requests


async def test_the_environment_sends_no_request_through_a_proxy(
    server, session, monkeypatch
):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    server.seed_events("idn_1", 1)
    assert len((await session.page("idn_1")).items) == 1


async def test_cookies_are_not_kept():
    seen = []

    def respond(request):
        seen.append(request)
        return http(200, page_body(), Set_Cookie="a=b; Path=/", Connection="close")

    async with (
        raw_server(respond) as (base_url, _),
        CanopySession("acme", "t0ken", base_url=base_url) as canopy,
    ):
        await canopy.page("idn_1")
        await canopy.page("idn_1")
    assert len(seen) == 2
    assert b"cookie:" not in seen[1].lower()
