"""Reads of moving lists under virtual time: what is lost, repeated, raised, spent.

`walksim.py` prints the same as a table, for as many schedules as there is time.
"""

import math
from collections import Counter
from functools import partial

import attrs
import pytest
from walksim import (
    OverlapChain,
    Scenario,
    digest,
    hard,
    moving,
    naive,
    proven,
    simulate,
    small_logs,
)

from canopy_async.report import Proof

WIDTHS = (1, 4, 8, 16)
RUNS = 12
HARD_RUNS = 4
FULL_TAKE = 100


def name_of(scenario):
    return f"{scenario.name} {scenario.order}"


def outcomes(scenario, runs, widths=WIDTHS, make_walk=proven):
    return [
        simulate(scenario, seed, concurrency=width, make_walk=make_walk)
        for width in widths
        for seed in range(runs)
    ]


def assert_right(results):
    for result in results:
        assert result.repeated == 0
        assert not result.disordered
        assert result.report.delivered == result.read
        if result.raised is None:
            assert result.lost == 0
            assert result.report.complete
        else:
            assert not result.report.complete


@pytest.mark.parametrize("scenario", [*moving()], ids=name_of)
def test_moderate_drift_is_read_whole_and_nothing_is_raised(scenario):
    results = outcomes(scenario, RUNS)
    assert_right(results)
    assert {result.raised for result in results} == {None}
    assert {result.report.proof for result in results} == {Proof.STRICT_KEY}


@pytest.mark.parametrize("scenario", [*hard()], ids=name_of)
def test_hard_cases_are_read_whole_or_refused(scenario):
    assert_right(outcomes(scenario, HARD_RUNS))


@pytest.mark.parametrize(
    ("kinds", "order", "least"),
    [
        ({"inserts": True}, "desc", 0.25),
        ({"purges": True}, "asc", 0.4),
        ({"ring": True}, "desc", 0.25),
        ({"ring": True}, "asc", 0.4),
        ({"inserts": True, "purges": True}, "desc", 0.25),
        ({"inserts": True, "purges": True}, "asc", 0.3),
    ],
)
def test_the_naive_reader_loses_in_the_same_schedules(kinds, order, least):
    scenario = Scenario(name="naive", order=order, **kinds)
    results = outcomes(scenario, 40, widths=(8,), make_walk=naive)
    lost = sum(result.lost > 0 for result in results) / len(results)
    assert lost > least


UNPROVABLE = ("sorted by id", "random order")


@pytest.mark.parametrize(
    "scenario", [s for s in hard() if s.name in UNPROVABLE], ids=name_of
)
def test_a_list_that_is_not_sorted_is_refused(scenario):
    scenario = attrs.evolve(scenario, rows=(30, 200))
    reasons = Counter(result.raised for result in outcomes(scenario, 5))
    assert set(reasons) == {"UnorderedListError"}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("rows", [0, 99, 100, 700])
def test_reads_that_write_end(rows, order, width):
    scenario = Scenario(
        name="writes",
        order=order,
        take=FULL_TAKE,
        rows=(rows, rows),
        writes_on_read=(1, 1),
    )
    results = outcomes(scenario, 4, widths=(width,))
    assert_right(results)
    assert {result.raised for result in results} == {None}
    # A row per request is one more page per hundred.
    assert max(result.requests for result in results) <= 1.3 * rows / 100 + 6 + width


@pytest.mark.parametrize("scenario", [*small_logs()], ids=name_of)
def test_a_small_log_that_its_reading_writes_to_ends_in_a_few_requests(scenario):
    results = outcomes(scenario, RUNS, widths=(1, 8))
    assert_right(results)
    assert {result.raised for result in results} == {None}
    assert max(result.requests for result in results) <= 12
    assert sum(result.requests for result in results) <= 4.5 * len(results)


# What it costs


def quiet(rows, *, order="desc", ties=0.0, unstable=False):
    return Scenario(
        name="quiet",
        order=order,
        take=FULL_TAKE,
        rows=(rows, rows),
        ties=ties,
        unstable=unstable,
    )


def cost_of(rows, width, **options):
    scenario = quiet(rows, **options)
    result = simulate(scenario, rows, concurrency=width, make_walk=proven)
    assert_right([result])
    assert result.raised is None
    assert result.report.proof == Proof.STRICT_KEY
    # A seam that happens to lie among ties costs a request to bridge.
    assert result.report.repairs <= (1 + rows / 2000 if options.get("ties") else 0)
    return result.requests - result.report.repairs - math.ceil(rows / FULL_TAKE)


@pytest.mark.parametrize("ties", [0.0, 0.05])
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("width", WIDTHS)
def test_up_to_a_thousand_rows_cost_two_requests_more_at_most(width, order, ties):
    rows = [*range(1, 1001, 97), 99, 100, 101, 199, 200, 300, 500, 900, 999, 1000]
    assert max(cost_of(n, width, order=order, ties=ties) for n in rows) <= 2


@pytest.mark.parametrize("ties", [0.0, 0.05])
@pytest.mark.parametrize("rows", [1001, 1999, 5000, 10_000])
@pytest.mark.parametrize("width", [1, 8])
def test_more_rows_cost_16_percent_more_at_most(rows, width, ties):
    pages = math.ceil(rows / FULL_TAKE)
    extra = cost_of(rows, width, order="asc" if width == 1 else "desc", ties=ties)
    assert pages + extra <= 1.16 * pages + 2


@pytest.mark.parametrize("rows", [0, 1, 2, 50, 98, 99])
@pytest.mark.parametrize("width", WIDTHS)
def test_up_to_99_rows_are_one_request(rows, width):
    assert cost_of(rows, width) == (0 if rows else 1)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("rows", [0, 19, 20, 21, 5000])
def test_a_limit_of_20_is_one_request(rows, width):
    def first_twenty(_scenario):
        return OverlapChain(take=FULL_TAKE, limit=20, order="desc")

    scenario = quiet(rows, ties=0.05)
    result = simulate(scenario, 1, concurrency=width, make_walk=first_twenty)
    assert result.requests == 1
    assert result.read == min(20, rows)
    assert result.report.complete


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("width", WIDTHS)
def test_a_quiet_read_ends_within_a_round_trip_of_its_last_row(width, order):
    latency = 0.1
    for rows in (1, 99, 100, 101, 196, 197, 198, 291, 500, 1000, 2345):
        scenario = attrs.evolve(
            quiet(rows, order=order), latency=(latency, latency), stragglers=0.0
        )
        result = simulate(scenario, rows, concurrency=width, make_walk=proven)
        assert result.raised is None
        assert result.idle_end <= latency + 1e-9


def test_the_same_seed_is_the_same_schedule():
    scenario = Scenario(name="mixed", inserts=True, purges=True)
    run = partial(simulate, scenario, 7, concurrency=8, make_walk=proven)
    assert run() == run()


def test_the_digest_of_walks_tells_one_window_from_another(monkeypatch):
    def smaller(scenario):
        return proven(attrs.evolve(scenario, take=scenario.take - 1))

    before = digest(40)
    assert digest(40) == before
    monkeypatch.setattr("walksim.proven", smaller)
    assert digest(40) != before
