"""The position of a cover: where its end is by now, as far as that can be told."""

import pytest
from support.lists import log, page_of, row, tied

from canopy_async._walk.id_cover import IdCover
from canopy_async._walk.key_cover import KeyCover
from canopy_async._walk.position import Position
from canopy_async._walk.recent import Recent, SeenRows
from canopy_async._walk.view import View
from canopy_async._walk.window import Window

ROWS = log(1_000)


def view_of(rows, page, take, *, number=0, count=None):
    """A page of a list, as the answer to the window of that number."""
    window = Window(page, take, number)
    return View(page_of(rows, window, count=count), window, longest=take)


def covered(*views):
    cover = KeyCover(order="asc")
    for view in views:
        assert cover.certifies(view)
        cover.accept(view)
    return cover


def at(position):
    return position.place, position.end, position.count


# Where it is after what was accepted


def test_before_any_row_was_read_it_is_at_the_head():
    assert at(Position()) == (0, 0, 0)


@pytest.mark.parametrize("number", [0, 1])
def test_it_is_at_the_last_row_that_was_read(number):
    cover = covered(view_of(ROWS, 1, 100, number=number))
    assert at(cover.position) == (99, 100, 1_000)
    cover.accept(view_of(ROWS, 2, 98, number=2, count=990))
    assert at(cover.position) == (195, 196, 990)


def test_it_is_at_the_first_of_the_rows_that_tie_with_the_last():
    rows = [*log(90), *tied(300, 90)]
    cover = covered(view_of(rows, 1, 100, number=1))
    assert at(cover.position) == (90, 100, 390)
    cover.accept(view_of(rows, 2, 80, number=2))  # from 80 on
    assert at(cover.position) == (90, 160, 390)


def test_the_first_of_rows_that_tie_may_have_moved():
    rows = [*log(90), *tied(300, 90)]
    cover = covered(view_of(rows, 1, 100, number=1))
    cover.accept(view_of(rows[5:], 2, 80, number=2))  # from 85 on
    assert at(cover.position) == (85, 160, 385)


def test_a_view_that_begins_amid_them_leaves_it_where_it_was():
    rows = [*log(90), *tied(300, 90)]
    cover = covered(view_of(rows, 1, 100, number=1))
    cover.accept(view_of(rows, 2, 100, number=2, count=380))
    assert at(cover.position) == (90, 200, 380)


def test_an_answer_to_an_earlier_window_moves_it_by_the_rows_that_it_adds():
    later = ROWS[5:]  # five rows have gone by the time the third window is answered
    cover = covered(
        view_of(ROWS, 1, 100, number=1), view_of(later, 2, 90, number=3, count=995)
    )
    assert at(cover.position) == (179, 180, 995)  # of the later list
    cover.accept(view_of(ROWS, 2, 184, number=2))  # 184 to 367: from the last one on
    assert at(cover.position) == (362, 363, 995)
    assert later[362] == ROWS[367]


def test_an_answer_to_a_later_window_tells_where_it_is_by_then():
    cover = covered(view_of(ROWS, 1, 100, number=2), view_of(ROWS, 2, 98, number=2))
    assert at(cover.position) == (195, 196, 1_000)
    cover.accept(view_of(ROWS[50:], 2, 140, number=4))
    assert at(cover.position) == (279, 280, 950)
    cover.accept(view_of(ROWS, 2, 320, number=3))  # 320 to 639
    assert at(cover.position) == (589, 590, 950)


# Where it is by what a view shows


def test_a_row_that_it_knows_tells_where_all_others_are_by_now():
    position = covered(view_of(ROWS, 1, 100)).position
    for moved in (0, 5, 60):
        assert position.locate(view_of(ROWS[moved:], 1, 100)) == 99 - moved
    assert position.locate(view_of([*tied(40, -1), *ROWS], 1, 100)) == 139


