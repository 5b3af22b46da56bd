"""Windows that a walk asks for ahead: how far they reach, and when there are none."""

import pytest
from support.lists import Reader, log, page_of, row

from canopy_async._walk import Span, proven_walk
from canopy_async._walk.chain import OverlapChain
from canopy_async._walk.planner import Planner
from canopy_async._walk.window import OVERLAP, Window, plan_window
from canopy_async.errors import RequestBudgetError

LONG = log(6_000)


def ids(rows):
    return [r.id for r in rows]


def ends_ahead(walk, rows):
    """Where the windows end that a walk asks for once it has taken page 1."""
    walk.accept_page(page_of(rows, walk.plan()))
    return [window.end for window in iter(walk.plan, None)]


def ends_up_to(place, end=100):
    """Where windows end, of 100 rows at most, up to the first that reaches a place."""
    ends = []
    while end < place:
        end = plan_window(end - OVERLAP, 100).end
        ends.append(end)
    return ends


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("count", [*range(280, 300), 1_000, 5_000])
def test_windows_are_asked_for_up_to_the_first_that_must_be_short(count, order):
    """A full page is no proof that the list ends with it."""
    walk = OverlapChain(take=100, order=order)
    assert ends_ahead(walk, log(count, order)) == ends_up_to(count + 1)


@pytest.mark.parametrize("until", [*range(180, 260), *range(400, 480), 2_000, 5_000])
def test_windows_are_asked_for_up_to_a_quarter_beyond_where_a_part_should_end(until):
    walk = OverlapChain(take=100, span=Span(until=row(until).created_at))
    left = int(100 * (until - 99) / 99)  # as if rows were spread evenly
    assert ends_ahead(walk, LONG[:5_000]) == ends_up_to(
        min(100 + left + left // 4 + OVERLAP, 5_001)
    )


@pytest.mark.parametrize(("until", "most"), [(600, 10), (3_000, 47)])
def test_windows_ahead_of_a_part_follow_how_close_its_rows_turn_out_to_be(until, most):
    """Page 1 holds few rows of a day: it seems that hardly any are left."""
    rows = [row(key * 50, f"s{key}") for key in range(100)]
    rows += [row(5_000 + key) for key in range(5_000)]
    walk = proven_walk(take=100, span=Span(until=row(5_000 + until).created_at))
    reader = Reader(lambda window: page_of(rows, window), walk=walk, width=32).run()
    assert ids(reader.read) == ids(rows[: 100 + until])
    assert len(reader.asked) <= most


def test_small_pages_that_do_not_get_on_from_two_rows_before_do_from_one_row_before():
    """Of up to 6 rows, all pages from 23 or before end at 25: one from 24 gets on."""
    planner = Planner(6, 6)
    windows = [planner.plan(covered=10, horizon=100, reach=None) for _ in range(10)]
    assert [(window.start, window.end) for window in windows] == [
        (8, 12),
        (10, 15),
        (12, 18),
        (16, 20),
        (18, 24),
        (20, 25),
        (20, 25),
        (24, 30),
        (28, 32),
        (30, 36),
    ]


@pytest.mark.parametrize("take", [4, 5, 6, 13, 100])
@pytest.mark.parametrize("covered", [1, 2, 3, 4, 5])
def test_a_plan_goes_on_from_the_first_rows_of_a_list(covered, take):
    window = Planner(take, 100).plan(covered=covered, horizon=100, reach=None)
    assert window.start < covered < window.end


@pytest.mark.parametrize("limit", [101, 150, 250, 999])
def test_windows_are_asked_for_up_to_a_limit(limit):
    ends = ends_ahead(OverlapChain(take=100, limit=limit), LONG)
    assert ends[-1] >= limit
    assert all(end < limit for end in ends[:-1])


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2])
def test_of_a_part_two_rows_are_asked_for_as_one_shows_no_order(limit, order):
    rows = log(500, order)
    whole = Reader(lambda window: page_of(rows, window), limit=limit).run()
    assert whole.asked[0].take == limit
    span = Span(since=row(0).created_at)
    part = Reader(lambda window: page_of(rows, window), limit=limit, span=span).run()
    assert part.asked[0].take == 2
    assert ids(part.read) == ids(rows[:limit])


