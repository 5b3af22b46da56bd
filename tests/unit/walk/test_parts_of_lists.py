"""Parts of lists: since, until, and on from a checkpoint, on scripted pages."""

import attrs
import pytest
from support.lists import Reader, log, page_of, read, row, tied

from canopy_async._walk import Span, Window, proven_walk
from canopy_async._walk.chain import OverlapChain
from canopy_async.checkpoint import Checkpoint
from canopy_async.errors import (
    CheckpointError,
    IncompleteReadError,
    UnorderedListError,
    UnprovenTiesError,
)
from canopy_async.report import Proof


@pytest.fixture(params=["asc", "desc"])
def order(request):
    return request.param


@pytest.fixture(params=[1, 4])
def width(request):
    return request.param


def between(since, until):
    return Span(since=row(since).created_at, until=row(until).created_at)


def after(last, *ids, order, position=0):
    return Checkpoint(
        scope="s",
        order=order,
        key=last.created_at,
        ids=frozenset(ids or {last.id}),
        position=position,
        proof=Proof.STRICT_KEY,
    )


def ids(reader):
    return [r.id for r in reader.read]


def wanted(rows, since, until):
    low, high = row(since).created_at, row(until).created_at
    return [r.id for r in rows if low <= r.created_at < high]


@pytest.mark.parametrize(("since", "until"), [(0, 30), (4_200, 4_600), (9_950, 10_000)])
def test_a_part_is_read_to_its_bound_and_not_to_the_end(since, until, order, width):
    rows = log(10_000, order)
    reader = read(rows, span=between(since, until), order=order, width=width)
    assert ids(reader) == wanted(rows, since, until)
    assert reader.report.complete
    assert len(reader.asked) <= 12 + width


@pytest.mark.parametrize("asked", ["asc", "desc"])
def test_a_part_of_a_list_in_another_order_than_asked_for_is_read(asked, order, width):
    rows = log(400, order)
    reader = read(rows, span=between(120, 260), order=asked, width=width)
    assert ids(reader) == wanted(rows, 120, 260)
    assert reader.report.complete
    assert reader.report.order_ignored is (asked != order)


@pytest.mark.parametrize("count", [30, 250])
def test_a_list_that_has_turned_since_its_checkpoint_is_refused(count, order):
    other = "desc" if order == "asc" else "asc"
    rows = log(count, order)
    reader = Reader(
        lambda window: page_of(rows, window),
        span=Span(resume=after(rows[20], order=other)),
    )
    with pytest.raises(
        CheckpointError, match=f"in {order} order now; it was in {other}"
    ):
        reader.run()
    assert reader.read == []


@pytest.mark.parametrize("place", [20, 180])
def test_a_checkpoint_that_knows_no_order_takes_that_of_the_list(place, order, width):
    # All that was read before had one key.
    rows = log(250, order)
    resume = after(rows[place], order=None)
    reader = read(rows, span=Span(resume=resume), order=order, width=width)
    assert ids(reader) == [r.id for r in rows[place + 1 :]]
    assert reader.report.complete


def test_rows_without_created_at_have_no_part(order):
    rows = [row(None, f"n{number}") for number in range(50)]
    reader = Reader(
        lambda window: page_of(rows, window), span=between(1, 9), order=order
    )
    reader.fails(UnorderedListError, "no place in time")


def test_a_part_of_a_list_by_another_column_is_refused():
    reader = Reader(
        lambda window: page_of(log(50), window), span=between(1, 9), sort_by="severity"
    )
    reader.fails(UnorderedListError, "only be read by created_at, not by 'severity'")


@pytest.mark.parametrize("limit", [1, 2, 30, 150])
def test_a_part_keeps_to_a_limit(limit, order, width):
    rows = log(600, order)
    reader = read(rows, span=between(200, 400), order=order, width=width, limit=limit)
    assert ids(reader) == wanted(rows, 200, 400)[:limit]
    assert reader.report.complete


