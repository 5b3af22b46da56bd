"""A token is sent, and is nowhere else: not in errors, logs, frames or pickles."""

import asyncio
import json
import logging
import pickle
import traceback

import aiohttp
import pytest
from support.raw import http, raw_server
from support.samples import event_row, page_body
from support.scripted import answer, scripted
from support.tokens import SECRET, assert_secret_kept, chain_of, frames_of, shown
from support.virtual import virtual
from support.waiting import until

from canopy_async import (
    ApiError,
    CanopyError,
    CanopySession,
    LoggingHook,
    RefreshingToken,
    RetryPolicy,
    StaticToken,
    TokenError,
    TransportError,
)
from canopy_async.testing import Faults

ONCE = RetryPolicy(attempts=1)


async def fetch():
    return SECRET


class Own:
    """A provider as a user may write it."""

    async def token(self):
        return SECRET

    async def refresh(self, rejected):
        return rejected


PROVIDERS = {
    "str": lambda: SECRET,
    "static": lambda: StaticToken(SECRET),
    "function": lambda: fetch,
    "refreshing": lambda: RefreshingToken(fetch),
    "own": Own,
}


def echoing(call):
    said = f"bad {call.headers['Authorization']}"
    body = {"error": {"message": said, "code": call.token, "details": [said, said]}}
    return answer(403, json.dumps(body).encode(), {"X-Request-Id": call.token})


def broken(call):
    raise aiohttp.ClientConnectionError(f"could not send {call.headers!r}")


