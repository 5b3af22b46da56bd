"""Answers that another server of the API, or a proxy in front of it, may give."""

import asyncio
import gzip
import logging
import pickle
import re
import shutil
import ssl
import subprocess
import threading
import warnings
from datetime import datetime, timedelta, timezone

import aiohttp
import pytest
from support.raw import http, raw_server
from support.samples import event_row, page_body
from support.scripted import answer, scripted
from support.virtual import virtual

from canopy_async import (
    ApiError,
    CanopySession,
    ForbiddenError,
    FutureRangeError,
    NotFoundError,
    ProtocolError,
    RequestFinished,
    RetryPolicy,
    ServerError,
    TransportError,
    UnauthorizedError,
)

QUICK = RetryPolicy(attempts=4, jitter=lambda _: 0.0)
PERSONAL = "eve@example.org"


def reader_of(base_url, **options):
    options.setdefault("retry", QUICK)
    token = options.pop("token", "t0ken")
    return CanopySession("acme", token, base_url=base_url, **options)


# Bodies


@pytest.mark.parametrize("members", [2, 3, 64])
async def test_a_gzip_body_may_be_of_several_members(members):
    body = page_body()
    size = -(-len(body) // members)
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    packed = b"".join(map(gzip.compress, parts)) + b"\0" * 8
    async with (
        raw_server(http(200, packed, Content_Encoding="gzip")) as (base_url, _),
        reader_of(base_url) as canopy,
    ):
        assert [event.id for event in (await canopy.page("idn_1")).items] == ["evt_1"]


async def test_a_gzip_body_is_not_unpacked_member_by_member_for_ever():
    packed = gzip.compress(b"") * 65 + gzip.compress(page_body())
    async with (
        raw_server(http(200, packed, Content_Encoding="gzip")) as (base_url, _),
        reader_of(base_url) as canopy,
    ):
        with pytest.raises(TransportError, match="more than 64 parts"):
            await canopy.page("idn_1")


async def test_the_cap_holds_over_all_members(monkeypatch):
    monkeypatch.setattr("canopy_async._transport.body.MAX_BODY", 3000)
    packed = gzip.compress(b" " * 2000) * 2
    async with (
        raw_server(http(200, packed, Content_Encoding="gzip")) as (base_url, _),
        reader_of(base_url) as canopy,
    ):
        with pytest.raises(Exception, match="over 3000 bytes"):
            await canopy.page("idn_1")


UNREADABLE = {
    "empty, said to be gzip": (b"", {"Content_Encoding": "gzip"}),
    "not gzip, said to be": (b'{"error": {}}', {"Content_Encoding": "gzip"}),
    "not asked for": (b"x", {"Content_Encoding": "br"}),
    "cut off": (b"x", {"Content_Length": "10"}),
}


@pytest.mark.parametrize(("body", "headers"), UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize(
    ("status", "error", "requests"),
    [
        (401, UnauthorizedError, 1),
        (403, ForbiddenError, 1),
        (404, NotFoundError, 1),
        (500, ServerError, 4),
    ],
)
async def test_an_error_is_told_by_its_status_whatever_its_body_is(
    body, headers, status, error, requests
):
    async with (
        raw_server(http(status, body, **headers)) as (base_url, seen),
        reader_of(base_url) as canopy,
    ):
        with pytest.raises(error) as caught:
            await canopy.page("idn_1")
    assert len(seen) == requests
    assert caught.value.attempts == requests


async def test_a_token_is_renewed_after_a_401_with_an_unreadable_body():
    tokens = iter(["old", "new"])

    async def fetch():
        return next(tokens)

    def respond(request):
        if b"Bearer new" in request:
            return http(200, page_body(), Connection="close")
        return http(401, b"", Content_Encoding="gzip", Connection="close")

    async with (
        raw_server(respond) as (base_url, _),
        reader_of(base_url, token=fetch) as canopy,
    ):
        assert len((await canopy.page("idn_1")).items) == 1


async def test_an_error_with_a_body_over_the_cap_is_told_by_its_status(monkeypatch):
    monkeypatch.setattr("canopy_async._transport.body.MAX_BODY", 1000)
    async with (
        raw_server(http(404, b"<p>" * 1000)) as (base_url, _),
        reader_of(base_url) as canopy,
    ):
        with pytest.raises(NotFoundError):
            await canopy.page("idn_1")


# What errors quote


PERSONAL_PAGE = page_body([event_row(metadata={"email": PERSONAL})])
MISFRAMED = {
    "longer than it says": http(200, PERSONAL_PAGE, Content_Length="1"),
    "no chunks": http(
        200, PERSONAL_PAGE, Content_Length=None, Transfer_Encoding="chunked"
    ),
    "no head": PERSONAL_PAGE + b"\r\n\r\n",
    "shorter than it says": http(200, PERSONAL_PAGE, Content_Length="999999"),
}


@pytest.mark.parametrize("raw", MISFRAMED.values(), ids=MISFRAMED)
async def test_no_error_quotes_the_rows_of_a_body_that_is_badly_framed(raw):
    async with raw_server(raw) as (base_url, _), reader_of(base_url) as canopy:
        with pytest.raises((ApiError, TransportError)) as caught:
            await canopy.events("idn_1").collect()
    assert PERSONAL not in f"{caught.value!s} {caught.value!r}"
    assert len(str(caught.value)) < 300
    assert len(str(caught.value).splitlines()) == 1


@virtual
async def test_an_error_is_one_line_whatever_the_server_says():
    body = (
        b'{"error": {"message": "no\\nERROR root: \\u001b[2J", "details": ["a\\rb"]}}'
    )
    with scripted(lambda _: answer(400, body)):
        async with CanopySession("acme", "t0ken") as canopy:
            with pytest.raises(ApiError) as caught:
                await canopy.page("idn_1")
    assert str(caught.value).isprintable()
    assert r"no\nERROR root: \x1b[2J (a\rb)" in str(caught.value)
    assert caught.value.message == "no\nERROR root: \x1b[2J"


# Connections


@pytest.mark.parametrize("attempts", [1, 3])
async def test_a_server_that_hangs_up_is_asked_as_often_as_the_policy_says(attempts):
    retry = RetryPolicy(attempts=attempts, jitter=lambda _: 0.0)
    async with (
        raw_server(b"") as (base_url, requests),
        reader_of(base_url, retry=retry) as canopy,
    ):
        with pytest.raises(TransportError, match="ServerDisconnectedError"):
            await canopy.page("idn_1")
        assert canopy.stats.requests == attempts
    assert len(requests) == attempts


async def test_a_connection_closed_while_idle_costs_no_attempt():
    connections = []

    async def handle(reader, writer):
        connections.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http(200, page_body()))
        await reader.readuntil(b"\r\n\r\n")  # and hangs up instead of an answer
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    once = RetryPolicy(attempts=1)
    async with server, reader_of(f"http://127.0.0.1:{port}", retry=once) as canopy:
        await canopy.page("idn_1")
        await canopy.page("idn_1")
        assert canopy.stats.retries == 0
        assert len(connections) == 2
        connections[-1].close()


# Instants that have no name in UTC


@pytest.mark.parametrize(
    "created_at", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"]
)
@virtual
async def test_the_first_and_the_last_day_in_any_zone_can_be_read_and_followed(
    created_at,
):
    with scripted(lambda _: page_body([event_row(created_at=created_at)])):
        async with CanopySession("acme", "t0ken") as canopy:
            async with canopy.events("idn_1", order="asc").open() as run:
                assert [event.id async for event in run] == ["evt_1"]
                text = run.checkpoint.dumps()
            again = canopy.events("idn_1", order="asc", resume=text)
            assert await again.collect() == []
            async with canopy.follow("idn_1", start="beginning") as follower:
                batch = await anext(aiter(follower))
            assert [event.id for event in batch.events] == ["evt_1"]
            text = batch.checkpoint.dumps()
            async with canopy.follow("idn_1", checkpoint=text) as follower:
                assert (await anext(aiter(follower))).events == ()


@virtual
async def test_a_bound_may_be_the_first_or_the_last_instant_of_any_zone():
    last = datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))
    with scripted(lambda _: page_body()):
        async with CanopySession("acme", "t0ken") as canopy:
            with pytest.raises(FutureRangeError, match="9999-12-31T23:59:59"):
                await canopy.events("idn_1", until=last).collect()
            first = datetime.min.replace(tzinfo=timezone(timedelta(hours=5)))
            assert len(await canopy.events("idn_1", since=first).collect()) == 1


