"""Plain pages: what a read asks for that proves nothing, and when it ends."""

import attrs
import pytest
from support.lists import TOO_LARGE, Reader, log, page_of

from canopy_async._walk import PlainWalk
from canopy_async.errors import ProtocolError, RequestBudgetError
from canopy_async.report import Proof


def ids(rows):
    return [r.id for r in rows]


def asked(reader):
    return [(window.page, window.take) for window in reader.asked]


def plain(serve, *, width=1, take=20, **options):
    return Reader(serve, width=width, walk=PlainWalk(take=take, **options))


def begun(rows, *, ahead, take=20, **options):
    """A plain walk that has taken page 1 and has asked for some pages ahead."""
    walk = PlainWalk(take=take, **options)
    walk.accept_page(page_of(rows, walk.plan()))
    for _ in range(ahead):
        walk.plan()
    return walk


def is_over(walk):
    return walk.done and not walk.windows and walk.plan() is None


def test_the_total_is_what_page_1_counts_and_unknown_before():
    walk = PlainWalk(take=20)
    assert walk.total is None
    walk.accept_page(page_of(log(95), walk.plan()))
    assert walk.total == 95


def test_a_plain_walk_stands_where_its_latest_page_ends():
    walk = PlainWalk(take=20)
    assert walk.position == 0
    assert not walk.done
    walk.accept_page(page_of(log(95), walk.plan()))
    assert walk.position == 20
    walk.plan()
    walk.accept_missing()
    assert walk.position == 40


def test_a_plain_report_says_what_was_expected_and_what_it_cost():
    reader = plain(lambda window: page_of(log(95), window), warnings=("careful",))
    walk = reader.run().walk
    assert (walk.report().requests, walk.report().retries) == (0, 0)  # nobody counted
    report = walk.report(requests=5, retries=2)
    assert not report.complete
    assert report.proof == Proof.NONE
    counted = report.expected, report.delivered, report.requests, report.retries
    assert counted == (95, 95, 5, 2)
    assert report.warnings == ("careful",)


@pytest.mark.parametrize("width", [1, 4])
def test_pages_of_one_row_are_read_one_by_one(width):
    reader = plain(lambda window: page_of(log(5), window), take=1, width=width).run()
    assert ids(reader.read) == ids(log(5))
    assert asked(reader) == [(page, 1) for page in range(1, 6)]


def test_a_server_that_says_it_sends_no_rows_is_read_row_by_row():
    rows = log(5)

    def serve(window):
        return page_of(rows, window, cut=1, said=0)

    reader = plain(serve).run()
    assert ids(reader.read) == ids(rows)
    assert reader.walk.position == 5


def test_a_limit_below_a_page_asks_for_as_many_rows():
    reader = plain(lambda window: page_of(log(95), window), limit=7).run()
    assert asked(reader) == [(1, 7)]


def test_a_limit_of_none_is_over_before_it_asks():
    walk = PlainWalk(take=20, limit=0)
    assert is_over(walk)


@pytest.mark.parametrize("width", [1, 8])
def test_no_page_is_asked_for_beyond_a_limit(width):
    reader = plain(lambda window: page_of(log(500), window), width=width, limit=50)
    assert ids(reader.run().read) == ids(log(50))
    assert [page for page, _ in asked(reader)] == [1, 2, 3]


def test_pages_that_are_not_needed_any_more_are_not_waited_for():
    """A server that ignores ``take`` sends more rows per page, and says how many."""
    rows = log(500)
    reader = plain(
        lambda window: page_of(rows, window, cut=20), take=10, limit=30, width=8
    )
    assert ids(reader.run().read) == ids(rows[:30])
    assert is_over(reader.walk)
    # Page 3 was under way, and nothing waits for it.
    assert reader.walk.position == 20


def test_the_last_page_ends_the_walk_with_all_that_it_has_asked_for():
    walk = begun(log(60), ahead=5)
    assert [window.page for window in walk.windows] == [2, 3]
    walk.accept_page(page_of(log(60), walk.windows[0]))
    assert not walk.done
    walk.accept_missing()  # page 3 went meanwhile
    assert is_over(walk)


# Pages that repeat, or are missing


def test_nine_pages_in_a_row_that_repeat_the_page_before_end_the_read():
    rows = log(2_000)
    first = page_of(rows, PlainWalk(take=20).plan())

    def serve(window):
        meta = attrs.evolve(first.pagination, page=window.page)
        return attrs.evolve(first, pagination=meta)

    reader = plain(serve)
    said = "9 pages in a row brought nothing new, though the server counts 100 pages"
    with pytest.raises(RequestBudgetError, match=said):
        reader.run()
    assert len(reader.asked) == 10


def test_nine_empty_pages_in_a_row_end_the_read_where_more_are_counted():
    reader = plain(lambda window: page_of([], window, count=2_000))
    with pytest.raises(RequestBudgetError, match="9 pages in a row"):
        reader.run()
    assert len(reader.asked) == 9


