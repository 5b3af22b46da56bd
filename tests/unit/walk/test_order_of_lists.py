"""The order of a list whose page 1 has one key, and windows as a message shows them."""

import pytest
from support.lists import Reader, page_of, row, tied

from canopy_async._walk import Span, Window
from canopy_async.errors import RequestBudgetError


def test_no_order_is_looked_for_between_the_rows_and_where_the_list_was_seen_to_end():
    # Twelve rows of one key are sent, a hundred are counted: each look further back
    # finds nothing, and each look further on finds only ties.
    rows = tied(12, key=5)
    probes = []

    def serve(window):
        probes.append(window)
        return page_of(rows, window, count=100)

    reader = Reader(serve, take=4, span=Span(since=row(1).created_at))
    reader.fails(RequestBudgetError, "no page proves to be the last")
    assert {r.id for r in reader.read} <= {r.id for r in rows}
    starts = [window.start for window in probes[1:8]]
    assert max(starts) >= 90
    assert min(starts) < 13


def test_a_window_shows_its_page_and_its_size():
    assert repr(Window(2, 98, 7)) == "Window(page=2, take=98, number=7)"


@pytest.mark.parametrize("count", [4, 7])
def test_a_list_of_one_key_is_read_in_parts_whatever_its_order(count):
    rows = tied(count, key=5)
    reader = Reader(
        lambda window: page_of(rows, window), take=4, span=Span(since=row(1).created_at)
    )
    reader.run()
    assert [r.id for r in reader.read] == [r.id for r in rows]
