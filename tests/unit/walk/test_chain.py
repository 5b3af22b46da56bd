"""The overlap chain on scripted pages: every oddity a server may have, one by one."""

import itertools
import random

import attrs
import pytest
from support.lists import (
    DENIED,
    TAKE,
    Reader,
    assert_all,
    log,
    page_of,
    read,
    row,
    tied,
)
from walksim import EPOCH

from canopy_async._walk import Span
from canopy_async._walk.chain import OverlapChain
from canopy_async.checkpoint import Checkpoint
from canopy_async.errors import (
    DriftTooFastError,
    IncompleteReadError,
    ProtocolError,
    RequestBudgetError,
    UnorderedListError,
    UnprovenTiesError,
)
from canopy_async.report import Proof


@pytest.fixture(params=["asc", "desc"])
def order(request):
    return request.param


@pytest.fixture(params=[1, 4, 16])
def width(request):
    return request.param


# The size of lists


@pytest.mark.parametrize("count", [0, 1, 2, 3, 98, 99, 100, 101, 197, 198, 199, 200])
def test_lists_of_any_size_are_read_whole(count, order, width):
    rows = log(count, order)
    reader = read(rows, order=order, width=width)
    assert_all(reader, rows)
    assert reader.report.expected == count
    assert reader.report.order_observed == (order if count > 1 else None)
    assert not reader.report.order_ignored


@pytest.mark.parametrize("count", [0, 1, 50, 99])
def test_a_log_of_up_to_99_rows_is_one_request(count, order, width):
    assert len(read(log(count, order), width=width).asked) == 1


def test_a_full_page_is_no_proof_of_the_end(order, width):
    assert len(read(log(100, order), width=width).asked) == 2


@pytest.mark.parametrize("take", [1, 2, 3, 4, 5, 7, 50])
def test_any_take_will_do(take, order, width):
    rows = log(60, order)
    assert_all(read(rows, take=take, width=width), rows)


# limit


@pytest.mark.parametrize("limit", [1, 20, 99, 100])
def test_a_limit_within_a_page_is_one_request_of_as_many_rows(limit, order, width):
    rows = log(1000, order)
    reader = read(rows, limit=limit, width=width)
    assert_all(reader, rows[:limit])
    assert [(w.page, w.take) for w in reader.asked] == [(1, limit)]


@pytest.mark.parametrize("limit", [101, 150, 250, 999, 1000])
def test_windows_hardly_reach_past_a_limit(limit, order, width):
    rows = log(1000, order)
    reader = read(rows, limit=limit, width=width)
    assert_all(reader, rows[:limit])
    assert max(window.start for window in reader.asked) < limit
    assert sum(window.end >= limit for window in reader.asked) == 1


def test_a_limit_past_the_end_reads_all(order):
    rows = log(250, order)
    assert_all(read(rows, limit=1000), rows)


def test_a_limit_of_none_asks_nothing():
    assert read(log(5), limit=0).asked == []


# take that is cut


@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize("cut", [12, 50])
@pytest.mark.parametrize("count", [30, 100, 250])
def test_a_take_that_is_cut_and_said_so_is_kept_to(count, cut, order, width):
    rows = log(count, order)

    def serve(window):
        return page_of(rows, window, cut=min(cut, window.take))

    reader = Reader(serve, width=width)
    reader.run()
    assert_all(reader, rows)
    if cut < 100:
        assert f"the server sends {cut} rows per page at most" in (
            reader.report.warnings
        )