@pytest.mark.parametrize("width", [1, 4, 8])
def test_nothing_is_asked_for_ahead_while_the_start_of_a_part_is_sought(width):
    """Oldest first, 20 rows go with each request: the place moves on all the time."""
    rows = list(LONG)
    span = Span(since=rows[3_000].created_at)

    def serve(window):
        page = page_of(rows, window)
        del rows[:20]
        return page

    reader = Reader(serve, span=span, limit=400, order="asc", width=width)
    reader.run()
    assert ids(reader.read) == [f"r{key}" for key in range(3_000, 3_400)]
    assert len(reader.asked) <= 26


def test_before_page_1_tells_how_long_a_list_is_64_requests_are_allowed():
    planner = Planner(4, 100)
    for _ in range(64):
        planner.ask(Window(1, 4))
    with pytest.raises(RequestBudgetError, match="more than 64 requests"):
        planner.ask(Window(1, 4))


def test_each_seam_that_holds_lets_windows_overlap_by_a_row_less():
    planner = Planner(100, 100)
    planner.loosen()
    overlaps = [planner.overlap]
    for _ in range(3):
        planner.tighten()
        overlaps.append(planner.overlap)
    assert overlaps == [4, 3, 2, 2]


def test_where_rows_tie_windows_never_overlap_by_less_than_three_rows():
    planner = Planner(100, 100)
    planner.expect_ties()
    planner.loosen()
    overlaps = [planner.overlap]
    for _ in range(4):
        planner.tighten()
        overlaps.append(planner.overlap)
    assert overlaps == [6, 5, 4, 3, 3]


def pushed_down(limit, **options):
    """A limited read, newest first, of a log to which 70 rows come per request."""
    rows = LONG[::-1]

    def serve(window):
        page = page_of(rows, window)
        first = 200_000 + 100 * len(reader.asked)
        rows[:0] = [row(first + n) for n in range(70, 0, -1)]
        return page

    reader = Reader(serve, order="desc", limit=limit, **options)  # `serve` looks at it
    return reader


def test_a_limited_read_is_given_up_after_the_requests_that_its_limit_takes():
    reader = pushed_down(1_000)
    reader.fails(RequestBudgetError, "more than 87 requests for a list of 1000 rows")


def test_a_limited_read_of_a_part_may_take_what_the_list_takes_before_it():
    """How far from the head the part begins, its limit does not tell."""
    reader = pushed_down(1_000, span=Span(until=row(10**6).created_at)).run()
    assert reader.report.complete
    assert len(reader.read) == 1_000
    assert len(reader.asked) > 87


@pytest.mark.parametrize("start", [0, 5_400])
def test_the_end_of_a_log_that_grows_is_looked_for_once_what_was_there_is_read(start):
    """Of a part, no more rows are read than of a log as short as the part."""
    rows = LONG[: start + 600]

    def serve(window):
        page = page_of(rows, window)
        rows.extend(row(key) for key in range(len(rows), len(rows) + 60))
        return page

    span = Span(since=row(start).created_at)
    walk = proven_walk(take=100, order="asc", span=span)

    def serve_newest_too(window):
        if window.newest_first:
            return page_of(rows[::-1], window)
        return serve(window)

    reader = Reader(serve_newest_too, walk=walk, most=100).run()
    assert reader.report.complete
    assert ids(reader.read)[:600] == [f"r{key}" for key in range(start, start + 600)]
    assert len(reader.asked) <= {0: 15, 5_400: 19}[start]


@pytest.mark.parametrize(
    ("rate", "looks"), [(60, [564]), (90, [564, 564]), (95, [564, 564])]
)
def test_the_end_is_looked_for_once_as_many_rows_and_a_page_are_read(rate, looks):
    """Page 1 counts 464: a window ends at 564. Once the end is known, it is enough."""
    rows = log(464)
    looked = []

    def serve(window):
        if window.start > len(reader.read) + 50:
            looked.append(len(reader.read))
        page = page_of(rows, window)
        rows.extend(row(key) for key in range(len(rows), len(rows) + rate))
        return page

    reader = Reader(serve, order="asc", most=100)
    reader.run()
    assert reader.report.complete
    assert looked == looks


def test_newest_first_no_end_is_looked_for_that_only_a_wrong_count_has_moved():
    rows = log(900, "desc")
    reader = Reader(lambda window: page_of(rows, window), order="desc").run()
    miscounted = Reader(lambda window: page_of(rows, window, count=300), order="desc")
    assert ids(miscounted.run().read) == ids(rows)
    assert len(miscounted.asked) == len(reader.asked)
