"""Walks against an adversary that moves small lists between any two answers.

The adversary draws all it does from one random source. As a script this runs as
many of them as there is time for:

    PYTHONPATH=tests/simulation python tests/unit/walk/test_walk.py 100000
"""

import random
import sys
from collections import Counter

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from walksim import (
    EPOCH,
    SimRow,
    Torment,
    chain_for,
    draw_torment,
    promised,
    torment,
)

from canopy_async._walk import PlainWalk, Window
from canopy_async.models import Page, PageMeta
from canopy_async.report import Proof


def judge(seed):
    rng = random.Random(seed)
    how = draw_torment(rng)
    verdict = torment(how, rng, chain_for(how))
    wrong = verdict.wrong if promised(how, verdict.report) else None
    return how, verdict, wrong


@pytest.mark.parametrize("batch", range(8))
def test_an_adversary_makes_a_walk_raise_but_never_lose(batch):
    proofs = Counter()
    for seed in range(250 * batch, 250 * (batch + 1)):
        how, verdict, wrong = judge(seed)
        assert wrong is None, f"seed {seed}: {wrong} with {how}"
        proofs[verdict.raised or verdict.report.proof] += 1
    assert proofs[Proof.STRICT_KEY] > 100  # it was not all given up


@settings(max_examples=2 * settings().max_examples)
@given(rng=st.randoms(use_true_random=False))
def test_an_adversary_that_shrinks_finds_nothing_either(rng):
    how = draw_torment(rng)
    verdict = torment(how, rng, chain_for(how))
    assert verdict.wrong is None or not promised(how, verdict.report), how


MOVES = {
    "nothing": (),
    "inserts": ("insert",),
    "purges": ("purge",),
    "ring": ("ring",),
    "late": ("late",),
    "removals": ("remove",),
    "swaps": ("swap",),
}


@pytest.mark.parametrize("width", [1, 4, 16])
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("moves", MOVES)
def test_what_moves_slowly_is_always_proven(moves, order, width):
    how = Torment(
        order=order,
        take=20,
        max_take=20,
        rows=90,
        width=width,
        kinds=MOVES[moves],
        restless=0.3,
        ties=0.05,
        unstable=True,
    )
    for seed in range(12):
        rng = random.Random(f"{moves} {seed}")
        verdict = torment(how, rng, chain_for(how))
        assert verdict.wrong is None
        assert verdict.raised is None
        assert verdict.report.proof == Proof.STRICT_KEY


def never_wrong(how, runs):
    """Judge walks against one kind of adversary; return how they ended."""
    ends = Counter()
    for seed in range(runs):
        rng = random.Random(seed)
        verdict = torment(how, rng, chain_for(how))
        assert verdict.wrong is None, f"seed {seed}"
        ends[verdict.raised or verdict.report.proof] += 1
    return ends


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("kinds", [("insert",), ("purge",), ("insert", "purge")])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_bridges_that_are_cut_silently_are_no_ends(order, kinds, width):
    # The plan's windows fit into what the server sends; those that bridge a gap
    # don't. Cut without a word, they lie elsewhere than their number says, and
    # by the server's own page_count they end the list.
    how = Torment(
        order=order,
        take=6,
        max_take=30,
        rows=40,
        width=width,
        kinds=kinds,
        restless=0.5,
        burst=3,
        cap=12,
        cap_said=False,
        cap_counted=False,
    )
    assert never_wrong(how, 40)[Proof.STRICT_KEY] > 20


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_fence_around_pages_of_one_key_each_keeps_the_order(order):
    how = Torment(
        order=order,
        take=2,
        rows=9,
        kinds=("insert",),
        restless=0.8,
        burst=12,
        ties=0.85,
        size=5,
    )
    assert never_wrong(how, 150)[Proof.FENCE] > 0


