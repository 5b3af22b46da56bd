"""Time ranges and cut reads on moving lists, under virtual time."""

import itertools

import pytest
from spansim import cut_and_resume, read_range, scenarios
from walksim import moving

SCENARIOS = [
    pytest.param(
        scenario, id=f"{scenario.name}-{scenario.asked_order or scenario.order}"
    )
    for scenario in scenarios()
]
MOVING = [
    pytest.param(scenario, id=f"{scenario.name}-{scenario.order}")
    for scenario in moving()
]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_range_is_read_whole_or_an_error_says_why_not(scenario):
    for concurrency, seed in itertools.product((1, 4, 16), range(3)):
        trial = read_range(scenario, seed, concurrency=concurrency)
        assert not trial.wrong, (concurrency, seed, trial)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_read_cut_anywhere_goes_on_without_loss_or_repeat(scenario):
    for concurrency, seed in itertools.product((1, 4, 16), range(3)):
        trial = cut_and_resume(scenario, seed, concurrency=concurrency)
        assert not trial.wrong, (concurrency, seed, trial)


@pytest.mark.parametrize("scenario", MOVING)
def test_nothing_is_raised_while_the_list_moves_at_a_usual_pace(scenario):
    for concurrency, seed in itertools.product((1, 8), range(10, 15)):
        for read in (read_range, cut_and_resume):
            assert read(scenario, seed, concurrency=concurrency).raised is None
