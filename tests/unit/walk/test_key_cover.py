"""A cover by keys: its bounds, its order, and what each view adds to it."""

import pytest
from support.lists import log, page_of, row, tied

from canopy_async._walk.key_cover import KeyCover
from canopy_async._walk.view import View
from canopy_async._walk.window import Window
from canopy_async.errors import UnorderedListError


@pytest.fixture(params=["asc", "desc"])
def order(request):
    return request.param


def view_of(rows, *, page=1, take=None, number=0, **said):
    """A view of a page of a list, of all its rows by default."""
    window = Window(page, take or len(rows) + 1, number)
    return View(page_of(rows, window, **said), window, longest=1_000)


def part(rows, *, start, number=0):
    """A view of rows from a position on, and so no page 1; there may be as many."""
    assert len(rows) <= start
    return view_of([row(0)] * start + rows, page=2, take=start, number=number)


def in_order(order, *keys):
    """Rows in list order, given by how far from the head of the list they are."""
    return [row(key if order == "asc" else 100 - key) for key in keys]


def key_of(order, key):
    return in_order(order, key)[0].created_at


def cover_of(order, rows, **options):
    """A cover of the rows of page 1."""
    cover = KeyCover(order=order, **options)
    cover.accept(view_of(rows, count=len(rows) + 50))
    return cover


def ids(rows):
    return [r.id for r in rows]


# Bounds


def test_a_cover_that_has_not_begun_is_past_no_bound(order):
    assert not KeyCover(order=order, bound=row(5).created_at).is_past_bound


@pytest.mark.parametrize(("last", "is_past"), [(4, False), (5, False), (6, True)])
def test_a_cover_is_past_its_bound_once_no_row_at_the_bound_can_follow(
    order, last, is_past
):
    rows = in_order(order, *range(last + 1))
    assert cover_of(order, rows, bound=key_of(order, 5)).is_past_bound is is_past


def test_a_cover_without_a_bound_is_never_past_it(order):
    assert not cover_of(order, in_order(order, *range(9))).is_past_bound


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ((3, 4, 5), (3, 4, 5)),
        ((5, 5.5, 6, 7), (5,)),
        ((5.5, 6), ()),
        ((), ()),
    ],
)
def test_rows_are_wanted_up_to_the_bound_inclusive(order, keys, wanted):
    cover = KeyCover(order=order, bound=key_of(order, 5))
    assert cover.wanted(in_order(order, *keys)) == in_order(order, *wanted)


def test_all_rows_are_wanted_where_there_is_no_bound(order):
    rows = in_order(order, 1, 2, 3)
    assert KeyCover(order=order).wanted(rows) == rows


def test_as_many_rows_are_left_up_to_a_bound_as_the_pace_of_a_view_makes_likely(order):
    cover = KeyCover(order=order, bound=key_of(order, 27))
    # Ten rows take nine seconds, and the bound is eighteen seconds further on.
    assert cover.rows_to_bound(view_of(in_order(order, *range(10)))) == 20


@pytest.mark.parametrize("rows", [[], [row(1)], tied(9, 1)], ids=["no", "one", "ties"])
def test_rows_that_show_no_pace_tell_nothing_of_what_is_left(order, rows):
    cover = KeyCover(order=order, bound=key_of(order, 27))
    assert cover.rows_to_bound(view_of(rows)) is None


def test_without_a_bound_it_is_unknown_how_many_rows_are_left(order):
    rows = in_order(order, *range(10))
    assert KeyCover(order=order).rows_to_bound(view_of(rows)) is None


# A list that grows at its end


def test_a_list_that_grows_is_read_as_far_as_the_first_end_that_was_seen():
    cover = cover_of("asc", log(5))
    assert not cover.is_bounded
    cover.bound_growth(view_of(log(9)))
    assert cover.is_bounded
    cover.bound_growth(view_of(log(30)))
    cover.accept(view_of(log(9)))
    assert not cover.is_past_bound  # more rows may have the key of the last one
    cover.accept(view_of(log(10)))
    assert cover.is_past_bound


@pytest.mark.parametrize(
    "view",
    [
        view_of(log(9), count=10),
        view_of(log(9), has_next_page=True),
        view_of([], count=0),
        part([], start=9),
    ],
    ids=["counts more", "claims more", "is empty", "is past the end"],
)
def test_only_rows_at_the_end_of_a_list_show_how_far_it_is_to_be_read(view):
    cover = cover_of("asc", log(5))
    cover.bound_growth(view)
    assert not cover.is_bounded


@pytest.mark.parametrize("other", ["desc", None])
def test_only_in_ascending_order_a_list_grows_at_its_end(other):
    cover = KeyCover(order=other)
    cover.bound_growth(view_of(tied(3, 5), take=5))
    assert not cover.is_bounded


# The order


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_row_without_an_instant_among_others_is_out_of_order(at):
    rows = log(3)
    rows[at] = row(None, "none")
    with pytest.raises(UnorderedListError, match="a row has no created_at"):
        KeyCover().check(view_of(rows))


