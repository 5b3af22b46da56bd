"""Reports of reads that end before the list does, or that are of a part of it."""

import pytest
from support.lists import Reader, log, page_of, read

from canopy_async._walk import Span


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_of_a_part_at_the_end_of_a_list_nothing_is_called_purged(order):
    """Rows that page 1 counted are outside of the part, and not gone."""
    rows = log(300, order)
    bound = rows[200].created_at
    span = Span(since=bound) if order == "asc" else Span(until=bound)
    report = read(rows, span=span, order=order).report
    assert report.complete
    assert (report.expected, report.purged) == (None, 0)


def test_of_a_limited_read_nothing_is_called_purged_though_the_list_ends_there():
    """Of 160 rows, 151 are wanted; nine others go, of which none would be read."""
    rows = log(160)

    def serve(window):
        if len(reader.asked) == 2:
            del rows[151:]
        return page_of(rows, window)

    reader = Reader(serve, limit=151)
    reader.run()
    assert reader.asked[-1].end > len(rows)  # it shows the end of the list, too
    report = reader.report
    assert report.complete
    counted = report.expected, report.delivered, report.purged
    assert counted == (160, 151, 0)


def test_rows_that_go_before_they_are_read_are_called_purged():
    rows = log(300)

    def serve(window):
        page = page_of(rows, window)
        if len(reader.asked) == 1:
            del rows[150:250]
        return page

    reader = Reader(serve)
    reader.run()
    report = reader.report
    assert (report.expected, report.delivered, report.purged) == (300, 200, 100)
