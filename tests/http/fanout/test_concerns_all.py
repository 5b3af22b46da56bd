"""One identity's failure, and everybody's: which of them ends a fan-out."""

import pickle

import pytest
from support.samples import page_body
from support.scripted import answer, simulated
from support.virtual import virtual

from canopy_async import (
    ApiError,
    CanopySession,
    ForbiddenError,
    NotFoundError,
    ProtocolError,
    RateLimitedError,
    RetryPolicy,
    SessionClosedError,
    TokenError,
    TransportError,
    UnauthorizedError,
)

REFUSALS = {
    "403": (lambda: 403, ForbiddenError),
    "302": (lambda: answer(302, b"", {"Location": "/login"}), ApiError),
    "html": (
        lambda: answer(200, b"<html>", {"Content-Type": "text/html; charset=utf-8"}),
        ProtocolError,
    ),
}


async def end_of(script, ids, **options):
    """Read all and return the fan-out, and what it raised."""
    options.setdefault("on_error", "collect")
    with simulated(script) as calls:
        async with CanopySession("acme", "t0ken") as canopy:
            fan_out = canopy.fan_out(ids, lossless=False, **options)
            try:
                async for _ in fan_out:
                    pass
            except Exception as error:  # noqa: BLE001 - it is looked at
                return fan_out, error, calls
    return fan_out, None, calls


def names(count):
    return [f"idn_{n}" for n in range(count)]


@pytest.mark.parametrize("kind", REFUSALS)
@pytest.mark.parametrize("count", [2, 15, 16, 800])
@virtual
async def test_what_every_identity_gets_is_one_error_and_no_identitys_failure(
    kind, count
):
    refuse, cls = REFUSALS[kind]
    told = []
    fan_out, error, calls = await end_of(
        lambda _: refuse(), iter(names(count)), on_end=told.append
    )
    assert type(error) is cls
    assert error.concerns_all
    assert not fan_out.failures
    assert fan_out.progress.failed == 0
    assert told == []
    # Who was begun is to be gone on with, and few were.
    assert len(fan_out.checkpoints) >= 2
    assert len(calls) <= 16 + 16


@pytest.mark.parametrize("kind", REFUSALS)
@pytest.mark.parametrize("place", [0, 7, 39])
@virtual
async def test_what_one_identity_gets_is_its_own_failure(kind, place):
    refuse, cls = REFUSALS[kind]
    told = []

    def script(call):
        return refuse() if f"/idn_{place}/" in call.url.path else 200

    fan_out, error, _ = await end_of(script, names(40), on_end=told.append)
    assert error is None
    assert list(fan_out.failures) == [f"idn_{place}"]
    assert type(fan_out.failures[f"idn_{place}"]) is cls
    assert (fan_out.progress.failed, fan_out.progress.done) == (1, 39)
    assert len(told) == 40


@pytest.mark.parametrize("kind", REFUSALS)
@virtual
async def test_what_the_only_identity_gets_is_its_own_failure(kind):
    refuse, cls = REFUSALS[kind]
    fan_out, error, _ = await end_of(lambda _: refuse(), ["idn_1"])
    assert error is None
    assert type(fan_out.failures["idn_1"]) is cls


@virtual
async def test_the_first_ten_of_many_may_be_refused_each_by_itself():
    def script(call):
        number = int(call.url.path.split("/idn_")[1].split("/")[0])
        return 403 if number < 10 else 200

    fan_out, error, _ = await end_of(script, names(60))
    assert error is None
    assert list(fan_out.failures) == names(10)
    assert fan_out.progress.done == 50


@pytest.mark.parametrize(("status", "body"), [(404, b""), (400, b""), (200, b"{}")])
@virtual
async def test_other_failures_are_each_identitys_own_even_if_all_have_them(
    status, body
):
    fan_out, error, _ = await end_of(lambda _: answer(status, body), names(40))
    assert error is None
    assert len(fan_out.failures) == 40
    assert not any(one.concerns_all for one in fan_out.failures.values())


@virtual
async def test_a_refused_token_is_everybodys():
    fan_out, error, calls = await end_of(lambda _: 401, names(400))
    assert isinstance(error, UnauthorizedError)
    assert error.concerns_all
    assert not fan_out.failures
    assert len(calls) <= 8


@virtual
async def test_with_raise_the_first_failure_ends_all_whatever_it_is():
    fan_out, error, _ = await end_of(lambda _: 403, names(40), on_error="raise")
    assert isinstance(error, ForbiddenError)
    assert len(fan_out.failures) == 1


@virtual
async def test_an_identity_whose_on_end_raises_is_gone_on_with_and_not_done():
    class FullError(Exception):
        pass

    def refuse(outcome):
        if outcome.identity_id == "idn_3":
            raise FullError

    fan_out, error, _ = await end_of(
        lambda _: page_body(), names(5), on_end=refuse, width=1
    )
    assert isinstance(error, FullError)
    assert fan_out.checkpoints["idn_3"].delivered == 1
    assert fan_out.progress.done == 3


def test_errors_that_concern_all_say_so_also_when_they_were_pickled():
    for error in (
        TokenError("no"),
        SessionClosedError("closed"),
        RateLimitedError("slow down", status=429),
        UnauthorizedError("no", status=401),
    ):
        assert error.concerns_all
        assert pickle.loads(pickle.dumps(error)).concerns_all
    for error in (NotFoundError("no", status=404), TransportError("reset")):
        assert not error.concerns_all
    outage = TransportError("reset")
    outage.concerns_all = True
    assert pickle.loads(pickle.dumps(outage)).concerns_all


@virtual
async def test_attempts_that_are_used_up_before_an_outage_is_sure_are_ones_own():
    once = RetryPolicy(attempts=1)
    with simulated(lambda _: 500):
        async with CanopySession("acme", "t0ken", retry=once) as canopy:
            fan_out = canopy.fan_out(names(3), on_error="collect")
            async for _ in fan_out:
                pass
    assert len(fan_out.failures) == 3
