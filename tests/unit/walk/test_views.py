"""Views and windows: what one answer shows, and which answers contradict themselves."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.lists import log, page_of, row

from canopy_async._walk.view import View, check_page
from canopy_async._walk.window import Window, can_be_crossed, plan_window
from canopy_async.errors import ProtocolError


def view_of(rows, window, *, longest=1_000, suspect=None, **said):
    return View(page_of(rows, window, **said), window, longest=longest, suspect=suspect)


def fault_of(page, window):
    """The path in the page at which it contradicts what was asked, or itself."""
    with pytest.raises(ProtocolError) as caught:
        check_page(page, window)
    assert caught.value.page == window.page
    return caught.value.path


# Where a view stands


def test_a_view_stands_where_its_number_and_the_size_of_the_servers_pages_say():
    view = view_of(log(100), Window(3, 20, number=7), count=90)
    assert (view.start, view.end, len(view.rows)) == (40, 60, 20)
    assert (view.page, view.asked, view.take, view.number) == (3, 20, 20, 7)
    assert (view.count, view.claims_more, view.is_first) == (90, True, False)
    cut = view_of(log(100), Window(3, 20), cut=15)
    assert (cut.start, cut.end, cut.take, cut.asked) == (30, 45, 15, 20)


@pytest.mark.parametrize(
    ("page", "longest", "is_placed"),
    [(1, 0, True), (2, 9, False), (2, 10, True), (2, 11, True)],
)
def test_a_page_of_rows_as_many_as_were_sent_before_stands_where_it_says(
    page, longest, is_placed
):
    view = view_of(log(30), Window(page, 10), longest=longest)
    assert view.is_placed is is_placed


@pytest.mark.parametrize(
    ("rows", "said", "is_short"),
    [
        (20, {}, False),
        (19, {}, False),  # it is the end of the list
        (19, {"count": 21}, True),
        (19, {"has_next_page": True}, True),
        (20, {"count": 21}, False),
        (0, {"count": 21}, True),
    ],
)
def test_a_view_is_short_if_it_is_neither_full_nor_the_end(rows, said, is_short):
    assert view_of(log(rows), Window(1, 20), **said).is_short is is_short


@pytest.mark.parametrize(
    ("rows", "longest", "suspect", "is_end"),
    [
        (3, 2, 3, False),
        (3, 4, 3, True),
        (3, 3, 2, True),
        (3, 10, 3, True),  # pages of ten were sent whole
        (3, 2, None, True),
    ],
)
def test_page_1_is_an_end_unless_a_page_of_as_many_rows_was_cut(
    rows, longest, suspect, is_end
):
    view = view_of(log(rows), Window(1, 10), longest=longest, suspect=suspect)
    assert view.is_end is is_end


def test_a_row_that_comes_twice_is_named_where_it_comes_again():
    rows = [row(1, "a"), row(1, "b"), row(1, "c"), row(1, "b"), row(1, "c")]
    view_of(rows[:3], Window(1, 5)).check_ids()
    with pytest.raises(ProtocolError, match="twice in one page") as caught:
        view_of(rows, Window(1, 5)).check_ids()
    assert (caught.value.page, caught.value.path) == (1, "items[3].id")


# Pages that contradict themselves


@pytest.mark.parametrize(
    ("number", "said", "path"),
    [
        (1, {"item_count": -1}, "pagination"),
        (1, {"page_count": -1}, "pagination"),
        (1, {"take": 0}, "pagination.take"),
        (1, {"page": 2}, "pagination.page"),
        (2, {"page": 1}, "pagination.page"),
        (2, {"page": 3}, "pagination.page"),
        (1, {"has_previous_page": True}, "pagination.has_previous_page"),
    ],
)
def test_a_page_that_contradicts_itself_is_named_with_the_field(number, said, path):
    window = Window(number, 100)
    assert fault_of(page_of(log(150), window, **said), window) == path


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (1, {"item_count": 0, "page_count": 0}),
        (1, {"take": 1}),
        (2, {"has_previous_page": False}),
        (2, {"has_previous_page": True}),
    ],
)
def test_a_page_may_be_odd_without_contradicting_itself(number, said):
    window = Window(number, 9)
    check_page(page_of(log(18), window, **said), window)


@pytest.mark.parametrize(("said", "most"), [(20, 100), (100, 100), (150, 150)])
def test_a_page_has_as_many_rows_as_were_asked_for_or_as_the_server_says(said, most):
    window = Window(1, 100)
    page = page_of(log(200), window, take=said)
    check_page(attrs.evolve(page, items=tuple(log(most))), window)
    more = attrs.evolve(page, items=tuple(log(most + 1)))
    assert fault_of(more, window) == "items"


# Windows


def test_a_window_is_the_first_that_was_asked_for_unless_it_says_otherwise():
    window = Window(2, 5)
    assert (window.number, window.newest_first) == (0, False)


def ends_from(bound, take):
    """Where the windows end that begin at ``bound`` or before, by their take."""
    return {size: (bound // size + 1) * size for size in range(1, take + 1)}


@given(bound=st.integers(0, 100_000), take=st.integers(1, 100))
def test_of_the_windows_that_end_furthest_the_smallest_is_taken(bound, take):
    ends = ends_from(bound, take)
    furthest = max(ends.values())
    smallest = min(size for size, end in ends.items() if end == furthest)
    assert plan_window(bound, take).take == smallest


def assert_nearest(bound, take, reach):
    ends = ends_from(bound, take)
    reaching = [end for end in ends.values() if end >= reach]
    nearest = min(reaching, default=max(ends.values()))
    window = plan_window(bound, take, reach=reach)
    assert window.end == nearest
    assert window.take == min(size for size, end in ends.items() if end == nearest)


@given(bound=st.integers(0, 2_000), take=st.integers(1, 60), ahead=st.integers(-5, 120))
def test_of_the_windows_that_end_where_it_is_enough_the_smallest_is_taken(
    bound, take, ahead
):
    assert_nearest(bound, take, bound + ahead)


@pytest.mark.parametrize("take", range(1, 9))
def test_no_window_of_more_rows_than_it_may_have_is_taken_for_a_nearer_end(take):
    for bound in range(60):
        for ahead in range(-1, take + 2):
            assert_nearest(bound, take, bound + ahead)


@pytest.mark.parametrize("bound", [-1, 0])
@pytest.mark.parametrize("take", [1, 2, 100])
def test_a_bound_before_the_list_leads_to_page_1(bound, take):
    window = plan_window(bound, take)
    assert (window.page, window.take) == (1, take)


@given(position=st.integers(0, 3_000), take=st.integers(1, 12))
def test_a_position_can_be_crossed_if_some_page_holds_the_rows_around_it(
    position, take
):
    pages = (Window(position // size + 1, size) for size in range(1, take + 1))
    assert can_be_crossed(position, take) is any(it.start < position for it in pages)


def test_no_page_crosses_a_multiple_of_all_page_sizes():
    assert not can_be_crossed(840, 8)
    assert can_be_crossed(840, 9)
    assert not can_be_crossed(232_792_560, 20)
    assert can_be_crossed(232_792_560, 23)
