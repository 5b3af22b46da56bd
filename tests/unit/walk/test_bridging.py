"""Bridges: what a walk asks for where a seam does not hold, and what that costs."""

import attrs
import pytest
from support.lists import Reader, assert_all, log, page_of, row, tied

from canopy_async._walk import PlainWalk, Window
from canopy_async._walk.chain import OverlapChain
from canopy_async._walk.ledger import Ledger
from canopy_async.errors import (
    DriftTooFastError,
    IncompleteReadError,
    RequestBudgetError,
    UnprovenTiesError,
)
from canopy_async.report import Proof


def ids(reader):
    return [r.id for r in reader.read]


class Moves:
    """A list that moves once: right before the answer to a request is served."""

    def __init__(self, rows, *, before, move):
        self.rows, self._before, self._move, self._served = rows, before, move, 0

    def __call__(self, window):
        self._served += 1
        if self._served == self._before:
            self._move(self.rows)
        return page_of(self.rows, window)


def lose(rows):
    """Lose ten rows at the head: later rows come forward, past the reader."""
    del rows[:10]


def requests_for(count, width):
    rows = log(count)
    return len(Reader(lambda window: page_of(rows, window), width=width).run().asked)


@pytest.mark.parametrize("width", [1, 4, 8])
def test_a_gap_costs_one_request(width):
    still = requests_for(900, width)
    rows = log(900)
    reader = Reader(Moves(list(rows), before=3, move=lose), width=width).run()
    assert_all(reader, rows)  # the ten were read before they went
    assert len(reader.asked) <= still + 1
    assert reader.report.repairs == 1


def test_a_bridge_is_asked_for_before_all_that_is_planned():
    rows = log(900)
    walk = OverlapChain(take=100)
    walk.accept_page(page_of(rows, walk.plan()))
    planned = [walk.plan() for _ in range(4)]
    walk.accept_page(page_of(rows[10:], planned[0]))
    bridge, *rest = walk.windows
    assert rest == planned[1:]
    assert bridge.start < 90 - 1
    assert bridge.end > 90


def test_a_page_behind_a_gap_is_not_asked_for_again():
    rows = log(350)
    walk = OverlapChain(take=100)
    read = [*walk.accept_page(page_of(rows, walk.plan()))]
    behind = page_of(rows[10:], walk.plan())
    read += walk.accept_page(behind)
    assert len(read) == 100
    read += walk.accept_page(page_of(rows[10:], walk.windows[0]))
    # The bridge, and what was held: both are read now.
    assert read == rows[: len(read)]
    assert read[-1] == behind.items[-1]


@pytest.mark.parametrize("counted", [0, 9])
def test_a_list_that_is_empty_where_a_gap_was_is_over_only_if_nothing_is_counted(
    counted,
):
    rows = log(300)
    asked = []

    def serve(window):
        asked.append(window)
        if len(asked) in {1, 3}:
            return page_of(rows, window)
        if len(asked) == 2:
            return page_of(rows[150:], window)  # not where it should be
        return page_of([], window, count=counted)

    reader = Reader(serve)
    if counted:
        reader.fails(RequestBudgetError)
    else:
        assert reader.run().report.complete


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("missing", ["page", "rows"])
def test_a_page_that_is_empty_for_once_costs_a_few_requests(order, missing):
    rows = log(900, order)
    asked = []

    def serve(window):
        asked.append(window)
        if len(asked) == 4:
            return None if missing == "page" else page_of([], window, count=900)
        return page_of(rows, window)

    reader = Reader(serve, width=4, order=order)
    assert_all(reader.run(), rows)
    assert len(asked) <= requests_for(900, 4) + 4


@pytest.mark.parametrize("width", [1, 4])
def test_ties_that_a_page_shows_with_what_is_around_them_are_bridged_by_keys(width):
    rows = [*log(90), *tied(60, 90), *[row(key) for key in range(91, 300)]]
    reader = Reader(lambda window: page_of(rows, window), width=width).run()
    assert_all(reader, rows, Proof.STRICT_KEY)
    assert len(reader.asked) <= 8


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("run", [150, 320])
def test_a_long_run_costs_little_more_than_its_pages(run, width):
    rows = [*log(90), *tied(run, 90), *[row(key) for key in range(91, 300)]]
    reader = Reader(lambda window: page_of(rows, window), width=width).run()
    assert_all(reader, rows, Proof.COUNT)
    assert len(reader.asked) <= 10 + 2 * run // 100


