"""Lists in order of time by chance at first: when shared rows can prove the rest."""

import pytest
from support.lists import Reader, log, page_of, read, row

from canopy_async.errors import UnorderedListError
from canopy_async.report import Proof


def ids(rows):
    return [r.id for r in rows]


def unsorted_from(place, count=300):
    """Rows in order of time up to a place, and older ones in no order after it."""
    rows = log(place)
    return [*rows, *[row(-1 - at * 37 % 101, f"u{at}") for at in range(count - place)]]


class Lists:
    """A list that changes once: right before the second answer."""

    def __init__(self, first, later, **options):
        self._lists, self._served = (first, later), 0
        self.reader = Reader(self._serve, accept_unordered=True, **options)

    def _serve(self, window):
        rows = self._lists[min(self._served, 1)]
        self._served += 1
        return page_of(rows, window)


@pytest.mark.parametrize("place", [120, 200, 290])
def test_rows_that_windows_share_prove_what_comes_after_the_first_that_is_unsorted(
    place,
):
    rows = unsorted_from(place)
    reader = read(rows, accept_unordered=True)
    assert ids(reader.read) == ids(rows)
    assert reader.report.complete
    assert reader.report.proof == Proof.SHARED_ID
    assert any("one fixed order" in said for said in reader.report.warnings)


def test_an_unsorted_list_is_refused_where_that_was_not_allowed():
    rows = unsorted_from(200)
    Reader(lambda window: page_of(rows, window)).fails(UnorderedListError)


def test_a_window_that_had_shared_no_row_leaves_nothing_that_shared_rows_could_prove():
    """By keys it had continued what was read: its first row is older than the last."""
    first = unsorted_from(200)
    later = [*first[:98], row(98.4, "new"), row(98.6, "newer"), *first[100:]]
    lists = Lists(first, later)
    lists.reader.fails(UnorderedListError, "not sorted by created_at")
    assert ids(lists.reader.read) == [*ids(first[:100]), *ids(first[100:196])]


def test_a_row_that_came_in_late_leaves_nothing_that_shared_rows_could_prove():
    """It stands before rows that were read, and is not handed out."""
    first = unsorted_from(200)
    later = [*first[:99], row(98.5, "late"), *first[99:]]
    lists = Lists(first, later)
    lists.reader.fails(UnorderedListError, "not sorted by created_at")
    assert lists.reader.report.late == 1


def test_shared_rows_in_another_order_prove_nothing_in_the_first_unsorted_window_too():
    first = log(300)
    later = [*first[:98], first[99], first[98], *first[100:]]
    lists = Lists(first, later)
    lists.reader.fails(UnorderedListError, "no fixed order")
    assert ids(lists.reader.read) == ids(first[:100])
