"""The choice after the first page of a poll: the whole table."""

from itertools import product

import pytest

from canopy_async._follow.poll_choice import Choice, choose

ASKED = ("is_all", "seems_unchanged", "is_too_much", "is_large_page")


def chosen(*given):
    return choose(**{name: name in given for name in ASKED})


@pytest.mark.parametrize("others", list(product([False, True], repeat=3)))
def test_a_page_that_holds_all_is_handed_out(others):
    given = dict(zip(ASKED[1:], others, strict=True))
    assert choose(is_all=True, **given) is Choice.GO_ON


@pytest.mark.parametrize("others", list(product([False, True], repeat=2)))
def test_a_log_that_seems_unchanged_is_left_for_a_later_poll(others):
    given = dict(zip(ASKED[2:], others, strict=True))
    assert choose(is_all=False, seems_unchanged=True, **given) is Choice.WAIT


def test_what_does_not_fit_in_memory_is_read_oldest_first():
    assert chosen("is_too_much") is Choice.OLDEST_FIRST
    assert chosen("is_too_much", "is_large_page") is Choice.OLDEST_FIRST


def test_a_pass_of_large_pages_goes_on():
    assert chosen("is_large_page") is Choice.GO_ON


def test_after_a_small_page_large_ones_are_read_in_a_new_pass():
    assert chosen() is Choice.READ_AGAIN
