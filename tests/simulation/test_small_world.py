"""Reads through every schedule of small worlds: whole and in order, or refused truly.

`smallworld.py` goes through larger ones, for as long as there is time.
"""

import attrs
import pytest
from smallworld import Tally, World, WrongError, explore, lists, proven, worlds
from support.sampled import sampled

from canopy_async._walk import PlainWalk
from canopy_async._walk.key_cover import KeyCover
from canopy_async._walk.list_end import ListEnd
from canopy_async.report import Proof


def explore_all(chosen, make_walk=proven):
    total = Tally()
    for world in chosen:
        total.add(explore(world, make_walk))
    return total


@pytest.mark.parametrize("order", sampled(["asc", "desc"], "asc"))
def test_one_move_of_a_list_without_ties_is_never_refused(order):
    total = explore_all(worlds(rows=7, moves=1, orders=(order,), widths=(3,)))
    assert total.refusals == 0
    assert total.states > 5_000


@pytest.mark.parametrize("order", sampled(["asc", "desc"], "asc"))
def test_one_move_of_a_list_whose_ties_fit_into_a_page_is_never_refused(order):
    chosen = worlds(rows=4, moves=1, tying=True, orders=(order,), widths=(3,))
    total = explore_all(chosen)
    assert total.refusals == 0
    assert total.states > 5_000


@pytest.mark.parametrize(
    ("order", "cut"),
    sampled(
        [("asc", None), ("desc", None), ("asc", 6), ("desc", 6)],
        ("asc", 6),
        ("desc", None),
    ),
)
def test_two_moves_of_six_rows_are_read_with_three_requests_in_flight(order, cut):
    world = World(runs=(1,) * 6, order=order, moves=2, cut=cut)
    total = explore(world)
    assert total.refusals == 0
    assert total.states > 500


@pytest.mark.parametrize("runs", [(4, 2, 1), (2, 5), (7,)])
def test_runs_that_no_page_shows_are_refused_only_while_the_list_moves(runs):
    still = [World(runs=runs, order=o, moves=0) for o in ("asc", "desc")]
    assert explore_all(still).refusals == 0
    moving = [World(runs=runs, order=o, moves=1, tying=True) for o in ("asc", "desc")]
    assert explore_all(moving).refusals > 0


def test_a_read_that_goes_on_amid_ties_that_page_1_ends_in_is_not_refused():
    # They were taken for a run that no page shows, as if the next row could only come
    # after page 1.
    world = World(runs=(4, 2, 1), width=1, moves=1, tying=True, cut=7)
    total = explore(world)
    assert total.ends > total.refusals


def test_a_run_that_no_page_shows_is_not_called_a_drift():
    world = World(
        runs=(4, 1, 2),
        take=4,
        width=2,
        moves=1,
        tying=True,
        counts_first=True,
        cut=6,
    )
    assert explore(world).refusals > 0


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_list_whose_order_nothing_shows_any_more_is_not_called_a_drift(order):
    assert explore(World(runs=(1,), order=order, moves=2)).refusals > 0


# What shows that these worlds are hard


class Boastful(PlainWalk):
    """Reads numbered pages, each once, and says that this is complete."""

    def report(self, **counted):
        report = super().report(**counted)
        return attrs.evolve(report, complete=True, proof=Proof.STRICT_KEY)


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_reader_of_numbered_pages_is_caught(order):
    world = World(runs=(1,) * 6, order=order, width=1, moves=1)
    with pytest.raises(WrongError, match=r"are lost|handed out twice"):
        explore(world, lambda world, _span: Boastful(take=world.take))


def takes_a_touch_for_an_overlap(self, view):
    return self.key is None or view.is_first or view.keys[:1] == [self.key]


def is_content_with_any_window(_cover, view):
    return bool(view.rows)


@pytest.mark.parametrize(
    ("weakened", "runs"),
    [
        (takes_a_touch_for_an_overlap, (1, 1, 1, 1, 3)),
        (is_content_with_any_window, (1,) * 7),
    ],
)
def test_a_weaker_certificate_is_caught(weakened, runs, monkeypatch):
    certifies = KeyCover.certifies
    monkeypatch.setattr(
        KeyCover,
        "certifies",
        lambda self, view: certifies(self, view) or weakened(self, view),
    )
    with pytest.raises(WrongError, match="are lost"):
        explore(World(runs=runs, order="asc", width=1, moves=3))


def test_an_end_that_is_full_is_caught(monkeypatch):
    # A page that holds the last row that was counted, but is full, ends nothing.
    monkeypatch.setattr(
        ListEnd, "is_shown_by", lambda _self, view, **_: view.end >= view.count
    )
    with pytest.raises(WrongError, match="are lost"):
        explore_all(worlds(rows=5, moves=2, least=5))


# The worlds themselves


def test_all_lists_of_up_to_three_rows_are_there():
    assert [*lists(3, tying=True)] == [
        (),
        (1,),
        (1, 1),
        (2,),
        (1, 1, 1),
        (1, 2),
        (2, 1),
        (3,),
    ]
    assert [*lists(3, tying=False)] == [(), (1,), (1, 1), (1, 1, 1)]


def test_states_that_nothing_tells_apart_are_one():
    # An empty list: the first answer holds nothing, whatever is added, and counts none
    # or one; the list it leaves behind is the empty one or has that row.
    total = explore(World(runs=(), moves=0))
    assert (total.states, total.walks, total.ends) == (2, 1, 1)
