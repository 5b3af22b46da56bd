"""Lists that grow at their end faster than they are read."""

from support.lists import Reader, page_of, row


def test_a_read_is_over_where_the_end_that_was_looked_for_lies_before_what_was_read():
    # The list gets twenty rows with each answer. When its end is looked for, all new
    # rows are gone, and older ones have appeared: so the read is past the end.
    served_to = 0
    answers = 0

    def serve(window):
        nonlocal served_to, answers
        answers += 1
        if window.start >= served_to + 4:
            older = [row(number / 1000) for number in range(window.start + 1)]
            return page_of(older, window)
        page = page_of([row(100 + n) for n in range(4 + 20 * (answers - 1))], window)
        served_to = max(served_to, window.start + len(page.items))
        return page

    reader = Reader(serve, take=4, order="asc").run()
    assert reader.report.complete
    assert [r.id for r in reader.read[:4]] == [f"r{n}" for n in range(100, 104)]
    assert len(reader.read) == 20
    assert len(reader.asked) == 4
