"""Searches for a start: which windows look for a place in a long list, and how many.

Most searches here look in pages of one row, so that the first row of a window is where
they look.
"""

import pytest
from support.lists import Reader, log, page_of, row

from canopy_async._walk import Span, proven_walk
from canopy_async._walk.key_cover import KeyCover
from canopy_async._walk.search import Search
from canopy_async._walk.view import View
from canopy_async._walk.window import Window, plan_window
from canopy_async.checkpoint import Checkpoint
from canopy_async.report import Proof

ROWS = 20_000


def search_for(key, *, order="asc", low=0, high=1_000, take=1, keys=(), guess=None):
    low_key, high_key = (
        None if at is None else row(at).created_at for at in keys or (None, None)
    )
    return Search(
        KeyCover(key=row(key).created_at, order=order),
        low=low,
        high=high,
        take=take,
        low_key=low_key,
        high_key=high_key,
        guess=guess,
    )


def asked(search):
    """All windows that the search asks for before it takes an answer."""
    return list(iter(search.next_window, None))


def places(search):
    return [window.start for window in asked(search)]


def view_of(rows, window, **oddities):
    return View(page_of(rows, window, **oddities), window, longest=window.take)


def learn(search, rows, window):
    """Take the answer to the first of the windows that are under way."""
    search.learn(view_of(rows, window))


def run(search, rows):
    """Search a list that holds still; return how many windows it takes."""
    count = 0
    while not search.is_over:
        for window in asked(search):
            count += 1
            learn(search, rows, window)
    return count


# Where it looks first


@pytest.mark.parametrize("guess", [*range(4_950, 5_050), 0, 10, 49, 50, 51, 10_000])
def test_it_looks_around_the_place_where_it_is_guessed_to_be(guess):
    search = search_for(0, high=10_000, take=100, guess=guess)
    (window,) = asked(search)
    best = plan_window(max(0, guess - 50), 100)
    assert (window.page, window.take) == (best.page, best.take)


@pytest.mark.parametrize(("guess", "place"), [(3, 100), (100, 100), (700, 500)])
def test_no_guess_is_believed_that_is_outside_of_what_is_known(guess, place):
    assert places(search_for(0, low=100, high=500, guess=guess)) == [place]


def test_without_a_guess_it_looks_at_each_quarter():
    assert places(search_for(0, high=1_000)) == [250, 500, 750]
    assert places(search_for(0, low=100, high=500)) == [200, 300, 400]


def test_where_a_key_of_one_end_is_not_known_it_looks_at_each_quarter():
    assert places(search_for(300, keys=(0, None))) == [250, 500, 750]
    assert places(search_for(300, keys=(None, 1_000))) == [250, 500, 750]


@pytest.mark.parametrize(
    ("key", "wanted"),
    [(300, [238, 300, 362]), (20, [0, 20, 82]), (990, [928, 990, 1_000])],
)
def test_where_both_are_known_it_looks_where_the_row_is_if_all_are_evenly_spread(
    key, wanted
):
    assert places(search_for(key, keys=(0, 1_000))) == wanted


def test_it_looks_between_the_ends_that_it_knows():
    search = search_for(150, low=200, high=600, keys=(100, 300))
    assert places(search) == [275, 300, 325]


def test_around_that_place_it_looks_a_page_away_at_least():
    search = search_for(300, keys=(0, 1_000), take=100)
    wanted = [plan_window(place - 50, 100) for place in (200, 300, 400)]
    assert [w.start for w in asked(search)] == [w.start for w in wanted]


def test_one_window_is_enough_where_the_place_can_only_be_in_one_page():
    for low in range(4_000, 4_100):
        (window,) = asked(search_for(0, low=low, high=low + 100, take=100))
        best = plan_window(low - 2, 100)
        assert (window.page, window.take) == (best.page, best.take)
    assert len(asked(search_for(0, low=4_000, high=4_101, take=100))) == 3