@pytest.mark.parametrize("pages_by", ["cut", "said"])
@pytest.mark.parametrize("cut", [12, 50])
@pytest.mark.parametrize("count", [30, 98, 100, 250])
@pytest.mark.parametrize("take", [20, 100])
def test_a_take_that_is_cut_silently_loses_nothing(count, cut, pages_by, take, order):
    # page_count by what was asked: page 2 of 98 claims to end a list of 100,
    # and holds rows 12 to 23.
    rows = log(count, order)

    def serve(window):
        size = min(cut, window.take)
        pages = -(-count // (size if pages_by == "cut" else window.take))
        return page_of(rows, window, cut=size, said=window.take, pages=pages)

    for width in (1, 2, 8):
        assert_all(Reader(serve, take=take, width=width).run(), rows)


# Lists that shrink


@pytest.mark.parametrize("missing", [True, False])
def test_a_page_past_the_end_means_that_the_list_shrank(missing, order, width):
    rows = log(500, order)
    asked = []

    def serve(window):
        asked.append(window)
        if len(asked) == 3:
            del rows[200:]
        page = page_of(rows, window)
        return None if missing and not page.items and window.page > 1 else page

    reader = Reader(serve, width=width)
    reader.run()
    ids = [r.id for r in reader.read]
    assert ids[:200] == [r.id for r in log(500, order)[:200]]
    assert reader.report.complete
    assert reader.report.purged == 500 - len(ids)


def test_a_404_past_page_1_is_never_an_end(order):
    rows = log(300, order)
    asked = []

    def serve(window):
        asked.append(window)
        return None if len(asked) in {2, 4, 5} else page_of(rows, window)

    assert_all(Reader(serve).run(), rows)


def test_a_404_while_ties_hide_the_order_of_a_list_is_refused_not_passed_by():
    rows = [*tied(100, 0), *log(150)[1:]]
    asked = []

    def serve(window):
        asked.append(window)
        return None if len(asked) == 2 else page_of(rows, window)

    Reader(serve).fails(UnprovenTiesError)


def test_a_list_that_is_emptied_ends():
    rows = log(250)

    def serve(window):
        page = page_of(rows, window)
        rows.clear()
        return page

    reader = Reader(serve)
    reader.run()
    assert len(reader.read) == 100
    assert reader.report.complete


# Counts that race


@pytest.mark.parametrize("empties", [1, 2, 3])
def test_an_empty_page_1_that_counts_rows_is_asked_again(empties, order):
    rows = log(120, order)
    asked = []

    def serve(window):
        asked.append(window)
        return page_of([] if len(asked) <= empties else rows, window, count=120)

    assert_all(Reader(serve).run(), rows)


def test_a_page_1_that_stays_empty_while_it_counts_rows_is_an_error():
    reader = Reader(lambda window: page_of([], window, count=9))
    reader.fails(ProtocolError, "no rows, though 9 are counted")
    assert len(reader.asked) == 4


def test_an_empty_page_1_of_a_server_that_ignores_take_is_asked_again():
    rows = log(45)
    asked = []

    def serve(window):
        asked.append(window)
        return page_of([] if len(asked) == 1 else rows, window, cut=20, count=45)

    assert_all(Reader(serve, take=10).run(), rows, Proof.FENCE)


def test_a_short_page_is_no_end_while_more_is_counted(order, width):
    rows = log(250, order)

    def serve(window):  # the COUNT saw a row that the SELECT did not
        return page_of(rows, window, count=251 if len(reader.asked) < 6 else 250)

    reader = Reader(serve, width=width)
    assert_all(reader.run(), rows)


def test_a_count_of_too_few_is_no_end(order, width):
    rows = log(250, order)
    reader = Reader(lambda window: page_of(rows, window, count=200), width=width)
    assert_all(reader.run(), rows)


def test_a_full_last_page_with_a_late_row_loses_nothing():
    # N = 200 exactly: COUNT, a row comes, SELECT. Newest first, the oldest row
    # is pushed past the last page that anybody who believes counts would read.
    rows = log(200, "desc")

    def serve(window):
        count = len(rows)
        rows.insert(0, row(count, f"new{count}"))
        return page_of(rows, window, count=count)

    reader = Reader(serve)
    reader.run()
    assert reader.read[-1].id == "r0"
    assert {f"r{key}" for key in range(200)} <= {r.id for r in reader.read}


class GrowingLog:
    """A log to which a request adds a row after its rows were selected."""

    def __init__(self, rows, order):
        self.rows, self.order = rows, order

    def __call__(self, window):
        rows = log(self.rows, self.order)
        self.rows += 1
        return page_of(rows, window, count=self.rows)


@pytest.mark.parametrize("rows", range(1, 21))
def test_a_small_log_that_each_request_adds_to_is_two_requests(order, width, rows):
    reader = Reader(GrowingLog(rows, order), width=width, order=order).run()
    there = [r.id for r in log(rows, order)]
    got = [r.id for r in reader.read]
    # Oldest first, the row that the first request added comes too.
    assert got[: len(there)] == there
    assert len(got) <= rows + 1
    assert reader.report.complete
    assert reader.report.proof == Proof.STRICT_KEY
    assert len(reader.asked) == 2


@pytest.mark.parametrize("rows", [0, 97, 98, 99, 100, 150, 250, 1000])
def test_a_log_that_each_request_adds_to_ends(order, width, rows):
    reader = Reader(GrowingLog(rows, order), width=width, order=order).run()
    there = {r.id for r in log(rows, order)}
    assert there <= {r.id for r in reader.read}
    assert reader.report.complete
    assert len(reader.asked) <= 1.2 * rows / 100 + 5 + width


def test_rows_that_were_counted_before_they_could_be_read_are_not_called_purged():
    reader = Reader(GrowingLog(5, "desc"), order="desc").run()
    assert (reader.report.expected, reader.report.delivered) == (6, 5)
    assert reader.report.purged == 0


def test_rows_that_are_kept_back_though_counted_are_no_growing_log(order):
    # The list holds still: no later page shows what was counted.
    rows = log(150, order)
    reader = Reader(lambda window: page_of(rows, window, count=151), order=order)
    reader.fails(RequestBudgetError, match="counts 151 rows, and sends none after")


def test_a_count_that_is_behind_ends_no_page_that_was_seen_to_be_cut(order, width):
    # The second time, fewer rows are counted than there are: just as many as are sent.
    rows = log(80, order)
    counts = itertools.chain([80, 50], itertools.repeat(80))

    def serve(window):
        cut = min(50, window.take)
        return page_of(rows, window, cut=cut, said=window.take, count=next(counts))

    reader = Reader(serve, width=width).run()
    assert [r.id for r in reader.read] == [r.id for r in rows]


def test_another_page_that_never_comes_is_not_asked_for_without_end(order, width):
    rows = log(250, order)
    reader = Reader(
        lambda window: page_of(rows, window, has_next_page=True), width=width
    )
    said = "says that more rows follow, and sends none after the first 250"
    reader.fails(RequestBudgetError, match=said)
    assert [r.id for r in reader.read] == [r.id for r in rows]
    assert len(reader.asked) < 20 + 2 * width


@pytest.mark.parametrize("more", [1, 5, 150])
def test_rows_that_are_counted_and_never_sent_are_told_of(order, width, more):
    """As where the count includes rows that are filtered out."""
    rows = log(350, order)
    reader = Reader(
        lambda window: page_of(
            rows, window, count=350 + more, has_next_page=window.end < 350
        ),
        width=width,
    )
    said = f"counts {350 + more} rows, and sends none after the first 350"
    reader.fails(RequestBudgetError, match=said)
    assert [r.id for r in reader.read] == [r.id for r in rows]
    assert len(reader.asked) < 25 + 2 * width


def test_a_wrong_page_count_is_told_and_not_believed(order):
    rows = log(250, order)
    reader = read(rows, page_count=77)
    assert_all(reader, rows)
    assert any("page_count" in warning for warning in reader.report.warnings)


# sort_by and order


def test_a_refused_sort_by_is_left_out_once():
    rows = log(150)

    def serve(window):
        return DENIED if reader.walk.sends_sort_by else page_of(rows, window)

    reader = Reader(serve, sort_by="created_at")
    assert_all(reader.run(), rows)
    assert not reader.walk.sends_sort_by
    assert "the server refused sort_by='created_at'" in reader.report.warnings
    assert not reader.walk.retry_without_sort()


def test_a_refusal_is_final_where_there_is_no_sort_by():
    walk = OverlapChain(take=TAKE)
    walk.plan()
    assert not walk.retry_without_sort()


def test_a_refusal_is_final_after_page_1():
    rows = log(150)
    walk = OverlapChain(take=TAKE, sort_by="created_at")
    walk.accept_page(page_of(rows, walk.plan()))
    walk.plan()
    assert not walk.retry_without_sort()


def test_an_order_that_is_ignored_is_told(order, width):
    rows = log(250, order)
    asked = "asc" if order == "desc" else "desc"
    reader = read(rows, order=asked, width=width)
    assert_all(reader, rows)
    assert reader.report.order_observed == order
    assert reader.report.order_ignored


def test_a_list_in_no_order_is_refused():
    rows = [row(key * 37 % 101, f"r{key}") for key in range(250)]
    Reader(lambda window: page_of(rows, window)).fails(UnorderedListError)


def test_a_list_whose_order_turns_is_refused():
    rows = [*log(150), *(row(key, f"back{key}") for key in range(149, 0, -1))]
    Reader(lambda window: page_of(rows, window)).fails(UnorderedListError)


def test_a_list_in_no_order_is_read_by_shared_rows_on_request(width):
    rows = [row(key * 37 % 101, f"r{key}") for key in range(250)]
    reader = read(rows, accept_unordered=True, width=width)
    assert_all(reader, rows, Proof.SHARED_ID)
    assert any("one fixed order" in warning for warning in reader.report.warnings)


@pytest.mark.parametrize("take", [1, 3, 20, 100])
@pytest.mark.parametrize(
    "keys",
    [
        [*range(150), *range(170)],  # first the active, then the others
        [*[5] * 120, *(n * 37 % 101 for n in range(130))],
        [*range(130), None, *range(130, 250)],
        [*range(249, 120, -1), *range(150)],
    ],
)
def test_one_in_order_at_first_only_is_read_by_shared_rows(keys, take, width):
    rows = [row(key, f"r{number}") for number, key in enumerate(keys)]
    reader = read(rows, accept_unordered=True, take=take, width=width)
    assert_all(reader, rows, Proof.SHARED_ID)
    assert any("one fixed order" in warning for warning in reader.report.warnings)


def test_another_sort_by_is_read_by_shared_rows(width):
    rows = log(250)
    assert_all(read(rows, sort_by="action", width=width), rows, Proof.SHARED_ID)


@pytest.mark.parametrize("seed", range(30))
def test_one_that_moves_comes_once_by_shared_rows(seed):
    """Rows come and go at the head: windows end before what was handed out."""
    rng, names = random.Random(seed), itertools.count()
    rows = [row(rng.randrange(1_000), f"r{next(names)}") for _ in range(250)]
    owed = {r.id for r in rows}

    def serve(window):
        page = page_of(rows, window)
        for _ in range(rng.choice([0, 0, 0, 1])):
            rows.insert(0, row(rng.randrange(1_000), f"r{next(names)}"))
        for _ in range(rng.choice([0, 0, 0, 0, 2])):
            owed.discard(rows.pop(0).id)
        return page

    reader = Reader(serve, take=12, width=8, accept_unordered=True).run()
    read = [r.id for r in reader.read]
    assert owed <= set(read)
    assert len(read) == len(set(read))


def test_an_order_that_changes_is_seen_in_shared_rows():
    rows = log(250)

    def serve(window):
        page = page_of(rows, window)
        rows.reverse()
        return page

    Reader(serve, sort_by="action").fails(
        (UnorderedListError, DriftTooFastError, RequestBudgetError)
    )


def test_rows_that_change_places_between_windows_are_missed_by_the_count():
    # What the windows share keeps its order, and yet row 100 is not handed out.
    rows = log(250)

    def serve(window):
        page = page_of(rows, window)
        rows[99:101] = row(100), row(99)
        return page

    reader = Reader(serve, sort_by="action")
    reader.fails(UnorderedListError, "rows are missing")


# created_at


def test_rows_without_created_at_are_read_plainly():
    rows = [row(None, f"r{number}") for number in range(250)]
    reader = read(rows)
    assert [r.id for r in reader.read] == [r.id for r in rows]
    assert not reader.report.complete
    assert reader.report.proof == Proof.NONE
    assert reader.report.warnings == ("rows without created_at: nothing can be proven",)
    assert len(reader.asked) == 3


def test_rows_without_created_at_and_take_ignored_are_read_plainly():
    rows = [row(None, f"r{number}") for number in range(50)]
    reader = read(rows, take=10, cut=20)
    assert [r.id for r in reader.read] == [r.id for r in rows]
    assert reader.report.proof == Proof.NONE


def test_a_later_row_without_created_at_ends_the_read():
    rows = log(250)
    rows[180] = row(None, "none")
    Reader(lambda window: page_of(rows, window)).fails(UnorderedListError)


def test_a_row_that_changes_its_created_at_ends_the_read(order):
    rows = log(250, order)

    def serve(window):
        page = page_of(rows, window)
        step = 0.5 if order == "asc" else -0.5
        rows[99] = row(rows[98].created_at.timestamp() - EPOCH.timestamp() + step, "m")
        rows[99] = attrs.evolve(rows[99], id=page.items[-1].id)
        return page

    Reader(serve).fails(ProtocolError, "created_at of a row changed")


# What contradicts itself


@pytest.mark.parametrize(
    ("meta", "says"),
    [
        ({"page": 7}, "answered with page 7"),
        ({"item_count": -1}, "negative"),
        ({"page_count": -1}, "negative"),
        ({"take": 0}, "below 1"),
        ({"has_previous_page": True}, "one before it"),
    ],
)
def test_page_1_that_contradicts_itself_is_an_error(meta, says):
    reader = Reader(lambda window: page_of(log(9), window, **meta))
    reader.fails(ProtocolError, says)


@pytest.mark.parametrize("meta", [{"page": 1}, {"item_count": -1}, {"take": 0}])
def test_a_later_page_that_contradicts_itself_is_an_error(meta):
    rows = log(250)

    def serve(window):
        return page_of(rows, window, **(meta if window.page > 1 else {}))

    Reader(serve).fails(ProtocolError)


def test_more_rows_than_asked_for_are_an_error():
    def serve(window):
        page = page_of(log(9), window)
        return attrs.evolve(page, items=tuple(log(101)))

    Reader(serve).fails(ProtocolError, "more rows")


def test_a_key_that_changed_after_a_window_is_seen_when_that_is_used():
    """The window waits until the gap before it is bridged: by then it is wrong."""
    rows = log(300)

    def serve(window):
        if window.number == 1:
            return page_of(rows, window)
        if window.number == 2:
            del rows[:50]
            held = page_of(rows, window)
            rows[99] = row(149.5, rows[99].id)
            return held
        return page_of(rows, window)

    reader = Reader(serve, order="asc")
    reader.fails(ProtocolError, "created_at of a row changed")
    assert len({r.id for r in reader.read}) == len(reader.read)


@pytest.mark.parametrize(
    ("at", "of"),
    [(5, 3), (99, 98), (150, 98), (150, 99), (150, 149), (195, 100), (299, 290)],
)
def test_an_id_twice_in_a_page_is_an_error(at, of):
    """On page 1, of the rows that two windows share, and of those that are new."""
    rows = log(300)
    rows[at] = row(at, f"r{of}")
    Reader(lambda window: page_of(rows, window)).fails(ProtocolError, "occurs twice")


@pytest.mark.parametrize("of", [10, 50, 97])
def test_an_id_of_the_window_before_is_not_taken_for_a_new_row(of):
    rows = log(300)
    rows[150] = row(150, f"r{of}")
    reader = Reader(lambda window: page_of(rows, window))
    reader.fails(ProtocolError, "created_at of a row changed")


# Ties


@pytest.mark.parametrize("run", [2, 40, 60])
def test_a_run_of_ties_that_fits_into_a_window_is_proven(run, order, width):
    rows = log(400, order)
    rows[150 : 150 + run] = tied(run, 399 - 150 if order == "desc" else 150)
    assert_all(read(rows, width=width), rows)


@pytest.mark.parametrize("place", [0, 130, 400])
def test_a_run_longer_than_any_window_is_counted(place, order, width):
    rows = log(400, order)
    key = 399.5 - place if order == "desc" else place - 0.5
    rows[place:place] = tied(250, key)
    assert_all(read(rows, width=width), rows, Proof.COUNT)


def test_a_list_that_is_one_run_is_counted(width):
    rows = tied(250, 1)
    reader = read(rows, width=width)
    assert_all(reader, rows, Proof.COUNT)
    assert reader.report.order_observed is None


def test_a_long_run_in_a_list_that_moves_is_not_proven(order, width):
    rows = log(400, order)
    rows[130:130] = tied(250, 269.5 if order == "desc" else 129.5)

    def serve(window):
        page = page_of(rows, window)
        rows.insert(0 if order == "desc" else len(rows), row(1000 + len(reader.asked)))
        return page

    reader = Reader(serve, width=width)
    reader.fails((UnprovenTiesError, RequestBudgetError))


def test_a_run_at_the_head_that_loses_a_row_unseen_is_not_proven():
    # Oldest first, the head is one run. A row of it is read and then purged, a
    # new one comes at the end, another is hidden by a shuffle: every count
    # agrees, and page 1 has the same keys as before.
    rows = [*tied(150, 0), *log(100)[1:]]

    def serve(window):
        page = page_of(rows, window)
        if len(reader.asked) == 1:
            del rows[0]  # t0, which was read
            rows.append(row(1000))
            # t120 takes the place that t1 had, which the next window begins after
            rows.insert(0, rows.pop(rows.index(row(0, "t120"))))
        return page

    reader = Reader(serve)
    reader.fails(UnprovenTiesError)


# The direction, while nothing tells


def test_page_1_again_with_other_keys_is_not_taken_for_what_comes_next():
    # Newest first. All of page 1 has one key; before anything shows the order,
    # a burst of newer rows fills page 1. They are not what comes next.
    rows = [*tied(4, 50), *log(3, "desc")]

    def serve(window):
        page = page_of(rows, window)
        if len(reader.asked) == 1:
            rows[:0] = tied(40, 60, "new")
        return page

    reader = Reader(serve, take=4, max_take=4)
    reader.fails(IncompleteReadError)
    keys = [r.created_at for r in reader.read]
    assert keys == sorted(keys, reverse=True)
    assert len({r.id for r in reader.read}) == len(keys)


# Drift


def test_rows_that_come_in_between_are_bridged(order, width):
    rows = log(600, order)
    owed = {r.id for r in rows}

    def serve(window):
        page = page_of(rows, window)
        if order == "desc":
            rows[:0] = [row(1000 + 10 * len(reader.asked) + n) for n in (9, 5, 1)]
        else:
            owed.difference_update(r.id for r in rows[:3])
            del rows[:3]
        return page

    reader = Reader(serve, width=width)
    reader.run()
    ids = [r.id for r in reader.read]
    assert owed <= set(ids)
    assert len(ids) == len(set(ids))
    assert reader.report.complete
    if order == "asc":
        assert reader.report.repairs > 0
    else:  # served in the order of asking, rows come twice and none is passed by
        assert reader.report.duplicates > 0


def test_a_list_that_moves_a_page_per_request_is_given_up_not_lost():
    rows = log(600, "desc")

    def serve(window):
        page = page_of(rows, window)
        base = 1000 * (len(reader.asked) + 1)
        rows[:0] = [row(base + 200 - n) for n in range(200)]
        return page

    reader = Reader(serve)
    reader.fails((DriftTooFastError, RequestBudgetError))
    assert len(reader.asked) < 100


@pytest.mark.parametrize("width", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("count", [0, 1, 99, 100, 350, 2000])
def test_reads_that_write_to_the_log_end(count, order, width):
    rows = log(count, order)
    owed = [r.id for r in rows]

    def serve(window):
        rows.insert(0 if order == "desc" else len(rows), row(5000 + len(reader.asked)))
        return page_of(rows, window)

    reader = Reader(serve, width=width)
    reader.run()
    ids = [r.id for r in reader.read]
    assert [i for i in ids if i in set(owed)] == owed
    assert len(ids) == len(set(ids))
    assert reader.report.complete


def test_rows_that_come_late_behind_the_cover_are_counted(order):
    rows = log(300, order)
    late = row(95.5 if order == "asc" else 299 - 95.5, "late")

    def serve(window):
        page = page_of(rows, window)
        if len(reader.asked) == 1:
            rows.insert(96, late)
        return page

    reader = Reader(serve)
    reader.run()
    assert "late" not in {r.id for r in reader.read}
    assert reader.report.late <= 1
    assert reader.report.complete


# One page size, whatever is asked for


@pytest.mark.parametrize("count", [30, 40, 41, 60, 250])
def test_a_server_that_ignores_take_is_read_behind_a_fence(count, order, width):
    rows = log(count, order)
    reader = read(rows, take=10, cut=20, width=width)
    assert_all(reader, rows, Proof.FENCE)
    # One after the other; a full page is no end; page 1 again at last.
    assert [w.page for w in reader.asked] == [*range(1, count // 20 + 2), 1]
    assert any("ignores take" in warning for warning in reader.report.warnings)


def test_a_fence_holds_while_reads_write(order):
    rows = log(900, order)

    def serve(window):
        rows.insert(0 if order == "desc" else len(rows), row(5000 + len(reader.asked)))
        return page_of(rows, window, cut=20)

    reader = Reader(serve, take=10)
    reader.run()
    assert {f"r{key}" for key in range(900)} <= {r.id for r in reader.read}
    assert reader.report.complete


def test_a_fence_falls_where_the_oldest_rows_go_oldest_first():
    rows = log(100)

    def serve(window):
        page = page_of(rows, window, cut=20)
        del rows[0]
        return page

    Reader(serve, take=10).fails(IncompleteReadError, "passed by")


def test_a_fence_ends_with_a_404():
    rows = log(40)

    def serve(window):
        page = page_of(rows, window, cut=20)
        return page if page.items else None

    assert_all(Reader(serve, take=10).run(), rows, Proof.FENCE)


def test_ties_shuffled_across_pages_of_a_fence_are_missed_by_the_count():
    rows = [*log(19), *tied(2, 50), *log(100)[51:]]

    def serve(window):
        if window.page == 2:
            rows[19:21] = rows[20], rows[19]
        return page_of(rows, window, cut=20)

    Reader(serve, take=10).fails(IncompleteReadError)


def test_a_fence_asks_for_a_bounded_number_of_pages():
    rows = log(40, "desc")

    def serve(window):
        rows[:0] = [row(1000 * (len(reader.asked) + 1) + 30 - n) for n in range(30)]
        return page_of(rows, window, cut=20)

    reader = Reader(serve, take=10)
    reader.fails((RequestBudgetError, IncompleteReadError))
    assert len(reader.asked) < 100


def test_a_fence_keeps_to_a_limit(order):
    rows = log(100, order)
    reader = read(rows, take=10, cut=20, limit=50)
    assert_all(reader, rows[:50], Proof.FENCE)


# What every schedule of a small world has shown


def test_rows_of_one_key_that_are_gone_leave_no_order_to_go_on_in():
    lists = iter([[row(1)]])
    counts = iter((2,))

    def serve(window):
        rows = next(lists, [row(2)])
        return page_of(rows, window, count=next(counts, 1))

    reader = Reader(serve, take=5, max_take=8, order="asc")
    reader.fails(UnorderedListError, match="nothing shows in which order")


def test_a_read_that_took_the_list_for_the_other_order_says_so():
    # What was read had one key; then all of it was removed, and an older row came.
    key = row(1).created_at
    read_before = Checkpoint(scope="", key=key, ids=frozenset({"r1"}), delivered=1)
    lists = iter([[row(0)], [row(0)]])
    counts = iter((2, 1))

    def serve(window):
        rows = next(lists, [row(0), row(1, "new")])
        return page_of(rows, window, count=next(counts, 2))

    span = Span(resume=read_before)
    reader = Reader(serve, take=4, max_take=8, order="asc", span=span, width=2)
    reader.fails(UnorderedListError, match="had not shown the order")
