"""Answers in a row that bring nothing new: how many of them a walk puts up with."""

import attrs
import pytest
from support.lists import Reader, log, page_of

from canopy_async._walk import Window
from canopy_async._walk.state import Patience
from canopy_async.errors import DriftTooFastError, RequestBudgetError


def note_barren(patience, times, *, is_done=False):
    for _ in range(times):
        patience.note_barren(is_done=is_done, counted=9)


def test_a_plan_leads_nowhere_after_eight_answers_without_a_new_row():
    patience = Patience()
    note_barren(patience, 7)
    assert not patience.is_short
    note_barren(patience, 1)
    assert patience.is_short


def test_a_new_row_renews_all_patience():
    patience = Patience()
    note_barren(patience, 160)
    patience.is_lost = True
    patience.renew()
    assert not patience.is_lost
    note_barren(patience, 7)
    assert not patience.is_short
    note_barren(patience, 153)


def test_a_read_is_given_up_after_160_answers_without_a_new_row():
    patience = Patience()
    note_barren(patience, 160)
    said = "161 answers in a row brought nothing new, though the server counts 9 rows"
    with pytest.raises(RequestBudgetError, match=said):
        note_barren(patience, 1)


def test_a_read_that_is_done_is_not_given_up():
    patience = Patience()
    note_barren(patience, 200, is_done=True)
    with pytest.raises(RequestBudgetError):
        note_barren(patience, 1)


@pytest.mark.parametrize("first", [90, 98, 99, 100])
def test_nothing_is_asked_for_ahead_once_the_plan_leads_nowhere(first):
    """The server sends the rows of one page for all of them."""
    rows = log(2_000)

    def cost(width):
        def serve(window):
            if len(reader.asked) == 1:
                return page_of(rows, window)
            page = page_of(rows[first:], Window(1, window.take), count=2_000)
            meta = attrs.evolve(
                page.pagination, page=window.page, has_previous_page=window.page > 1
            )
            return attrs.evolve(page, pagination=meta)

        reader = Reader(serve, width=width)
        reader.fails(DriftTooFastError)
        return len(reader.asked)

    assert cost(1) <= 67
    assert cost(8) <= cost(1) + 7