def test_of_a_part_nothing_is_called_purged_and_no_number_expected(order):
    reader = read(log(300, order), span=between(100, 200), order=order)
    assert reader.walk.total is None
    assert reader.report.expected is None
    assert reader.report.purged == 0


@pytest.mark.parametrize("count", [150, 420])
@pytest.mark.parametrize("newest", ["asc", "desc", None])
def test_a_list_that_begins_with_one_key_shows_its_order_elsewhere(count, newest):
    """All rows of page 1 tie: which way the list goes on is looked for, then read."""
    head = tied(count, 500)
    tail = {
        "asc": [row(key) for key in range(501, 800)],
        "desc": [row(key) for key in range(499, 200, -1)],
        None: [],
    }[newest]
    rows = [*head, *tail]
    span = Span(since=row(250).created_at, until=row(700).created_at)
    reader = read(rows, span=span)
    low, high = span.since, span.until
    assert ids(reader) == [r.id for r in rows if low <= r.created_at < high]
    assert reader.report.complete


def test_the_order_is_looked_for_where_pages_are_missing_or_empty():
    # Rows are counted that are not there: the end is nearer than it seems.
    rows = [*tied(150, 500), *[row(key) for key in range(499, 300, -1)]]
    asked = []

    def serve(window):
        asked.append(window)
        page = page_of(rows, window, count=2_000)
        return page if page.items else None

    reader = Reader(serve, span=Span(until=row(450).created_at))
    with pytest.raises(IncompleteReadError):  # the count says that more follows
        reader.run()
    assert ids(reader) == [r.id for r in rows if r.created_at < row(450).created_at]
    assert len(asked) < 60


def test_the_order_is_looked_for_behind_what_is_counted():
    # Fewer rows are counted than there are: the last that are counted tie as well.
    rows = [*tied(900, 500), *[row(key) for key in range(499, 300, -1)]]
    asked = []

    def serve(window):
        asked.append(window)
        if len(asked) < 8:
            return page_of(rows, window, count=150, has_next_page=True)
        return page_of(rows, window)

    reader = Reader(serve, span=Span(since=row(400).created_at))
    reader.fails(UnprovenTiesError)  # as so many tie while the count changes
    assert reader.report.order_observed == "desc"


def test_an_order_that_was_taken_for_the_other_one_is_said_to_be_that():
    # By its count, the list ends amid the ties.
    rows = [*tied(900, 500), *[row(key) for key in range(499, 300, -1)]]
    asked = []

    def serve(window):
        asked.append(window)
        return page_of(rows, window, count=150 if len(asked) < 8 else None)

    reader = Reader(serve, span=Span(since=row(400).created_at))
    reader.fails(UnorderedListError, "had not shown the order of the list")


def test_a_list_whose_ties_have_no_end_shows_no_order():
    def serve(window):
        items = [row(5, f"t{at}") for at in range(window.start, window.end)]
        page = page_of(items, Window(1, window.take), count=2**60)
        meta = attrs.evolve(
            page.pagination, page=window.page, has_previous_page=window.page > 1
        )
        return attrs.evolve(page, pagination=meta)

    reader = Reader(serve, span=Span(since=row(1).created_at))
    reader.fails(UnorderedListError, "nothing shows in which order the list is")
    assert len(reader.asked) == 41


@pytest.mark.parametrize("newest", ["asc", "desc"])
def test_the_order_is_looked_for_in_pages_of_the_servers_size(newest, width):
    # Asked for 100 rows, it says that it sends 20. Only where it is asked for fewer,
    # it is seen to ignore take.
    keys = range(501, 560) if newest == "asc" else range(499, 440, -1)
    rows = [*tied(61, 500), *map(row, keys)]
    span = Span(since=row(460).created_at, until=row(540).created_at)
    reader = read(rows, cut=20, span=span, width=width)
    assert ids(reader) == [r.id for r in rows if span.holds(r.created_at)]
    assert (reader.report.complete, reader.report.proof) == (True, Proof.FENCE)
    assert len(reader.asked) <= 16