def test_the_adversary_is_seen_to_catch_a_naive_reader():
    lost = 0
    for seed in range(200):
        rng = random.Random(seed)
        how = Torment(order="desc", rows=20, kinds=("insert",), restless=0.5)
        verdict = torment(how, rng, AllegedlyComplete(take=4))
        lost += "lost" in (verdict.wrong or "") or "twice" in (verdict.wrong or "")
    assert lost > 100


class AllegedlyComplete(PlainWalk):
    def report(self):
        return attrs.evolve(super().report(), complete=True, proof="naive")


# Plain pages


def page_of(rows, window, **meta):
    start = (window.page - 1) * window.take
    pages = -(-len(rows) // window.take)
    answer = PageMeta(
        page=window.page,
        take=window.take,
        item_count=len(rows),
        page_count=pages,
        has_previous_page=window.page > 1,
        has_next_page=window.page < pages,
    )
    items = tuple(rows[start : start + window.take])
    return Page(items=items, pagination=attrs.evolve(answer, **meta))


def plainly(rows, *, width=1, **options):
    walk, read, asked = PlainWalk(**options), [], 0
    while not walk.done:
        while len(walk.windows) < width and walk.plan():
            asked += 1
        page = page_of(rows, walk.windows[0])
        read += walk.accept_page(page)
    return walk, read, asked


ROWS = [SimRow(f"r{number}", EPOCH) for number in range(95)]


@pytest.mark.parametrize("width", [1, 3, 16])
@pytest.mark.parametrize("count", [0, 1, 19, 20, 21, 95])
def test_a_plain_walk_asks_for_each_page_once(count, width):
    walk, read, asked = plainly(ROWS[:count], take=20, width=width)
    assert read == ROWS[:count]
    assert asked == max(1, -(-count // 20))
    assert walk.report().delivered == walk.report().expected == count


def test_a_plain_walk_proves_nothing():
    walk, _, _ = plainly(ROWS, take=20)
    assert walk.report().proof == Proof.NONE
    assert not walk.report().complete
    assert walk.sends_sort_by
    assert not walk.retry_without_sort()


@pytest.mark.parametrize("limit", [0, 1, 19, 20, 21, 60, 95, 200])
def test_a_plain_walk_keeps_to_a_limit(limit):
    walk, read, asked = plainly(ROWS, take=20, limit=limit)
    assert read == ROWS[:limit]
    assert asked == min(5, -(-limit // 20))
    assert walk.total == (min(limit, 95) if limit else None)


def test_page_1_is_alone_until_it_says_how_many_there_are():
    walk = PlainWalk(take=20)
    assert walk.plan().page == 1
    assert walk.plan() is None
    walk.accept_page(page_of(ROWS, walk.windows[0]))
    assert [walk.plan().page for _ in range(4)] == [2, 3, 4, 5]
    assert walk.plan() is None


def test_a_plain_walk_takes_a_404_for_an_empty_page():
    walk = PlainWalk(take=20)
    walk.plan()
    walk.accept_page(page_of(ROWS[:40], walk.windows[0]))
    walk.plan()
    assert walk.accept_missing() == ()
    assert walk.done
    assert walk.position == 40


def test_a_plain_walk_with_a_limit_reads_on_where_pages_are_cut():
    walk = PlainWalk(take=40, limit=80)
    read = []
    while not walk.done:
        window = walk.plan()
        cut = Window(window.page, 20)
        read += walk.accept_page(page_of(ROWS, cut))
    assert read == ROWS[:80]


def main():
    """Judge as many adversaries as the command line says."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 10**6
    ends, wrongs, outside = Counter(), 0, 0
    for seed in range(first, first + count):
        how, verdict, wrong = judge(seed)
        ends[verdict.raised or str(verdict.report.proof)] += 1
        outside += wrong is None and verdict.wrong is not None
        if wrong is not None:
            wrongs += 1
            print(f"seed {seed}: {wrong} with {how}")  # a script
    print(f"{count} adversaries, {wrongs} wrong, {outside} outside of the promise")
    print(dict(ends))
    return 1 if wrongs else 0


if __name__ == "__main__":
    sys.exit(main())
