"""The fence around a server that ignores take: where it ends, where it falls."""

import attrs
import pytest
from support.lists import Reader, assert_all, log, page_of, read, row, tied

from canopy_async._walk import Span
from canopy_async.errors import IncompleteReadError, ProtocolError, UnorderedListError
from canopy_async.report import Proof

SIZE = 20


def fenced(serve, **options):
    return Reader(serve, take=10, **options)


def pages_asked(reader):
    return [window.page for window in reader.asked]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_end_where_a_limit_is_reached(order):
    rows = log(200, order)
    reader = read(rows, take=10, cut=SIZE, limit=50)
    assert_all(reader, rows[:50], Proof.FENCE)
    assert pages_asked(reader) == [1, 2, 3, 1]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("size", [2, 3, 4, 8])
def test_a_server_of_few_rows_per_page_is_read_whole(size, order):
    rows = log(30, order)
    assert_all(read(rows, take=100, cut=size, said=size), rows, Proof.FENCE)


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_end_behind_a_bound(order):
    rows = log(200, order)
    bound = Span(until=row(50).created_at)
    if order == "desc":
        bound = Span(since=row(150).created_at)
    reader = read(rows, take=10, cut=SIZE, span=bound, order=order)
    assert [r.id for r in reader.read] == [r.id for r in rows[:50]]
    assert pages_asked(reader) == [1, 2, 3, 1]


def test_a_list_of_one_key_is_read_though_nothing_shows_its_order():
    rows = tied(50, 5)
    reader = read(rows, take=10, cut=SIZE)
    assert_all(reader, rows, Proof.FENCE)
    assert reader.report.order_observed is None


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"page": 9}, ProtocolError, "answered with page 9"),
        ({"items": [*log(3), row(0)]}, ProtocolError, "occurs twice"),
        ({"items": [row(70), row(60), row(80)]}, UnorderedListError, "not sorted"),
        ({"items": [row(None, "keyless")]}, UnorderedListError, "created_at"),
    ],
)
def test_a_page_behind_a_fence_is_held_against_what_it_should_be(
    changes, error, says, order
):
    rows = log(200, order)

    def serve(window):
        page = page_of(rows, window, cut=SIZE)
        if window.page != 3:
            return page
        items = tuple(changes.get("items", page.items))
        number = changes.get("page", 3)
        meta = attrs.evolve(page.pagination, page=number)
        return attrs.evolve(page, items=items, pagination=meta)

    reader = fenced(serve).fails(error, says)
    assert len(reader.read) == 2 * SIZE


def test_a_404_where_the_first_row_is_looked_for_brings_the_fence_down():
    # Newest first, and page 1 was pushed down by more than a page.
    rows = log(60, "desc")

    def serve(window):
        if window.page == 4:
            rows[:0] = [row(key) for key in range(100, 70, -1)]
            return page_of([], window, cut=SIZE, count=60)
        if len(reader.asked) > 5:
            return None
        return page_of(rows, window, cut=SIZE)

    reader = fenced(serve, order="desc")
    reader.fails(IncompleteReadError, "passed by")
    assert pages_asked(reader) == [1, 2, 3, 4, 1, 2]


def test_the_first_row_is_not_looked_for_behind_the_end_of_the_list():
    rows = log(60, "desc")

    def serve(window):
        if window.page == 4:
            rows[:] = [row(key) for key in range(99, 84, -1)]
            return page_of([], window, cut=SIZE, count=60)
        return page_of(rows, window, cut=SIZE)

    reader = fenced(serve, order="desc").fails(IncompleteReadError, "passed by")
    assert pages_asked(reader) == [1, 2, 3, 4, 1]
