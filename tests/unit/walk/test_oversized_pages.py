"""Pages that are too large to be read: what each phase of a walk makes of them."""

import itertools

import pytest
from support.lists import TOO_LARGE, Reader, assert_all, log, page_of, row, tied

from canopy_async._walk import PlainWalk, Span, proven_walk
from canopy_async.checkpoint import Checkpoint
from canopy_async.errors import IncompleteReadError, ProtocolError, UnprovenTiesError
from canopy_async.report import Proof

MOST = 30
"""Rows that an answer may have here."""


@pytest.fixture(params=["asc", "desc"])
def order(request):
    return request.param


@pytest.fixture(params=[1, 4])
def width(request):
    return request.param


def small_pages(rows, most=MOST, **oddities):
    """A server of a list that holds still, of whose rows few fit into an answer."""

    def serve(window):
        page = page_of(rows, window, **oddities)
        return TOO_LARGE if len(page.items) > most else page

    return serve


def ids(reader):
    return [r.id for r in reader.read]


@pytest.mark.parametrize("count", [31, 100, 250])
def test_a_list_is_read_whole_in_smaller_pages(count, order, width):
    rows = log(count, order)
    reader = Reader(small_pages(rows), width=width).run()
    assert_all(reader, rows)
    # Larger ones are tried again now and then.
    too_large = [w for w in reader.asked if w.take > MOST]
    assert len(too_large) <= 3 + width + count / 50


def test_what_no_larger_page_can_be_read_is_told(order):
    reader = Reader(small_pages(log(60, order))).run()
    assert "a page of 100 rows is larger than can be read" in reader.report.warnings


@pytest.mark.parametrize("before", [0, 20])
def test_the_order_of_a_list_is_looked_for_in_smaller_pages(before, order, width):
    # All of page 1 has one key, and a part is wanted: which way does the list go on?
    key = 300 if order == "desc" else -1
    rows = [*tied(60, key), *log(200, order)]
    since, until = row(50 - before).created_at, row(120).created_at
    span = Span(since=since, until=until)
    reader = Reader(small_pages(rows), width=width, order=order, span=span).run()
    assert ids(reader) == [r.id for r in rows if since <= r.created_at < until]
    assert reader.report.complete


def large_behind_page_1(rows, most=MOST):
    """A server of whose rows few fit into an answer, but for those of page 1."""
    serve = small_pages(rows, most)
    return lambda window: page_of(rows, window) if window.page == 1 else serve(window)


@pytest.mark.parametrize("large", [small_pages, large_behind_page_1])
def test_the_order_is_looked_for_in_smaller_pages_behind_page_1_too(
    large, order, width
):
    key = 300 if order == "desc" else -1
    rows = [*tied(130, key), *log(200, order)]
    span = Span(since=row(50).created_at, until=row(120).created_at)
    reader = Reader(large(rows), width=width, span=span).run()
    assert ids(reader) == [r.id for r in rows if span.holds(r.created_at)]
    assert reader.report.complete


@pytest.mark.parametrize("start", [400, 1_500, 1_990])
def test_a_start_is_looked_for_in_smaller_pages_behind_page_1_too(start, order, width):
    rows = log(2_000, order)
    span = Span(since=row(start).created_at, until=row(start + 60).created_at)
    reader = Reader(large_behind_page_1(rows), width=width, order=order, span=span)
    assert ids(reader.run()) == [r.id for r in rows if span.holds(r.created_at)]
    assert len(reader.asked) < 60


@pytest.mark.parametrize("start", [0, 700, 900, 2_900])
def test_pages_grow_again_behind_a_place_of_large_rows(start, order, width):
    rows = log(3_000, order)
    large = {r.id for r in rows[start : start + 20]}

    def serve(window):
        page = page_of(rows, window)
        found = sum(r.id in large for r in page.items)
        return TOO_LARGE if found > 10 else page

    reader = Reader(serve, width=width, order=order).run()
    assert_all(reader, rows)
    assert len(reader.asked) < 120  # pages of 10 all along would be over 300
    assert sum(window.take < 20 for window in reader.asked) <= 16 + 2 * width


