"""Ends of lists: which short page is the end, where more rows were counted."""

import attrs
import pytest
from support.lists import Reader, assert_all, log, page_of, row


@pytest.fixture(params=["asc", "desc"])
def order(request):
    return request.param


class ShortPages:
    """A log of which some pages lack their last rows, and which moves after the first.

    Args:
        rows: The list.
        at: The numbers of the requests whose pages are short.
        short: By how many rows.
        moves: Called with the list once the first of them was sent.
    """

    def __init__(self, rows, *, at, short, moves):
        self.rows, self.at, self.short, self.moves = rows, at, short, moves
        self.served = 0

    def __call__(self, window):
        self.served += 1
        page = page_of(self.rows, window)
        if self.served in self.at:
            page = attrs.evolve(page, items=page.items[: -self.short])
        if self.served == min(self.at):
            self.moves(self.rows)
        return page


def add_newer(rows, count):
    """Add rows at the newest end of a list."""
    newest_first = rows[0].created_at > rows[-1].created_at
    new = [row(10_000 + len(rows) + key) for key in range(count)]
    rows[:] = [*new[::-1], *rows] if newest_first else [*rows, *new]


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("new", [0, 105, 120, 200, 400])
@pytest.mark.parametrize("short", [1, 30])
@pytest.mark.parametrize("at", [{2}, {2, 5}, {2, 3, 4, 5}])
def test_a_page_that_is_short_amid_a_list_that_grows_is_not_its_end(
    at, short, new, width, order
):
    # Newest first, what was counted is soon reached by position: the rows that were
    # added have pushed the list down so far. They are not the rows that were counted.
    rows = log(300, order)
    serve = ShortPages(
        list(rows), at=at, short=short, moves=lambda listed: add_newer(listed, new)
    )
    reader = Reader(serve, order=order, width=width).run()
    got = [r.id for r in reader.read]
    assert got[:300] == [r.id for r in rows]
    assert reader.report.complete


def test_a_page_that_is_short_is_not_the_end_because_a_later_page_reaches_as_far():
    # The page that reaches as far as was counted does not hold the last row of the
    # short one: what lies between them was not seen at once.
    rows = log(500, "desc")
    serve = ShortPages(
        list(rows), at={3}, short=40, moves=lambda listed: add_newer(listed, 350)
    )
    reader = Reader(serve, order="desc", take=60).run()
    assert_all(reader, rows)


def test_the_last_row_again_on_a_full_page_does_not_show_that_it_is_the_last():
    # One page is short, and ends with r100. Then the list is pushed down each time, so
    # far that r100 is the last row of the next page, too, until one of these reaches as
    # far as was counted.
    rows = log(150, "desc")
    listed, last = list(rows), row(100)
    reached = []

    def serve(window):
        number = len(reader.asked)
        if number == 4:
            items = [
                r
                for r in page_of(listed, window).items
                if r.created_at >= last.created_at
            ]
            return attrs.evolve(page_of(listed, window), items=tuple(items))
        place = listed.index(last)
        if number > 4 and not reached and window.end > place:
            add_newer(listed, window.end - 1 - place)
            reached.extend([window] * (window.end >= 150))
        return page_of(listed, window)

    reader = Reader(serve, order="desc", take=20, max_take=20)
    reader.run()
    assert reached
    assert_all(reader, rows)


@pytest.mark.parametrize("seen", [1, 8, 9])
def test_fewer_rows_behind_the_last_row_than_were_counted_are_not_all_of_them(seen):
    # One page is short, and ends with r10. Then the list is pushed down each time, so
    # far that the next page shows some of the ten rows behind it, and no more.
    rows = log(60, "desc")
    listed, last = list(rows), row(10)
    reached = []

    def serve(window):
        number = len(reader.asked)
        page = page_of(listed, window)
        if number == 3:
            items = [r for r in page.items if r.created_at >= last.created_at]
            return attrs.evolve(page, items=tuple(items))
        pushed = window.end - 1 - seen - listed.index(last)
        if number > 3 and not reached and pushed > 0:
            add_newer(listed, pushed)
            reached.extend([window] * (window.end >= 60))
        return page_of(listed, window)

    reader = Reader(serve, order="desc", take=20, max_take=20)
    reader.run()
    assert reached
    assert_all(reader, rows)


def test_a_page_as_long_as_any_is_not_the_end_however_many_rows_come_behind_it():
    # Pages are cut without a word. Behind the first, rows come late: as many as were
    # counted, and more. Those that were counted come after them.
    rows = log(60)
    late = [row(49 + number / 100, f"late{number}") for number in range(1, 71)]

    listed = list(rows)

    def serve(window):
        if window.page > 1 and len(listed) == len(rows):
            listed[50:50] = late
        return page_of(listed, window, cut=min(50, window.take), said=window.take)

    reader = Reader(serve, order="asc").run()
    assert len(listed) > len(rows)
    assert {r.id for r in rows} <= {r.id for r in reader.read}
    assert reader.report.complete
