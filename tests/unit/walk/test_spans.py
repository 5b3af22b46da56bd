"""Spans: the bounds of a part of a list, and where it begins in each order."""

from datetime import UTC, datetime, timedelta

import pytest
from support.lists import row

from canopy_async._walk.span import WHOLE, Span
from canopy_async.checkpoint import Checkpoint
from canopy_async.errors import UnprovenTiesError
from canopy_async.report import Proof

SINCE, INSIDE, UNTIL = (row(key).created_at for key in (10, 15, 20))
TICK = timedelta(microseconds=1)
PART = Span(since=SINCE, until=UNTIL)


def resuming(key=INSIDE, *, proof=Proof.STRICT_KEY, **bounds):
    ids = frozenset() if key is None else frozenset({"a"})
    return Span(resume=Checkpoint(scope="s", key=key, ids=ids, proof=proof), **bounds)


@pytest.mark.parametrize("name", ["since", "until"])
def test_a_bound_is_an_instant_with_an_offset(name):
    with pytest.raises(TypeError, match=name):
        Span(**{name: "2026-04-20"})
    with pytest.raises(ValueError, match=name):
        Span(**{name: datetime(2026, 4, 20)})


def test_a_part_begins_before_it_ends():
    Span(since=SINCE, until=SINCE + TICK)
    for until in (SINCE, SINCE - TICK):
        with pytest.raises(ValueError, match="since must be before until"):
            Span(since=SINCE, until=until)


def test_a_span_without_any_bound_is_the_whole_list():
    assert WHOLE.is_whole is True
    assert Span().is_whole is True
    for part in (Span(since=SINCE), Span(until=UNTIL), resuming()):
        assert part.is_whole is False


@pytest.mark.parametrize(
    ("order", "first", "last"),
    [("asc", SINCE, UNTIL - TICK), ("desc", UNTIL - TICK, SINCE)],
)
def test_both_bounds_are_the_keys_that_are_wanted_first_and_last(order, first, last):
    assert (PART.first_key(order), PART.last_key(order)) == (first, last)


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_bound_that_is_not_given_is_no_key(order):
    assert (WHOLE.first_key(order), WHOLE.last_key(order)) == (None, None)


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_read_that_resumes_begins_at_the_checkpoint_instead_of_the_bound(order):
    assert resuming(since=SINCE, until=UNTIL).first_key(order) == INSIDE
    begin = resuming(None, since=SINCE, until=UNTIL)  # nothing was handed out before
    assert begin.first_key(order) == PART.first_key(order)


def test_nothing_lies_before_the_first_instant_of_the_calendar():
    first = datetime.min.replace(tzinfo=UTC)
    assert Span(until=first).last_key("asc") == first


@pytest.mark.parametrize(
    ("key", "is_held"),
    [
        (SINCE - TICK, False),
        (SINCE, True),
        (INSIDE, True),
        (UNTIL - TICK, True),
        (UNTIL, False),
    ],
)
def test_a_span_holds_its_first_instant_and_not_the_one_at_its_end(key, is_held):
    assert PART.holds(key) is is_held
    assert WHOLE.holds(key) is True
    assert Span(since=SINCE).holds(key) is (key >= SINCE)
    assert Span(until=UNTIL).holds(key) is (key < UNTIL)


@pytest.mark.parametrize(
    ("span", "proof"),
    [
        (WHOLE, Proof.STRICT_KEY),
        (PART, Proof.STRICT_KEY),
        (resuming(None, proof=Proof.NONE), Proof.STRICT_KEY),  # nothing was read yet
        (resuming(proof=Proof.STRICT_KEY), Proof.STRICT_KEY),
        (resuming(proof=Proof.COUNT), Proof.COUNT),
        (resuming(proof=Proof.SHARED_ID), Proof.SHARED_ID),
        (resuming(proof=Proof.FENCE), Proof.NONE),
        (resuming(proof=Proof.NONE), Proof.NONE),
    ],
)
def test_a_read_is_proven_no_better_than_what_was_read_before_it(span, proof):
    assert span.past_proof is proof


def test_only_ties_that_were_read_in_part_before_can_never_be_proven():
    for proof in Proof:
        if proof is not Proof.SHARED_ID:
            resuming(proof=proof).check_past()
    WHOLE.check_past()
    with pytest.raises(UnprovenTiesError, match="before resume"):
        resuming(proof=Proof.SHARED_ID).check_past()
