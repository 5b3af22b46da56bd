"""A part that is read oldest first, where the newest page may hold all of it."""

import attrs
import pytest
from support.lists import Reader, log, page_of, row, tied

from canopy_async._walk import Span, proven_walk
from canopy_async.checkpoint import Checkpoint
from canopy_async.errors import ProtocolError, UnorderedListError
from canopy_async.report import Proof


def read_part(rows, span, *, ignores_order=False):
    """Read a part of a log that is given oldest first and holds still."""

    def serve(window):
        turned = window.newest_first and not ignores_order
        return page_of(rows[::-1] if turned else rows, window)

    reader = Reader(serve)
    reader.walk = proven_walk(take=100, order="asc", span=span)
    reader.run()
    assert reader.report.delivered == len(reader.read)
    return reader


def after(last, *ids):
    return Checkpoint(
        scope="s",
        order="asc",
        key=last.created_at,
        ids=frozenset(ids),
        position=10,
        proof=Proof.STRICT_KEY,
    )


def ids_in(reader):
    return [r.id for r in reader.read]


@pytest.mark.parametrize("ignores_order", [False, True])
def test_only_the_rows_between_since_and_until_are_handed_out(ignores_order):
    rows = log(80)
    span = Span(since=rows[20].created_at, until=rows[60].created_at)
    reader = read_part(rows, span, ignores_order=ignores_order)
    assert ids_in(reader) == [r.id for r in rows[20:60]]
    assert reader.report.complete
    assert len(reader.asked) == 1


@pytest.mark.parametrize("ignores_order", [False, True])
def test_of_ties_at_the_checkpoint_only_those_that_were_read_are_left_out(
    ignores_order,
):
    rows = [*log(30), *tied(3, 30), *[row(key) for key in range(31, 60)]]
    span = Span(resume=after(rows[30], "t0", "t2"))
    reader = read_part(rows, span, ignores_order=ignores_order)
    assert ids_in(reader) == ["t1", *[r.id for r in rows[33:]]]
    assert reader.report.complete


def test_an_id_that_was_read_at_another_instant_is_not_left_out():
    rows = log(60)
    span = Span(resume=after(rows[30], "r30", "r40"))
    assert ids_in(read_part(rows, span)) == [r.id for r in rows[31:]]


def test_since_leaves_out_what_ties_with_nothing_in_the_part():
    rows = log(60)
    span = Span(since=rows[30].created_at, resume=after(rows[20], "r20"))
    assert ids_in(read_part(rows, span)) == [r.id for r in rows[30:]]


def test_rows_that_reach_back_to_the_part_but_not_before_it_are_not_all_of_it():
    rows = [*log(100), *tied(100, 100)]
    span = Span(since=rows[100].created_at)
    reader = read_part([*rows[:99], *tied(2, 100, "u"), *rows[100:]], span)
    assert sorted(ids_in(reader)) == sorted(["u0", "u1", *(r.id for r in rows[100:])])
    assert len(reader.asked) > 1


def test_a_log_without_rows_has_none_of_the_part():
    reader = read_part([], Span(since=row(5).created_at))
    assert ids_in(reader) == []
    assert reader.report.complete


@pytest.mark.parametrize("since", [201, 250, 299])
def test_a_newest_page_that_reaches_back_behind_the_part_is_the_only_request(since):
    rows = log(300)
    reader = read_part(rows, Span(since=rows[since].created_at))
    assert ids_in(reader) == [r.id for r in rows[since:]]
    assert (reader.report.complete, reader.report.proof) == (True, Proof.STRICT_KEY)
    assert len(reader.asked) == 1


@pytest.mark.parametrize("since", [199, 200])
def test_one_that_ends_within_the_part_is_not_all_of_it(since):
    rows = log(300)
    reader = read_part(rows, Span(since=rows[since].created_at))
    assert ids_in(reader) == [r.id for r in rows[since:]]
    assert len(reader.asked) > 1


@pytest.mark.parametrize("ignores_order", [False, True])
def test_a_log_that_is_newer_than_the_part_begins_is_one_request(ignores_order):
    rows = log(50)
    span = Span(since=row(-5).created_at)
    reader = read_part(rows, span, ignores_order=ignores_order)
    assert ids_in(reader) == [r.id for r in rows]
    assert len(reader.asked) == 1
    assert reader.walk.position == 50
    assert reader.report.order_observed == "asc"


def test_an_id_that_comes_twice_on_the_newest_page_is_an_error():
    rows = log(60)
    rows[20] = row(20, "r40")
    with pytest.raises(ProtocolError, match="occurs twice"):
        read_part(rows, Span(since=row(10).created_at))


@pytest.mark.parametrize("limit", [1, 5, 30])
def test_a_limit_takes_the_oldest_rows_of_the_newest_page(limit):
    rows = log(60)
    walk = proven_walk(
        take=100, order="asc", span=Span(since=rows[30].created_at), limit=limit
    )
    reader = Reader(lambda window: page_of(rows[::-1], window), walk=walk).run()
    assert ids_in(reader) == [r.id for r in rows[30:]][:limit]
    assert reader.report.complete


def test_a_page_of_one_key_before_the_part_does_not_show_that_nothing_came_since():
    # The server sends the oldest rows first, whatever it is asked for; they all tie.
    rows = [*tied(130, 0), *[row(key) for key in range(1, 90)]]
    reader = read_part(rows, Span(since=row(40).created_at), ignores_order=True)
    assert ids_in(reader) == [f"r{key}" for key in range(40, 90)]
    assert reader.report.complete


def test_a_part_that_is_before_all_rows_ends_at_the_head_of_the_list():
    span = Span(since=row(-9).created_at, until=row(-3).created_at)
    reader = read_part(log(60), span)
    assert (reader.read, reader.walk.position) == ([], 0)
    assert reader.report.complete


@pytest.mark.parametrize(
    ("options", "is_asked_for"),
    [
        ({"order": "asc"}, True),
        ({"order": "asc", "sort_by": "created_at"}, True),
        ({"order": "asc", "sort_by": "severity"}, False),
        ({"order": "desc"}, False),
        ({"order": None}, False),
        ({"sort_by": "severity"}, False),
    ],
)
def test_the_newest_page_is_asked_for_where_a_part_is_read_oldest_first(
    options, is_asked_for
):
    span = Span(since=row(5).created_at)
    assert proven_walk(take=100, span=span, **options).plan().newest_first is (
        is_asked_for
    )
    assert not proven_walk(take=100, **options).plan().newest_first


@pytest.mark.parametrize(("kept", "is_asked_for"), [("asc", True), ("desc", False)])
def test_it_is_not_asked_for_where_the_server_has_not_kept_the_order(
    kept, is_asked_for
):
    checkpoint = attrs.evolve(after(row(9), "r9"), order=kept)
    span = Span(resume=checkpoint)
    walk = proven_walk(take=100, order="asc", span=span)
    assert walk.plan().newest_first is is_asked_for


def test_a_list_that_is_not_sorted_is_refused_unless_that_is_accepted():
    rows = [row(key * 37 % 101, f"r{key}") for key in range(250)]
    reader = Reader(lambda window: page_of(rows, window))
    reader.walk = proven_walk(take=100)
    reader.fails(UnorderedListError)
    reader = Reader(lambda window: page_of(rows, window))
    reader.walk = proven_walk(take=100, accept_unordered=True)
    assert ids_in(reader.run()) == [r.id for r in rows]
