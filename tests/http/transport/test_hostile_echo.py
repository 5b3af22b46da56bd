"""A server that writes the token into its answers gets it into nothing that is kept."""

import asyncio
import json
import pickle

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver
from support.raw import http, raw_server
from support.samples import event_row, page_body
from support.scripted import answer, scripted
from support.tokens import assert_secret_kept, frames_of
from support.virtual import virtual

from canopy_async import ApiError, CanopySession, ProtocolError, TransportError
from canopy_async._util.redaction import redacted
from canopy_async.retry import RetryPolicy

TOKEN = "abC/dE+f=g.h-i_j~k/0123456789"
ONCE = RetryPolicy(attempts=1)


def every_character_escaped(text):
    return "".join(f"\\u{ord(character):04x}" for character in text)


WRITTEN = {
    "as it is": TOKEN,
    "slashes escaped": TOKEN.replace("/", "\\/"),
    "plus escaped": TOKEN.replace("+", "\\u002b"),
    "every character escaped": every_character_escaped(TOKEN),
    "other case": TOKEN.upper(),
    "JSON in JSON": TOKEN.replace("/", "\\\\/").replace("+", "\\\\u002B"),
    "JSON in JSON in JSON": TOKEN.replace("/", "\\\\\\\\/"),
    "percent-encoded": TOKEN.replace("/", "%2F").replace("+", "%2b"),
    "as an HTML entity": TOKEN.replace("+", "&#43;").replace("=", "&#x3D;"),
}


def assert_no_trace(error):
    assert_secret_kept(error, TOKEN)
    plain = TOKEN.partition("/")[2].lower()  # of this much, most could be guessed
    text = f"{error} {error.args!r} {vars(error)!r} {pickle.dumps(error)!r}"
    for part in (TOKEN.lower(), plain, "0123456789"):
        assert part not in text.lower()


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
@virtual
async def test_an_echo_of_the_token_is_redacted_however_it_is_escaped(written):
    said = f'"bad Bearer {written}!"'
    body = f'{{"error": {{"message": {said}, "code": {said}, "details": [{said}]}}}}'
    with scripted(lambda _: answer(403, body.encode())):
        async with CanopySession("acme", TOKEN) as canopy:
            with pytest.raises(ApiError) as caught:
                await canopy.page("idn_1")
    assert_no_trace(caught.value)
    assert caught.value.message == "bad Bearer <redacted>!"
    assert caught.value.code == "bad Bearer <redacted>!"
    assert caught.value.details == ("bad Bearer <redacted>!",)


@pytest.mark.parametrize("before", range(460, 501, 8))
@virtual
async def test_a_token_that_the_longest_message_would_cut_is_redacted_whole(before):
    body = json.dumps({"message": "x" * before + TOKEN + "y" * 99})
    with scripted(lambda _: answer(403, body.encode())):
        async with CanopySession("acme", TOKEN) as canopy:
            with pytest.raises(ApiError) as caught:
                await canopy.page("idn_1")
    expected = f"{'x' * before}<redacted>{'y' * 99}"[:500]
    assert caught.value.message == expected


@virtual
async def test_many_echoes_leave_no_beginning_of_another_token():
    body = json.dumps({"message": TOKEN * 1_000})
    with scripted(lambda _: answer(403, body.encode())):
        async with CanopySession("acme", TOKEN) as canopy:
            with pytest.raises(ApiError) as caught:
                await canopy.page("idn_1")
    assert caught.value.message == "<redacted>" * 50


