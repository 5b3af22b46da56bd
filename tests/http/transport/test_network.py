"""The networks that people have: proxies, authorities of their own, plain http."""

import asyncio
import base64
import logging
import ssl
import warnings
from contextlib import asynccontextmanager

import pytest
from support.programs import command

from canopy_async import CanopySession, RetryPolicy, TransportError
from canopy_async._session.settings import _warn_of_http
from canopy_async.cli.commands.events import Account

ONCE = RetryPolicy(attempts=1)


@asynccontextmanager
async def forward_proxy(status=200):
    """A proxy for plain http that notes what it is asked for, and by whom."""
    asked = []

    async def handle(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        line, *headers = head.decode().split("\r\n")
        asked.append((line, dict(h.split(": ", 1) for h in headers if h)))
        method, url, _ = line.split()
        if status != 200:
            writer.write(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)
        else:
            host, _, path = url.removeprefix("http://").partition("/")
            name, _, port = host.partition(":")
            far_reader, far_writer = await asyncio.open_connection(name, int(port))
            kept = [h for h in headers if h and not h.startswith("Proxy-")]
            lines = [f"{method} /{path} HTTP/1.1", *kept, "Connection: close", "", ""]
            far_writer.write("\r\n".join(lines).encode())
            writer.write(await far_reader.read())
            far_writer.close()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


async def test_requests_go_through_a_proxy_with_its_credentials(
    server, connect, caplog
):
    caplog.set_level(logging.DEBUG, logger="canopy_async")
    server.seed_events("idn_1", 30)
    async with forward_proxy() as (where, asked):
        canopy = connect(proxy=f"http://ada:pa55word@{where}")
        assert len((await canopy.page("idn_1")).items) == 20
    ((line, headers),) = asked
    assert line.startswith(f"GET {server.base_url}/portal/v1/")
    credentials = base64.b64encode(b"ada:pa55word").decode()
    assert headers["Proxy-Authorization"] == f"Basic {credentials}"
    assert f"the proxy http://{where}" in caplog.text
    assert "pa55word" not in caplog.text
    assert "pa55word" not in repr(canopy) + str(canopy)


async def test_a_proxy_that_refuses_is_named_and_its_password_is_not():
    async with (
        forward_proxy(status=407) as (where, asked),
        CanopySession(
            "acme", "t", proxy=f"http://a:pa55word@{where}", retry=ONCE
        ) as canopy,
    ):
        with pytest.raises(TransportError, match="the proxy answered 407") as caught:
            await canopy.page("idn_1")
    assert asked[0][0].startswith("CONNECT api.canopy.dev:443")
    assert "pa55word" not in str(caught.value) + repr(vars(caught.value))


async def test_a_proxy_that_is_not_there_is_an_unreachable_server(connect):
    canopy = connect(proxy="http://127.0.0.1:1", retry=ONCE)
    with pytest.raises(TransportError, match="ProxyConnectionError"):
        await canopy.page("idn_1")


@pytest.mark.parametrize(
    "proxy",
    ["", "proxy:3128", "socks5://h:1", "http://", "http://h/path", "http://h?x"],
)
def test_what_can_not_be_a_proxy_is_refused_and_not_quoted(proxy):
    with pytest.raises(ValueError, match="proxy must be the URL") as caught:
        CanopySession("acme", "t", proxy=proxy)
    assert not proxy or proxy not in str(caught.value).replace("http://proxy:3128", "")


def test_arguments_of_another_type_are_named():
    for wrong in ({"ssl": True}, {"proxy": 5}, {"allow_http": "yes"}):
        (name,) = wrong
        with pytest.raises(TypeError, match=f"^{name} must be"):
            CanopySession("acme", "t", **wrong)


async def test_certificates_are_checked_with_the_context_that_is_given(monkeypatch):
    seen = []
    context = ssl.create_default_context()

    async def get(_session, _url, **options):
        seen.append(options)
        raise OSError("no")

    monkeypatch.setattr("aiohttp.ClientSession.get", get)
    async with CanopySession("acme", "t", ssl=context, retry=ONCE) as canopy:
        with pytest.raises(TransportError):
            await canopy.page("idn_1")
    assert seen[0]["ssl"] is context
    assert "proxy" not in seen[0]


def test_http_to_another_host_is_allowed_on_request_and_warned_of_once(caplog):
    _warn_of_http.cache_clear()
    with pytest.raises(ValueError, match="allow_http=True"):
        CanopySession("acme", "t", base_url="http://canopy:8080")
    for _ in range(3):
        CanopySession("acme", "t", base_url="http://canopy:8080", allow_http=True)
    assert caplog.text.count("http://canopy:8080 is not encrypted") == 1
    caplog.clear()
    CanopySession("acme", "t", base_url="http://127.0.0.1:8080", allow_http=True)
    CanopySession("acme", "t", base_url="https://canopy:8080", allow_http=True)
    assert not caplog.records


# The command line


async def finished(*arguments):
    env = {"CANOPY_ACCOUNT": "acme", "CANOPY_TOKEN": "t", "COLUMNS": "200"}
    async with command(*arguments, env=env) as process:
        _, err = await process.communicate()
        return process.returncode, err.decode()


def account(**options):
    return Account(slug="acme", token="t", **options)


@pytest.mark.parametrize(
    ("environment", "options", "proxy"),
    [
        ({}, {}, None),
        ({"HTTPS_PROXY": "http://p:1"}, {}, "http://p:1"),
        ({"https_proxy": "http://p:1"}, {}, "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "canopy.dev"}, {}, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "other.dev"}, {}, "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, {"proxy": "http://q:2"}, "http://q:2"),
        ({"HTTP_PROXY": "http://p:1"}, {}, None),
        ({"HTTP_PROXY": "http://p:1"}, {"base_url": "http://127.0.0.1:5"}, None),
    ],
)
def test_the_command_line_takes_the_proxy_of_the_environment(
    monkeypatch, environment, options, proxy
):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    seen = {}

    class Noting(CanopySession):
        def __init__(self, *args, **given):
            super().__init__(*args, **given)
            seen.update(given)

    monkeypatch.setattr("canopy_async.cli.commands.events.CanopySession", Noting)
    account(**options).session()
    assert seen["proxy"] == proxy


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--ca-file", "/nowhere.pem"), "--ca-file"),
        (("--proxy", "socks5://x:1"), "--proxy"),
        (("--base-url", "http://canopy:1"), "--base-url"),
    ],
)
async def test_wrong_connections_are_wrong_usage(arguments, said):
    status, err = await finished("identities", *arguments)
    assert status == 2
    assert said in err


def test_no_warning_is_raised_where_all_is_well():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CanopySession("acme", "t", allow_http=False)
