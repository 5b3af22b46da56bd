"""The learnt rate: what refusals say of it, and what they don't."""

import random

import pytest

from canopy_async._transport.pace import Pace


def requests_per_second(*, refused=0.0, limit=None, most=50.0, minutes=30):
    """Send as fast as the pace allows; return what came through on the whole."""
    rng, pace = random.Random(1), Pace()
    now = last = left = 0.0
    through = 0
    while now < minutes * 60:
        now = max(now + 1 / most, pace.ready_at())
        pace.started(now)
        is_refused = rng.random() < refused
        if limit is not None:
            left, last = min(limit, left + (now - last) * limit), now
            is_refused = left < 1
            left -= not is_refused
        if is_refused:
            pace.refused(now)
        else:
            pace.succeeded(now)
            through += 1
    return through / (minutes * 60)


@pytest.mark.parametrize("limit", [5, 20, 40])
def test_a_limit_is_kept_to_and_used(limit):
    assert requests_per_second(limit=limit) == pytest.approx(limit, rel=0.06)


def test_one_refusal_in_a_thousand_whatever_the_rate_is_costs_little():
    assert requests_per_second(refused=0.001) > 40


def test_nothing_is_spaced_where_nothing_is_refused():
    assert requests_per_second() == pytest.approx(50, rel=0.01)
