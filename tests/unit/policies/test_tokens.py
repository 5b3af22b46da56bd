"""Tokens while a session works: an endpoint that is down, slow, hanging or short."""

import asyncio

import pytest
from support.scripted import simulated
from support.virtual import now, settle, virtual

from canopy_async import (
    CanopySession,
    RetryPolicy,
    SessionClosedError,
    StaticToken,
    TokenError,
    UnauthorizedError,
)
from canopy_async.auth import Credential

SECRET = "s3cr3t-of-the-identity-provider"


def session(token, **options):
    return CanopySession("acme", token, **options)


class Endpoint:
    """Gives tokens, and counts how often it was asked."""

    def __init__(self, fails_until=0.0, takes=0.0, error=ConnectionError):
        self.asked = []
        self.fails_until = fails_until
        self.takes = takes
        self.error = error

    async def __call__(self):
        self.asked.append(now())
        await asyncio.sleep(self.takes)
        if now() < self.fails_until:
            raise self.error(SECRET)
        return f"token-{len(self.asked)}"


@pytest.mark.parametrize("seconds", [0.5, 10, 40])
@virtual
async def test_a_token_endpoint_that_is_down_for_a_while_fails_nobody(seconds):
    endpoint = Endpoint(fails_until=seconds)
    with simulated(lambda _: 200) as calls:
        async with session(endpoint) as canopy:
            ids = (f"idn_{n}" for n in range(200))
            fan_out = canopy.fan_out(ids, on_error="collect", lossless=False)
            await fan_out.collect()
            assert canopy.stats.peak_in_flight <= 8
    assert not fan_out.failures
    assert fan_out.progress.done == 200
    assert min(call.at for call in calls) >= seconds
    assert len(endpoint.asked) <= 6 + 4 * seconds**0.5


@virtual
async def test_a_token_endpoint_that_stays_down_ends_a_fan_out_with_one_error():
    endpoint = Endpoint(fails_until=1e9)
    with simulated(lambda _: 200) as calls:
        async with session(endpoint, retry=RetryPolicy(deadline=20)) as canopy:
            ids = (f"idn_{n}" for n in range(200))
            fan_out = canopy.fan_out(ids, on_error="collect")
            with pytest.raises(TokenError) as caught:
                await fan_out.collect()
            assert canopy.stats.in_flight == canopy.stats.requests == 0
    assert (caught.value.cause, caught.value.invalid) == ("ConnectionError", False)
    assert caught.value.concerns_all
    assert SECRET not in repr(caught.value) + str(vars(caught.value))
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert not fan_out.failures
    assert not calls
    assert 20 <= now() < 21
    assert len(endpoint.asked) <= 25


@virtual
async def test_a_slow_endpoint_holds_no_slot_and_is_no_timeout_of_the_request():
    endpoint = Endpoint(takes=8)

    async def script(_):
        await asyncio.sleep(4)
        return 200

    with simulated(script) as calls:
        async with session(endpoint, timeout=10, concurrency=1) as canopy:
            waiting = [asyncio.create_task(canopy.page(f"idn_{n}")) for n in range(3)]
            await asyncio.sleep(7)
            assert canopy.stats.in_flight == canopy.stats.requests == 0
            await asyncio.gather(*waiting)
    assert [call.at for call in calls] == [8, 12, 16]
    assert len(endpoint.asked) == 1


@virtual
async def test_an_endpoint_that_hangs_is_given_up_after_the_timeout():
    endpoint = Endpoint(takes=1e9)
    with simulated(lambda _: 200):
        retry = RetryPolicy(deadline=30)
        async with session(endpoint, timeout=5, retry=retry) as canopy:
            with pytest.raises(TokenError, match="no token within 5 s") as caught:
                await canopy.page("idn_1")
    assert caught.value.cause == "TimeoutError"
    assert now() <= 5 + 30 + 5


@virtual
async def test_a_poll_that_has_no_token_is_a_failed_poll_and_the_follower_goes_on():
    endpoint = Endpoint(fails_until=100)
    with simulated(lambda _: 200):
        async with session(endpoint, retry=RetryPolicy(deadline=5)) as canopy:
            batches = canopy.follow(["idn_1", "idn_2"], start="beginning")
            async with batches:
                stream = aiter(batches)
                found = {(await anext(stream)).identity_id for _ in range(2)}
                await stream.aclose()
    assert found == {"idn_1", "idn_2"}
    assert now() >= 100