@pytest.mark.parametrize("count", [1, 2])
def test_rows_without_instants_are_in_no_order(count):
    with pytest.raises(UnorderedListError):
        KeyCover().check(view_of([row(None, f"n{at}") for at in range(count)]))


def test_an_order_that_was_only_likely_and_is_the_other_one_is_an_error_of_its_own(
    order,
):
    rows = in_order(order, 3, 2, 1)
    cover = KeyCover(order=order, is_assumed=True)
    with pytest.raises(UnorderedListError, match="had not shown the order"):
        cover.check(view_of(rows))
    with pytest.raises(UnorderedListError, match="is not sorted by created_at"):
        KeyCover(order=order).check(view_of(rows))


def test_rows_in_no_order_are_not_taken_for_those_of_the_other_one(order):
    cover = KeyCover(order=order, is_assumed=True)
    with pytest.raises(UnorderedListError, match="is not sorted by created_at"):
        cover.check(view_of(in_order(order, 2, 1, 3)))


def test_an_order_that_is_only_likely_is_known_once_two_keys_show_it(order):
    cover = KeyCover(order=order, is_assumed=True)
    cover.check(view_of(tied(3, 5)))
    assert cover.order is None
    cover.check(view_of(in_order(order, 1, 2)))
    assert cover.order == order


def test_while_the_order_is_unknown_no_key_comes_before_another():
    cover = KeyCover()
    cover.accept(view_of(tied(2, 5), count=9))
    assert not cover.precedes(row(1).created_at, row(2).created_at)
    assert not cover.precedes(row(2).created_at, row(1).created_at)
    for key in (4, 6):  # rows of another key may come anywhere, and are new
        assert cover.has_new(view_of(tied(2, key, "u")))


# What certifies, and what is new


def test_a_cover_begins_with_page_1_alone(order):
    rows = in_order(order, *range(9))
    cover = KeyCover(order=order)
    assert cover.certifies(view_of(rows, take=3)) is True
    assert cover.certifies(view_of(rows, page=2, take=3)) is False
    assert cover.certifies(view_of([])) is False


@pytest.mark.parametrize("count", [1, 3])
def test_while_the_order_is_unknown_only_page_1_of_the_key_goes_on(count):
    cover = KeyCover()
    cover.accept(view_of(tied(2, 5), count=9))
    assert cover.certifies(view_of(tied(count, 5)))
    # Ties may come in another order each time: others may be before this page.
    assert not cover.certifies(part(tied(count, 5), start=3))
    for key in (4, 6):
        assert not cover.certifies(view_of(tied(count, key, "u")))
        assert not cover.certifies(part(tied(count, key, "u"), start=3))


@pytest.mark.parametrize(
    ("keys", "is_new"),
    [((), False), ((1, 2), False), ((1, 3), False), ((2, 4), True), ((5, 6), True)],
)
def test_a_view_is_new_where_it_ends_after_the_cover(order, keys, is_new):
    cover = cover_of(order, in_order(order, 1, 2, 3))
    assert cover.has_new(view_of(in_order(order, *keys))) is is_new


def test_a_view_that_ends_at_the_key_of_the_cover_is_new_if_it_holds_another_tie():
    cover = cover_of("asc", [row(1), *tied(2, 3)])
    assert not cover.has_new(view_of([row(1), *tied(2, 3)]))
    assert cover.has_new(view_of([row(1), *tied(3, 3)]))


@pytest.mark.parametrize("rows", [[], [row(1)]])
def test_to_a_cover_that_has_not_begun_each_row_is_new(order, rows):
    assert KeyCover(order=order).has_new(view_of(rows)) is bool(rows)


@pytest.mark.parametrize(
    ("keys", "touches", "stops"),
    [
        ((3,), True, True),
        ((3, 4), True, False),
        ((2, 3), False, True),
        ((2, 3, 4), False, False),
        ((), False, False),
    ],
)
def test_a_view_may_begin_or_end_in_the_run_at_the_cover(order, keys, touches, stops):
    cover = cover_of(order, in_order(order, 1, 2, 3))
    view = view_of(in_order(order, *keys))
    assert (cover.touches(view), cover.stops_at(view)) == (touches, stops)


def test_the_rows_of_a_view_before_the_cover_are_counted(order):
    cover = cover_of(order, in_order(order, 1, 2, 3))
    view = view_of(in_order(order, 0, 1.5, 2, 3, 3, 4))
    assert cover.rows_before(view) == 3


def test_a_view_shares_the_run_at_the_cover_if_it_holds_a_row_of_it():
    cover = cover_of("asc", [row(1), *tied(3, 3)])
    assert cover.shares_run(view_of([row(3, "x"), row(3, "t1")]))
    assert not cover.shares_run(view_of([row(1), row(3, "x")]))


# Rows that appear behind the cover


