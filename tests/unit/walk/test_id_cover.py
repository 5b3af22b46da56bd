"""A cover by shared rows: which views continue it, and what each of them adds."""

import pytest
from support.lists import page_of, row

from canopy_async._walk.id_cover import IdCover
from canopy_async._walk.key_cover import KeyCover
from canopy_async._walk.view import View
from canopy_async._walk.window import Window
from canopy_async.errors import ProtocolError, UnorderedListError
from canopy_async.report import Proof


def view_of(names, *, page=1, number=0):
    """A view of rows by their names, in an order that no key explains."""
    window = Window(page, 9, number)
    rows = [row(ord(name) * 7 % 10, name) for name in names]
    before = [row(0, f"before {at}") for at in range((page - 1) * 9)]
    return View(page_of([*before, *rows], window), window, longest=1_000)


def cover_of(*names):
    """A cover of some views, each of which was certified by the one before."""
    cover = IdCover()
    for number, it in enumerate(names):
        view = view_of(it, page=number + 1, number=number)
        assert cover.certifies(view)
        cover.accept(view)
    return cover


def test_a_cover_begins_with_the_rows_of_page_1():
    assert IdCover().certifies(view_of("abc")) is True
    assert IdCover().certifies(view_of("abc", page=2)) is False
    assert IdCover().certifies(view_of("")) is False


def test_a_view_continues_the_cover_if_it_shares_a_row():
    cover = cover_of("abc")
    assert cover.certifies(view_of("cde", page=2)) is True
    assert cover.certifies(view_of("xa", page=2)) is True
    assert cover.certifies(view_of("def", page=2)) is False
    assert cover.certifies(view_of("xyz")) is False  # page 1 proves nothing by itself


def test_the_rows_after_the_last_shared_one_are_handed_out():
    accepted = cover_of("abc").accept(view_of("bxcde", page=2))
    assert [r.id for r in accepted.rows] == ["d", "e"]
    # The row x appeared before c: it came too late to be handed out.
    assert (accepted.duplicates, accepted.late) == (2, 1)


def test_page_1_is_handed_out_as_a_whole():
    accepted = IdCover().accept(view_of("abc"))
    assert [r.id for r in accepted.rows] == ["a", "b", "c"]
    assert (accepted.duplicates, accepted.late) == (0, 0)


@pytest.mark.parametrize(
    ("names", "is_new"),
    [("ab", False), ("bc", False), ("c", False), ("cd", True), ("xc", False)],
)
def test_a_view_is_new_if_rows_come_after_the_last_shared_one(names, is_new):
    assert cover_of("abc").has_new(view_of(names)) is is_new


@pytest.mark.parametrize("names", ["", "a"])
def test_to_a_cover_that_has_not_begun_each_row_is_new(names):
    assert IdCover().has_new(view_of(names)) is bool(names)


def test_a_view_that_adds_nothing_leaves_the_end_of_the_cover_where_it_is():
    cover = cover_of("abc", "cde")
    place, accepted = cover.position.place, cover.recent.accepted
    added = cover.accept(view_of("bcd", page=2, number=5))
    assert (added.rows, added.duplicates, added.late) == ([], 3, 0)
    assert (cover.position.place, cover.recent.accepted) == (place, accepted)
    assert cover.certifies(view_of("ef", page=2))


def test_the_place_of_a_cover_is_that_of_its_last_row():
    assert cover_of("abc").position.place == 2
    assert cover_of("abc", "bcdef").position.place == 9 + 4


@pytest.mark.parametrize(
    ("names", "is_known"),
    [("xb", True), ("xcd", True), ("xab", True), ("x1", False)],
)
def test_a_view_may_lead_back_by_four_views(names, is_known):
    # A row that is inserted behind the cover moves windows that are under way back.
    cover = cover_of("1a", "ab", "bc", "cd", "de")
    view = view_of(names, page=9)
    assert cover.certifies(view) is is_known
    assert (cover.position.locate(view) is not None) is is_known
    assert is_known is not cover.has_new(view)


def test_a_place_is_found_again_by_a_row_of_any_remembered_view():
    cover = cover_of("1a", "ab", "bc", "cd", "de")
    # The last row, e, comes three places after b.
    assert cover.position.locate(view_of("xb", page=3)) == 18 + 1 + 3


@pytest.mark.parametrize("names", ["edx", "ecx", "xca", "xba"])
def test_rows_of_one_view_in_another_order_are_an_error(names):
    with pytest.raises(UnorderedListError, match="no fixed order"):
        cover_of("abc", "cde").check(view_of(names))


@pytest.mark.parametrize("names", ["abcde", "acex", "cxd", "eb", "x", ""])
def test_rows_that_are_missing_or_new_change_no_order(names):
    # Of e and b, no view has shown both.
    cover_of("abc", "cde").check(view_of(names))


def test_a_row_that_changed_its_key_is_an_error():
    changed = View(page_of([row(99, "b")], Window(1, 9)), Window(1, 9), longest=9)
    with pytest.raises(ProtocolError, match="created_at of a row changed"):
        cover_of("abc").check(changed)


def test_a_list_that_turns_out_to_be_unordered_is_read_on_by_the_rows_it_shares():
    by_key = KeyCover()
    by_key.accept(view_of("abc"))
    cover = IdCover(by_key.recent, by_key.position)
    assert cover.certifies(view_of("cx", page=2))
    assert not cover.certifies(view_of("xyz"))
    assert cover.position.place == by_key.position.place
    assert [r.id for r in cover.accept(view_of("cx", page=2)).rows] == ["x"]


def test_a_cover_by_shared_rows_knows_of_no_order_bounds_or_ties():
    cover = cover_of("abc", "cde")
    view = view_of("de", page=2)
    cover.bound_growth(view)
    cover.revisit(view)
    assert (cover.proof, cover.order) == (Proof.SHARED_ID, None)
    assert (cover.is_bounded, cover.is_past_bound) == (False, False)
    assert (cover.touches(view), cover.stops_at(view)) == (False, False)
    assert cover.rows_to_bound(view) is None
    assert cover.wanted(view.rows) == view.rows