def test_a_last_page_that_repeats_ends_the_read_as_a_last_page_does():
    first = page_of(log(200), PlainWalk(take=20).plan())

    def serve(window):
        meta = attrs.evolve(first.pagination, page=window.page)
        return attrs.evolve(first, pagination=meta)

    reader = plain(serve).run()  # nine of ten pages repeat the first
    assert len(reader.asked) == 10


def test_eight_pages_that_repeat_are_read_past_and_counted_anew():
    rows = log(2_000)

    def serve(window):
        page = page_of(rows, window)
        if window.page in {10, 20}:
            return page
        first = page_of(rows, PlainWalk(take=20).plan())
        return attrs.evolve(page, items=first.items if window.page < 40 else page.items)

    reader = plain(serve)
    with pytest.raises(RequestBudgetError):
        reader.run()
    # Page 1, eight repeats, page 10; one that is new again, eight repeats, page 20.
    assert len(reader.asked) == 30


def test_a_page_with_some_rows_of_the_page_before_is_no_repeat():
    rows = log(400)

    def serve(window):
        page = page_of(rows, window)
        rows.insert(0, rows[0])  # all move on by one: the last row comes again
        return page

    reader = plain(serve).run()
    assert len(reader.asked) == 20


@pytest.mark.parametrize("pages", [9, 12, 40])
def test_empty_pages_at_the_end_of_what_is_counted_are_no_repeats(pages):
    """By then the list is shorter than page 1 has counted it."""
    rows = log(40)

    def serve(window):
        return page_of(rows, window, count=20 * pages if window.page == 1 else 40)

    reader = plain(serve).run()
    assert ids(reader.read) == ids(rows)
    assert len(reader.asked) == pages


def test_a_page_that_is_missing_is_no_page_that_repeats():
    rows = log(2_000)
    first = page_of(rows, PlainWalk(take=20).plan())

    def serve(window):
        if window.page in {9, 18, 27}:
            return None
        page = page_of(rows, window)
        return page if window.page > 30 else attrs.evolve(page, items=first.items)

    reader = plain(serve)
    with pytest.raises(RequestBudgetError):
        reader.run()
    assert len(reader.asked) == 11


def test_pages_that_are_missing_in_a_row_are_counted_anew_after_one_that_is_there():
    rows = log(1_000)

    def serve(window):
        return page_of(rows, window) if window.page in {1, 10, 19} else None

    reader = plain(serve, width=16).run()
    assert ids(reader.read) == ids([*rows[:20], *rows[180:200], *rows[360:380]])
    # Eight are missing, twice; then nine.
    assert reader.walk.position == 20 * 28
    assert is_over(reader.walk)


# Pages that are too large


@pytest.mark.parametrize(
    ("take", "most", "parts"),
    [(20, 10, 10), (4, 2, 2), (2, 1, 1), (9, 3, 3), (7, 1, 1)],
)
@pytest.mark.parametrize("width", [1, 4])
def test_a_page_that_is_too_large_is_asked_for_in_the_largest_parts(
    take, most, parts, width
):
    rows = log(50)

    def serve(window):
        page = page_of(rows, window)
        return TOO_LARGE if len(page.items) > most else page

    reader = plain(serve, take=take, width=width).run()
    assert ids(reader.read) == ids(rows)
    assert {window.take for window in reader.asked} == {take, parts}
    assert len([window for window in reader.asked if window.take == take]) <= width


def test_only_the_page_that_is_too_large_is_asked_for_in_parts():
    rows = log(100)

    def serve(window):
        large = window.start <= 45 < window.end and window.take > 10
        return TOO_LARGE if large else page_of(rows, window)

    reader = plain(serve, width=8).run()
    assert ids(reader.read) == ids(rows)
    pages = [(1, 20), (2, 20), (3, 20), (4, 20), (5, 20), (5, 10), (6, 10)]
    assert sorted(asked(reader)) == sorted(pages)


def test_the_parts_of_a_page_come_before_all_that_was_asked_for_after_it():
    walk = begun(log(100), ahead=3)
    assert list(walk.accept_oversized()) == []
    windows = [(window.page, window.take) for window in walk.windows]
    assert windows == [(3, 10), (4, 10), (3, 20), (4, 20)]
    assert not walk.done


def test_smaller_pages_are_kept_to_once_one_was_too_large():
    walk = begun(log(100), ahead=1)
    walk.accept_oversized()
    planned = walk.plan()
    assert (planned.page, planned.take) == (5, 10)


def test_a_row_that_is_too_large_alone_ends_the_read():
    rows = log(50)

    def serve(window):
        return TOO_LARGE if window.start <= 30 < window.end else page_of(rows, window)

    reader = plain(serve)
    with pytest.raises(ProtocolError, match="row 31 is too large"):
        reader.run()
    assert ids(reader.read) == ids(rows[:30])


def test_a_large_page_of_a_server_that_cuts_pages_is_asked_for_in_parts_of_those():
    rows = log(100)

    def serve(window):
        cut = min(12, window.take)
        page = page_of(rows, window, cut=cut)
        large = window.page == 3 and cut == 12
        return TOO_LARGE if large else page

    reader = plain(serve).run()
    assert ids(reader.read) == ids(rows)
    assert (5, 6) in asked(reader)
    assert (6, 6) in asked(reader)
