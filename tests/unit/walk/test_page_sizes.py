"""Sizes of pages: what a walk learns of them from each page, and when it forgets it."""

import pytest
from support.lists import log, page_of

from canopy_async._walk.page_size import PageSize
from canopy_async._walk.planner import Planner
from canopy_async._walk.view import View
from canopy_async._walk.window import Window
from canopy_async.errors import RequestBudgetError

ALL = 100
"""Rows per page that are asked for."""


@pytest.fixture
def size():
    return PageSize(ALL, ALL)


def sizes(size):
    return size.take, size.max_take


def view_of(rows, asked=ALL, *, page=1, longest=0, **oddities):
    window = Window(page, asked)
    return View(page_of(log(rows), window, **oddities), window, longest=longest)


def seen(size, rows, *, asked=ALL, claims_more=False, behind=1):
    return size.learn_length(
        rows,
        asked=asked,
        short=rows < asked,
        claims_more=claims_more,
        behind=behind,
    )


def infer(size, rows):
    """Show pages that are cut until it is inferred."""
    while size.is_certain:
        seen(size, rows, claims_more=True)


def read(size, pages, *, asked):
    """Read pages that bring rows."""
    for _ in range(pages):
        size.note_progress(asked, asked=asked)


def read_barren(size, pages, *, asked):
    for _ in range(pages):
        size.note_progress(0, asked=asked)


@pytest.mark.parametrize(
    ("take", "most", "planned"),
    [(1, 100, 4), (4, 100, 4), (7, 100, 7), (200, 100, 100)],
)
def test_windows_are_planned_of_four_rows_or_more_and_of_as_many_as_are_allowed(
    take, most, planned
):
    assert sizes(PageSize(take, most)) == (planned, most)


def test_nothing_is_suspected_and_nothing_inferred_at_first(size):
    assert size.is_certain
    assert not size.cut.is_suspected
    assert size.cut.longest == 0


# From whole pages


def test_a_full_page_shows_that_no_page_is_too_large(size):
    assert not size.learn(view_of(250))
    assert size.cut.longest == ALL
    assert sizes(size) == (ALL, ALL)


def test_a_page_of_fewer_rows_than_asked_for_says_what_is_sent_at_most(size):
    assert size.learn(view_of(250, cut=50))
    assert sizes(size) == (50, 50)
    assert size.is_certain


def test_pages_that_are_cut_without_a_word_show_it_too(size):
    assert size.learn(view_of(250, cut=50, said=100))
    assert sizes(size) == (50, 50)
    assert not size.is_certain


def test_the_last_page_of_a_list_is_short_and_was_not_cut(size):
    for _ in range(9):
        assert not size.learn(view_of(50))
    assert sizes(size) == (ALL, ALL)


def test_the_end_of_a_list_does_not_take_back_what_was_inferred(size):
    infer(size, 50)
    size.learn(view_of(80, 50, page=2, longest=50))
    assert sizes(size) == (50, 50)


def test_a_page_that_one_more_row_follows_was_hardly_cut(size):
    cut = view_of(51, cut=50, said=100, pages=1, has_next_page=True)
    assert not size.learn(cut)
    assert size.learn(cut)


def test_of_what_the_server_says_the_least_holds(size):
    assert size.learn_take(100, 50)
    assert not size.learn_take(100, 70)
    assert sizes(size) == (50, 50)


def test_a_small_page_that_is_sent_whole_says_nothing_of_larger_ones(size):
    assert not size.learn_take(40, 40)
    assert sizes(size) == (ALL, ALL)


# From pages that are cut without a word


def test_a_page_without_a_claim_that_more_follow_is_weaker_evidence(size):
    assert [seen(size, 50, behind=900) for _ in range(3)] == [False, False, True]


def test_further_pages_of_the_inferred_size_confirm_it(size):
    infer(size, 50)
    for asked in (100, 80):
        assert not seen(size, 50, asked=asked)
        assert sizes(size) == (50, 50)


def test_larger_pages_that_were_under_way_do_not_take_back_what_was_inferred(size):
    infer(size, 50)
    seen(size, 3, asked=100)
    assert sizes(size) == (50, 50)


@pytest.mark.parametrize("asked", [50, 40])
def test_a_page_no_larger_than_inferred_that_is_short_takes_it_back(size, asked):
    infer(size, 50)
    seen(size, 3, asked=asked)
    assert sizes(size) == (ALL, ALL)


def test_what_was_inferred_is_dropped_after_nine_pages_in_a_row_without_a_new_row(size):
    infer(size, 50)
    read_barren(size, 8, asked=50)
    read(size, 1, asked=50)
    read_barren(size, 8, asked=50)
    assert sizes(size) == (50, 50)
    read_barren(size, 1, asked=50)
    assert sizes(size) == (ALL, ALL)
    # And after nine again, once it was inferred again.
    infer(size, 50)
    read_barren(size, 8, asked=50)
    assert sizes(size) == (50, 50)
    read_barren(size, 1, asked=50)
    assert sizes(size) == (ALL, ALL)


def test_only_pages_of_the_inferred_size_can_show_that_it_is_wrong(size):
    infer(size, 50)
    read_barren(size, 20, asked=51)
    assert sizes(size) == (50, 50)


