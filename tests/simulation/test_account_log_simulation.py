"""Reads of an account's log: what is lost, repeated, raised and asked for.

`accountlogsim.py` prints the same as a table, for as many schedules as there is time.
"""

import random
from datetime import timedelta

import attrs
import pytest
from accountlogsim import (
    KINDS,
    START,
    Driver,
    Kind,
    naive,
    now_of,
    proven,
    server_of,
)

from canopy_async import (
    BrokenCursorError,
    Checkpoint,
    InconsistentLogError,
    UnorderedListError,
)
from canopy_async._account.account_walk import AccountWalk
from canopy_async.report import Proof

WIDTHS = (1, 2, 8)
SEEDS = range(6)
ROWS = {True: 600, False: None}
SAYS_SO = {"UnprovenTiesError", "InconsistentLogError"}


def name_of(kind):
    return kind.name


def kind_named(name):
    return next(kind for kind in KINDS if kind.name == name)


def outcomes(kind, seeds=SEEDS):
    # A server that refuses wide ranges is asked hundreds of times for its whole past.
    seeds = list(seeds)[:2] if kind.widest else seeds
    return [proven(kind, seed, concurrency=width) for seed in seeds for width in WIDTHS]


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_a_read_by_time_hands_out_each_event_once_or_says_that_it_can_not(kind):
    for result in outcomes(kind):
        if result.error is not None:
            assert kind.unproven
            assert result.error in SAYS_SO
            continue
        assert (result.lost, result.repeated, result.disordered) == (0, 0, 0)
        assert result.report.complete
        assert result.report.proof is Proof.CURSOR
        assert result.report.delivered == result.rows


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.loses], ids=name_of)
def test_a_reader_that_follows_the_cursor_loses_events_there(kind):
    assert sum(naive(kind, seed).lost for seed in range(20)) > 0


@pytest.mark.parametrize("name", ["still", "moving edge", "retention deletes"])
def test_a_read_by_time_needs_few_requests_more_than_one_that_proves_nothing(name):
    kind = kind_named(name)
    for seed in range(6):
        ours = proven(kind, seed, rows=3000, concurrency=8)
        theirs = naive(kind, seed, rows=3000)
        assert ours.requests <= 1.5 * theirs.requests + 2


def test_one_request_at_a_time_needs_no_slices():
    kind = kind_named("still")
    ours = proven(kind, 1, rows=3000, concurrency=1)
    assert ours.requests <= naive(kind, 1, rows=3000).requests + 1
    assert ours.report.slices == 1


def test_no_log_is_one_request():
    result = proven(kind_named("still"), 1, rows=0)
    assert (result.requests, result.rows) == (1, 0)


@pytest.mark.parametrize("limit", [1, 20, 200, 500])
@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_a_limit_hands_out_the_newest_events(kind, limit):
    kind = attrs.evolve(kind, arriving=0, late=0, deleting=0)
    for seed in (0, 1):
        result = proven(kind, seed, limit=limit, rows=700)
        if result.error is not None:
            assert kind.unproven
            continue
        server = server_of(kind, seed, rows=700)
        newest = sorted(
            (server.printed(row).created_at for row in server.rows), reverse=True
        )[:limit]
        instants = {id_: server.printed((at, id_)) for at, id_ in server.rows}
        handed = [instants[id_].created_at for id_ in result.handed]
        assert len(set(result.handed)) == len(result.handed)
        assert handed == newest


def test_a_few_of_the_newest_events_are_one_request():
    for seed in range(5):
        result = proven(kind_named("moving edge"), seed, limit=20, rows=2000)
        assert result.requests == 1


