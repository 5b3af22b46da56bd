"""The retry policy: a pure decision, checked on its numbers."""

import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canopy_async import (
    ApiError,
    CanopyError,
    ProtocolError,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    SessionClosedError,
    TransportError,
)
from canopy_async._api.error_answers import error_from
from canopy_async._api.responses import Response

RETRIED = [408, 425, 429, 500, 502, 503, 504]
FINAL = [302, 400, 401, 403, 404, 405, 409, 410, 418, 422, 501, 505, 511, 520]


def whole(bound):
    """A jitter without luck: all of it."""
    return bound


async def unhurried(bound):
    """A jitter that would have to be awaited, which none is."""
    return bound


def error(status, retry_after=None):
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return error_from(Response(status=status, headers=headers, body=b""), url="u")


@pytest.mark.parametrize("status", RETRIED)
def test_statuses_that_may_pass_are_retried(status):
    assert RetryPolicy().delay_for(error(status), 1) is not None


@pytest.mark.parametrize("status", FINAL)
def test_statuses_that_will_not_pass_are_final(status):
    assert RetryPolicy(attempts=100).delay_for(error(status), 1) is None


def test_faults_of_the_network_are_retried_and_broken_contracts_are_not():
    policy = RetryPolicy()
    assert policy.delay_for(TransportError("reset"), 1) is not None
    assert policy.delay_for(RequestTimeoutError("slow"), 1) is not None
    for final in (ProtocolError("bad"), SessionClosedError("x"), CanopyError("x")):
        assert policy.delay_for(final, 1) is None


def test_waits_double_up_to_the_cap():
    policy = RetryPolicy(attempts=10, base=0.05, cap=1.0, jitter=whole)
    waits = [policy.delay_for(error(500), n) for n in range(1, 10)]
    assert waits == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("status", [429, 503])
def test_waits_after_throttling_start_longer(status):
    policy = RetryPolicy(attempts=10, jitter=whole)
    waits = [policy.delay_for(error(status), n) for n in range(1, 8)]
    assert waits == [1, 2, 4, 8, 10, 10, 10]


@pytest.mark.parametrize("attempts", [1, 2, 4])
def test_a_request_is_sent_as_often_as_attempts_says(attempts):
    policy = RetryPolicy(attempts=attempts)
    sent = next(n for n in range(1, 99) if policy.delay_for(error(500), n) is None)
    assert sent == attempts


def waits_of(policy, failure):
    """The waits of a request whose attempts take no time, all of them in vain."""
    elapsed, waits = 0.0, []
    while (
        wait := policy.delay_for(failure, len(waits) + 1, elapsed=elapsed)
    ) is not None:
        waits.append(wait)
        elapsed += wait
    return waits


def test_the_defaults_outlast_a_minute_and_the_last_attempt_is_at_its_end():
    waits = waits_of(RetryPolicy(jitter=whole), TransportError("reset"))
    assert waits == [0.25, 0.5, 1, 2, 4, 8, 10, 10, 10, 10, 4.25]
    assert sum(waits) == 60


@given(st.floats(0.1, 1_000), st.integers(0, 2**32))
def test_the_deadline_is_used_up_and_never_passed(deadline, seed):
    dice = random.Random(seed)
    policy = RetryPolicy(
        deadline=deadline, jitter=lambda bound: dice.uniform(bound / 4, bound)
    )
    assert sum(waits_of(policy, error(500))) == pytest.approx(deadline)


@given(st.floats(0.5, 100), st.floats(0, 100))
def test_a_retry_after_beyond_what_is_left_is_final_and_one_within_is_kept(
    asked, elapsed
):
    policy = RetryPolicy(max_retry_after=1_000)
    wait = policy.delay_for(error(429, repr(asked)), 1, elapsed=elapsed)
    if elapsed >= 60 or asked > 60 - elapsed:
        assert wait is None
    else:
        assert asked <= wait <= max(asked, 60 - elapsed)


def test_probes_of_an_outage_wait_as_retries_do():
    policy = RetryPolicy(jitter=whole)
    waits = [policy.probe_wait(failed) for failed in range(8)]
    assert waits == [0.25, 0.5, 1, 2, 4, 8, 10, 10]
    assert len({RetryPolicy().probe_wait(3) for _ in range(50)}) > 40