# Wrong use that used to surface late


async def test_another_event_loop_is_refused_by_name(server, session):
    server.seed_events("idn_1", 1)
    await session.page("idn_1")
    caught = []

    def elsewhere():
        with pytest.raises(RuntimeError, match="belongs to the event loop") as info:
            asyncio.run(session.events("idn_1").collect())
        caught.append(info.value)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert caught
    assert len((await session.page("idn_1")).items) == 1


async def test_a_run_closed_by_another_task_ends_for_its_reader(server, session):
    server.seed_events("idn_1", 1)
    run = session.events("idn_1").open()
    reader = asyncio.create_task(anext(run, None))
    await asyncio.sleep(0)
    await run.aclose()
    assert await reader is None
    assert not run.report.complete


async def record_later(_record):
    """A hook that would have to be awaited."""


class RecorderLater:
    """A hook that would have to be awaited."""

    async def __call__(self, record):
        """Do nothing with it."""


@pytest.mark.parametrize("hook", [record_later, RecorderLater()])
def test_a_hook_that_would_have_to_be_awaited_is_refused(hook):
    with pytest.raises(TypeError, match="hooks must be plain functions"):
        CanopySession("acme", "t0ken", hooks=[hook])


def test_a_jitter_that_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="jitter must be a plain function, not float"):
        RetryPolicy(jitter=0.5)