def test_a_larger_page_is_tried_the_later_the_more_often_it_was_too_large():
    rows = log(2_000)
    reader = Reader(small_pages(rows, most=30)).run()
    assert_all(reader, rows)
    tried = [w.number for w in reader.asked if w.take > 30]
    assert len(tried) <= 9
    steps = [later - earlier for earlier, later in itertools.pairwise(tried[3:])]
    assert steps == sorted(steps)


@pytest.mark.parametrize("once", range(4, 10))
def test_a_run_of_ties_is_sampled_on_where_one_sample_is_too_large(once):
    # Ties come in another order each time, so that rows of the run are missing first.
    run, others = tied(50, 19.5), log(60)
    turn = 0

    def serve(window):
        nonlocal turn
        turn += 7
        if len(reader.asked) == once:
            return TOO_LARGE
        turned = [*run[turn % 50 :], *run[: turn % 50]]
        return page_of([*others[:20], *turned, *others[20:]], window)

    reader = Reader(serve, take=20, max_take=20)
    reader.run()
    wanted = [*others[:20], *run, *others[20:]]
    assert sorted(ids(reader)) == sorted(r.id for r in wanted)
    assert (reader.report.complete, reader.report.proof) == (True, Proof.COUNT)


@pytest.mark.parametrize("times", [1, 2])
def test_the_end_of_a_list_that_grows_is_looked_for_in_smaller_pages(times):
    rows = log(1_000)
    left = times

    def serve(window):
        nonlocal left
        page = page_of(rows, window)
        rows.extend(row(key) for key in range(len(rows), len(rows) + 30))
        if left and window.start > len(reader.read) + 50:  # it looks for the end
            left -= 1
            return TOO_LARGE
        return page

    reader = Reader(serve, order="asc", most=200)
    reader.run()
    assert left == 0
    assert ids(reader)[:1_000] == [f"r{key}" for key in range(1_000)]
    assert reader.report.complete


def test_a_place_is_looked_for_in_smaller_pages(order, width):
    rows = log(2_000, order)
    resume = Checkpoint(
        scope="s",
        order=order,
        key=rows[1_200].created_at,
        ids=frozenset({rows[1_200].id}),
        position=400,  # it was elsewhere when it was last seen
        proof=Proof.STRICT_KEY,
    )
    span = Span(resume=resume)
    reader = Reader(small_pages(rows), width=width, order=order, span=span).run()
    assert ids(reader) == [r.id for r in rows[1_201:]]
    assert reader.report.complete


def test_the_newest_page_is_not_asked_for_in_smaller_pages():
    rows = log(90)
    serve = small_pages(rows)

    def newest_or_not(window):
        return TOO_LARGE if window.newest_first else serve(window)

    span = Span(since=rows[60].created_at)
    walk = proven_walk(take=100, order="asc", span=span)
    reader = Reader(newest_or_not, walk=walk).run()
    assert ids(reader) == [r.id for r in rows[60:]]
    assert sum(window.newest_first for window in reader.asked) == 1


def test_a_gap_is_bridged_in_smaller_pages():
    # Only those that bridge are too large: of the plan, all are small enough.
    rows = log(400)
    before = [r.id for r in rows]

    def serve(window):
        page = page_of(rows, window)
        if len(reader.asked) == 3:
            del rows[:40]
        return TOO_LARGE if len(page.items) > MOST else page

    reader = Reader(serve, take=MOST, max_take=100, width=4)
    reader.run()
    assert reader.report.repairs > 0
    assert any(window.take > MOST for window in reader.asked)
    assert ids(reader) == before
    assert reader.report.complete


def test_a_run_of_ties_that_no_page_bridges_is_read_in_smaller_pages(width):
    rows = [*log(20), *tied(70, 20), *[row(key) for key in range(21, 60)]]
    reader = Reader(small_pages(rows), width=width).run()
    assert_all(reader, rows, Proof.COUNT)


def test_a_run_of_ties_whose_pages_are_too_large_by_then_is_not_called_proven():
    # Page 1 is asked for again, to see whether the list held still: in fewer rows than
    # it had, it would not tell.
    rows = tied(250, 1)

    def serve(window):
        again = window.page == 1 and window.take == 100 and len(reader.asked) > 1
        return TOO_LARGE if again else page_of(rows, window)

    reader = Reader(serve)
    reader.fails(UnprovenTiesError)
    assert len(reader.read) == 250