def test_a_run_with_rows_that_hide_is_sampled_until_none_is_missing():
    # Ties come in another order each time: each sample shows other rows of the run.
    rows = [*log(20), *tied(50, 20), *[row(key) for key in range(21, 60)]]
    turn = 0

    def serve(window):
        nonlocal turn
        turn += 7
        run = rows[20:70]
        turned = [*run[turn % 50 :], *run[: turn % 50]]
        return page_of([*rows[:20], *turned, *rows[70:]], window)

    reader = Reader(serve, take=20, max_take=20).run()
    assert sorted(ids(reader)) == sorted(r.id for r in rows)
    assert [r.created_at for r in reader.read] == [r.created_at for r in rows]
    assert (reader.report.complete, reader.report.proof) == (True, Proof.COUNT)


@pytest.mark.parametrize("seen", ["counted", "order"])
def test_a_run_that_moves_at_the_very_end_is_not_proven(seen):
    # All is read. Page 1 is asked for again, and shows another count, or other ties.
    rows = tied(250, 1)

    def serve(window):
        if window.page == 1 and len(reader.asked) > 1 and window.take == 100:
            if seen == "counted":
                return page_of(rows, window, count=251)
            return page_of([*rows[100:], *rows[:100]], window)
        return page_of(rows, window)

    reader = Reader(serve)
    reader.fails(UnprovenTiesError)
    assert len(reader.read) == 250


def test_a_404_right_behind_the_last_row_moves_nothing():
    ledger = Ledger(None)
    ledger.latest = 100
    ledger.note_missing(Window(3, 50))
    assert (ledger.latest, ledger.steady) == (100, True)
    ledger.note_missing(Window(2, 50))
    assert (ledger.latest, ledger.steady) == (50, False)


@pytest.mark.parametrize("first", [98, 99, 100])
def test_a_server_that_sends_one_page_for_all_is_no_list_of_ties(first):
    rows = log(600)

    def serve(window):
        if len(reader.asked) == 1:
            return page_of(rows, window)
        page = page_of(rows[first:], Window(1, window.take), count=600)
        meta = attrs.evolve(
            page.pagination, page=window.page, has_previous_page=window.page > 1
        )
        return attrs.evolve(page, pagination=meta)

    reader = Reader(serve)
    reader.fails((DriftTooFastError, RequestBudgetError))
    assert len(reader.asked) < 200


def test_a_list_that_moves_by_more_than_a_page_at_once_is_called_a_drift():
    rows = log(600, "desc")

    def serve(window):
        page = page_of(rows, window)
        base = 1000 * (len(reader.asked) + 1)
        rows[:0] = [row(base + 200 - n) for n in range(200)]
        return page

    reader = Reader(serve, width=4)
    reader.fails((DriftTooFastError, RequestBudgetError))


@pytest.mark.parametrize("before", range(3, 9))
def test_what_a_read_with_a_gap_calls_duplicates_came_twice(before):
    rows, sent = log(900), []
    serve = Moves(list(rows), before=before, move=lose)

    def serve_and_count(window):
        page = serve(window)
        sent.extend(page.items)
        return page

    reader = Reader(serve_and_count).run()
    assert_all(reader, rows)
    assert reader.report.duplicates == len(sent) - len(rows)


def test_a_page_is_kept_over_all_bridges_that_the_gap_before_it_takes():
    # While the gap is bridged, rows come late within it: it takes several bridges.
    rows = log(350)
    walk = OverlapChain(take=100)
    read = [*walk.accept_page(page_of(rows, walk.plan()))]
    behind = page_of(rows[10:], walk.plan())
    read += walk.accept_page(behind)
    late = [row(102 + number / 1000, f"late{number}") for number in range(1, 150)]
    listed = [*rows[10:103], *late, *rows[103:]]
    bridges = 0
    while row(205) not in read:
        bridges += 1
        assert bridges <= 3
        read += walk.accept_page(page_of(listed, walk.windows[0]))
    assert bridges > 1
    assert [r for r in read if r not in late] == rows[: len(read) - len(late)]
    assert read[-1] == behind.items[-1]


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("before", range(78, 108, 3))
def test_ties_in_a_list_that_moves_are_bridged_by_keys_where_a_page_holds_them(
    before, width
):
    rows = [*log(before), *tied(60, before), *[row(k) for k in range(before + 1, 400)]]
    listed = list(rows)

    def serve(window):
        page = page_of(listed, window)
        if len(reader.asked) % 3 == 0:
            del listed[0]
        return page

    reader = Reader(serve, order="asc", width=width)
    assert_all(reader.run(), rows)


