"""Requests on the wire, and the result of each answer: no sockets, no time."""

import json
from importlib.metadata import version

import aiohttp
import pytest
from support.samples import page_body
from support.scripted import answer, scripted, simulated
from support.virtual import virtual
from yarl import URL

from canopy_async import (
    ApiError,
    BadRequestError,
    CanopySession,
    ForbiddenError,
    NotFoundError,
    ProtocolError,
    RateLimitedError,
    RetryPolicy,
    ServerError,
    TransportError,
    UnauthorizedError,
)
from canopy_async._api.base_url import parse_base_url
from canopy_async._api.requests import Query, audit_endpoint, build_url

OWN_AGENT = f"canopy-async/{version('canopy-async')}"
PATH = "/portal/v1/accounts/acme/identities"


def session(**options):
    options.setdefault("retry", RetryPolicy(attempts=4))
    return CanopySession("acme", "t0ken", **options)


@virtual
async def test_a_page_is_one_get_of_the_documented_url_with_the_documented_headers():
    with scripted(lambda _: 200) as calls:
        async with session() as canopy:
            page = await canopy.page("idn_1")
    assert [event.id for event in page.items] == ["evt_1"]
    (call,) = calls
    assert str(call.url.origin()) == "https://api.canopy.dev"
    assert call.url.path == f"{PATH}/idn_1/audit"
    assert dict(call.url.query) == {"page": "1", "take": "20"}
    assert call.headers == {
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
        "Authorization": "Bearer t0ken",
        "User-Agent": OWN_AGENT,
    }
    assert call.options["allow_redirects"] is False
    assert call.options["raise_for_status"] is False


@virtual
async def test_what_is_asked_of_a_page_is_sent():
    with scripted(lambda _: 200) as calls:
        async with session() as canopy:
            await canopy.page(
                "idn_1", 3, take=7, q="a b", sort_by="created_at", order="asc"
            )
    assert dict(calls[0].url.query) == {
        "page": "3",
        "take": "7",
        "q": "a b",
        "sort_by": "created_at",
        "order": "asc",
    }


@virtual
async def test_identities_are_asked_for_by_status():
    body = page_body([{"id": "idn_1"}])
    with scripted(lambda _: body) as calls:
        async with session() as canopy:
            found = await canopy.identities(status="active", q="ada").collect()
    assert [identity.id for identity in found] == ["idn_1"]
    assert calls[0].url.path == PATH
    assert calls[0].url.query["status"] == "active"
    assert calls[0].url.query["q"] == "ada"


@virtual
async def test_the_base_url_may_have_a_path_and_the_user_agent_a_name_before_ours():
    with scripted(lambda _: 200) as calls:
        async with session(
            base_url="https://self.hosted:8443/canopy/", user_agent="exporter/2"
        ) as canopy:
            await canopy.page("idn_1")
    assert str(calls[0].url).startswith("https://self.hosted:8443/canopy/portal/v1/")
    assert calls[0].headers["User-Agent"] == f"exporter/2 {OWN_AGENT}"


@pytest.mark.parametrize("identity", ["idn_1", "a/b", "..%2f", "?q=1#f", "å日", "%"])
@pytest.mark.parametrize(
    "base",
    [
        "https://api.canopy.dev",
        "https://api.canopy.dev:443/",
        "HTTPS://API.Canopy.dev:8443/a%20b/c//",
        "http://[::1]:8080/canopy",
        "http://127.0.0.1",
    ],
)
async def test_the_url_is_sent_as_the_wire_has_it(base, identity):
    with simulated(lambda _: 200) as calls:
        async with session(base_url=base) as canopy:
            await canopy.page(identity, 3, take=7, q="a+b &c=d/å%", order="asc")
    endpoint = audit_endpoint("acme", identity)
    query = Query(q="a+b &c=d/å%", order="asc")
    text = build_url(parse_base_url(base), endpoint, query, page=3, take=7)
    assert calls[0].url == URL(text, encoded=True)
    assert calls[0].url.raw_path_qs in text


