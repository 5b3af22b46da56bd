"""The report of a walk, count by count, and what is no part of a list's proof."""

import attrs
import pytest
from support.lists import Reader, log, page_of, read, row, tied

from canopy_async._walk import Window
from canopy_async._walk.state import Patience
from canopy_async.checkpoint import CheckpointBuilder
from canopy_async.errors import ProtocolError, RequestBudgetError
from canopy_async.report import Proof, ReadReport


@pytest.fixture(params=["asc", "desc"])
def order(request):
    return request.param


@pytest.mark.parametrize("rows", [1, 2])
def test_rows_that_appear_behind_the_cover_are_counted_as_late(rows, order):
    listed = log(300, order)
    key = 97.5 if order == "asc" else 299 - 97.5

    def serve(window):
        page = page_of(listed, window)
        if len(reader.asked) == 1:
            listed[98:98] = tied(rows, key, "late")
        return page

    reader = Reader(serve, order=order)
    reader.run()
    assert [r.id for r in reader.read] == [r.id for r in log(300, order)]
    assert (reader.report.late, reader.report.complete) == (rows, True)


def test_rows_that_come_twice_are_counted_as_duplicates():
    listed = log(300, "desc")

    def serve(window):
        page = page_of(listed, window)
        if len(reader.asked) == 1:
            listed[:0] = [row(1_000 - n) for n in range(30)]
        return page

    reader = Reader(serve)
    reader.run()
    # Windows overlap by two rows, and by what was added.
    windows = len(reader.asked)
    assert reader.report.duplicates >= 30 + 2 * (windows - 1) - 2
    assert reader.report.late == 0


@pytest.mark.parametrize("gone", [0, 7])
def test_rows_that_went_before_they_were_read_are_counted_as_purged(gone):
    listed = log(300, "desc")

    def serve(window):
        page = page_of(listed, window)
        if len(reader.asked) == 1 and gone:
            del listed[-gone:]
        return page

    reader = Reader(serve, order="desc")
    reader.run()
    assert (reader.report.expected, reader.report.purged) == (300, gone)


@pytest.mark.parametrize("limit", [50, 100, 130])
def test_rows_behind_a_limit_are_not_called_purged(limit, order):
    report = read(log(300, order), limit=limit).report
    assert (report.delivered, report.purged, report.complete) == (limit, 0, True)


def test_a_read_of_nothing_is_complete():
    report = read(log(5), limit=0).report
    assert (report.complete, report.proof) == (True, Proof.STRICT_KEY)


@pytest.mark.parametrize("count", [1, 50, 250])
def test_rows_that_swap_their_keys_are_seen_to_have_changed(count):
    # The keys are those that were there before, in their order.
    listed = log(100 + count)

    def serve(window):
        page = page_of(listed, window)
        if len(reader.asked) == 1:
            listed[98], listed[99] = row(98, "r99"), row(99, "r98")
        return page

    reader = Reader(serve)
    reader.fails(ProtocolError, "created_at of a row changed")


@pytest.mark.parametrize("place", [20, 60])
def test_ties_in_another_order_each_time_are_sampled_until_none_is_missing(place):
    """The run is amid the list, or at its end."""
    run, others = tied(50, 19.5 + (place - 20)), log(60)
    turn = 0

    def serve(window):
        nonlocal turn
        turn += 7
        turned = [*run[turn % 50 :], *run[: turn % 50]]
        return page_of([*others[:place], *turned, *others[place:]], window)

    reader = Reader(serve, take=20, max_take=20)
    reader.run()
    wanted = [*others[:place], *run, *others[place:]]
    assert sorted(r.id for r in reader.read) == sorted(r.id for r in wanted)
    assert [r.created_at for r in reader.read] == [r.created_at for r in wanted]
    assert (reader.report.complete, reader.report.proof) == (True, Proof.COUNT)


def test_a_fence_ends_where_page_after_page_brings_nothing_new():
    listed = log(20)

    def serve(window):
        page = page_of(listed, Window(1, 20), count=100_000, cut=20)
        meta = attrs.evolve(
            page.pagination, page=window.page, has_previous_page=window.page > 1
        )
        return attrs.evolve(page, pagination=meta)

    reader = Reader(serve, take=10)
    reader.fails(RequestBudgetError, "33 pages in a row brought nothing new")


def test_a_walk_bears_with_so_many_answers_in_a_row_that_bring_nothing():
    patience = Patience()
    for _ in range(160):
        patience.note_barren(is_done=False, counted=9)
    patience.note_barren(is_done=True, counted=9)
    said = "162 answers in a row brought nothing new, though the server counts 9 rows"
    with pytest.raises(RequestBudgetError, match=said):
        patience.note_barren(is_done=False, counted=9)
    patience.renew()
    patience.note_barren(is_done=False, counted=9)
    assert not patience.is_short


@pytest.mark.parametrize(("position", "kept"), [(-3, 0), (0, 0), (7, 7)])
def test_a_checkpoint_keeps_a_position_that_is_in_the_list(position, kept):
    place = CheckpointBuilder(lambda: "scope")
    checkpoint = place.checkpoint(log(2), ReadReport(), position=position)
    assert checkpoint.position == kept
