"""Refusals at the call, by name, and the short texts of objects."""

import functools

import pytest

from canopy_async import CanopySession, RefreshingToken


class Watcher:
    def __call__(self, record): ...


class AsyncWatcher:
    async def __call__(self, record): ...


async def fetch():
    return "t"


def plain():
    return "t"


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        (Watcher, "not the class Watcher"),
        (fetch, "not an async one"),
        (AsyncWatcher(), "not an async one"),
        (functools.partial(fetch), "not an async one"),
        (7, "not int"),
    ],
)
def test_a_hook_that_would_never_be_told_is_refused(hook, said):
    with pytest.raises(TypeError, match=f"hooks must be .*{said}"):
        CanopySession("acme", "t", hooks=[hook])
    session = CanopySession("acme", "t", hooks=[Watcher(), print])
    with pytest.raises(TypeError, match=f"on_end must be .*{said}"):
        session.fan_out(["idn_1"], on_end=hook)


@pytest.mark.parametrize(
    "token", [plain, lambda: "t", functools.partial(plain), Watcher, 5, None]
)
def test_a_token_function_that_is_not_async_is_refused(token):
    with pytest.raises(TypeError, match="token must be"):
        CanopySession("acme", token)
    with pytest.raises(TypeError, match="fetch must be"):
        RefreshingToken(token)


class Fetcher:
    async def __call__(self):
        return "t"

    async def fetch(self):
        return "t"


@pytest.mark.parametrize(
    "token", [fetch, functools.partial(fetch), Fetcher(), Fetcher().fetch]
)
def test_whatever_is_async_is_a_token_function(token):
    CanopySession("acme", token)


def test_streams_and_followers_have_a_short_text():
    session = CanopySession("acme", "t0ken")
    assert repr(session.events("idn_1")) == (
        "<Stream of AuditEvent: /portal/v1/accounts/acme/identities/idn_1/audit>"
    )
    followed = session.follow(["a", "b"])
    assert repr(followed) == "<Follower of 0 identities so far>"