def test_what_is_known_of_a_list_that_has_shrunk_is_one_place():
    search = search_for(0, low=80, high=30, take=10)
    assert len(asked(search)) == 1
    assert search.place == 80


@pytest.mark.parametrize("take", [100, 400])
def test_no_window_is_asked_for_twice_in_a_round(take):
    search = search_for(1, high=1_000, keys=(0, 1_000), take=take)
    windows = [(window.page, window.take) for window in asked(search)]
    assert len(set(windows)) == len(windows)


# What it learns


@pytest.mark.parametrize(("low", "wanted"), [(250, "evenly"), (249, "quarters")])
def test_it_divides_by_what_has_left_no_more_than_a_fourth_before(low, wanted):
    """It takes rows for evenly spread where that is of more use than quarters."""
    rows = log(1_000)
    search = search_for(340)
    asked(search)
    for place in (low - 1, 500, 750):
        learn(search, rows, Window(place + 1, 1))
        assert search.place == low
    width = 500 - low
    if wanted == "evenly":
        assert places(search) == [340 - width // 16, 340, 340 + width // 16]
    else:
        assert places(search) == [low + width * part // 4 for part in (1, 2, 3)]


def test_each_round_is_held_against_the_one_before():
    rows = log(1_000)
    search = search_for(340)
    asked(search)
    for place in (319, 360, 750):  # to an eighth at most
        learn(search, rows, Window(place + 1, 1))
    assert places(search) == [338, 340, 342]
    for place in (319, 345, 750):  # to half of that
        learn(search, rows, Window(place + 1, 1))
    assert places(search) == [326, 332, 338]


def test_a_window_that_shows_the_row_with_one_before_it_finds_its_place():
    rows = log(1_000)
    search = search_for(300, take=10, guess=300)
    (window,) = asked(search)
    learn(search, rows, window)
    assert search.is_over
    assert search.place == 300


@pytest.mark.parametrize(("width", "is_over"), [(5, True), (6, False)])
def test_half_a_page_is_near_enough(width, is_over):
    search = search_for(500, low=0, high=100, take=10, guess=50)
    asked(search)
    # All before place 40 comes before, all from there on is not before it.
    search.learn(view_of([row(0)] * 40 + [row(900)] * 60, Window(5, 10)))
    assert search.is_over is False
    asked(search)
    search = search_for(500, low=40 - width, high=100, take=10, guess=50)
    asked(search)
    search.learn(view_of([row(900)] * 100, Window(5, 10)))
    assert search.is_over is is_over


def test_a_page_that_is_not_there_is_behind_the_place():
    search = search_for(900, high=1_000, guess=600)
    asked(search)
    search.learn(None)
    assert places(search) == [150, 300, 450]


def test_a_page_without_rows_says_how_long_the_list_is():
    for counted, wanted in ((400, [100, 200, 300]), (900, [150, 300, 450])):
        search = search_for(900, high=1_000, guess=600)
        (window,) = asked(search)
        search.learn(view_of([], window, count=counted))
        assert places(search) == wanted


def test_a_list_that_has_shrunk_to_what_is_known_leaves_nothing_to_look_for():
    search = search_for(900, low=100, high=1_000, guess=600)
    (window,) = asked(search)
    search.learn(view_of([], window, count=50))
    assert search.is_over
    assert search.place == 100


def test_a_later_answer_does_not_take_back_what_an_earlier_one_has_shown():
    """The list has moved between the two."""
    search = search_for(500, high=1_000)
    asked(search)
    for place, key in ((250, 0), (480, 0), (750, 900)):
        learn(search, [row(key)] * 1_000, Window(place + 1, 1))
    assert places(search) == [548, 615, 682]
    learn(search, [row(0)] * 1_000, Window(301, 1))
    learn(search, [row(900)] * 1_000, Window(901, 1))
    assert search.place == 481
    learn(search, [row(900)] * 1_000, Window(691, 1))
    assert places(search) == [533, 585, 637]


def test_answers_that_contradict_each_other_leave_the_place_before_which_all_come():
    search = search_for(500, high=1_000)
    asked(search)
    for place, key in ((250, 900), (500, 0), (750, 900)):
        learn(search, [row(key)] * 1_000, Window(place + 1, 1))
    assert search.is_over
    assert search.place == 501


@pytest.mark.parametrize(("key", "nearer", "guess"), [(300, 370, 300), (700, 640, 700)])
def test_rows_right_at_the_ends_that_are_known_show_their_keys(key, nearer, guess):
    rows = log(1_000)
    search = search_for(key, low=251, high=750)
    asked(search)
    # All before 251 come before it, the row at 750 does not, and one is nearer.
    for place in (250, 750, nearer):
        learn(search, rows, Window(place + 1, 1))
    margin = abs(nearer - (251 if key == 300 else 750)) // 16
    assert places(search) == [guess - margin, guess, guess + margin]


def test_the_key_of_the_last_row_before_is_the_one_that_counts():
    # Years after the row at place 118, the one at 119 begins a day with many.
    rows = [row(key) for key in (*range(119), *range(10_000, 11_300))]
    search = search_for(10_100, high=1_200, take=10)
    asked(search)
    for page in (12, 41, 100):  # places 110 to 119, 400 to 409, and 990 to 999
        learn(search, rows, Window(page, 10))
    guess = 120 + 280 * 100 // 281
    wanted = [plan_window(place - 5, 10) for place in (guess - 17, guess, guess + 17)]
    assert [(w.page, w.take) for w in asked(search)] == [
        (w.page, w.take) for w in wanted
    ]


def test_what_was_left_at_first_is_the_part_between_the_ends():
    rows = log(2_000)
    search = search_for(1_040, low=1_000, high=1_400)
    asked(search)
    for place in (999, 1_101, 1_300):
        learn(search, rows, Window(place + 1, 1))
    # 101 of 400 are left, which is more than a fourth.
    assert places(search) == [1_025, 1_050, 1_075]


def test_with_smaller_pages_it_begins_anew_between_the_ends_that_it_knows():
    rows = log(1_000)
    search = search_for(600, take=100)
    first, second, _ = asked(search)
    learn(search, rows, first)
    search.limit(20)
    assert search.is_over is False
    windows = asked(search)
    assert all(window.take <= 20 for window in windows)
    assert len(windows) == 3
    assert search.place == first.end
    learn(search, rows, second)
    search.limit(50)
    assert all(window.take <= 20 for window in asked(search))


def test_smaller_pages_replace_what_was_to_be_asked_for_and_what_was_asked_for():
    search = search_for(600, take=100)
    search.next_window()  # two more were to be asked for
    search.limit(20)
    windows = asked(search)
    assert [window.take <= 20 for window in windows] == [True] * 3
    search.learn(None)  # the first of them is not there
    search.limit(20)
    assert all(window.start < windows[0].start for window in asked(search))


# What it costs


@pytest.fixture(scope="module")
def rows():
    return log(ROWS)


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("place", [1, 777, 6_200, 10_000, 15_555, 19_998])
@pytest.mark.parametrize(("take", "most"), [(100, 12), (20, 16)])
def test_a_row_of_20_000_is_found_in_few_windows(order, place, take, most, rows):
    rows = rows if order == "asc" else rows[::-1]
    key = place if order == "asc" else ROWS - 1 - place
    search = search_for(key, order=order, high=ROWS, take=take)
    assert run(search, rows) <= most
    assert abs(search.place - place) <= take // 2


@pytest.mark.parametrize("place", [1, 777, 6_200, 10_000, 15_555, 19_998])
def test_a_row_of_evenly_spread_ones_is_found_in_a_round(place, rows):
    search = search_for(place, high=ROWS, take=100, keys=(0, ROWS))
    assert run(search, rows) <= 3
    assert search.place == place


@pytest.mark.parametrize("place", [1, 10, 777, 6_200, 10_000, 15_555, 19_998])
def test_a_row_of_most_uneven_ones_is_found_in_eight_rounds(place):
    rows = [row(number**4 // ROWS**2, f"r{number}") for number in range(ROWS)]
    key = place**4 // ROWS**2
    search = search_for(key, high=ROWS, take=20, keys=(0, ROWS**2))
    assert run(search, rows) <= 24
    assert abs(search.place - place) <= 10


# The start of a part of a list


def started(
    rows, span, *, order="asc", width=1, limit=10, take=100, knows_newest=False
):
    """Read the first rows of a part; return how many windows that takes."""

    def serve(window):
        return page_of(rows[::-1] if window.newest_first else rows, window)

    options = {"order": order, "span": span, "limit": limit}
    walk = proven_walk(take=take, **options) if knows_newest else None
    reader = Reader(serve, walk=walk, take=take, width=width, **options).run()
    assert reader.report.complete
    assert len(reader.read) == limit
    return len(reader.asked), reader


def checkpoint(row_, position, order):
    return Checkpoint(
        scope="s",
        order=order,
        key=row_.created_at,
        ids=frozenset({row_.id}),
        position=position,
        proof=Proof.STRICT_KEY,
    )


@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("place", [150, 10_000, 19_980])
def test_a_read_that_resumes_looks_where_it_stood(place, order, width, rows):
    rows = rows if order == "asc" else rows[::-1]
    span = Span(resume=checkpoint(rows[place], place + 1, order))
    asked, reader = started(rows, span, order=order, width=width)
    assert reader.read == rows[place + 1 : place + 11]
    assert asked == 2


@pytest.mark.parametrize("width", [1, 8])
def test_a_part_is_thought_to_end_the_log_where_no_more_is_known(width, rows):
    asked, reader = started(rows, Span(since=rows[-20].created_at), width=width)
    assert reader.read == rows[-20:-10]
    assert asked == 2


@pytest.mark.parametrize("place", [150, 5_000, 19_860, 19_899])
def test_the_newest_page_shows_where_a_part_begins_among_evenly_spread_rows(
    place, rows
):
    """The newest page, page 1, and a round of which two answers are needed."""
    span = Span(since=rows[place].created_at)
    asked, reader = started(rows, span, knows_newest=True)
    assert reader.read == rows[place : place + 10]
    assert asked <= 4


def test_rows_are_spread_evenly_from_the_last_row_of_page_1_on():
    """All others of page 1 are years older."""
    rows = [row(key) for key in (*range(99), *range(10**8, 10**8 + 4_901))]
    span = Span(since=rows[3_000].created_at)
    asked, reader = started(rows, span, knows_newest=True, limit=100)
    assert reader.read == rows[3_000:3_100]
    assert asked <= 5


@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_probes_that_are_not_needed_any_more_are_not_waited_for(order, width, rows):
    rows = rows if order == "asc" else rows[::-1]
    # The first of three probes shows it.
    place = 5_000
    until, since = (
        Span(until=rows[place - 1].created_at),
        Span(since=rows[place].created_at),
    )
    span = since if order == "asc" else until
    asked, reader = started(rows, span, order=order, width=width)
    assert reader.read == rows[place : place + 10]
    assert asked <= 12


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize("first", range(2, 14))
def test_a_start_that_moves_while_it_is_looked_for_is_found_near_by(
    first, width, order
):
    """Once: right before one of the answers, all rows move by 300 places."""
    before = [row(key) for key in range(20_000)]
    after = (
        before[300:] if order == "asc" else [*before, *map(row, range(20_000, 20_300))]
    )
    if order == "desc":
        before, after = before[::-1], after[::-1]

    def serve(window):
        return page_of(before if len(reader.asked) < first else after, window)

    wanted = before[9_000]
    span = (
        Span(since=wanted.created_at)
        if order == "asc"
        else Span(until=before[8_999].created_at)
    )
    reader = Reader(serve, order=order, span=span, limit=50, width=width)
    reader.run()
    assert reader.read == before[9_000:9_050]
    assert len(reader.asked) <= 20