@pytest.mark.parametrize("dropped", [1, 2, 3])
def test_each_time_it_is_dropped_it_takes_a_page_more_to_infer_it_again(size, dropped):
    for _ in range(dropped):
        infer(size, 50)
        read_barren(size, 9, asked=50)
    told = [seen(size, 50, claims_more=True) for _ in range(2 + dropped)]
    assert told == [False] * (1 + dropped) + [True]


def test_a_cut_is_suspected_until_it_is_inferred_or_a_longer_page_comes(size):
    seen(size, 50)
    assert size.cut.is_suspected
    seen(size, 60)
    assert size.cut.is_suspected
    seen(size, 80, asked=80)
    assert not size.cut.is_suspected
    infer(size, 80)
    assert not size.cut.is_suspected


def test_several_windows_are_asked_for_at_once_where_a_cut_was_inferred():
    planner = Planner(ALL, ALL)
    infer(planner.size, 50)
    assert planner.plan(covered=50, horizon=1000, reach=None)
    assert planner.plan(covered=50, horizon=1000, reach=None)


def test_only_a_page_that_claimed_more_is_one_that_page_1_may_be_cut_like(size):
    seen(size, 50)
    assert size.cut.suspect is None
    seen(size, 50, claims_more=True)
    assert size.cut.suspect == 50


# From pages that are too large to be read


def test_pages_of_half_as_many_rows_are_asked_for_after_one_that_is_too_large(size):
    size.note_oversized(100, least=8)
    assert sizes(size) == (50, 50)
    size.note_oversized(60, least=8)  # it was under way
    assert sizes(size) == (50, 50)
    size.note_oversized(50, least=8)
    assert sizes(size) == (25, 25)
    size.note_oversized(10, least=8)
    assert sizes(size) == (8, 8)


def test_pages_twice_as_large_are_tried_after_four_that_bring_rows(size):
    size.note_oversized(100, least=8)
    read(size, 3, asked=50)
    read_barren(size, 9, asked=50)
    assert size.take == 50
    read(size, 1, asked=50)
    # Only the plan tries them: a gap is bridged in pages that can be read.
    assert sizes(size) == (100, 50)
    read(size, 5, asked=50)
    assert sizes(size) == (100, 50)


def test_pages_of_all_sizes_are_asked_for_once_a_full_one_was_read(size):
    size.note_oversized(100, least=8)
    read(size, 4, asked=50)
    read(size, 1, asked=100)
    assert sizes(size) == (ALL, ALL)


def test_gaps_are_bridged_in_pages_of_all_sizes_again_once_planned_ones_can_be_read():
    size = PageSize(50, 100)
    size.note_oversized(50, least=8)
    read(size, 4, asked=25)
    assert sizes(size) == (50, 25)
    read(size, 1, asked=50)
    assert sizes(size) == (50, 100)


def test_pages_grow_step_by_step_and_wait_before_each_step(size):
    size.note_oversized(100, least=8)
    size.note_oversized(50, least=8)
    read(size, 4, asked=25)
    assert sizes(size) == (50, 25)
    read(size, 1, asked=48)
    assert sizes(size) == (48, 48)
    read(size, 3, asked=48)
    assert sizes(size) == (48, 48)
    read(size, 1, asked=48)
    assert sizes(size) == (96, 48)


def test_a_page_that_was_too_large_again_doubles_the_wait(size):
    size.note_oversized(100, least=8)
    for wait in (4, 8, 16):
        read(size, wait - 1, asked=50)
        assert size.take == 50
        read(size, 1, asked=50)
        assert size.take == 100
        size.note_oversized(100, least=8)
        assert sizes(size) == (50, 50)


def test_the_wait_begins_anew_with_each_page_that_is_too_large(size):
    size.note_oversized(100, least=8)
    read(size, 3, asked=50)
    size.note_oversized(50, least=8)
    read(size, 3, asked=25)
    assert size.take == 25
    read(size, 1, asked=25)
    assert size.take == 50


def test_pages_never_grow_beyond_what_the_server_says():
    size = PageSize(100, 100)
    size.learn_take(100, 60)
    size.note_oversized(60, least=8)
    read(size, 4, asked=30)
    assert sizes(size) == (60, 30)
    read(size, 1, asked=60)
    assert sizes(size) == (60, 60)


def test_larger_pages_are_tried_at_once_where_small_ones_do_not_cross_a_place(size):
    assert not size.try_larger(840)  # there are none
    size.note_oversized(100, least=8)
    read(size, 4, asked=50)
    assert size.try_larger(840)
    assert sizes(size) == (ALL, ALL)
    size.note_oversized(100, least=8)
    assert sizes(size) == (50, 50)
    assert not size.try_larger(840)
    assert sizes(size) == (50, 50)
    assert size.try_larger(1_680)


# What it costs


def test_as_many_requests_are_allowed_as_the_smallest_pages_take():
    """There may have been such pages all along, though by now they are larger."""

    def asked(planner):
        planner.begin(end=0, rows=10_000)
        for count in range(10_000):
            try:
                planner.ask(Window(1, 10))
            except RequestBudgetError:
                return count
        raise AssertionError

    large, small = Planner(ALL, ALL), Planner(ALL, ALL)
    infer(small.size, 20)
    seen(small.size, 90)  # it is taken back
    assert small.size.take == large.size.take
    assert asked(small) > 4 * asked(large)
