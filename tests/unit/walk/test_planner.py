"""Windows: as far as pages of any take reach, in few requests of few rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canopy_async._walk.page_size import PageSize
from canopy_async._walk.planner import Planner
from canopy_async._walk.window import OVERLAP, Window, plan_window
from canopy_async.errors import RequestBudgetError


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


def planned_on(planner, rows):
    """What a walk asks for on to the end of a list that holds still."""
    before = len(planner.windows)
    planner.begin(end=100, rows=rows)
    while planner.plan(covered=100, horizon=rows + 1, reach=None):
        pass
    return list(planner.windows)[before:]


def after_page_1():
    planner = Planner(100, 100)
    planner.ask(Window(1, 100))
    planner.begin(end=100, rows=0)
    return planner


def windows_of(rows):
    """What a walk asks for after page 1."""
    return planned_on(after_page_1(), rows)


@pytest.mark.parametrize("rows", [101, 999, 5_000, 100_000])
def test_the_windows_of_a_plan_overlap_from_the_first_row_to_the_end(rows):
    planned = windows_of(rows)
    assert all(1 <= window.take <= 100 for window in planned)
    end = 100
    for window in planned:
        assert window.start <= end - OVERLAP
        assert window.end > end
        end = window.end
    assert end > rows


@given(rows=st.integers(1, 10_000))
def test_a_plan_takes_the_fewest_requests(rows):
    fewest, end = 1, 100
    while end <= rows:
        fewest, end = fewest + 1, plan_window(end - OVERLAP, 100).end
    assert len(windows_of(rows)) + 1 == fewest


def test_where_rows_tie_windows_overlap_by_one_row_more_and_reach_as_far_as_they_can():
    planner = after_page_1()
    planner.expect_ties()
    end = 100
    for window in planned_on(planner, 20_000):
        furthest = plan_window(end - OVERLAP - 1, 100)
        assert (window.page, window.take) == (furthest.page, furthest.take)
        end = window.end


def test_a_plan_that_goes_back_is_none_the_worse():
    planner = after_page_1()
    planned_on(planner, 20_000)
    planner.forget_all()
    window = planner.plan(covered=500, horizon=20_001, reach=None)
    assert window.start <= 500 - OVERLAP
    assert window.end > 500


@pytest.mark.parametrize("take", [4, 5, 7, 10, 12, 13, 100])
def test_the_plan_always_gets_on(take):
    # Pages of few rows all begin or end at some places; larger ones help there.
    planner = Planner(take, 100)
    planner.begin(end=0, rows=100_000)
    covered = 4
    while covered < 3_000:
        window = planner.plan(covered=covered, horizon=100_000, reach=None)
        planner.forget_all()
        assert window.start <= covered - OVERLAP
        assert window.end > covered
        covered = window.end


def test_requests_are_bounded():
    planner = Planner(100, 100)
    planner.begin(end=0, rows=1000)
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
    size = PageSize(100, 100)
    assert size.learn_take(100, 50)
    assert (size.take, size.max_take) == (50, 50)
    assert not size.learn_take(50, 50)


# What the server sends at most, where it does not say so


def seen(size, rows, *, asked=100, claims_more=False, behind=1):
    return size.learn_length(
        rows,
        asked=asked,
        short=rows < asked,
        claims_more=claims_more,
        behind=behind,
    )


def test_pages_that_are_short_by_different_numbers_are_a_list_that_grows():
    size = PageSize(100, 100)
    for rows in (5, 6, 7, 9):
        assert not seen(size, rows)
    assert (size.take, size.max_take) == (100, 100)


@pytest.mark.parametrize(("claims_more", "pages"), [(True, 2), (False, 3)])
def test_pages_that_are_all_cut_to_one_length_tell_what_is_sent(claims_more, pages):
    size = PageSize(100, 100)
    told = [seen(size, 50, claims_more=claims_more) for _ in range(pages)]
    assert told == [False] * (pages - 1) + [True]
    assert (size.take, size.max_take) == (50, 50)


@pytest.mark.parametrize(("behind", "told"), [(49, False), (50, True), (900, True)])
def test_one_page_tells_it_where_a_list_would_have_grown_by_half_a_page(behind, told):
    assert seen(PageSize(100, 100), 50, claims_more=True, behind=behind) is told


def test_a_short_page_that_was_not_the_longest_was_not_cut():
    size = PageSize(100, 100)
    seen(size, 80, asked=80)
    for _ in range(5):
        assert not seen(size, 50, claims_more=True)


@pytest.mark.parametrize(
    "contradiction",
    [
        lambda size: seen(size, 60),
        lambda size: seen(size, 3, asked=40),
        lambda size: [size.note_progress(0, asked=50) for _ in range(10)],
    ],
    ids=["a longer page", "a short page that no cut explains", "no progress"],
)
def test_an_inference_that_turns_out_wrong_is_taken_back(contradiction):
    size = PageSize(100, 100)
    for _ in range(2):
        seen(size, 50, claims_more=True)
    assert size.take == 50
    contradiction(size)
    assert (size.take, size.max_take) == (100, 100)
    # From then on it takes a page more to infer it again.
    assert not any(seen(size, size.cut.longest, claims_more=True) for _ in range(2))
    assert seen(size, size.cut.longest, claims_more=True)


def test_what_the_server_says_itself_is_not_taken_back():
    size = PageSize(100, 100)
    size.learn_take(100, 70)
    for _ in range(2):
        seen(size, 50, claims_more=True)
    seen(size, 60)
    assert (size.take, size.max_take) == (70, 70)


def test_one_window_at_a_time_is_asked_for_while_a_cut_is_suspected():
    planner = Planner(100, 100)
    planner.begin(end=50, rows=0)
    seen(planner.size, 50, claims_more=True)
    assert planner.plan(covered=50, horizon=1000, reach=None)
    assert planner.plan(covered=50, horizon=1000, reach=None) is None