async def test_an_http_session_with_credentials_of_its_own_is_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        own = aiohttp.ClientSession(auth=aiohttp.BasicAuth("eve", "pass"))
    async with own:
        with pytest.raises(ValueError, match="http must not have auth"):
            CanopySession("acme", "t0ken", http=own)


async def test_ids_that_cannot_be_iterated_are_named(session):
    with pytest.raises(TypeError, match=r"^identity_ids must be"):
        session.follow(5)


# Logs


@virtual
async def test_a_failed_poll_is_logged_without_the_url(caplog):
    with scripted(lambda call: 404 if "gone" in str(call.url) else 200):
        async with CanopySession("acme", "t0ken") as canopy:
            ids = ["idn_gone", "idn_1"]
            async with canopy.follow(ids, q=PERSONAL, start="beginning") as follower:
                await anext(aiter(follower))
                assert "idn_gone" in follower.failures
    (record,) = (found for found in caplog.records if found.levelno >= logging.WARNING)
    assert "NotFoundError 404" in record.getMessage()
    assert record.identity_id == "idn_gone"
    for secret in ("idn_gone", PERSONAL, "t0ken", "http"):
        assert secret not in record.getMessage()


# What is no page, and whose it is

PROXY_PAGE = b"<html><body>Sign in as ada@example.com</body></html>"


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize(
    ("kind", "content", "fault"),
    [
        ("text/html; charset=utf-8", PROXY_PAGE, "Expecting value: line 1 column 1"),
        ("application/json", b"", "the body is empty"),
        ("application/json", b" \r\n", "the body is empty"),
        ("text/plain", b'{"items": [', "Expecting value: line 1 column 12"),
        (None, b'{"items": []}}', "Extra data: line 1 column 14"),
    ],
)
async def test_a_200_that_is_no_json_says_what_it_is_and_whose(
    kind, content, fault, lossless
):
    raw = http(200, content, Content_Type=kind, X_Request_Id="req-7")
    async with (
        raw_server(raw) as (base_url, requests),
        CanopySession("acme", "t0ken", base_url=base_url) as canopy,
    ):
        stream = canopy.events("idn_1", q="ada@example.com", lossless=lossless)
        with pytest.raises(ProtocolError) as caught:
            await stream.collect()
    error, text = caught.value, str(caught.value)
    assert text.startswith(
        f"page 1: not JSON (Content-Type: {kind or 'none'}): {fault}"
    )
    url = f"{base_url}/portal/v1/accounts/acme/identities/idn_1/audit"
    assert text.endswith(f": GET {url}, request req-7")
    assert (error.url, error.request_id) == (url, "req-7")
    assert "ada@example.com" not in text
    assert len(requests) == 1


