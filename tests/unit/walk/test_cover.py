"""The theorem of the strict key, and its weaker sibling, on lists that move at will."""

import bisect
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from walksim import EPOCH, SimRow

from canopy_async._walk.id_cover import IdCover
from canopy_async._walk.key_cover import KeyCover
from canopy_async._walk.view import View
from canopy_async._walk.window import Window
from canopy_async.errors import ProtocolError, UnorderedListError
from canopy_async.models import Page, PageMeta
from canopy_async.report import Proof

MANY = 10**6


def row(key, id_=None):
    return SimRow(id_ or f"r{key}", EPOCH + timedelta(seconds=key))


def view_of(
    rows,
    *,
    page=1,
    take=100,
    count=None,
    longest=MANY,
    more=None,
    number=0,
    suspect=None,
):
    """A view of ``rows`` as page ``page`` of them."""
    count = len(rows) if count is None else count
    start = (page - 1) * take
    meta = PageMeta(
        page=page,
        take=take,
        item_count=count,
        page_count=-(-count // take),
        has_previous_page=page > 1,
        has_next_page=page * take < count if more is None else more,
    )
    items = tuple(rows[start : start + take])
    window = Window(page, take, number)
    return View(
        Page(items=items, pagination=meta), window, longest=longest, suspect=suspect
    )


class Moving:
    """A list sorted by key that is changed and looked at anywhere."""

    def __init__(self, rng, order, *, stable):
        self.rng, self.order, self.stable = rng, order, stable
        self.rows, self.made, self.gone = [], [], set()
        for _ in range(rng.randint(0, 25)):
            self.insert()

    def insert(self):
        key = self.rng.randint(0, 12)  # many ties
        id_ = f"{self.rng.randint(0, 99):02d}.{len(self.made)}"
        self.made.append(row(key, id_))
        bisect.insort(self.rows, (key, id_, self.made[-1]))

    def move(self):
        for _ in range(self.rng.randint(0, 4)):
            if self.rows and self.rng.random() < 0.5:
                del self.rows[self.rng.randrange(len(self.rows))]
            else:
                self.insert()

    def look(self, *, page, take, number=0):
        rows = self.rows
        if not self.stable:
            rows = sorted(rows, key=lambda r: (r[0], self.rng.random()))
        rows = [r for _, _, r in rows]
        if self.order == "desc":
            rows.reverse()
        return view_of(rows, page=page, take=take, number=number)

    def alive(self):
        return {id_ for _, id_, _ in self.rows}


@given(rng=st.randoms(use_true_random=False), order=st.sampled_from(["asc", "desc"]))
def test_certified_views_lose_nothing_and_repeat_nothing(rng, order):
    """Whatever moved, wherever, and whenever each view was served."""
    server = Moving(rng, order, stable=False)
    cover = KeyCover()
    views = [server.look(page=1, take=rng.randint(1, 9))]
    survivors = server.alive()
    for number in range(rng.randint(0, 12)):
        server.move()
        survivors &= server.alive()
        page, take = rng.randint(1, 9), rng.randint(1, 9)
        views.append(server.look(page=page, take=take, number=number))
    first, rest = views[0], views[1:]
    rng.shuffle(rest)  # served in one order, taken in another
    read = []
    for view in [first, *rest]:
        cover.check(view)
        if not cover.certifies(view):
            continue
        accepted = cover.accept(view)
        read += accepted.rows
        assert len(accepted.rows) + accepted.duplicates + accepted.late == len(view.ids)
        ids = {r.id for r in read}
        assert len(ids) == len(read)
        keys = [r.created_at for r in read]
        assert keys == sorted(keys, reverse=order == "desc")
        owed = {
            r.id
            for r in server.made
            if r.id in survivors and cover.precedes(r.created_at, cover.key)
        }
        assert owed <= ids
        assert cover.ids_at_key == {r.id for r in read if r.created_at == cover.key}
        if view.is_end:
            assert survivors <= ids


@given(rng=st.randoms(use_true_random=False), order=st.sampled_from(["asc", "desc"]))
def test_shared_rows_lose_nothing_where_the_order_is_fixed(rng, order):
    server = Moving(rng, order, stable=True)
    cover = IdCover()
    server_first = server.look(page=1, take=rng.randint(2, 9))
    survivors = server.alive()
    read, end = [], 0
    view = server_first
    for number in range(1, 15):
        if view.rows and cover.certifies(view):
            cover.check(view)
            read += cover.accept(view).rows
            end = view.end
            if view.is_end:
                assert survivors <= {r.id for r in read}
                break
        server.move()
        survivors &= server.alive()
        take = rng.randint(2, 9)
        page = max(0, end - rng.randint(1, 4)) // take + 1
        view = server.look(page=page, take=take, number=number)


@given(rng=st.randoms(use_true_random=False))
def test_an_end_seen_later_bounds_a_list_that_grows_at_its_end(rng):
    server = Moving(rng, "asc", stable=False)
    cover = KeyCover(order="asc")
    survivors = server.alive()
    for _ in range(6):
        server.move()
        survivors &= server.alive()
        cover.bound_growth(server.look(page=rng.randint(1, 4), take=rng.randint(1, 9)))
    server.move()
    survivors &= server.alive()
    for key in range(14):
        cover.key = row(key).created_at
        if cover.is_past_bound:
            assert all(
                r.created_at < cover.key for r in server.made if r.id in survivors
            )


# Strictly before


@pytest.fixture
def covered():
    cover = KeyCover()
    view = view_of([row(1), row(2), row(3, "a"), row(3, "b")], take=4, count=9)
    cover.check(view)
    cover.accept(view)
    return cover


@pytest.mark.parametrize(
    ("rows", "certifies"),
    [
        ([row(2), row(3, "a"), row(4)], True),
        ([row(2.5, "new"), row(7)], True),
        ([row(3, "a"), row(3, "b"), row(4)], False),  # ties may come in any order
        ([row(3, "c"), row(4)], False),
        ([row(4)], False),
        ([], False),
    ],
)
def test_only_a_view_that_begins_strictly_before_the_cover_certifies(
    covered, rows, certifies
):
    view = view_of([row(0)] * 4 + rows, page=2, take=4)
    assert covered.certifies(view) is certifies


def test_page_1_certifies_whatever_it_holds(covered):
    assert covered.certifies(view_of([row(8)]))
    assert not covered.certifies(view_of([]))


def test_page_1_of_another_key_proves_nothing_before_the_order_is_known():
    cover = KeyCover()
    cover.accept(view_of([row(5, "a"), row(5, "b")], take=2, count=9))
    assert cover.order is None
    assert cover.certifies(view_of([row(5, "b"), row(5, "c")], take=2, count=9))
    assert not cover.certifies(view_of([row(6, "c"), row(6, "d")], take=2, count=9))


def test_rows_at_the_cover_are_handed_out_once(covered):
    view = view_of([row(2), row(3, "b"), row(3, "c"), row(3, "a"), row(4)])
    accepted = covered.accept(view)
    assert [r.id for r in accepted.rows] == ["c", "r4"]
    assert accepted.duplicates == 3
    assert covered.ids_at_key == {"r4"}


def test_a_row_that_came_late_is_counted_and_not_handed_out(covered):
    accepted = covered.accept(view_of([row(1), row(1.5, "late"), row(2), row(4)]))
    assert [r.id for r in accepted.rows] == ["r4"]
    assert accepted.late == 1


def test_a_row_that_changed_its_key_is_an_error(covered):
    with pytest.raises(ProtocolError, match="created_at"):
        covered.check(view_of([row(1), row(2.5, "r2"), row(7)]))


@pytest.mark.parametrize(
    "rows",
    [
        [row(3), row(1), row(2)],
        [row(3), row(2), row(1)],
        [row(1), row(5), row(1, "a"), row(5, "b")],
    ],
)
def test_rows_in_another_order_than_before_are_an_error(covered, rows):
    with pytest.raises(UnorderedListError):
        covered.check(view_of(rows))


def test_the_order_is_learnt_from_the_first_two_keys():
    cover = KeyCover()
    cover.check(view_of([row(1, "a"), row(1, "b")]))
    assert cover.order is None
    cover.check(view_of([row(2), row(1, "a")]))
    assert cover.order == "desc"


# What proves the end


@pytest.mark.parametrize(
    ("options", "is_end"),
    [
        ({}, True),
        ({"more": True}, False),
        ({"count": 19}, False),
        ({"count": 17}, True),
        ({"longest": 10}, True),  # a page of ten was sent whole
        ({"longest": 9}, True),  # eight are fewer than were sent before
        ({"longest": 8}, False),  # it may have been cut to eight
    ],
)
def test_a_short_page_is_an_end_if_nothing_speaks_against_it(options, is_end):
    rows = [row(key) for key in range(18)]
    assert view_of(rows, page=2, take=10, **options).is_end is is_end


def test_a_full_page_is_never_an_end():
    assert not view_of([row(key) for key in range(20)], page=2, take=10).is_end


def test_page_1_needs_no_page_before_it_to_be_an_end():
    assert view_of([row(1)], take=10, longest=0).is_end
    assert view_of([], take=10, longest=0).is_end


@pytest.mark.parametrize(
    ("take", "longest", "is_end"),
    [(10, 3, False), (10, 4, True), (4, 4, True)],
    ids=["of as many rows", "of fewer rows", "of no more than is sent"],
)
def test_page_1_may_be_cut_where_a_page_of_as_many_rows_was(take, longest, is_end):
    rows = [row(key) for key in range(3)]
    assert view_of(rows, take=take, longest=longest, suspect=3).is_end is is_end


# By shared rows


def test_what_a_cover_leans_on_is_named():
    assert KeyCover().proof == Proof.STRICT_KEY
    assert IdCover().proof == Proof.SHARED_ID


def test_a_view_that_shares_no_row_does_not_certify():
    cover = IdCover()
    rows = [row(n * 7 % 10, f"x{n}") for n in range(10)]
    cover.accept(view_of(rows, take=5))
    assert not cover.certifies(view_of(rows, page=2, take=5))
    assert cover.certifies(view_of(rows, page=2, take=4))
    assert [r.id for r in cover.accept(view_of(rows, page=2, take=4)).rows] == [
        "x5",
        "x6",
        "x7",
    ]


def test_shared_rows_in_another_order_are_an_error():
    cover = IdCover()
    rows = [row(n, f"x{n}") for n in range(6)]
    cover.accept(view_of(rows, take=6))
    with pytest.raises(UnorderedListError, match="no fixed order"):
        cover.check(view_of([rows[3], rows[2], rows[5]]))