@pytest.mark.parametrize(
    ("take", "order", "width"),
    [(4, "asc", 1), (4, "asc", 4), (4, "desc", 4), (5, "desc", 1)],
)
def test_small_pages_get_past_a_place_where_all_of_them_end_once_the_list_moves(
    take, order, width
):
    # Pages of up to 4 rows all end at each multiple of 12. A row comes or goes at every
    # other request, so that no place stays where it is.
    rows = log(45, order)
    listed = list(rows)

    def serve(window):
        page = page_of(listed, window)
        if len(reader.asked) % 2:
            return page
        if order == "asc":
            del listed[0]
        else:
            listed.insert(0, row(1_000 + len(reader.asked)))
        return page

    reader = Reader(serve, take=take, max_take=take, order=order, width=width)
    assert_all(reader.run(), rows)


def misplaced(rows, window, count):
    """A page that holds the first of some rows, whatever its number is."""
    page = page_of(rows, Window(1, window.take), count=count)
    meta = attrs.evolve(
        page.pagination, page=window.page, has_previous_page=window.page > 1
    )
    return attrs.evolve(page, pagination=meta)


TIES_BEFORE = [*tied(150, 0), *[row(key) for key in range(1, 600)]]
TIES_AROUND = [*log(20), *tied(700, 20), *[row(key) for key in range(21, 300)]]
PAIRS = [row(number // 2, f"p{number}") for number in range(700)]


@pytest.mark.parametrize(
    ("rows", "then", "reason"),
    [
        (TIES_BEFORE, "later rows", DriftTooFastError),
        (TIES_AROUND, "later rows", UnprovenTiesError),
        (PAIRS, "later rows", DriftTooFastError),
        (log(600), "the last row again", DriftTooFastError),
    ],
)
def test_a_place_that_is_lost_is_said_to_be_amid_ties_only_if_it_is(rows, then, reason):
    def serve(window):
        if len(reader.read) < 250:
            return page_of(rows, window)
        if window.page == 1:
            return page_of([], window, count=len(rows) + len(reader.asked))
        others = rows[-120:]
        if then == "the last row again":
            others = rows[rows.index(reader.read[-1]) :]
        return misplaced(others, window, len(rows))

    reader = Reader(serve, order="asc")
    reader.fails(reason)
    assert len(reader.asked) < 100


# The plan, where its windows bring nothing


@pytest.mark.parametrize("width", [1, 4])
def test_windows_overlap_by_few_rows_again_once_a_list_holds_still(width):
    rows = log(6_000)
    listed = list(rows)

    def serve(window):
        page = page_of(listed, window)
        if len(reader.asked) in {2, 4, 6, 8, 10, 12}:
            lose(listed)
        return page

    reader = Reader(serve, order="asc", width=width)
    assert_all(reader.run(), rows)
    assert len(reader.asked) <= 1.16 * 60 + 10


@pytest.mark.parametrize("width", [1, 4])
def test_a_window_that_brings_nothing_does_not_end_the_plan(width):
    # Newest first, as many rows come at the head as a page holds and more.
    rows = log(900, "desc")
    listed = list(rows)

    def serve(window):
        page = page_of(listed, window)
        if len(reader.asked) == 1:
            listed[:0] = [row(5_000 - number) for number in range(120)]
        return page

    reader = Reader(serve, order="desc", width=width)
    assert_all(reader.run(), rows)
    assert len(reader.asked) <= 12


def test_where_page_after_page_brings_nothing_one_is_asked_for_at_a_time():
    rows = log(6_000)
    walk = OverlapChain(take=100)
    walk.accept_page(page_of(rows, walk.plan()))
    under_way = []

    def read_on():
        while len(under_way) < 100:
            while len(walk.windows) < 4 and walk.plan():
                pass
            under_way.append(len(walk.windows))
            assert not walk.accept_page(misplaced(rows, walk.windows[0], 6_000))

    with pytest.raises(DriftTooFastError):
        read_on()
    assert under_way[:8] == [4] * 8
    assert set(under_way[9:]) == {1}
    assert len(under_way) <= 8 + 1 + 40


def test_pages_that_bring_nothing_are_counted_in_a_row_only():
    # Newest first. Before every fifth request, more rows are added than a page holds,
    # so that it shows what was read before: over 160 times, in all.
    rows = log(9_000, "desc")
    listed, barren = list(rows), 0

    def serve(window):
        nonlocal barren
        if len(reader.asked) % 5 == 0:
            first = 10_000 + len(listed)
            listed[:0] = [row(first + 25 - number) for number in range(25)]
            barren += 1
        return page_of(listed, window)

    reader = Reader(serve, take=20, max_take=20, order="desc")
    assert_all(reader.run(), rows)
    assert barren > 160


@pytest.mark.parametrize("number", range(5, 13))
def test_the_first_page_that_proves_to_be_the_last_ends_the_read(number):
    # Until then, more rows are counted than there are, now and then other ones.
    rows = log(250)

    def serve(window):
        asked = len(reader.asked)
        more = 0 if asked >= number else 1 + asked % 3
        return page_of(rows, window, count=250 + more)

    reader = Reader(serve)
    assert_all(reader.run(), rows)
    assert len(reader.asked) == number


# The fence


def test_a_fence_asks_for_a_bounded_number_of_pages_of_a_list_that_grows():
    rows = log(40)

    def serve(window):
        page = page_of(rows, window, cut=20)
        rows.extend(row(key) for key in range(len(rows), len(rows) + 20))
        return page

    reader = Reader(serve, take=10)
    reader.fails(RequestBudgetError, "more than 68 pages of 20 rows")
    assert len(reader.asked) == 69


@pytest.mark.parametrize("missing", [True, False])
def test_a_fence_that_was_pushed_off_the_list_has_fallen(missing):
    # Newest first. Before page 1 is asked for again, all that was read is purged.
    rows = log(60, "desc")

    def serve(window):
        if window.page == 4:
            rows[:] = [row(key) for key in range(99, 79, -1)]
            return page_of([], window, cut=20, count=60)
        page = page_of(rows, window, cut=20, has_next_page=len(reader.asked) < 6)
        return None if missing and not page.items else page

    reader = Reader(serve, take=10, order="desc")
    reader.fails(IncompleteReadError, "passed by")


# The end of a list that grows


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_only_a_list_that_grows_at_its_end_has_its_end_looked_for(order):
    """Newest first, rows that are added come before all that is read."""
    rows = log(1_000, order)

    def serve(window):
        page = page_of(rows, window)
        number = 2_000 + len(rows)
        rows.insert(0 if order == "desc" else len(rows), row(number))
        return page

    reader = Reader(serve, order=order, width=4).run()
    assert reader.report.complete
    assert len(reader.asked) <= requests_for(1_000, 4) + 4


@pytest.mark.parametrize("rate", [30, 60, 120])
def test_the_end_of_a_list_that_grows_fast_is_looked_for_once_in_a_while(rate):
    rows = log(600)

    def serve(window):
        page = page_of(rows, window)
        rows.extend(row(key) for key in range(len(rows), len(rows) + rate))
        return page

    reader = Reader(serve, order="asc", most=100).run()
    assert reader.report.complete
    assert ids(reader)[:600] == [f"r{key}" for key in range(600)]
    assert len(reader.asked) <= 12 + rate // 4


class RunsAway:
    """A log that grows by more rows each time, oldest first."""

    def __init__(self, rows):
        self.rows, self.added = rows, 0

    def __call__(self, window):
        items = [row(key) for key in range(window.start, min(window.end, self.rows))]
        page = misplaced(items, window, self.rows)
        self.added += 1_000
        self.rows += self.added
        return page


def test_an_end_that_runs_away_is_looked_for_four_times_a_page():
    reader = Reader(RunsAway(300), order="asc", limit=2_000).run()
    assert ids(reader) == [f"r{key}" for key in range(2_000)]
    assert len(reader.asked) < 64


# Plain pages


def test_a_plain_walk_reads_on_after_a_page_that_is_missing():
    rows = log(95)
    asked = []

    def serve(window):
        asked.append(window)
        return None if window.page == 3 else page_of(rows, window)

    reader = Reader(serve, walk=PlainWalk(take=20)).run()
    assert ids(reader) == [r.id for r in [*rows[:40], *rows[60:]]]
    assert [window.page for window in asked] == [1, 2, 3, 4, 5]


def test_a_plain_walk_ends_where_page_after_page_is_missing():
    rows = log(5_000)
    asked = []

    def serve(window):
        asked.append(window)
        return page_of(rows, window) if window.page < 4 else None

    reader = Reader(serve, walk=PlainWalk(take=20)).run()
    assert ids(reader) == [r.id for r in rows[:60]]
    assert len(asked) == 3 + 9