HEADERS = {
    "X-Request-Id": TOKEN.upper(),
    "Content-Type": f"text/{TOKEN}",
}
BROKEN = {
    "no JSON": b"hello",
    "no JSON but the token": TOKEN.encode(),
    "a field that is missing": page_body([event_row(id=...)]),
    "an unknown field with a character that can't be one": (
        json.dumps({"items": [{TOKEN: "\\udc00"}], "pagination": 0})
        .replace("\\\\", "\\")
        .encode()
    ),
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
@virtual
async def test_headers_of_a_200_that_breaks_the_contract_are_redacted(body):
    with scripted(lambda _: answer(200, body, HEADERS)):
        async with CanopySession("acme", TOKEN) as canopy:
            with pytest.raises(ProtocolError) as caught:
                await canopy.page("idn_1")
    assert_no_trace(caught.value)
    assert caught.value.request_id == "<redacted>"
    assert list(frames_of(caught.value))


@virtual
async def test_no_warning_of_a_report_has_a_token_as_the_name_of_a_field():
    rows = json.dumps([event_row() | {TOKEN: "?"}]).replace("?", "\\ud800")
    body = page_body().decode().partition('"items": ')[0] + f'"items": {rows}, '
    body += '"pagination": ' + page_body().decode().partition('"pagination": ')[2]
    with scripted(lambda _: body.encode()):
        async with (
            CanopySession("acme", TOKEN) as canopy,
            canopy.events("idn_1").open() as run,
        ):
            assert len([event async for event in run]) == 1
    (warning,) = run.report.warnings
    assert "items[0].<redacted>: read a character" in warning


class FailedError(Exception):
    """What is no error of aiohttp."""


async def failing_middleware(request, _handler):
    raise FailedError(f"could not send {request.headers!r}")


class FailingResolver(AbstractResolver):
    async def resolve(self, host, *_):
        raise FailedError(f"can't look up {host}")

    async def close(self):
        pass


def failing_trace():
    async def fail(_session, _context, params):
        raise FailedError(f"could not trace {params.headers!r}")

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(fail)
    return trace


GIVEN = {
    "middleware": lambda: aiohttp.ClientSession(middlewares=(failing_middleware,)),
    "trace": lambda: aiohttp.ClientSession(trace_configs=[failing_trace()]),
    "resolver": lambda: aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=FailingResolver())
    ),
}


@pytest.mark.parametrize("make", GIVEN.values(), ids=GIVEN)
async def test_what_a_given_session_raises_lets_no_header_out(make):
    async with (
        make() as given,
        CanopySession(
            "acme", TOKEN, http=given, base_url="http://localhost:9", retry=ONCE
        ) as canopy,
    ):
        with pytest.raises(TransportError, match="FailedError: c") as caught:
            await canopy.page("idn_1")
    assert_no_trace(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


async def test_what_is_no_fault_of_the_network_is_not_tried_again():
    tried = []

    async def fail(_request, _handler):
        tried.append(1)
        raise FailedError("no")

    async with (
        aiohttp.ClientSession(middlewares=(fail,)) as given,
        CanopySession("acme", TOKEN, http=given) as canopy,
    ):
        with pytest.raises(TransportError):
            await canopy.page("idn_1")
    assert tried == [1]


async def test_what_ends_a_program_in_a_middleware_comes_without_frames():
    class Leave(BaseException):
        pass

    async def leave(_request, _handler):
        raise Leave

    async with (
        aiohttp.ClientSession(middlewares=(leave,)) as given,
        CanopySession("acme", TOKEN, http=given) as canopy,
    ):
        with pytest.raises(Leave) as caught:
            await canopy.page("idn_1")
    assert_secret_kept(caught.value, TOKEN)
    names = []
    frame = caught.value.__traceback__
    while frame is not None:
        names.append(frame.tb_frame.f_code.co_filename)
        frame = frame.tb_next
    assert not [name for name in names if "aiohttp" in name]


async def test_an_echo_over_a_socket_is_redacted_in_header_and_body():
    def echo(request):
        (line,) = (
            line
            for line in request.decode().split("\r\n")
            if line.startswith("Authorization")
        )
        body = json.dumps({"message": line}).replace("/", "\\/")
        return http(400, body.encode(), X_Request_Id=line)

    async with (
        raw_server(echo) as (base_url, _),
        CanopySession("acme", TOKEN, base_url=base_url) as canopy,
    ):
        with pytest.raises(ApiError) as caught:
            await canopy.page("idn_1")
    assert_no_trace(caught.value)
    assert caught.value.message == "Authorization: Bearer <redacted>"
    assert caught.value.request_id == "Authorization: Bearer <redacted>"


async def test_a_token_of_punctuation_alone_takes_no_time_to_look_for():
    loop = asyncio.get_running_loop()
    began = loop.time()
    for token in ("\\" * 60, "+" * 400, "%25" * 100, "&#" * 60):
        assert len(redacted("\\" * 100_000, token, 500)) <= 500
        assert redacted(f"a{token}b", token, 500) == "a<redacted>b"
    assert loop.time() - began < 5