@pytest.mark.parametrize("error", [LookupError, TimeoutError, asyncio.CancelledError])
@virtual
async def test_whatever_a_provider_raises_is_a_token_error(error):
    endpoint = Endpoint(fails_until=1e9, error=error)
    with simulated(lambda _: 200):
        async with session(endpoint, retry=RetryPolicy(deadline=1)) as canopy:
            with pytest.raises(TokenError) as caught:
                await canopy.events("idn_1").collect()
            assert not canopy.closed
    assert caught.value.cause == error.__name__


@virtual
async def test_a_refresh_that_fails_sends_a_rejected_token_no_more():
    class Provider:
        def __init__(self):
            self.refreshed = 0

        async def token(self):
            return "new" if self.refreshed > 3 else "old"

        async def refresh(self, rejected):
            assert rejected == "old"
            self.refreshed += 1
            if self.refreshed <= 3:
                raise ConnectionError(SECRET)
            return "new"

    def script(call):
        return 401 if call.token == "old" else 200

    provider = Provider()
    with simulated(script) as calls:
        async with session(provider) as canopy:
            await canopy.page("idn_1")
    assert [call.token for call in calls] == ["old", "new"]


@virtual
async def test_what_is_no_token_is_final_at_once():
    async def fetch():
        return "two words"

    with simulated(lambda _: 200) as calls:
        async with session(fetch) as canopy:
            with pytest.raises(TokenError, match="must be a str") as caught:
                await canopy.page("idn_1")
    assert caught.value.invalid
    assert (now(), calls) == (0, [])


@pytest.mark.parametrize("uses", [1, 2, 3])
@pytest.mark.parametrize("concurrency", [1, 8, 32, 64])
@virtual
async def test_tokens_that_last_for_a_few_requests_are_enough(uses, concurrency):
    left, fetched = {}, []

    async def fetch():
        await asyncio.sleep(0.05)
        fetched.append(f"token-{len(fetched)}")
        left[fetched[-1]] = uses
        return fetched[-1]

    async def script(call):
        await asyncio.sleep(0.02)
        if not left[call.token]:
            return 401
        left[call.token] -= 1
        return 200

    with simulated(script):
        async with session(fetch, concurrency=concurrency) as canopy:
            pages = [canopy.page(f"idn_{n}") for n in range(100)]
            await asyncio.gather(*pages)
    assert len(fetched) >= 100 / uses


@virtual
async def test_one_log_that_always_rejects_is_not_asked_for_ever():
    fetched = []

    async def fetch():
        fetched.append(f"token-{len(fetched)}")
        return fetched[-1]

    async def script(call):
        await asyncio.sleep(0.02)
        return 401 if "/odd/" in call.url.path else 200

    async def keep_asking():
        while now() < 200:
            await canopy.page("idn_1")

    with simulated(script):
        async with session(fetch) as canopy:
            asking = asyncio.create_task(keep_asking())
            await settle()
            with pytest.raises(UnauthorizedError):
                await canopy.page("odd")
            asking.cancel()
            await asyncio.wait([asking])
    assert now() <= 75
    assert len(fetched) <= 30


@virtual
async def test_closing_reaches_a_request_that_waits_for_a_token():
    with simulated(lambda _: 200):
        canopy = session(Endpoint(takes=1e6))
        reading = asyncio.create_task(canopy.page("idn_1"))
        await asyncio.sleep(1)
        await canopy.aclose()
        with pytest.raises(SessionClosedError):
            await reading


@pytest.mark.parametrize(
    ("token", "text", "shown"),
    [
        ("t", "the token t is not a token", "the token <redacted> is not a token"),
        ("t", '{"token": "t"}', '{"token": "<redacted>"}'),
        ("abc", "abcde abc-1 abc", "abcde abc-1 <redacted>"),
        ("a.b", "a.b axb", "<redacted> axb"),
        ("x" * 16, f"y{'x' * 16}y", "y<redacted>y"),
    ],
)
def test_a_redacted_text_stays_readable_when_a_token_is_short(token, text, shown):
    credential = Credential(token)
    assert credential.redact(text, 100) == shown


@virtual
async def test_a_token_that_never_changes_is_not_asked_for_again():
    with simulated(lambda _: 401) as calls:
        async with session(StaticToken("t0ken")) as canopy:
            with pytest.raises(UnauthorizedError):
                await canopy.page("idn_1")
    assert len(calls) == 1
