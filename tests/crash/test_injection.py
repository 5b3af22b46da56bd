"""A sample of the ends that `injection` tries in every step of the loop."""

import random

import pytest
from injection import ENDS, SCENARIOS, tried

SAMPLE = 6


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_an_end_in_any_step_of_the_loop_loses_doubles_and_leaves_nothing(scenario, end):
    dice = random.Random(f"{scenario} {end}")
    steps = tried(scenario, end, 0)
    assert steps > 50
    for step in [1, 2, 3, *(dice.randint(4, steps // 2) for _ in range(SAMPLE))]:
        tried(scenario, end, step)