def test_rows_are_late_as_far_back_as_is_remembered(order):
    cover = cover_of(order, in_order(order, 10, 20))
    cover.accept(part(in_order(order, 15, 30), start=3))
    cover.accept(part(in_order(order, 25, 40), start=6))
    # The view that began at 10 is forgotten: what came before 15 may have been read.
    rows = in_order(order, 12, 15, 16, 24, 26, 30, 40, 41)
    accepted = cover.accept(part(rows, start=8))
    assert ids(accepted.rows) == ids(in_order(order, 41))
    # The rows at 16, 24 and 26 are late; those at 12, 15, 30 and 40 are not.
    assert (accepted.late, accepted.duplicates) == (3, 4)


def test_a_view_of_a_list_that_holds_still_has_no_late_rows(order):
    cover = cover_of(order, in_order(order, 1, 2, 3))
    accepted = cover.accept(part(in_order(order, 2, 3, 4), start=3))
    assert (len(accepted.rows), accepted.duplicates, accepted.late) == (1, 2, 0)


# The run of ties at the cover


def test_of_a_run_only_the_unseen_ties_are_handed_out():
    cover = cover_of("asc", [row(1), *tied(2, 3)])
    before = cover.recent.accepted
    accepted = cover.accept_run(view_of([row(2), *tied(4, 3), row(4)]))
    assert ids(accepted.rows) == ["t2", "t3"]
    assert (accepted.duplicates, accepted.late) == (0, 0)
    assert cover.recent.accepted == before + 2
    assert cover.accept_run(view_of(tied(4, 3))).rows == []


def test_the_start_of_a_run_is_as_the_latest_view_with_the_row_before_it_shows_it():
    cover = KeyCover()
    assert cover.tie_start == 0
    cover.accept(view_of([row(1), row(2), *tied(2, 3)], count=9))
    assert cover.tie_start == 2
    cover.accept(part([row(2), *tied(3, 3)], start=4))
    assert cover.tie_start == 5
    cover.accept(part(tied(9, 3), start=9))  # the run may begin before this view
    assert cover.tie_start == 5
    assert cover.ids_at_key == {f"t{at}" for at in range(9)}
    cover.accept(view_of([row(2, "gone"), *tied(2, 3)]))
    assert cover.tie_start == 1
    cover.accept(view_of(tied(2, 3)))
    assert cover.tie_start == 0


def test_the_start_of_a_run_is_that_of_the_last_key_of_a_view():
    cover = KeyCover()
    cover.accept(view_of([row(1), *tied(4, 2)], count=9))
    assert (cover.tie_start, cover.ids_at_key) == (1, {"t0", "t1", "t2", "t3"})
    cover.accept(part([row(1), *tied(4, 2), row(3), *tied(2, 4, "u")], start=8))
    assert (cover.tie_start, cover.ids_at_key) == (8 + 6, {"u0", "u1"})


@pytest.mark.parametrize("count", [1, 3])
def test_the_rows_of_a_page_1_of_one_key_are_all_at_the_cover(count):
    cover = KeyCover()
    cover.accept(view_of(tied(count, 5), count=9))
    assert (cover.tie_start, len(cover.ids_at_key)) == (0, count)


def test_a_view_without_the_rows_at_the_cover_leaves_the_start_of_the_run_alone():
    cover = cover_of("asc", [row(1), row(2), *tied(2, 3)])
    accepted = cover.accept(part([row(1), row(2)], start=5))
    assert (ids(accepted.rows), accepted.duplicates) == ([], 2)
    assert (cover.tie_start, cover.ids_at_key) == (2, {"t0", "t1"})


# A read that is resumed


@pytest.fixture
def resumed(order):
    key = key_of(order, 30)
    return KeyCover(key=key, ids_at_key=frozenset({"t0", "t1"}), order=order)


def run_at_30(order, count):
    return tied(count, 30 if order == "asc" else 70)


def test_a_view_that_ends_at_a_checkpoint_shows_where_the_run_there_begins(
    order, resumed
):
    view = part([*in_order(order, 28, 29), *run_at_30(order, 2)], start=40)
    resumed.revisit(view)
    assert resumed.position.place == 42


@pytest.mark.parametrize("last", [29, 31])
def test_a_view_that_does_not_end_at_a_checkpoint_shows_nothing_of_its_place(
    order, resumed, last
):
    rows = [*in_order(order, 28), *run_at_30(order, 2), *in_order(order, 31)]
    resumed.revisit(part(rows if last == 31 else in_order(order, 28, 29), start=40))
    assert resumed.position.place == 0


def test_the_place_of_a_cover_that_has_begun_is_not_learnt_from_what_adds_nothing(
    order, resumed
):
    rows = [*in_order(order, 28, 29), *run_at_30(order, 2)]
    resumed.accept(part([*rows, *in_order(order, 31)], start=40))
    assert resumed.position.place == 44
    stale = part([*rows, *in_order(order, 31)], start=50)
    resumed.revisit(stale)
    assert resumed.position.place == 44


def test_ties_that_a_checkpoint_names_are_not_handed_out_again(order, resumed):
    rows = [*in_order(order, 29), *run_at_30(order, 3), *in_order(order, 31)]
    accepted = resumed.accept(part(rows, start=40))
    assert ids(accepted.rows) == ["t2", *ids(in_order(order, 31))]
    assert resumed.position.place == 44