@pytest.mark.parametrize("shown", [[*range(99, 149)], [*range(-49, 1)], [*range(50)]])
def test_one_row_that_it_knows_is_enough(shown):
    """The last row that was read, the first one, and some in between."""
    position = covered(view_of(ROWS, 1, 100)).position
    rows = [row(key) for key in shown]
    assert position.locate(view_of(rows, 1, 50)) == 99 - shown[0]


def test_rows_that_it_does_not_know_tell_nothing():
    position = covered(view_of(ROWS, 1, 100)).position
    assert position.locate(view_of(ROWS, 2, 100)) is None
    assert position.locate(view_of([], 1, 100)) is None


def test_rows_of_the_last_two_views_are_known():
    cover = covered(*[view_of(ROWS, 1, take) for take in (100, 200, 300)])
    assert cover.position.locate(view_of(ROWS, 1, 50)) == 299
    cover = covered(view_of(ROWS, 1, 10))
    for page in range(2, 5):  # rows 9 to 17, 18 to 26, and 27 to 35
        cover.accept(view_of([row(-1), *ROWS], page, 9))
    assert cover.position.locate(view_of(ROWS[8:], 1, 9)) is None
    assert cover.position.locate(view_of(ROWS[17:], 1, 9)) is not None


def test_of_two_rows_that_have_moved_apart_the_later_one_counts():
    position = covered(view_of(ROWS, 1, 100)).position
    # Ten rows between them have gone: the last row stands ten places nearer.
    assert position.locate(view_of([*ROWS[:40], *ROWS[50:]], 1, 100)) == 89


def test_ties_are_told_by_the_first_of_them():
    rows = [*log(90), *tied(300, 90)]
    position = covered(view_of(rows, 1, 100)).position
    assert position.locate(view_of(rows[3:], 1, 100)) == 87


def test_the_place_of_ties_is_told_after_some_more_of_them_were_read():
    rows = [*log(90), *tied(300, 90)]
    cover = covered(view_of(rows, 1, 100, number=1), view_of(rows, 1, 150, number=2))
    assert cover.position.locate(view_of(rows[7:], 1, 100)) == 83


# A read that begins amid a list


def test_it_begins_where_a_search_has_found_the_row():
    position = Position()
    position.found(700, 990)
    assert at(position) == (700, 700, 990)


def resumed(key):
    return KeyCover(
        key=row(key).created_at, ids_at_key=frozenset({f"r{key}"}), order="asc"
    )


def test_a_view_that_ends_with_the_row_tells_where_it_is_before_any_is_read():
    cover = resumed(199)
    cover.revisit(view_of(ROWS, 2, 100, count=995))
    assert at(cover.position) == (199, 200, 995)
    for moved in (0, 30):
        assert cover.position.locate(view_of(ROWS[moved:], 2, 100)) == 199 - moved
    cover.revisit(view_of(ROWS[50:], 2, 75, count=950))  # it moves on
    assert at(cover.position) == (149, 200, 950)
    assert cover.position.locate(view_of(ROWS[60:], 2, 75)) == 139


def test_a_view_that_ends_elsewhere_tells_nothing():
    cover = resumed(199)
    cover.revisit(view_of(ROWS, 1, 100))
    cover.revisit(view_of(ROWS, 3, 100))
    assert at(cover.position) == (0, 0, 0)
    assert cover.position.locate(view_of(ROWS, 1, 100)) is None


def test_what_was_seen_before_any_row_is_read_is_forgotten_then():
    cover = resumed(199)
    cover.revisit(view_of(ROWS, 2, 100))
    cover.accept(view_of(ROWS, 2, 198, number=3))  # from 198 on
    assert at(cover.position) == (395, 396, 1_000)
    assert cover.position.locate(view_of(ROWS, 2, 90)) is None
    assert cover.position.locate(view_of(ROWS[10:], 2, 198)) == 385
    # Nor is a row late that came in before the first one that was read.
    late = [*ROWS[:150], row(149.5, "late"), *ROWS[150:]]
    assert cover.accept(view_of(late, 1, 500)).late == 0


def test_once_a_row_was_read_views_that_add_none_tell_nothing():
    cover = covered(view_of(ROWS, 1, 100, number=1))
    cover.revisit(view_of(ROWS[10:], 1, 90, number=2))
    assert at(cover.position) == (99, 100, 1_000)


