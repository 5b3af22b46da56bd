"""Token providers: one fetch for all who wait, nothing shown, nothing sent unseen."""

import asyncio
import copy
import itertools
import pickle

import pytest
from support.virtual import settle, virtual

from canopy_async import RefreshingToken, StaticToken, TokenProvider
from canopy_async.auth import Credential, as_provider

SECRET = "eyJhbGciOi.secret-token.c2ln"
UNSENDABLE = ["", "a b", "tok\n", "tok\r\nX: y", "tök", "\0", "tok\x7f", "\t"]


class Issuer:
    """Fetches tokens when told to."""

    def __init__(self):
        self.calls = []

    async def __call__(self):
        call = asyncio.get_running_loop().create_future()
        self.calls.append(call)
        return await call


@virtual
async def test_any_number_of_waiters_share_the_first_fetch():
    issuer = Issuer()
    provider = RefreshingToken(issuer)
    waiters = [asyncio.create_task(provider.token()) for _ in range(20)]
    await settle()
    assert len(issuer.calls) == 1
    issuer.calls[0].set_result("first")
    assert await asyncio.gather(*waiters) == ["first"] * 20
    assert await provider.token() == "first"
    assert len(issuer.calls) == 1


@virtual
async def test_all_who_hold_the_rejected_token_share_one_refresh():
    issuer = Issuer()
    provider = RefreshingToken(issuer)
    first = asyncio.create_task(provider.token())
    await settle()
    issuer.calls[0].set_result("first")
    await first
    waiters = [asyncio.create_task(provider.refresh("first")) for _ in range(20)]
    await settle()
    assert len(issuer.calls) == 2
    issuer.calls[1].set_result("second")
    assert await asyncio.gather(*waiters) == ["second"] * 20
    assert len(issuer.calls) == 2


def test_it_is_good_for_one_event_loop_after_another():
    async def fetch():
        await asyncio.sleep(0)
        return f"token-{next(numbers)}"

    async def rejected(token):
        return await asyncio.gather(*(provider.refresh(token) for _ in range(3)))

    numbers = itertools.count(1)
    provider = RefreshingToken(fetch)
    assert asyncio.run(rejected("token-0")) == ["token-1"] * 3
    assert asyncio.run(rejected("token-1")) == ["token-2"] * 3


@virtual
async def test_a_late_rejection_of_an_older_token_fetches_nothing():
    tokens = iter(["first", "second", "third"])

    async def fetch():
        return next(tokens)

    provider = RefreshingToken(fetch)
    assert await provider.token() == "first"
    assert await provider.refresh("first") == "second"
    assert await provider.refresh("first") == "second"
    assert await provider.refresh("never issued") == "second"
    assert await provider.refresh("second") == "third"


@virtual
async def test_those_who_wait_take_what_comes_though_it_is_the_rejected_one_again():
    issuer = Issuer()
    provider = RefreshingToken(issuer)
    first = asyncio.create_task(provider.token())
    await settle()
    issuer.calls[0].set_result("same")
    await first
    waiters = [asyncio.create_task(provider.refresh("same")) for _ in range(5)]
    await settle()
    issuer.calls[1].set_result("same")
    await settle()
    assert len(issuer.calls) == 2
    assert await asyncio.gather(*waiters) == ["same"] * 5


@virtual
async def test_a_failure_is_shared_by_those_who_waited_and_the_next_one_tries_again():
    issuer = Issuer()
    provider = RefreshingToken(issuer)
    waiters = [asyncio.create_task(provider.token()) for _ in range(5)]
    await settle()
    failure = ConnectionError("the identity provider is down")
    issuer.calls[0].set_exception(failure)
    results = await asyncio.gather(*waiters, return_exceptions=True)
    assert results == [failure] * 5
    assert len(issuer.calls) == 1

    later = asyncio.create_task(provider.token())
    await settle()
    issuer.calls[1].set_result("second")
    assert await later == "second"


@virtual
async def test_a_failed_refresh_keeps_the_old_token_for_those_who_ask():
    issuer = Issuer()
    provider = RefreshingToken(issuer)
    first = asyncio.create_task(provider.token())
    await settle()
    issuer.calls[0].set_result("first")
    await first
    refresh = asyncio.create_task(provider.refresh("first"))
    await settle()
    issuer.calls[1].set_exception(ConnectionError("down"))
    with pytest.raises(ConnectionError):
        await refresh
    assert await provider.token() == "first"


