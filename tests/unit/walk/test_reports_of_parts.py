"""Reports of reads that end before the list does, or that are of a part of it."""

import pytest
from support.lists import Reader, log, page_of, read, row

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


def test_nothing_is_called_purged_where_a_log_that_grows_was_not_read_to_its_end():
    """What was added since page 1 stands in for rows that have gone."""
    rows = log(250)

    def serve(window):
        if len(reader.asked) == 3:
            del rows[200:228], rows[:12]  # this window shows the end, behind a gap
        elif len(reader.asked) == 4:
            rows.extend(row(key) for key in range(250, 550))  # and is it no longer
        return page_of(rows, window)

    reader = Reader(serve, order="asc")
    reader.run()
    report = reader.report
    assert report.complete
    assert reader.read[-1].created_at > row(249).created_at
    assert (report.expected, report.delivered, report.purged) == (250, 237, 0)


def test_a_row_that_page_1_counted_and_could_not_show_yet_is_not_called_purged():
    """Newest first it came in before page 1, and was counted with it."""
    rows = log(6, "desc")

    def serve(window):
        first = len(reader.asked) == 1
        return page_of(rows[1:] if first else rows, window, count=6)

    reader = Reader(serve, order="desc")
    reader.run()
    report = reader.report
    assert report.complete
    assert [r.id for r in reader.read] == [r.id for r in rows[1:]]
    assert (report.expected, report.delivered, report.purged) == (6, 5, 0)