@given(
    st.sampled_from(RETRIED),
    st.floats(0, 60),
    st.integers(1, 60),
    st.floats(0, 1),
)
def test_retry_after_is_a_floor_and_is_never_shortened(status, seconds, attempt, luck):
    policy = RetryPolicy(attempts=100, jitter=lambda bound: bound * luck)
    wait = policy.delay_for(error(status, repr(seconds)), attempt)
    assert wait >= seconds
    assert wait <= seconds + policy.cap


@given(st.floats(60.001, 1e300), st.sampled_from(RETRIED))
def test_a_server_that_asks_for_more_than_one_may_wait_is_final(seconds, status):
    assert RetryPolicy().delay_for(error(status, repr(seconds)), 1) is None


def test_the_longest_wait_allowed_is_a_choice():
    policy = RetryPolicy(max_retry_after=5, jitter=whole)
    assert policy.delay_for(error(429, 5), 1) >= 5
    assert policy.delay_for(error(429, 5.001), 1) is None


@given(
    st.sampled_from(RETRIED),
    st.integers(1, 99),
    st.floats(0.001, 10),
    st.floats(0.001, 100),
)
def test_every_wait_is_within_zero_and_the_cap(status, attempt, base, cap):
    policy = RetryPolicy(attempts=100, base=base, throttled_base=base, cap=cap)
    wait = policy.delay_for(error(status), attempt)
    assert 0 <= wait <= cap


def test_the_decision_is_pure():
    policy = RetryPolicy(jitter=whole)
    failure = error(503, 2)
    before = dict(vars(failure))
    assert policy.delay_for(failure, 2) == policy.delay_for(failure, 2)
    assert vars(failure) == before


def test_jitter_is_given_the_bound_and_spreads_the_waits_by_default():
    bounds = []
    RetryPolicy(jitter=lambda bound: bounds.append(bound) or 0.0).delay_for(
        error(500), 2
    )
    assert bounds == [0.5]
    waits = {RetryPolicy().delay_for(error(500), 3) for _ in range(50)}
    assert len(waits) > 40


@pytest.mark.parametrize(
    ("name", "value", "cls"),
    [
        ("attempts", 0, ValueError),
        ("attempts", -1, ValueError),
        ("attempts", 1.5, TypeError),
        ("attempts", True, TypeError),
        ("base", 0, ValueError),
        ("throttled_base", float("nan"), ValueError),
        ("cap", float("inf"), ValueError),
        ("max_retry_after", -1, ValueError),
        ("deadline", "60", TypeError),
        ("jitter", 0.5, TypeError),
        ("jitter", unhurried, TypeError),
    ],
)
def test_an_argument_that_makes_no_sense_is_named(name, value, cls):
    with pytest.raises(cls, match=f"^{name} must be"):
        RetryPolicy(**{name: value})


def test_an_api_error_without_a_retried_status_is_final_whatever_it_asks():
    asked = ApiError("teapot", status=418, retry_after=1)
    assert RetryPolicy().delay_for(asked, 1) is None


def test_waits_need_nothing_of_backoff_that_python_deprecates(monkeypatch):
    """Python 3.14 warns where asyncio is asked for coroutine functions."""

    def deprecated(_):
        raise AssertionError("asyncio.iscoroutinefunction was called")

    monkeypatch.setattr("asyncio.iscoroutinefunction", deprecated)
    for name in [name for name in sys.modules if name.split(".")[0] == "backoff"]:
        monkeypatch.delitem(sys.modules, name)
    policy = RetryPolicy()
    error = ServerError("down", status=503)
    assert policy.delay_for(error, 3) is not None
    assert policy.probe_wait(2) >= 0
    assert "backoff" in sys.modules


def test_a_deadline_that_is_missed_by_rounding_only_is_over():
    policy = RetryPolicy(deadline=5)
    assert policy.delay_for(error(500), 9, elapsed=5 - 1e-12) is None
    assert policy.delay_for(error(500), 9, elapsed=4.9) is not None
