"""Cases of which some are slow tests, and the others their sample."""

import pytest


def sampled(cases, *sample):
    """The cases of a parametrised test; all but those in the sample are slow.

    A slow test is run by ``-m slow`` only. The sample is what every run has of the
    promise that the test is about.

    Args:
        cases: All cases: values, or tuples of values.
        sample: Those that every run tests.
    """
    missing = [case for case in sample if case not in cases]
    if missing or not sample:
        raise ValueError(f"the sample is empty, or has cases of no test: {missing}")
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)),
            marks=() if case in sample else pytest.mark.slow,
        )
        for case in cases
    ]
