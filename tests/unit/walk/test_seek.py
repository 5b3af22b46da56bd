"""Seeks: where a walk looks for the end of its cover, once the list has moved.

Each case says which rows were read, what the list looks like by now, and from which
place on the next windows look: a window begins there or before, and ends behind it.
"""

from support.lists import log, page_of, tied

from canopy_async._walk.key_cover import KeyCover
from canopy_async._walk.seek import Seek
from canopy_async._walk.view import View
from canopy_async._walk.window import Window, plan_window

TAKE = 100


def view_of(rows, start, end, *, number=1, count=None):
    """A view of some places of a list, of as many rows as divide the first of them."""
    take = next(n for n in range(end - start, 0, -1) if start % n == 0)
    window = Window(start // take + 1, take, number)
    return View(page_of(rows, window, count=count), window, longest=TAKE)


def covered(rows, *, until, order="asc"):
    """What is covered by pages of 100 rows of a list that holds still."""
    cover = KeyCover(order=order)
    for number, start in enumerate(range(0, until, TAKE), 1):
        cover.accept(view_of(rows, start, start + TAKE, number=number))
    return cover


def seek_for(cover, *, counted, slack=2, take=TAKE):
    return Seek(cover, counted, take=take, slack=slack)


def place_of(seek):
    """From where the seek looks next: where a window of one row would be."""
    place = seek.next_window(1).start
    seek.next_window(TAKE)
    return place


def shown(seek, rows):
    """What the next window shows of a list."""
    window = seek.next_window(TAKE)
    return View(page_of(rows, window), window, longest=TAKE)


# Where it looks first


def test_rows_that_went_at_the_head_of_the_oldest_first_move_all_others_up():
    cover = covered(log(2_000), until=1_000)  # up to place 999
    assert place_of(seek_for(cover, counted=1_960)) == 999 - 40 - 2
    assert place_of(seek_for(cover, counted=1_960, slack=16)) == 999 - 40 - 16


def test_rows_that_come_after_all_others_move_none():
    cover = covered(log(2_000), until=1_000)
    assert place_of(seek_for(cover, counted=2_040)) == 999 - 2


def test_rows_that_come_at_the_head_of_the_newest_first_move_all_others_down():
    cover = covered(log(2_000, "desc"), until=1_000, order="desc")
    assert place_of(seek_for(cover, counted=2_040, slack=16)) == 999 + 40 - 1


def test_rows_that_go_after_all_others_move_none():
    cover = covered(log(2_000, "desc"), until=1_000, order="desc")
    assert place_of(seek_for(cover, counted=1_960, slack=16)) == 999 - 1


def test_no_place_is_before_the_head_of_a_list():
    cover = covered(log(2_000), until=1_000)
    assert place_of(seek_for(cover, counted=100)) == 0


def test_a_seek_asks_for_no_more_rows_than_can_be_sent_by_now():
    seek = seek_for(covered(log(2_000), until=1_000), counted=2_000)
    for take in (100, 20, 1):
        window, furthest = seek.next_window(take), plan_window(997, take)
        assert (window.page, window.take) == (furthest.page, furthest.take)


def test_the_windows_of_a_seek_are_counted():
    seek = seek_for(covered(log(2_000), until=1_000), counted=2_000)
    assert seek.probes == 0
    for probes in (1, 2, 3):
        seek.next_window(TAKE)
        assert seek.probes == probes


# Where it looks after a window that begins past the place


def test_it_looks_back_by_a_quarter_of_a_page_and_then_twice_as_far_each_time():
    rows = log(3_000)
    cover = covered(rows, until=1_000)
    seek = seek_for(cover, counted=3_000)
    place = 997
    for step in (25, 50, 100, 200):  # 900 rows went, and nothing shows how many
        view = shown(seek, rows[900:])
        seek.began_past(cover, view)
        place = min(place, view.start) - step
        assert place_of(seek) == place


def test_steps_back_of_small_pages_begin_with_one_row():
    rows = log(3_000)
    cover = covered(rows, until=1_000)
    seek = seek_for(cover, counted=3_000, take=4)
    for place in (997 - 1, 996 - 2, 994 - 4):
        window = seek.next_window(1)
        view = View(page_of(rows[900:], window), window, longest=TAKE)
        seek.began_past(cover, view)
        assert seek.next_window(1).start == place


def test_rows_that_it_knows_show_the_place_and_the_pace_at_which_it_moves():
    rows = log(2_000)
    cover = covered(rows, until=1_000)
    seek = seek_for(cover, counted=2_000)
    view = shown(seek, rows[9:])
    assert (view.start, view.keys[0]) == (990, cover.key)
    seek.began_past(cover, view)
    # Nine rows went; nine more may go before the next answer.
    assert place_of(seek) == 990 - 1 - 9


def test_a_place_that_would_begin_at_the_window_or_later_is_not_believed():
    # The run from 981 on has moved by five rows, and by five more before the answer.
    rows = [*log(981), *tied(300, 981)]
    cover = covered(rows, until=1_000)
    seek = seek_for(cover, counted=len(rows))
    seek.look_inside(990)
    view = shown(seek, [*tied(5, -1, "new"), *rows])
    assert view.start == 990 == 981 + 5 - 1 + 5
    seek.began_past(cover, view)
    assert place_of(seek) == 990 - 25


def test_inside_of_a_run_it_looks_from_the_place_that_it_is_told():
    rows = [*log(900), *tied(300, 900)]
    cover = covered(rows, until=1_000)
    seek = seek_for(cover, counted=1_180)
    assert place_of(seek) == 900 - 20 - 2
    seek.look_inside(998)
    assert place_of(seek) == 998 - 20


def test_steps_back_begin_anew_inside_of_a_run():
    rows = log(3_000)
    cover = covered(rows, until=1_000)
    seek = seek_for(cover, counted=3_000)
    for _ in range(3):
        seek.began_past(cover, shown(seek, rows[900:]))
    seek.look_inside(998)
    view = shown(seek, rows[900:])
    seek.began_past(cover, view)
    assert place_of(seek) == min(998, view.start) - 25
    seek.next_window(4)
    seek.look_inside(998)
    seek.began_past(cover, view_of(rows[900:], 998, 1_001))
    assert place_of(seek) == 998 - 1


# Where it looks after a window that adds nothing


def test_it_goes_on_from_the_last_row_of_a_window_that_shows_no_known_row():
    rows = log(3_000)
    cover = covered(rows, until=1_000)
    seek = seek_for(cover, counted=2_500)  # 500 rows seem to be gone, and none is
    view = shown(seek, rows)
    seek.ended_before(cover, view)
    assert place_of(seek) == view.end - 1


def test_it_goes_on_by_a_row_at_least():
    rows = log(3_000)
    cover = covered(rows, until=1_000)
    seek = seek_for(cover, counted=2_500)
    seek.next_window(TAKE)
    seek.ended_before(cover, view_of(rows, 300, 400))
    assert place_of(seek) == 999 - 500 - 2 + 1


def test_rows_that_it_knows_show_the_place_after_a_window_before_it():
    rows = log(2_000)
    cover = covered(rows, until=1_000)
    seek = seek_for(cover, counted=1_970)
    seek.next_window(TAKE)
    seek.ended_before(cover, view_of(rows, 900, 990))
    # The place was thought to be 969: it is 999, and may move as much again.
    assert place_of(seek) == 999 - 1 + 30


def test_the_pace_is_that_since_the_window_before():
    rows = log(2_000)
    cover = covered(rows, until=1_000)
    seek = seek_for(cover, counted=1_970)
    seek.next_window(TAKE)
    seek.ended_before(cover, view_of(rows, 900, 990))  # the place is 999
    seek.began_past(cover, view_of(rows[9:], 990, 1_089))  # and by now it is 990
    assert place_of(seek) == 990 - 1 - 9


def test_a_pace_of_a_page_or_more_is_none_that_a_list_goes_on_at():
    rows = log(2_000)
    cover = covered(rows, until=1_000)
    for gone, pace in ((99, 99), (100, 0), (400, 0)):
        seek = seek_for(cover, counted=2_000 - gone)
        seek.next_window(TAKE)
        seek.ended_before(cover, view_of(rows, 900, 990))
        assert place_of(seek) == 999 - 1 + pace


def test_a_known_place_that_leads_no_further_is_passed_by():
    rows = log(2_000)
    cover = covered(rows, until=1_000)
    seek = seek_for(cover, counted=2_000)
    seek.next_window(TAKE)
    seek.ended_before(cover, view_of(rows, 900, 990))
    # Right before the cover, where it looked first, is where the known rows lead.
    assert place_of(seek) == 998
    view = view_of(rows, 910, 980)
    seek.ended_before(cover, view)
    assert place_of(seek) == 999


def test_windows_that_a_run_fills_to_the_end_are_counted():
    rows = [*log(980), *tied(300, 980)]
    cover = covered(rows, until=1_000)
    seek = seek_for(cover, counted=len(rows))
    seek.next_window(TAKE)
    assert (seek.fills, seek.is_amid_run) == (0, False)
    for fills in (0, 1, 2, 3):  # the first leads to right before the run
        seek.ended_before(cover, view_of(rows, 900, 1_000))
        assert (seek.fills, seek.is_amid_run) == (fills, True)
        assert place_of(seek) == 979


def test_a_run_at_the_head_of_a_list_fills_its_first_page():
    rows = tied(300, 0)
    cover = covered(rows, until=100)
    seek = seek_for(cover, counted=300)
    seek.next_window(TAKE)
    seek.ended_before(cover, view_of(rows, 0, 100))
    assert seek.fills == 1


def test_a_run_without_a_row_that_it_knows_is_passed_by():
    rows = [*log(980), *tied(300, 980)]
    cover = covered(rows, until=1_000)
    seek = seek_for(cover, counted=1_200)
    seek.next_window(TAKE)
    others = [*tied(700, -1, "before"), *tied(580, 980, "others")]
    seek.ended_before(cover, view_of(others, 700, 800))
    assert (seek.fills, seek.is_amid_run) == (0, True)
    assert place_of(seek) == 980 - 80 - 2 + 1


def test_a_window_that_ends_before_a_run_does_not_fill_it():
    rows = [*log(980), *tied(300, 980)]
    cover = covered(rows, until=1_000)
    seek = seek_for(cover, counted=len(rows))
    seek.next_window(TAKE)
    seek.ended_before(cover, view_of(rows, 900, 975))
    assert (seek.fills, seek.is_amid_run) == (0, False)


# Whether it stands in a run


def test_a_window_that_begins_in_a_run_is_amid_it():
    rows = [*log(980), *tied(300, 980)]
    cover = covered(rows, until=1_000)
    seek = seek_for(cover, counted=len(rows))
    seek.began_past(cover, view_of(rows, 1_000, 1_100))
    assert seek.is_amid_run
    seek.began_past(cover, view_of(log(3_000), 2_000, 2_100))
    assert not seek.is_amid_run


def test_where_a_list_has_ended_it_is_in_no_run():
    rows = [*log(980), *tied(300, 980)]
    cover = covered(rows, until=1_000)
    seek = seek_for(cover, counted=len(rows))
    seek.began_past(cover, view_of(rows, 1_000, 1_100))
    seek.found_nothing(900)
    assert not seek.is_amid_run


# Where it looks after a window that is not there


def test_it_looks_half_a_page_before_the_end_and_then_further_back_each_time():
    seek = seek_for(covered(log(2_000), until=1_000), counted=2_000)
    assert place_of(seek) == 997
    seek.found_nothing(500)
    assert place_of(seek) == 500 - 50
    seek.found_nothing(500)
    assert place_of(seek) == 450 - 50
    seek.found_nothing(500)
    assert place_of(seek) == 400 - 100
    seek.found_nothing(150)
    assert place_of(seek) == 0
