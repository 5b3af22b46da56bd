"""Runs of ties that are counted: what page 1, asked for again, must show."""

import pytest
from support.lists import Reader, log, page_of, row, tied

from canopy_async.errors import UnprovenTiesError
from canopy_async.report import Proof

RUN = tied(250, 20)
"""More ties than any window bridges."""


def read_again(rows, again):
    """Read a list that holds still but for page 1, once it is asked for again."""

    def serve(window):
        is_again = window.page == 1 and window.take == 100 and len(reader.asked) > 1
        return again(window) if is_again else page_of(rows, window)

    reader = Reader(serve)
    return reader


@pytest.mark.parametrize("gone", [1, 5, 99])
def test_a_head_that_has_moved_on_shows_that_the_list_moved(gone):
    """As many rows went at the head as came after all others."""
    rows = [*log(20), *RUN, *[row(key) for key in range(21, 150)]]
    moved = [*rows[gone:], *[row(key) for key in range(1_000, 1_000 + gone)]]
    reader = read_again(rows, lambda window: page_of(moved, window))
    reader.fails(UnprovenTiesError)
    assert reader.read == rows


def test_a_head_without_rows_shows_that_the_list_moved():
    rows = [*log(20), *RUN]
    count = len(rows)
    reader = read_again(rows, lambda window: page_of([], window, count=count))
    reader.fails(UnprovenTiesError)


@pytest.mark.parametrize(
    "before",
    [log(20), [row(0)], tied(99, 0, "first")],
    ids=["twenty rows", "one row", "all but the last of page 1"],
)
def test_ties_that_page_1_ends_amid_may_come_in_another_order(before):
    rows = [*before, *RUN, *[row(key) for key in range(21, 150)]]
    turned = [*before, *RUN[::-1], *[row(key) for key in range(21, 150)]]
    reader = read_again(rows, lambda window: page_of(turned, window)).run()
    assert reader.read == rows
    assert reader.report.complete
    assert reader.report.proof == Proof.COUNT


def test_of_a_head_of_one_key_all_rows_must_be_there_again():
    turned = [*RUN[150:], *RUN[:150]]
    still = read_again(RUN, lambda window: page_of(RUN, window)).run()
    assert still.report.complete
    reader = read_again(RUN, lambda window: page_of(turned, window))
    reader.fails(UnprovenTiesError)
