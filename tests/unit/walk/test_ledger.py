"""The counts of a walk: each page teaches them something, and the report says them."""

import pytest
from support.lists import log, page_of

from canopy_async._walk.ledger import Ledger
from canopy_async._walk.view import View
from canopy_async._walk.window import Window
from canopy_async.errors import RequestBudgetError
from canopy_async.report import Proof, ReadReport

PAGE_1 = Window(1, 20)


@pytest.fixture
def ledger():
    return Ledger("asc")


def report_of(ledger, *, proof=Proof.STRICT_KEY, order="asc"):
    return ledger.report(proof=proof, order=order, requests=5, retries=2)


def short_view(*, rows=9, count=30, page=1, more=False):
    window = Window(page, 20)
    listed = log((page - 1) * 20 + rows)
    page = page_of(listed, window, count=count, has_next_page=more)
    return View(page, window, longest=100)


# What pages teach


def test_the_list_is_steady_while_each_page_counts_as_many_rows_as_page_1(ledger):
    assert (ledger.latest, ledger.steady) == (0, True)
    ledger.learn(page_of(log(50), PAGE_1), PAGE_1)
    assert (ledger.latest, ledger.steady) == (50, True)
    ledger.expected = 50
    ledger.learn(page_of(log(50), Window(2, 20)), Window(2, 20))
    assert (ledger.latest, ledger.steady) == (50, True)
    ledger.learn(page_of(log(51), Window(2, 20)), Window(2, 20))
    assert (ledger.latest, ledger.steady) == (51, False)
    ledger.learn(page_of(log(50), Window(2, 20)), Window(2, 20))
    assert (ledger.latest, ledger.steady) == (50, False)  # it has moved once


def test_the_first_page_that_is_not_there_says_that_the_list_is_shorter(ledger):
    ledger.learn(page_of(log(50), PAGE_1), PAGE_1)
    ledger.note_missing(Window(6, 10))
    assert (ledger.latest, ledger.steady) == (50, True)
    ledger.note_missing(Window(5, 10))
    assert (ledger.latest, ledger.steady) == (40, False)


@pytest.mark.parametrize(("count", "pages"), [(50, 3), (40, 2), (41, 3), (0, 0)])
def test_a_number_of_pages_that_follows_from_the_count_is_no_news(ledger, count, pages):
    ledger.learn(page_of(log(20), PAGE_1, count=count, pages=pages), PAGE_1)
    assert ledger.warnings == ()


@pytest.mark.parametrize(("count", "pages"), [(50, 2), (50, 4), (40, 3), (0, 1)])
def test_a_number_of_pages_that_does_not_follow_is_warned_of_once(ledger, count, pages):
    for _ in range(2):
        ledger.learn(page_of(log(20), PAGE_1, count=count, pages=pages), PAGE_1)
    assert ledger.warnings == ("page_count does not follow from item_count and take",)


@pytest.mark.parametrize(("said", "warned"), [(19, True), (20, False), (21, False)])
def test_smaller_pages_than_were_asked_for_are_warned_of(ledger, said, warned):
    ledger.learn(page_of(log(50), PAGE_1, cut=said), PAGE_1)
    assert bool(ledger.warnings) is warned
    assert not warned or "19 rows per page at most" in ledger.warnings[0]


def test_a_short_page_that_comes_again_and_again_ends_the_walk(ledger):
    for _ in range(8):
        ledger.note_short(short_view())
    for other in ({"rows": 8}, {"count": 31}, {"page": 2}):
        for _ in range(8):
            ledger.note_short(short_view(**other))
    said = "counts 30 rows, and sends none after the first 9"
    with pytest.raises(RequestBudgetError, match=said):
        ledger.note_short(short_view())


def test_a_short_page_that_says_that_more_follow_is_quoted(ledger):
    for _ in range(8):
        ledger.note_short(short_view(count=9, more=True))
    with pytest.raises(RequestBudgetError, match="says that more rows follow, and"):
        ledger.note_short(short_view(count=9, more=True))


# The report


def test_before_any_page_a_report_says_nothing_and_is_not_complete(ledger):
    assert report_of(ledger, order=None) == ReadReport(
        proof=Proof.STRICT_KEY, requests=5, retries=2
    )


def test_a_report_says_all_that_was_counted(ledger):
    ledger.expected, ledger.handed_out = 9, 7
    ledger.duplicates, ledger.late, ledger.repairs = 3, 2, 4
    ledger.complete = True
    ledger.warn("one")
    ledger.commit()
    ledger.handed_out = 8  # by a step that is not over
    assert report_of(ledger, proof=Proof.COUNT) == ReadReport(
        complete=True,
        proof=Proof.COUNT,
        expected=9,
        delivered=7,
        duplicates=3,
        late=2,
        repairs=4,
        requests=5,
        retries=2,
        order_observed="asc",
        warnings=("one",),
    )


@pytest.mark.parametrize(
    ("complete", "proof", "is_complete"),
    [
        (True, Proof.STRICT_KEY, True),
        (True, Proof.COUNT, True),
        (True, Proof.NONE, False),
        (False, Proof.STRICT_KEY, False),
    ],
)
def test_what_has_no_proof_is_never_called_complete(
    ledger, complete, proof, is_complete
):
    ledger.complete = complete
    assert report_of(ledger, proof=proof).complete is is_complete


@pytest.mark.parametrize(
    ("asked", "seen", "is_ignored"),
    [
        ("asc", "asc", False),
        ("asc", "desc", True),
        ("desc", "asc", True),
        ("asc", None, False),
        (None, "desc", False),
        (None, None, False),
    ],
)
def test_an_order_was_ignored_if_the_rows_show_the_other_one(asked, seen, is_ignored):
    assert report_of(Ledger(asked), order=seen).order_ignored is is_ignored


@pytest.mark.parametrize(
    ("expected", "delivered", "to_the_end", "purged"),
    [(9, 7, True, 2), (9, 9, True, 0), (9, 12, True, 0), (9, 7, False, 0)],
)
def test_rows_that_were_counted_and_not_there_at_the_end_are_called_purged(
    ledger, expected, delivered, to_the_end, purged
):
    ledger.expected, ledger.handed_out = expected, delivered
    ledger.to_the_end = to_the_end
    ledger.commit()
    assert report_of(ledger).purged == purged


def test_where_no_number_was_expected_nothing_is_purged(ledger):
    ledger.to_the_end = True
    assert report_of(ledger).purged == 0