FAULTS = {
    "401": lambda _: 401,
    "403 that echoes": echoing,
    "404": lambda _: 404,
    "500": lambda _: 500,
    "redirect": lambda _: answer(302, b"", {"Location": "https://evil.example"}),
    "connection that echoes": broken,
    "no json": lambda _: b"<html>",
    "bad row": lambda _: page_body([event_row(id=5)]),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
@pytest.mark.parametrize("how", ["page", "collect"])
@virtual
async def test_no_error_holds_the_token_whatever_happened(fault, provider, how):
    with scripted(fault) as calls:
        async with CanopySession("acme", provider(), retry=ONCE) as canopy:
            reading = {
                "page": lambda: canopy.page("idn_1"),
                "collect": lambda: canopy.events("idn_1").collect(),
            }[how]
            with pytest.raises(CanopyError) as caught:
                await reading()
    assert calls[0].token == SECRET
    assert_secret_kept(caught.value)
    assert list(frames_of(caught.value))


@virtual
async def test_a_token_that_a_server_echoes_is_redacted_and_the_rest_is_kept():
    with scripted(echoing):
        async with CanopySession("acme", SECRET) as canopy:
            with pytest.raises(ApiError) as caught:
                await canopy.page("idn_1")
    assert caught.value.message == "bad Bearer <redacted>"
    assert caught.value.code == "<redacted>"
    assert caught.value.details == ("bad Bearer <redacted>",) * 2
    assert caught.value.request_id == "<redacted>"


@virtual
async def test_a_fault_that_quotes_the_headers_is_redacted():
    with scripted(broken):
        async with CanopySession("acme", SECRET, retry=ONCE) as canopy:
            with pytest.raises(TransportError, match="<redacted>"):
                await canopy.page("idn_1")


@pytest.mark.parametrize("how", ["page", "count"])
async def test_a_read_that_is_cancelled_holds_the_token_in_no_frame(
    server, connect, how
):
    server.faults = Faults(hang_rate=1.0)
    canopy = connect()
    reading = {
        "page": lambda: canopy.page("idn_1"),
        "count": lambda: canopy.events("idn_1").count(),
    }[how]
    task = asyncio.create_task(reading())
    await until(lambda: server.requests)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    for each in chain_of(caught.value):
        for frame, _ in list(traceback.walk_tb(each.__traceback__))[1:]:
            for name, value in frame.f_locals.items():
                assert server.token not in shown(value), (frame, name)


@pytest.mark.parametrize("token", [f"{SECRET}\n", f" {SECRET}", f"{SECRET}\r\nX: y"])
def test_a_token_that_is_refused_is_in_no_frame_of_ours(token):
    for make in (
        lambda: CanopySession("acme", token),
        lambda: StaticToken(token),
    ):
        with pytest.raises(ValueError, match=r"^token must be") as caught:
            make()
        assert_secret_kept(caught.value)


@pytest.mark.parametrize("bad", [{"account": ".."}, {"concurrency": 0}, {"timeout": 0}])
def test_another_bad_argument_shows_no_token_either(bad):
    arguments = {"account": "acme", "token": SECRET} | bad
    with pytest.raises(ValueError, match="must") as caught:
        CanopySession(**arguments)
    assert_secret_kept(caught.value)


def test_a_token_of_the_environment_is_in_no_frame_of_ours(monkeypatch):
    monkeypatch.setenv("CANOPY_ACCOUNT", "..")
    monkeypatch.setenv("CANOPY_TOKEN", SECRET)
    with pytest.raises(ValueError, match=r"^account must") as caught:
        CanopySession.from_env()
    assert_secret_kept(caught.value)


def test_a_token_passed_over_the_environment_is_in_no_frame_of_ours():
    with pytest.raises(ValueError, match="must") as caught:
        CanopySession.from_env(account="..", token=SECRET)
    assert_secret_kept(caught.value)


def test_a_token_passed_without_an_account_is_in_no_frame_of_ours(monkeypatch):
    monkeypatch.delenv("CANOPY_ACCOUNT", raising=False)
    with pytest.raises(ValueError, match="set CANOPY_ACCOUNT") as caught:
        CanopySession.from_env(token=SECRET)
    assert_secret_kept(caught.value)


@virtual
async def test_a_provider_that_fails_after_a_token_shows_none():
    given = iter([SECRET])

    async def fetch_once():
        for token in given:
            return token
        raise LookupError("no more logins")

    with scripted(lambda _: 401):
        async with CanopySession("acme", fetch_once) as canopy:
            with pytest.raises(TokenError, match="raised LookupError") as caught:
                await canopy.page("idn_1")
    assert caught.value.cause == "LookupError"
    assert_secret_kept(caught.value)


@virtual
async def test_a_fetched_token_that_cannot_be_sent_is_shown_nowhere():
    async def fetch_bad():
        return f"{SECRET}\n"

    with scripted(lambda _: 200) as calls:
        async with CanopySession("acme", fetch_bad) as canopy:
            with pytest.raises(TokenError, match="the token that was fetched") as said:
                await canopy.page("idn_1")
    assert not calls
    assert_secret_kept(said.value)


async def test_nothing_of_a_token_or_of_a_row_is_logged(server, connect, caplog):
    caplog.set_level(logging.DEBUG)
    email = "ada.lovelace@example.com"
    for _ in range(30):
        server.add_event("idn_private", metadata={"email": email}, actor_label=email)
    server.fail_next(status=500)
    server.fail_next(status=429)
    server.faults = Faults(latency=0.001)
    quick = RetryPolicy(base=0.001, throttled_base=0.001)
    canopy = connect(hooks=[LoggingHook()], retry=quick)
    events = await canopy.events("idn_private", q="", take=20).collect()
    assert {event.metadata["email"] for event in events} == {email}
    server.fail_next(4, status=403)
    with pytest.raises(ApiError):
        await canopy.page("idn_private", q="secret search")
    logged = "\n".join(
        f"{record.getMessage()} {record.args!r} {record.exc_text}"
        for record in caplog.records
    )
    assert "GET /portal/v1/accounts/{account}/identities/{id}/audit" in logged
    assert "again in" in logged
    assert "no requests for" in logged
    for private in (server.token, email, "idn_private", "secret search", "Bearer"):
        assert private not in logged


async def test_hooks_are_told_nothing_private(server, connect):
    seen = []
    server.seed_events("idn_private", 30)
    await connect(hooks=[seen.append]).events("idn_private", q="").collect()
    assert len(seen) >= 2
    for private in (server.token, "idn_private", "acme", "Bearer"):
        assert private not in repr(seen)


async def test_a_redirect_takes_the_token_nowhere():
    async with raw_server(http(200, page_body())) as (elsewhere, stolen):
        redirect = http(302, b"", Location=f"{elsewhere}/portal")
        async with (
            raw_server(redirect) as (base_url, requests),
            CanopySession("acme", SECRET, base_url=base_url) as canopy,
        ):
            with pytest.raises(ApiError, match="redirects are not followed"):
                await canopy.page("idn_1")
    assert len(requests) == 1
    assert not stolen


async def test_the_token_is_sent_in_one_header_and_nowhere_else():
    async with (
        raw_server(http(200, page_body())) as (base_url, requests),
        CanopySession("acme", SECRET, base_url=base_url) as canopy,
    ):
        await canopy.page("idn_1", q="x")
    (request,) = requests
    lines = request.decode().split("\r\n")
    assert [line for line in lines if SECRET in line] == [
        f"Authorization: Bearer {SECRET}"
    ]


async def test_everything_a_user_holds_shows_no_token(server):
    canopy = CanopySession("acme", SECRET, base_url=server.base_url)
    stream = canopy.events("idn_1")
    run = stream.open()
    held = f"{canopy!r} {stream!r} {run!r} {canopy.stats!r} {vars(canopy)!r}"
    assert SECRET not in held
    for holder in (canopy, stream, run):
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
            pickle.dumps(holder)
    await canopy.aclose()


@virtual
async def test_waiting_tasks_show_no_token():
    async def stall(_):
        await asyncio.sleep(10)
        return 200

    with scripted(stall):
        async with CanopySession("acme", SECRET) as canopy:
            reading = asyncio.create_task(canopy.page("idn_1"))
            await asyncio.sleep(1)
            assert SECRET not in repr(asyncio.all_tasks())
            await reading
