"""Windows: as far as any page and take can reach, and never past what is wanted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canopy_async.errors import RequestBudgetError
from canopy_async.walk.planner import OVERLAP, Planner, Window, plan_window


def windows_from(bound, take):
    """Every window that begins at ``bound`` or before, and ends after it."""
    return [(bound // size + 1, size) for size in range(1, take + 1)]


@given(bound=st.integers(0, 100_000), take=st.integers(1, 100))
def test_no_window_ends_further(bound, take):
    window = plan_window(bound, take)
    assert window.start <= bound < window.end
    assert 1 <= window.take <= take
    assert window.end == max(page * size for page, size in windows_from(bound, take))


@given(
    bound=st.integers(0, 100_000), take=st.integers(1, 100), ahead=st.integers(1, 300)
)
def test_of_the_windows_that_reach_a_position_the_nearest_is_taken(bound, take, ahead):
    reach = bound + ahead
    window = plan_window(bound, take, reach=reach)
    assert window.start <= bound < window.end
    ends = [page * size for page, size in windows_from(bound, take)]
    enough = [end for end in ends if end >= reach]
    assert window.end == (min(enough) if enough else max(ends))


def test_a_bound_before_the_list_is_its_head():
    assert (plan_window(-5, 100).page, plan_window(-5, 100).take) == (1, 100)


def test_a_window_knows_its_rows():
    assert (Window(3, 97).start, Window(3, 97).end) == (194, 291)


def test_the_first_windows_of_a_hundred():
    ends, end = [], 0
    for _ in range(6):
        end = plan_window(max(0, end - 2), 100).end
        ends.append(end)
    assert ends == [100, 196, 291, 384, 475, 564]


@pytest.mark.parametrize("take", [8, 13, 20])
def test_greed_is_optimal(take):
    """As few windows as a search over all of them finds."""
    most = 115
    least = {0: 0}  # by the end reached
    for end in range(most):
        if end not in least:
            continue
        bound = max(0, end - OVERLAP)
        for start in range(bound + 1):
            for size in range(1, take + 1):
                reached = start + size
                if start % size == 0 and reached > end:
                    cost = least[end] + 1
                    least[reached] = min(cost, least.get(reached, cost))
    fewest = [
        min(cost for end, cost in least.items() if end >= rows)
        for rows in range(1, most)
    ]
    greedy, end, count = [], 0, 0
    while end < most:
        end, count = plan_window(max(0, end - OVERLAP), take).end, count + 1
        greedy += [count] * (end - len(greedy))
    assert greedy[: most - 1] == fewest


@pytest.mark.parametrize("rows", [1_000, 5_000, 20_000, 100_000])
def test_overlap_costs_at_most_16_percent(rows):
    end = count = 0
    while end <= rows:
        end, count = plan_window(max(0, end - OVERLAP), 100).end, count + 1
    assert count <= 1.16 * -(-rows // 100) + 2


@pytest.mark.parametrize("take", [4, 5, 7, 10, 12, 13, 100])
def test_the_plan_always_gets_on(take):
    # Pages of few rows all begin or end at some places; larger ones help there.
    planner = Planner(take, 100)
    planner.rows = 100_000
    covered = 4
    while covered < 3_000:
        window = planner.plan(covered=covered, horizon=100_000, reach=None)
        planner.windows.clear()
        assert window.start <= covered - OVERLAP
        assert window.end > covered
        covered = window.end


def test_requests_are_bounded():
    planner = Planner(100, 100)
    planner.rows = 1000
    asked = 0
    while asked < 87:
        planner.ask(Window(1, 100))
        asked += 1
    with pytest.raises(RequestBudgetError, match="more than 87 requests"):
        planner.ask(Window(1, 100))


def test_what_is_urgent_comes_first():
    planner = Planner(100, 100)
    planner.ask(Window(1, 100))
    planner.ask_first(Window(7, 50))
    assert [(w.page, w.number) for w in planner.windows] == [(7, 2), (1, 1)]


def test_the_overlap_grows_fast_and_shrinks_slowly():
    planner = Planner(100, 100)
    sizes = []
    for _ in range(6):
        planner.loosen()
        sizes.append(planner.overlap)
    assert sizes == [4, 8, 16, 32, 50, 50]
    for _ in range(60):
        planner.tighten()
    assert planner.overlap == OVERLAP


def test_a_said_size_is_kept_to():
    planner = Planner(100, 100)
    assert planner.learn_take(100, 50)
    assert (planner.take, planner.max_take) == (50, 50)
    assert not planner.learn_take(50, 50)
