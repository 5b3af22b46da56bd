"""The order of a list that page 1 does not show, and where it is looked for."""

import pytest
from support.lists import Reader, log, page_of, row, tied

from canopy_async._walk import Span, proven_walk
from canopy_async.checkpoint import Checkpoint
from canopy_async.errors import IncompleteReadError, ProtocolError, UnorderedListError


def since(key):
    return Span(since=row(key).created_at)


def test_an_unsorted_page_that_is_seen_while_the_order_is_looked_for_ends_the_read():
    # The last rows are out of order. Of the part, nothing is read that would show it.
    rows = [*tied(130, 500), *log(300)[200:], row(5), row(900), row(7), row(901)]
    span = Span(since=row(490).created_at, until=row(499).created_at)
    reader = Reader(lambda window: page_of(rows, window), span=span, order="desc")
    reader.fails(UnorderedListError)
    assert reader.read == []


@pytest.mark.parametrize("claims_more", [{}, {"has_next_page": False}])
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("counted", [4_000, 100_000, 2_000_000])
def test_the_last_rows_are_found_in_a_few_requests_though_too_many_are_counted(
    counted, order, claims_more
):
    keys = range(501, 620) if order == "asc" else range(499, 380, -1)
    rows = [*tied(3_000, 500), *map(row, keys)]
    found = []

    def serve(window):
        page = page_of(rows, window, count=counted, **claims_more)
        if any(r.created_at != row(500).created_at for r in page.items):
            found.append(len(reader.asked))
        return page if page.items else None

    reader = Reader(serve, span=since(400))
    reader.fails(IncompleteReadError)  # the count says that more follows
    assert reader.report.order_observed == order
    assert found[0] <= 16


def test_of_pages_of_the_servers_size_the_last_one_is_asked_for_first():
    rows = [*tied(61, 500), *[row(key) for key in range(501, 560)]]
    reader = Reader(
        lambda window: page_of(rows, window, cut=20), take=10, span=since(520)
    ).run()
    assert [window.page for window in reader.asked[:2]] == [1, 6]
    assert reader.report.complete


def test_page_1_is_named_where_it_stays_empty_though_rows_are_counted():
    reader = Reader(lambda window: page_of([], window, count=9))
    with pytest.raises(ProtocolError) as caught:
        reader.run()
    assert (caught.value.page, caught.value.path) == (1, "items")


@pytest.mark.parametrize("at", [0, 30, 59])
def test_a_row_without_created_at_on_the_newest_page_has_no_place_in_a_part(at):
    rows = log(60)
    rows[at] = row(None, "keyless")
    walk = proven_walk(take=100, order="asc", span=since(10))

    def serve(window):
        return page_of(rows[::-1] if window.newest_first else rows, window)

    reader = Reader(serve, walk=walk).fails(UnorderedListError, "no place in time")
    assert reader.read == []


@pytest.mark.parametrize(("pairs", "overlap"), [(0, 2), (1, 2), (2, 3), (30, 3)])
def test_where_rows_tie_all_over_page_1_windows_overlap_by_one_row_more(pairs, overlap):
    rows = log(300)
    for number in range(pairs):
        rows[3 * number + 1] = row(3 * number, f"pair{number}")
    walk = proven_walk(take=100)
    walk.accept_page(page_of(rows, walk.plan()))
    assert walk.plan().start == 100 - overlap


def test_a_part_by_another_column_is_refused_at_once():
    rows = tied(250, 5)
    reader = Reader(
        lambda window: page_of(rows, window), span=since(3), sort_by="severity"
    )
    reader.fails(UnorderedListError, "only be read by created_at")
    assert len(reader.asked) == 1


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_part_of_which_a_short_list_has_nothing_is_one_request(order):
    span = since(60) if order == "asc" else Span(until=row(-1).created_at)
    reader = Reader(lambda window: page_of(log(50, order), window), span=span).run()
    assert (reader.read, len(reader.asked)) == ([], 1)
    assert reader.report.complete


def test_a_newest_page_that_contradicts_itself_is_an_error():
    walk = proven_walk(take=100, order="asc", span=since(10))
    rows = log(60, "desc")
    reader = Reader(lambda window: page_of(rows, window, page=2), walk=walk)
    reader.fails(ProtocolError, "answered with page 2")
    assert reader.read == []


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("number", range(2, 7))
def test_a_start_is_looked_for_where_the_server_says_once_that_it_sends_less(
    number, width
):
    rows = log(2_000)

    def serve(window):
        most = 50 if len(reader.asked) == number else 100
        return page_of(rows, window, cut=min(most, window.take))

    reader = Reader(serve, width=width, order="asc", span=since(1_500))
    assert [r.id for r in reader.run().read] == [r.id for r in rows[1_500:]]
    assert reader.report.complete


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_two_runs_of_ties_show_the_order_of_the_list_between_them(order):
    later = 600 if order == "asc" else 400
    rows = [*tied(150, 500), *tied(300, later, "later")]
    bounds = {"since": 550} if order == "asc" else {"until": 450}
    span = Span(**{name: row(key).created_at for name, key in bounds.items()})
    reader = Reader(lambda window: page_of(rows, window), span=span).run()
    assert [r.id for r in reader.read] == [f"later{number}" for number in range(300)]
    assert (reader.report.complete, reader.report.order_observed) == (True, order)


def test_the_order_is_looked_for_further_on_each_time_behind_what_is_counted():
    rows = [*tied(30_000, 500), *[row(key) for key in range(499, 300, -1)]]
    reader = Reader(
        lambda window: page_of(rows, window, count=150, has_next_page=True),
        span=since(400),
        most=60,
    )
    with pytest.raises(AssertionError, match="it asks for ever"):
        reader.run()  # 300 pages of ties are read, once the order is known
    assert reader.report.order_observed == "desc"


def test_the_order_is_not_looked_for_where_a_checkpoint_knows_it():
    rows = [*tied(150, 500), *[row(key) for key in range(501, 700)]]
    place = row(400)
    resume = Checkpoint(
        scope="s",
        order="asc",
        key=place.created_at,
        ids=frozenset({place.id}),
        position=0,
    )
    reader = Reader(lambda window: page_of(rows, window), span=Span(resume=resume))
    reader.walk.accept_page(page_of(rows, reader.walk.plan()))
    assert reader.walk.plan().start < 100
