"""The session: bad input at the call, by name, before anything is sent."""

import copy
import pickle
import traceback

import pytest
from support.scripted import scripted
from support.virtual import virtual

import canopy_async
from canopy_async import CanopySession, RetryPolicy, SessionClosedError, StaticToken

VARIABLES = ("CANOPY_ACCOUNT", "CANOPY_TOKEN", "CANOPY_BASE_URL")
BAD_IDS = ["", ".", "..", "a\n", "a\r\nb", "\0", "\x7f", "a\tb", "\x85", "\ud800"]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def at_home(**options):
    return CanopySession("acme", "t0ken", **options)


@pytest.mark.parametrize(
    ("name", "value", "cls"),
    [
        ("base_url", "http://api.canopy.dev", ValueError),
        ("base_url", "api.canopy.dev", ValueError),
        ("base_url", None, TypeError),
        ("concurrency", 0, ValueError),
        ("concurrency", -1, ValueError),
        ("concurrency", True, TypeError),
        ("concurrency", 2.0, TypeError),
        ("concurrency", "8", TypeError),
        ("max_rate", 0, ValueError),
        ("max_rate", float("inf"), ValueError),
        ("max_rate", "5", TypeError),
        ("timeout", 0, ValueError),
        ("timeout", float("nan"), ValueError),
        ("timeout", None, TypeError),
        ("retry", 4, TypeError),
        ("retry", None, TypeError),
        ("hooks", [5], TypeError),
        ("hooks", 5, TypeError),
        ("http", object(), TypeError),
        ("user_agent", "a\nb", ValueError),
        ("user_agent", 5, TypeError),
    ],
)
def test_a_bad_argument_of_the_session_is_named(name, value, cls):
    with pytest.raises(cls, match=f"^{name} must"):
        at_home(**{name: value})


@pytest.mark.parametrize("account", BAD_IDS)
def test_a_bad_account_is_named(account):
    with pytest.raises(ValueError, match=r"^account must"):
        CanopySession(account, "t0ken")


@pytest.mark.parametrize("account", [None, 5, b"acme"])
def test_an_account_is_a_str(account):
    with pytest.raises(TypeError, match=r"^account must be a str"):
        CanopySession(account, "t0ken")


@pytest.mark.parametrize("token", ["", "a b", "t\n", "t\r\nX: y", "tök"])
def test_a_token_that_cannot_be_sent_is_named(token):
    with pytest.raises(ValueError, match=r"^token must be"):
        CanopySession("acme", token)


@pytest.mark.parametrize("token", [None, 5, b"t0ken", object()])
def test_a_token_of_no_kind_is_named(token):
    with pytest.raises(TypeError, match=r"^token must be"):
        CanopySession("acme", token)


BAD_READS = [
    ({"take": 0}, ValueError, "take"),
    ({"take": 101}, ValueError, "take"),
    ({"take": True}, TypeError, "take"),
    ({"take": "5"}, TypeError, "take"),
    ({"take": None}, TypeError, "take"),
    ({"order": "up"}, ValueError, "order"),
    ({"order": ""}, ValueError, "order"),
    ({"order": 1}, TypeError, "order"),
    ({"q": 5}, TypeError, "q"),
    ({"q": "\ud800"}, ValueError, "q"),
    ({"sort_by": b"x"}, TypeError, "sort_by"),
]
BAD_STREAMS = [
    *BAD_READS,
    ({"limit": -1}, ValueError, "limit"),
    ({"limit": 1.0}, TypeError, "limit"),
    ({"limit": True}, TypeError, "limit"),
    ({"concurrency": 0}, ValueError, "concurrency"),
    ({"concurrency": "8"}, TypeError, "concurrency"),
]


@pytest.mark.parametrize(("options", "cls", "name"), BAD_STREAMS, ids=repr)
@virtual
async def test_a_bad_argument_of_a_read_is_named_before_anything_is_sent(
    options, cls, name
):
    with scripted(lambda _: 200) as calls:
        async with at_home() as canopy:
            with pytest.raises(cls, match=f"^{name} must"):
                canopy.events("idn_1", **options)
            with pytest.raises(cls, match=f"^{name} must"):
                canopy.identities(**options)
    assert not calls


@pytest.mark.parametrize(
    ("options", "cls", "name"),
    [
        *BAD_READS,
        ({"page": 0}, ValueError, "page"),
        ({"page": -1}, ValueError, "page"),
        ({"page": "1"}, TypeError, "page"),
        ({"page": True}, TypeError, "page"),
    ],
    ids=repr,
)
@virtual
async def test_a_bad_argument_of_a_page_is_named_before_anything_is_sent(
    options, cls, name
):
    with scripted(lambda _: 200) as calls:
        async with at_home() as canopy:
            with pytest.raises(cls, match=f"^{name} must"):
                await canopy.page("idn_1", **options)
    assert not calls


@pytest.mark.parametrize("identity", BAD_IDS)
@virtual
async def test_an_id_that_would_change_the_path_is_named_before_anything_is_sent(
    identity,
):
    with scripted(lambda _: 200) as calls:
        async with at_home() as canopy:
            with pytest.raises(ValueError, match=r"^identity_id must"):
                canopy.events(identity)
            with pytest.raises(ValueError, match=r"^identity_id must"):
                await canopy.page(identity)
    assert not calls