@virtual
async def test_cancelling_the_one_who_fetches_leaves_the_fetch_to_the_next():
    issuer = Issuer()
    provider = RefreshingToken(issuer)
    leader, *others = [asyncio.create_task(provider.token()) for _ in range(4)]
    await settle()
    leader.cancel()
    await settle()
    assert leader.cancelled()
    assert len(issuer.calls) == 2
    assert issuer.calls[0].cancelled()
    issuer.calls[1].set_result("first")
    assert await asyncio.gather(*others) == ["first"] * 3


@virtual
async def test_cancelling_one_who_waits_changes_nothing_for_the_others():
    issuer = Issuer()
    provider = RefreshingToken(issuer)
    leader, waiter, last = [asyncio.create_task(provider.token()) for _ in range(3)]
    await settle()
    waiter.cancel()
    await settle()
    issuer.calls[0].set_result("first")
    assert await leader == await last == "first"
    assert len(issuer.calls) == 1


@pytest.mark.parametrize("token", UNSENDABLE)
@virtual
async def test_a_fetched_token_that_cannot_be_sent_is_refused_by_name(token):
    async def fetch():
        return token

    with pytest.raises(ValueError, match=r"^the token that was fetched must be"):
        await RefreshingToken(fetch).token()


@virtual
async def test_a_fetched_token_is_a_str():
    async def fetch():
        return {"access_token": SECRET}

    with pytest.raises(TypeError, match=r"^the token that was fetched") as caught:
        await RefreshingToken(fetch).token()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("token", UNSENDABLE)
def test_a_token_that_cannot_be_sent_is_refused_by_name_and_not_shown(token):
    for make in (StaticToken, lambda t: as_provider(Credential(t))):
        with pytest.raises(
            ValueError, match=r"^token must be a str of visible"
        ) as said:
            make(token)
        assert not token or token not in str(said.value).replace(" ", "")


@pytest.mark.parametrize("token", [None, 5, b"token"])
def test_a_static_token_is_a_str(token):
    with pytest.raises(TypeError, match=r"^token must be a str"):
        StaticToken(token)


@virtual
async def test_a_static_token_has_no_other():
    provider = StaticToken(SECRET)
    assert await provider.token() == SECRET
    assert await provider.refresh(SECRET) == SECRET


def test_a_str_a_provider_or_a_function_makes_a_provider():
    async def fetch():
        return SECRET

    class Own:
        async def token(self):
            return SECRET

        async def refresh(self, rejected):
            return rejected

    own = Own()
    assert isinstance(own, TokenProvider)
    assert as_provider(Credential(own)) is own
    assert isinstance(as_provider(Credential(SECRET)), StaticToken)
    assert isinstance(as_provider(Credential(fetch)), RefreshingToken)


@pytest.mark.parametrize("token", [None, 5, b"x", object()])
def test_anything_else_makes_none(token):
    with pytest.raises(TypeError, match=r"^token must be a str, a TokenProvider or"):
        as_provider(Credential(token))


def test_fetch_is_a_function():
    with pytest.raises(TypeError, match=r"^fetch must be an async function"):
        RefreshingToken(SECRET)


def test_a_wrapped_credential_is_the_same_credential():
    assert Credential(Credential(SECRET)).header() == f"Bearer {SECRET}"


@virtual
async def test_nothing_of_a_token_is_shown():
    async def fetch():
        return SECRET

    refreshing = RefreshingToken(fetch)
    await refreshing.token()
    for holder in (Credential(SECRET), StaticToken(SECRET), refreshing):
        assert SECRET not in f"{holder!r} {holder!s}"


def test_a_credential_does_not_travel():
    for travel in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="credential can't be pickled"):
            travel(Credential(SECRET))
    with pytest.raises(TypeError, match="credential can't be pickled"):
        pickle.dumps(StaticToken(SECRET))


def test_credentials_compare_and_hash_by_their_token():
    same = {Credential(SECRET), Credential(SECRET), Credential("other")}
    assert len(same) == 2
    assert Credential(SECRET) != SECRET


def test_a_token_is_taken_out_of_what_a_server_echoes():
    said = f"bad token Bearer {SECRET}"
    assert Credential(SECRET).redact(said, 99) == "bad token Bearer <redacted>"
