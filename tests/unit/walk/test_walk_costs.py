"""The cost of walks: requests for lists that grow, are long, or come in odd pages."""

import pytest
from support.lists import Reader, assert_all, log, page_of, read, row, tied

from canopy_async._walk import Span, proven_walk
from canopy_async.errors import IncompleteReadError
from canopy_async.report import Proof

WIDTHS = (1, 8)


@pytest.mark.parametrize("rate", [90, 95, 99])
@pytest.mark.parametrize("width", WIDTHS)
def test_a_log_that_grows_by_almost_a_page_per_request_is_not_read_for_ever(
    width, rate
):
    """Oldest first, all that was there at some instant after the start is enough."""
    rows = log(1_000)

    def serve(window):
        page = page_of(rows, window)
        rows.extend(row(key) for key in range(len(rows), len(rows) + rate))
        return page

    reader = Reader(serve, order="asc", width=width, most=60).run()
    ids = [r.id for r in reader.read]
    assert ids == [r.id for r in rows[: len(ids)]]
    assert len(ids) >= 1_000
    assert reader.report.complete


LONG = 200_000


@pytest.fixture(scope="module")
def long_log():
    return log(LONG)


@pytest.fixture(scope="module")
def uneven_log():
    """Most of its rows are of one day, after years with few."""
    return [row(key if key < 1000 else 10**8 + key, f"r{key}") for key in range(LONG)]


def read_part(rows, span, *, order, width, limit):
    def serve(window):
        newest_first = window.newest_first or order == "desc"
        return page_of(rows[::-1] if newest_first else rows, window)

    reader = Reader(serve, width=width, most=60)
    reader.walk = proven_walk(take=100, order=order, span=span, limit=limit)
    return reader.run()


@pytest.mark.parametrize("place", [150, 60_000, 100_000, 199_000])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", ["long_log", "uneven_log"])
def test_a_place_in_200_000_rows_is_found_in_a_few_requests(
    kind, width, place, request
):
    rows = request.getfixturevalue(kind)
    since = read_part(
        rows, Span(since=rows[place].created_at), order="asc", width=width, limit=250
    )
    assert_all(since, rows[place : place + 250])
    assert len(since.asked) <= {"long_log": 8, "uneven_log": 24}[kind]
    until = read_part(
        rows, Span(until=rows[place].created_at), order="desc", width=width, limit=100
    )
    assert_all(until, rows[place - 100 : place][::-1])
    assert len(until.asked) <= 24


@pytest.mark.parametrize("sort_by", ["severity", "id"])
@pytest.mark.parametrize("rows", [0, 1, 19, 20, 21, 40, 135])
def test_a_fixed_page_size_and_another_column_are_read_behind_a_fence(rows, sort_by):
    """The rows are in an order that their keys do not show."""
    shuffled = [row(key * 7919 % 1009) for key in range(rows)]
    reader = read(shuffled, take=10, cut=20, sort_by=sort_by)
    assert [r.id for r in reader.read] == [r.id for r in shuffled]
    assert reader.report.complete
    assert reader.report.delivered == rows
    if rows > 20:
        assert reader.report.proof == Proof.FENCE


@pytest.mark.parametrize("first", [0, 3])
def test_a_fixed_page_size_and_another_column_are_refused_where_rows_go(first):
    """Also behind the head of the list, where only the count tells."""
    shuffled = [row(key * 7919 % 1009) for key in range(135)]

    def serve(window):
        page = page_of(shuffled, window, cut=20)
        if window.page == 3:
            del shuffled[first : first + 5]
        return page

    reader = Reader(serve, take=10, sort_by="severity")
    reader.fails(IncompleteReadError, match="the list moved")


def test_what_a_fenced_read_counts_is_what_happened():
    """Five rows come in while 60 are read newest first: they push five down."""
    rows = log(60, "desc")

    def serve(window):
        page = page_of(rows, window, cut=20)
        if window.page == 1 and len(reader.asked) == 1:
            rows[:0] = [row(key) for key in range(64, 59, -1)]
        return page

    reader = Reader(serve, take=10, order="desc")
    reader.run()
    report = reader.report
    assert [r.id for r in reader.read] == [f"r{key}" for key in range(59, -1, -1)]
    assert report.proof == Proof.FENCE
    counted = (report.expected, report.delivered, report.duplicates, report.late)
    assert counted == (60, 60, 5, 0)
    assert (report.purged, report.repairs, report.order_observed) == (0, 0, "desc")


def test_ties_at_the_seam_of_a_fence_are_counted():
    rows = [*log(18), *tied(4, 18), *[row(key) for key in range(19, 40)]]
    reader = read(rows, take=10, cut=20)
    assert_all(reader, rows, Proof.FENCE)