@pytest.mark.parametrize("fixed", [True, False])
def test_a_list_of_one_key_has_no_order_and_either_will_do(fixed, width):
    rows = tied(150, 500)
    oddities = {"cut": 20} if fixed else {}
    span = Span(since=row(250).created_at)
    reader = read(rows, take=10, span=span, width=width, **oddities)
    assert ids(reader) == [r.id for r in rows]
    assert reader.report.complete


@pytest.mark.parametrize("place", [10, 130, 290])
def test_ties_at_a_checkpoint_are_handed_out_once(place, order, width):
    rows = log(300, order)
    rows[place : place + 3] = tied(3, 299 - place if order == "desc" else place)
    resume = after(rows[place], "t0", "t2", order=order, position=place + 2)
    reader = read(rows, span=Span(resume=resume), order=order, width=width)
    assert ids(reader) == ["t1", *[r.id for r in rows[place + 3 :]]]


def test_a_resumed_read_knows_the_order_though_one_row_is_new():
    rows = log(31)
    walk = proven_walk(
        take=100, order="asc", span=Span(resume=after(rows[29], order="asc"))
    )

    def serve(window):
        return page_of(rows[:-2:-1] if window.newest_first else rows, window)

    reader = Reader(serve, walk=walk).run()
    assert ids(reader) == ["r30"]
    assert reader.report.order_observed == "asc"


def test_a_short_list_in_no_order_has_no_newest_page():
    rows = [row(key) for key in (3, 9, 5, 7)]
    walk = proven_walk(take=100, order="asc", span=Span(since=row(1).created_at))
    reader = Reader(lambda window: page_of(rows, window), walk=walk)
    reader.fails(UnorderedListError)
    assert reader.read == []


def test_a_range_that_holds_one_key_alone_shows_no_order():
    walk = proven_walk(take=100, order="asc", span=Span(since=row(1).created_at))
    reader = Reader(lambda window: page_of(tied(3, 5), window), walk=walk).run()
    assert ids(reader) == ["t0", "t1", "t2"]
    assert reader.report.order_observed is None


@pytest.mark.parametrize("until", [20, 60, 81])
def test_the_newest_page_says_where_a_range_ends_in_the_list(until):
    rows = log(80)
    span = Span(since=row(10).created_at, until=row(until).created_at)
    walk = proven_walk(take=100, order="asc", span=span)
    reader = Reader(lambda window: page_of(rows[::-1], window), walk=walk).run()
    assert ids(reader) == [r.id for r in rows[10:until]]
    assert reader.walk.position == min(until, 80)


# Totals


def test_a_total_is_not_known_before_page_1(order):
    for options in ({}, {"limit": 5}, {"span": between(1, 9)}):
        walk = OverlapChain(take=100, order=order, **options)
        walk.plan()
        assert walk.total is None


@pytest.mark.parametrize(("limit", "total"), [(None, 250), (30, 30), (900, 250)])
def test_a_total_is_what_page_1_counts_as_far_as_it_is_wanted(limit, total):
    rows = log(250)
    walk = OverlapChain(take=100, limit=limit)
    walk.accept_page(page_of(rows, walk.plan()))
    assert walk.total == total


# What is over


@pytest.mark.parametrize("limit", [0, None])
def test_a_walk_that_is_done_asks_for_nothing_and_hands_out_nothing(limit):
    rows = log(5)
    walk = OverlapChain(take=100, limit=limit)
    window = walk.plan()
    if limit is None:
        walk.accept_page(page_of(rows, window))
    assert walk.done
    assert walk.report().complete
    assert (walk.plan(), list(walk.windows)) == (None, [])
    assert list(walk.accept_page(page_of(rows, Window(1, 100)))) == []
    assert list(walk.accept_missing()) == []
    assert walk.accept_oversized() is None