# Reading by shared rows


def test_by_shared_rows_the_rows_of_four_views_are_known():
    cover = IdCover()
    for number, page in enumerate(range(1, 7), 1):
        cover.accept(view_of(ROWS, page, 10, number=number))
    for page, is_known in ((1, False), (2, False), (3, True), (6, True)):
        view = view_of(ROWS, page, 10)
        assert cover.certifies(view) is is_known
        assert cover.position.locate(view) == (59 if is_known else None)


# The rows of the views accepted last


def test_rows_of_as_many_views_are_remembered_as_it_is_told():
    recent = Recent(2)
    for page in (1, 2, 3):
        recent.add(view_of(ROWS, page, 10), rows=10)
    assert [recent.knows(f"r{key}") for key in (5, 15, 25)] == [False, True, True]
    assert recent.accepted == 30
    assert recent.oldest_key() == ROWS[10].created_at
    recent.remember(3)
    recent.add(view_of(ROWS, 4, 10), rows=10)
    assert [recent.knows(f"r{key}") for key in (5, 15, 25, 35)] == [False, *[True] * 3]


def test_by_keys_two_views_are_remembered():
    recent = Recent()
    assert (recent.accepted, recent.oldest_key(), recent.has_accepted) == (
        0,
        None,
        False,
    )
    for page in (1, 2, 3):
        recent.add(view_of(ROWS, page, 10), rows=0)
    assert recent.has_accepted
    assert recent.oldest_key() == ROWS[10].created_at


def test_what_was_seen_is_forgotten_once_a_view_is_accepted():
    recent = Recent()
    recent.see(view_of(ROWS, 1, 10))
    assert recent.knows("r5")
    recent.add(view_of(ROWS, 2, 10), rows=10)
    assert not recent.knows("r5")
    recent.see(view_of(ROWS, 1, 10))
    recent.add(view_of(ROWS, 3, 10), rows=10)
    assert recent.knows("r5")


def test_unknown_rows_are_those_of_no_view():
    recent = Recent()
    for page in (1, 2):
        recent.add(view_of(ROWS, page, 10), rows=10)
    assert recent.unknown(["r5", "r15", "x", "y"]) == {"x", "y"}
    assert recent.unknown(["r5"]) == set()


def test_known_rows_are_told_by_their_view_and_their_place_in_it():
    recent = Recent()
    for page in (1, 2):
        recent.add(view_of(ROWS, page, 10), rows=10)
    view = view_of([*ROWS[8:12], row(5_000)], 1, 5)
    assert recent.places_of(view) == [(1, 8), (1, 9), (0, 0), (0, 1)]


@pytest.mark.parametrize("changed", [0, 1, 4])
def test_the_place_of_a_row_that_came_with_another_key_is_told(changed):
    seen = SeenRows(view_of(ROWS, 1, 10))
    rows = list(ROWS[5:])
    assert seen.changed_in(view_of(rows, 1, 10)) is None
    rows[changed] = row(1_234, rows[changed].id)
    assert seen.changed_in(view_of(rows, 1, 10)) == changed


def test_keys_that_agree_at_the_ends_do_not_hide_a_row_that_came_with_another():
    """The last row of the one and the first of the other have one key by chance."""
    seen = SeenRows(view_of([row(1, "a"), row(2, "b")], 1, 2))
    assert seen.changed_in(view_of([row(2, "x"), row(3, "a")], 1, 2)) == 1


def test_rows_that_are_shared_elsewhere_than_at_the_ends_are_compared_too():
    seen = SeenRows(view_of(ROWS, 1, 10))
    rows = [row(-1), *ROWS[3:6], row(7_000)]
    assert seen.changed_in(view_of(rows, 1, 5)) is None
    rows[2] = row(1_234, rows[2].id)
    assert seen.changed_in(view_of(rows, 1, 5)) == 2
    assert seen.changed_in(view_of(ROWS, 2, 10)) is None