async def test_json_that_is_no_page_names_whose_it_is_too():
    raw = http(200, b'{"error": "maintenance"}', X_Request_Id="req-8")
    async with (
        raw_server(raw) as (base_url, _),
        CanopySession("acme", "t0ken", base_url=base_url) as canopy,
    ):
        with pytest.raises(ProtocolError) as caught:
            await canopy.page("idn_1")
    assert re.fullmatch(
        r"page 1: items: expected an array: GET http://127.0.0.1:\d+/portal/v1/accounts/"
        r"acme/identities/idn_1/audit, request req-8",
        str(caught.value),
    )
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)


@pytest.mark.parametrize("size", [9_000, 32_000])
async def test_a_header_of_up_to_32_kib_is_read(size):
    raw = http(200, page_body(), Content_Security_Policy="x" * size)
    async with (
        raw_server(raw) as (base_url, _),
        CanopySession("acme", "t0ken", base_url=base_url) as canopy,
    ):
        assert len((await canopy.page("idn_1")).items) == 1


@pytest.mark.parametrize("own", [True, False])
async def test_a_header_that_is_too_large_is_said_to_be_that_and_tried_once(quick, own):
    """A session of one's own has the limit of aiohttp, and says that one."""
    raw = http(200, page_body(), Set_Cookie="secret" * 6_000)
    async with (
        raw_server(raw) as (base_url, requests),
        aiohttp.ClientSession() as mine,
    ):
        options = {"http": mine} if own else {}
        async with CanopySession(
            "acme", "T0KEN", base_url=base_url, retry=quick, **options
        ) as canopy:
            with pytest.raises(TransportError) as caught:
                await canopy.page("idn_1")
    limit = 8190 if own else 32768
    assert f"a header of the answer is over {limit} bytes" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.final
    assert caught.value.attempts == len(requests) == 1


@pytest.fixture(scope="module")
def untrusted(tmp_path_factory):
    """The context of a server whose certificate nobody has signed but itself."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")
    path = tmp_path_factory.mktemp("tls")
    made = (openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    files = ("-keyout", str(path / "key.pem"), "-out", str(path / "cert.pem"))
    subprocess.run([*made, *names, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path / "cert.pem", path / "key.pem")
    return context


async def test_a_certificate_that_is_not_trusted_is_tried_once(untrusted, quick):
    tried = []

    async def handle(_reader, writer):
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=untrusted)
    base_url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with (
        server,
        CanopySession(
            "acme", "t0ken", base_url=base_url, retry=quick, hooks=[tried.append]
        ) as canopy,
    ):
        with pytest.raises(TransportError, match="is not trusted") as caught:
            await canopy.page("idn_1")
    assert caught.value.final
    assert caught.value.attempts == 1
    assert len([record for record in tried if isinstance(record, RequestFinished)]) == 1