async def test_an_error_names_the_url_as_it_was_given():
    with simulated(lambda _: 404):
        async with session(base_url="https://H.example:443/x") as canopy:
            with pytest.raises(NotFoundError) as caught:
                await canopy.page("a/b")
    assert caught.value.url.startswith(
        "https://H.example:443/x/portal/v1/accounts/acme"
    )
    assert caught.value.url.endswith("/identities/a%2Fb/audit?page=1&take=20")


@virtual
async def test_on_loopback_compression_is_not_asked_for():
    with scripted(lambda _: 200) as calls:
        async with session(base_url="http://127.0.0.1:9") as canopy:
            await canopy.page("idn_1")
    assert calls[0].headers["Accept-Encoding"] == "identity"


ENVELOPE = json.dumps(
    {"error": {"code": "a.b", "message": "because", "details": ["x"]}}
).encode()


@pytest.mark.parametrize(
    ("status", "cls", "sent"),
    [
        (204, ApiError, 1),
        (206, ApiError, 1),
        (301, ApiError, 1),
        (302, ApiError, 1),
        (304, ApiError, 1),
        (307, ApiError, 1),
        (400, BadRequestError, 1),
        (403, ForbiddenError, 1),
        (404, NotFoundError, 1),
        (405, ApiError, 1),
        (409, ApiError, 1),
        (410, ApiError, 1),
        (422, BadRequestError, 1),
        (408, ApiError, 4),
        (425, ApiError, 4),
        (429, RateLimitedError, 4),
        (500, ServerError, 4),
        (501, ServerError, 1),
        (502, ServerError, 4),
        (503, ServerError, 4),
        (504, ServerError, 4),
        (599, ServerError, 1),
        (401, UnauthorizedError, 1),
    ],
)
@virtual
async def test_each_status_raises_its_error_after_so_many_requests(status, cls, sent):
    def refuse(_):
        return answer(status, ENVELOPE, {"Location": "/elsewhere"})

    with scripted(refuse) as calls:
        async with session() as canopy:
            with pytest.raises(ApiError) as caught:
                await canopy.page("idn_1", 2)
            assert canopy.stats.in_flight == 0
    error = caught.value
    assert type(error) is cls
    assert len(calls) == sent
    assert error.status == status
    assert error.attempts == sent
    assert (error.code, error.details) == ("a.b", ("x",))
    assert error.method == "GET"
    assert error.url.startswith("https://api.canopy.dev/portal/v1/accounts/acme/")
    assert error.__cause__ is None


@pytest.mark.parametrize(
    "fault",
    [
        aiohttp.ServerDisconnectedError(),
        aiohttp.ClientPayloadError("half"),
        aiohttp.ClientConnectionError("refused"),
        aiohttp.ClientOSError(104, "reset"),
        ConnectionResetError("reset"),
        TimeoutError("connect"),
    ],
    ids=lambda fault: type(fault).__name__,
)
@virtual
async def test_a_fault_of_the_network_is_a_transport_error_after_four_attempts(fault):
    def fail(_):
        raise fault

    with scripted(fail) as calls:
        async with session() as canopy:
            with pytest.raises(TransportError) as caught:
                await canopy.page("idn_1")
    assert type(caught.value) is TransportError
    assert type(fault).__name__ in str(caught.value)
    assert len(calls) == caught.value.attempts == 4
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "page 3: not JSON"),
        (b"<html></html>", "page 3: not JSON"),
        (b'{"items": 1}', "page 3: items: expected an array"),
        (page_body([{"id": 5}]), "page 3: items[0].id"),
    ],
)
@virtual
async def test_a_200_that_breaks_the_contract_is_not_asked_for_again(body, said):
    with scripted(lambda _: body) as calls:
        async with session() as canopy:
            with pytest.raises(ProtocolError) as caught:
                await canopy.page("idn_1", 3)
    assert str(caught.value).startswith(said)
    assert caught.value.page == 3
    assert len(calls) == 1


@virtual
async def test_a_user_agent_that_would_split_the_headers_is_refused():
    with pytest.raises(ValueError, match="user_agent"):
        session(user_agent="x\r\nAuthorization: y")