@pytest.mark.parametrize(
    "kind",
    [kind for kind in KINDS if not kind.unproven and not kind.widest],
    ids=name_of,
)
def test_a_read_that_is_left_goes_on_after_its_last_event(kind):
    for seed in SEEDS:
        server = server_of(kind, seed, rows=1500)
        before = {id_ for _, id_ in server.rows}
        handed = []
        checkpoint = None
        for _ in range(40):
            walk = AccountWalk(now=now_of(server), concurrency=4, resume=checkpoint)
            driver = Driver(server, walk, concurrency=4, rng=random.Random(seed))
            new = driver.read(most=400)
            new = new[: 1 + len(new) * 2 // 3] if not walk.done else new
            handed += new
            if walk.done:
                break
            key = handed[-1].created_at
            ids = frozenset(event.id for event in handed if event.created_at == key)
            checkpoint = Checkpoint(scope="", order="desc", key=key, ids=ids)
        ids = [event.id for event in handed]
        assert len(ids) == len(set(ids))
        assert before - server.removed <= set(ids)


def test_a_few_of_the_newest_events_cost_little_where_thousands_share_an_instant():
    for newest_first in (True, False):
        server = server_of(Kind(name="bulk", newest_first=newest_first), 1, rows=0)
        server.rows = [(number * 10**9, f"old {number}") for number in range(50)]
        server.rows += [(10**12, f"bulk {number:04}") for number in range(5_000)]
        server.now = 10**12
        walk = AccountWalk(now=now_of(server), limit=20)
        driver = Driver(server, walk, concurrency=8, rng=random.Random(1))
        handed = driver.read()
        assert len({event.id for event in handed}) == 20
        assert all(event.id.startswith("bulk") for event in handed)
        if newest_first:
            assert server.requests == 2


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_bounds_leave_out_what_is_older_and_what_is_as_late_as_until(kind):
    kind = attrs.evolve(kind, arriving=0, late=0, deleting=0)
    since, until = START + timedelta(days=11), START + timedelta(days=30)
    for seed in (0, 3):
        result = proven(kind, seed, since=since, until=until, rows=900)
        if result.error is not None:
            assert kind.unproven
            continue
        server = server_of(kind, seed, rows=900)
        events = map(server.printed, server.rows)
        wanted = {e.id for e in events if since <= e.created_at < until}
        assert set(result.handed) == wanted


class Broken:
    """A server whose answers are changed before they are taken."""

    def __init__(self, server, change):
        self._server, self._change = server, change
        self._number = 0

    def answer(self, since, until, cursor, limit):
        self._number += 1
        rows, after = self._server.answer(since, until, cursor, limit)
        return self._change(self._number, list(rows), after, (since, until, cursor))

    def __getattr__(self, name):
        return getattr(self._server, name)


def read_broken(change, *, kind="still", rows=900, concurrency=2, broken=Broken):
    server = broken(server_of(kind_named(kind), 5, rows=rows), change)
    walk = AccountWalk(now=now_of(server), concurrency=concurrency)
    Driver(server, walk, concurrency=concurrency, rng=random.Random(1)).read()
    return walk.report()


def test_rows_out_of_order_end_a_read():
    def change(number, rows, cursor, _):
        if number == 3:
            rows[4], rows[90] = rows[90], rows[4]
        return rows, cursor

    with pytest.raises(UnorderedListError, match="order"):
        read_broken(change)


def test_an_order_that_turns_round_ends_a_read():
    def change(number, rows, cursor, _):
        return (rows[::-1] if number == 2 else rows), cursor

    with pytest.raises((UnorderedListError, InconsistentLogError)):
        read_broken(change, concurrency=1)


def test_a_row_of_another_time_ends_a_read():
    def change(number, rows, cursor, _):
        if number == 2:
            rows = [(rows[0][0] + 10**10, "of another time"), *rows]
        return rows, cursor

    with pytest.raises(InconsistentLogError, match="outside of that time"):
        read_broken(change, concurrency=1)


def test_a_row_that_comes_again_with_other_contents_ends_a_read():
    def change(number, rows, cursor, _):
        if number == 1:
            at, id_ = rows[0]
            rows[1] = (at - 1000, id_)
        return rows, cursor

    with pytest.raises(InconsistentLogError, match="other contents"):
        read_broken(change)


def test_a_row_that_comes_twice_in_a_page_is_handed_out_once():
    def change(_, rows, cursor, __):
        return [row for row in rows for _ in (1, 2)], cursor

    assert read_broken(change, rows=150).delivered == 150


def test_a_cursor_that_leads_round_ends_a_read():
    def change(_, rows, cursor, __):
        return rows, None if cursor is None else "again"

    class Round(Broken):
        def answer(self, since, until, _cursor, limit):
            return super().answer(since, until, None, limit)

    with pytest.raises(BrokenCursorError, match="followed before"):
        read_broken(change, kind="crowds larger than a page", broken=Round)


def test_empty_pages_without_end_end_a_read():
    def change(number, *_):
        return [], f"c{number}"

    class Endless(Broken):
        def answer(self, since, until, _cursor, limit):
            return super().answer(since, until, None, limit)

    with pytest.raises(BrokenCursorError, match="9 empty pages in a row"):
        read_broken(change, broken=Endless)


def test_a_request_that_hides_rows_of_an_instant_for_good_ends_a_read():
    shown = set()

    def change(number, rows, cursor, asked):
        since, until, _ = asked
        probes = until - since <= timedelta(seconds=2)
        if number > 1 and rows and not probes:
            rows = [row for row in rows if row not in shown]
        shown.update(rows)
        return rows, cursor

    with pytest.raises(InconsistentLogError, match="shown by one request"):
        read_broken(change, concurrency=1)


def test_rows_that_are_deleted_between_two_requests_do_not_end_a_read():
    def change(number, rows, cursor, _):
        if number == 1:
            gone.add(rows[-1])
        else:
            rows = [row for row in rows if row not in gone]
        return rows, cursor

    gone = set()
    report = read_broken(change, concurrency=1)
    assert report.complete
    assert report.delivered == 900
    assert report.repairs == 1


def test_a_crowd_whose_cursor_dies_again_and_again_ends_a_read():
    server = server_of(Kind(name="dead", cursor_uses=0), 1, rows=0)
    server.rows = [(1_000_000, f"r{number:04}") for number in range(900)]
    walk = AccountWalk(now=now_of(server), concurrency=2)
    driver = Driver(server, walk, concurrency=2, rng=random.Random(1))
    with pytest.raises(BrokenCursorError, match="4 times"):
        driver.read()


def test_a_report_says_what_was_asked_for_and_what_agreed():
    result = proven(kind_named("ties"), 5, rows=3000, concurrency=4)
    report = result.report
    assert report.since < START
    assert report.until > START + timedelta(days=40)
    assert report.slices > 1
    assert report.seams > 10
    assert report.order_observed == "desc"
    assert report.expected is None