@pytest.mark.parametrize("identity", [None, 5, b"idn_1", ["idn_1"]])
@virtual
async def test_an_id_is_a_str(identity):
    async with at_home() as canopy:
        with pytest.raises(TypeError, match=r"^identity_id must be a str"):
            canopy.events(identity)


@pytest.mark.parametrize("status", ["Active", "", "deleted"])
@virtual
async def test_a_status_is_active_or_inactive(status):
    async with at_home() as canopy:
        with pytest.raises(ValueError, match=r"^status must be one of"):
            canopy.identities(status=status)


@virtual
async def test_a_closed_session_says_so_at_the_call():
    canopy = at_home()
    assert not canopy.closed
    await canopy.aclose()
    await canopy.aclose()
    assert canopy.closed
    with pytest.raises(SessionClosedError, match="the session is closed"):
        canopy.events("idn_1")
    with pytest.raises(SessionClosedError):
        canopy.identities()
    with pytest.raises(SessionClosedError):
        await canopy.page("idn_1")
    with pytest.raises(SessionClosedError):
        await canopy.__aenter__()


def test_a_session_is_made_without_a_running_loop():
    assert at_home().stats.requests == 0


def test_a_session_shows_where_it_reads_and_nothing_secret():
    canopy = at_home(base_url="https://h/")
    assert repr(canopy) == "CanopySession('acme', base_url='https://h')"
    assert (canopy.account, canopy.base_url) == ("acme", "https://h")


def test_a_session_that_failed_to_be_made_can_be_shown_in_a_traceback():
    with pytest.raises(ValueError, match=r"^account must") as caught:
        CanopySession("..", "t0ken")
    shown = traceback.TracebackException.from_exception(
        caught.value, capture_locals=True
    )
    assert "CanopySession" in "".join(shown.format())


def test_a_session_does_not_travel():
    for travel in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="make one session in each process"):
            travel(at_home())


@virtual
async def test_the_environment_makes_a_session(monkeypatch):
    monkeypatch.setenv("CANOPY_ACCOUNT", "acme")
    monkeypatch.setenv("CANOPY_TOKEN", "t0ken")
    monkeypatch.setenv("CANOPY_BASE_URL", "https://self.hosted/")
    with scripted(lambda _: 200) as calls:
        async with CanopySession.from_env(concurrency=2) as canopy:
            await canopy.page("idn_1")
    assert (canopy.account, canopy.base_url) == ("acme", "https://self.hosted")
    assert calls[0].token == "t0ken"


@virtual
async def test_what_is_passed_wins_over_the_environment(monkeypatch):
    for name in VARIABLES:
        monkeypatch.setenv(name, "https://from.the.environment")
    with scripted(lambda _: 200) as calls:
        async with CanopySession.from_env(
            account="mine", token=StaticToken("other"), base_url="https://h"
        ) as canopy:
            await canopy.page("idn_1")
    assert (canopy.account, canopy.base_url) == ("mine", "https://h")
    assert calls[0].token == "other"


@pytest.mark.parametrize("name", ["CANOPY_ACCOUNT", "CANOPY_TOKEN"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_variable_is_named(monkeypatch, name, value):
    monkeypatch.setenv("CANOPY_ACCOUNT", "acme")
    monkeypatch.setenv("CANOPY_TOKEN", "t0ken")
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"set {name}, or pass"):
        CanopySession.from_env()


def test_the_environment_has_the_default_base_url(monkeypatch):
    monkeypatch.setenv("CANOPY_ACCOUNT", "acme")
    monkeypatch.setenv("CANOPY_TOKEN", "t0ken")
    assert CanopySession.from_env().base_url == "https://api.canopy.dev"


def test_a_bad_token_in_the_environment_is_named_and_not_shown(monkeypatch):
    monkeypatch.setenv("CANOPY_ACCOUNT", "acme")
    monkeypatch.setenv("CANOPY_TOKEN", "secret token")
    with pytest.raises(ValueError, match=r"^token must be") as caught:
        CanopySession.from_env()
    assert "secret" not in str(caught.value)


@virtual
async def test_stats_say_what_the_session_did():
    with scripted(lambda call: 500 if call.number == 1 else 200):
        async with at_home(retry=RetryPolicy(base=0.001)) as canopy:
            assert canopy.stats.width == 8
            await canopy.page("idn_1")
            stats = canopy.stats
    assert (stats.requests, stats.retries, stats.peak_in_flight) == (2, 1, 1)
    assert (stats.in_flight, stats.waiting, stats.cooldowns) == (0, 0, 0)
    assert isinstance(stats, canopy_async.SessionStats)


def test_a_call_with_a_wrong_argument_names_the_class_that_users_know():
    canopy = CanopySession("acme", "t")
    for method in (canopy.events, canopy.chain, canopy.set_concurrency):
        with pytest.raises(TypeError, match=rf"^CanopySession\.{method.__name__}\(\)"):
            method(unknown=1)


def test_a_method_of_the_session_can_be_pickled_by_its_place():
    for method in (CanopySession.events, CanopySession.chain, CanopySession.aclose):
        assert pickle.loads(pickle.dumps(method)) is method