@pytest.mark.parametrize("at", [0, 40, 99])
def test_a_row_that_fits_into_no_page_is_named_by_its_place(at, order):
    rows = log(100, order)
    giant = rows[at].id

    def serve(window):
        page = page_of(rows, window)
        return TOO_LARGE if giant in {r.id for r in page.items} else page

    reader = Reader(serve).fails(ProtocolError, f"row {at + 1} is too large")
    assert ids(reader) == [r.id for r in rows[: len(reader.read)]]
    assert len(reader.read) <= at


@pytest.mark.parametrize("gone", [False, True])
def test_rows_that_fit_into_a_page_alone_only_are_named_together(gone, width):
    rows = log(40)

    def serve(window):
        page = page_of(rows, window)
        if len(page.items) > 1:
            return TOO_LARGE
        return None if gone and window.page > 1 else page

    reader = Reader(serve, width=width).fails(
        ProtocolError, "the rows 1 to 8 of the list are toge"
    )
    assert reader.read == []


def test_a_server_that_ignores_take_can_be_asked_for_no_smaller_pages():
    rows = log(60)

    def serve(window):
        page = page_of(rows, window, cut=20)
        return TOO_LARGE if window.page == 2 else page

    reader = Reader(serve, take=10).fails(ProtocolError, "row 21 is too large")
    assert ids(reader) == [r.id for r in rows[:20]]


def test_it_can_be_asked_for_none_while_the_order_of_its_list_is_looked_for():
    rows = [*tied(40, 0), *log(100)[1:]]

    def serve(window):
        page = page_of(rows, window, cut=20)
        return TOO_LARGE if window.page > 1 else page

    span = Span(since=row(30).created_at)
    Reader(serve, take=10, span=span).fails(ProtocolError, "is too large")


def test_rows_without_created_at_are_read_on_in_smaller_pages():
    rows = [row(None, f"n{number}") for number in range(250)]
    serve = small_pages(rows)

    def first_page_is_small(window):
        if len(reader.asked) == 1:
            return page_of(rows, window)
        return serve(window)

    reader = Reader(first_page_is_small)
    assert ids(reader.run()) == [r.id for r in rows]
    assert reader.report.proof == Proof.NONE


def test_rows_without_created_at_are_read_on_past_a_page_that_is_missing():
    rows = [row(None, f"n{number}") for number in range(450)]
    serve = small_pages(rows, most=100)
    reader = Reader(lambda w: None if w.page == 3 else serve(w)).run()
    assert ids(reader) == [r.id for r in [*rows[:200], *rows[300:]]]
    assert not reader.report.complete


def test_a_row_without_created_at_that_fits_into_no_page_ends_the_read():
    rows = [row(None, f"n{number}") for number in range(250)]

    def serve(window):
        return TOO_LARGE if window.start <= 130 < window.end else page_of(rows, window)

    Reader(serve).fails(ProtocolError, "row 131 is too large")


def test_a_plain_read_goes_on_in_smaller_pages_from_page_1_on(width):
    rows = log(250)
    reader = Reader(small_pages(rows), walk=PlainWalk(take=100), width=width).run()
    assert ids(reader) == [r.id for r in rows]


def test_a_place_that_no_small_page_crosses_is_said_to_be_that(order, width):
    # Pages of up to 8 rows all end at 840.
    reader = Reader(small_pages(log(1_000, order), most=8), order=order, width=width)
    reader.fails(IncompleteReadError, "no page of up to 8 rows holds both row 840")
    assert len(reader.read) == 840


@pytest.mark.parametrize("most", [8, 9, 10])
def test_a_place_that_a_small_page_crosses_without_overlap_is_counted(
    most, order, width
):
    # Of pages of up to 8 rows, only one of 7 crosses row 120, and it begins with the
    # last row before: one row shared is not enough for keys, so that rows are counted.
    rows = log(300, order)

    def serve(window):
        return page_of(rows, window, cut=min(most, window.take))

    reader = Reader(serve, order=order, width=width).run()
    assert [r.id for r in reader.read] == [r.id for r in rows]
    assert reader.report.complete
    assert reader.report.proof == (Proof.COUNT if most == 8 else Proof.STRICT_KEY)
