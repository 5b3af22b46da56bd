"""Late commits: how far back they are found, what is suspected, and settling."""

import asyncio
import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from latesim import (
    AHEAD,
    DEEP,
    NOON,
    OPTIONS,
    OVERLAP,
    RARELY_AHEAD,
    Case,
    Log,
    Written,
    simulate,
)
from support.late_logs import came_at, follow, late, names, spread, suspected
from support.sampled import sampled
from support.virtual import now, run, virtual

from canopy_async import FollowCheckpoint
from canopy_async._follow import follow_checkpoint, poller
from canopy_async._follow.lateness import CountAudit, ServerTime

SECOND = timedelta(seconds=1)


# Whatever comes when, and whenever it is killed

KINDS = {
    "batches": {},
    "bursts": {"bursts": True, "seconds": 250.0},
    "by event": {"by_event": True},
    "from now on": {"start": "now"},
    "settled": {"settle": 30.0},
    "settled from now on": {"settle": 30.0, "start": "now"},
    "in time": {"ages": ((0, 0), (0, DEEP))},
    "dated ahead": {"ages": RARELY_AHEAD},
    "dated ahead, from now on": {"ages": RARELY_AHEAD, "start": "now"},
    "dated ahead, the time told": {"ages": AHEAD, "tells_time": True},
    "again and again": {"ends": True},
    "again and again, dated ahead": {
        "ages": AHEAD,
        "ends": True,
        "tells_time": True,
    },
}


@pytest.mark.parametrize("seed", sampled(range(2), 0))
@pytest.mark.parametrize("kind", KINDS)
def test_each_event_within_reach_comes_once_and_in_its_place(kind, seed):
    options = {"bursts": False, "seconds": 300.0} | KINDS[kind]
    outcome = run(simulate(Case(seed=seed, **options)))
    assert outcome.made["deep"] > 10
    assert outcome.restarts > 1
    assert outcome.lost == 0
    assert outcome.repeated == 0
    assert outcome.misflagged == 0
    assert outcome.disordered == 0
    assert outcome.suspected <= outcome.missed


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("tells_time", [False, True])
def test_a_gap_speaks_of_each_event_that_was_deleted_before_it_was_seen(
    tells_time, seed
):
    case = Case(seed=seed, retains=20, tells_time=tells_time, seconds=400.0)
    outcome = run(simulate(case))
    assert outcome.unseen > 20
    assert (outcome.untold, outcome.lost, outcome.repeated) == (0, 0, 0)


# How far back


@virtual
async def test_one_beyond_the_overlap_is_found_by_the_next_deep_poll():
    written = [
        *spread(-100, 0, 50),
        *spread(1, 200, 100, "new"),
        Written(71.0, OVERLAP - 2, "near"),
        Written(71.0, OVERLAP + 10, "deep"),
        Written(71.0, DEEP + 100, "gone"),
    ]
    batches, _ = await follow(written, 250, deep_every=120.0)
    at = came_at(batches)
    assert at["near"] < 80
    assert 120 < at["deep"] < 135
    assert "gone" not in at
    assert late(batches) == {"near", "deep"}
    assert len(names(batches)) == len(set(names(batches)))


@virtual
async def test_where_few_ids_are_known_every_poll_is_as_good_as_a_deep_one():
    written = [*spread(-400, 0, 10), Written(51.0, DEEP - 30, "deep")]
    batches, calls = await follow(written, 100, deep_every=10_000.0)
    assert came_at(batches)["deep"] < 75
    assert {call.page for call in calls} == {1}
    assert max(int(call.url.query["take"]) for call in calls) <= 20


@pytest.mark.parametrize("off", [{"deep_overlap": None}, {"deep_every": 0}])
def test_without_deep_polls_the_overlap_is_all(off):
    written = [
        *spread(-100, 0, 50),
        *spread(1, 100, 50, "new"),
        Written(51.0, OVERLAP - 2, "near"),
        Written(51.0, OVERLAP + 30, "deep"),
    ]
    batches, _ = run(follow(written, 300, **off))
    assert late(batches) == {"near"}
    # The fifteen events that were seen last span more than that: they stay known.
    places = [batch.checkpoint for _, batch in batches]
    reach = [place.newest - place.floor for place in places]
    assert all(OVERLAP * SECOND <= span <= 3 * OVERLAP * SECOND for span in reach)


@virtual
async def test_a_log_that_went_on_after_a_long_rest_is_read_back_before_it_does():
    written = [
        *spread(-100, 0, 50),
        Written(1000.0, 1030.0, "late"),  # half a minute before the last one
        Written(1001.0, 0.0, "new"),
    ]
    batches, _ = await follow(written, 1100)
    assert late(batches) == {"late"}
    assert sorted(names(batches)) == ["late", "new"]


@virtual
async def test_what_was_there_before_is_not_handed_out_by_deep_polls():
    batches, _ = await follow([*spread(-1000, 0, 400), Written(50.0)], 300)
    assert names(batches) == [""]
    first = batches[0][1].checkpoint
    assert first.newest - first.floor >= OVERLAP * SECOND


@virtual
async def test_a_checkpoint_from_before_deep_polls_reaches_as_far_as_it_did():
    known = spread(-100, 0, 50)
    written = [*known, Written(1.0, 5.0, "near"), Written(1.0, 60.0, "deep")]
    written += [*spread(2, 300, 100, "new"), Written(250.0, 90.0, "late")]
    newest = known[-1].date
    ids = {row.name: row.date for row in known if newest - row.date <= OVERLAP * SECOND}
    scope = (await follow(known, 1))[0][0][1].checkpoint.scope
    old = FollowCheckpoint(
        scope=scope,
        newest=newest,
        floor=newest - OVERLAP * SECOND,
        ids=ids,
        count=len(known),
    )
    await asyncio.sleep(20)
    batches, _ = await follow(written, 400, checkpoint=old.dumps())
    assert len(names(batches)) == len(set(names(batches)))
    assert set(names(batches)) == {"near", "late"} | {f"new_{n}" for n in range(100)}


@virtual
async def test_ids_stay_few_however_long_it_goes_on():
    batches, _ = await follow(spread(-10, 590, 600, "new"), 600)
    assert len(names(batches)) > 580
    reach = DEEP + OPTIONS["deep_every"] + OPTIONS["every"] + 5
    assert max(len(b.checkpoint.ids) for _, b in batches) < reach


@virtual
async def test_ids_are_bounded_between_deep_polls(monkeypatch):
    monkeypatch.setattr(follow_checkpoint, "MAX_DEEP_IDS", 100)
    monkeypatch.setattr(poller, "MAX_ROWS_IN_MEMORY", 200)
    written = spread(-10, 590, 600, "new")
    batches, _ = await follow(written, 600, deep_every=10_000.0)
    assert 150 < max(len(b.checkpoint.ids) for _, b in batches) < 220
    assert len(names(batches)) > 580


@pytest.mark.parametrize(("ids", "pages"), [(60, {1}), (90, {1}), (300, {1, 2, 3, 4})])
def test_a_deep_poll_of_an_idle_log_is_a_page_mostly(ids, pages):
    batches, calls = run(follow(spread(-DEEP + 10, -1, ids), 1500, start="beginning"))
    assert len(names(batches)) == ids
    later = [call for call in calls if call.at > 100]
    assert {call.page for call in later} <= pages
    first_pages = sum(call.page == 1 for call in later)
    assert len(later) < 1.2 * first_pages
    deep = [call for call in later if int(call.url.query["take"]) >= min(ids, 100)]
    assert len(deep) > 1400 / OPTIONS["deep_every"] / 2


@virtual
async def test_a_deep_poll_that_is_put_off_comes_in_the_end():
    ids, deep_every = 300, OPTIONS["deep_every"]
    written = [*spread(-DEEP + 10, -1, ids), Written(100.0, 150.0, "hidden")]
    # One comes as another goes, so that the count stays.
    batches, _ = await follow(
        written, 700, start="beginning", count=lambda count: min(count, ids)
    )
    assert 100 < came_at(batches)["hidden"] < 100 + 7 * deep_every


@virtual
async def test_a_deep_poll_is_not_put_off_where_more_was_counted_since_the_last():
    old, deep_every = spread(-DEEP + 10, -1, 300), OPTIONS["deep_every"]
    # It is counted by the poll that hands the new ones out, and cannot be seen.
    written = [*old, *spread(20, 21, 30, "new"), Written(20.5, 150.0, "hidden")]
    batches, _ = await follow(written, 700, start="beginning")
    assert came_at(batches)["hidden"] < 2 * deep_every


@virtual
async def test_catching_up_forgets_nothing_that_it_has_not_read():
    written = [
        *spread(-200, 54, 1270),
        Written(20.0, 180.0, "late"),
        *spread(55, 55.5, 700, "burst"),
    ]
    batches, _ = await follow(written, 120, start="beginning")
    assert late(batches) == {"late"}
    assert len(names(batches)) == len(written)


class LateWhileRead(Log):
    """Gets a late event, and then a new one, when its end is read upwards."""

    is_late_there = False

    def select(self, call):
        rows = super().select(call)
        is_end = any(row.name == "burst_699" for row in rows)
        if is_end and call.url.query["order"] == "asc" and not self.is_late_there:
            self.is_late_there = True
            dated = 60 - DEEP
            self._coming.append(Written(now(), now() - 95, "new"))
            self._coming.append(Written(now(), now() - dated, "late"))
            rows = super().select(call)
        return rows


@virtual
async def test_one_that_is_committed_while_catching_up_is_found():
    log = LateWhileRead([*spread(-100, 0, 50), *spread(50, 55, 700, "burst")])
    options = {"start": "beginning", "deep_every": 10_000.0}
    # The count says nothing, as where events are deleted as well.
    batches, _ = await follow(log, 90, count=lambda count: min(count, 750), **options)
    assert {"new", "late"} <= set(names(batches))
    assert late(batches) == {"late"}


# What is suspected


@virtual
async def test_one_that_is_too_late_for_any_poll_is_suspected_once():
    written = [
        *spread(-400, 0, 50),
        *spread(10, 90, 20, "new"),
        Written(150.0, 3 * DEEP, "gone"),
        Written(150.0, 3 * DEEP, "gone, too"),
        Written(600.0, 0.0, "last"),
    ]
    batches, _ = await follow(written, 900)
    assert suspected(batches) == [2]
    ((at, batch),) = [came for came in batches if came[1].late_suspected]
    assert 150 < at < 150 + 3 * OPTIONS["idle_every"]
    assert (batch.events, batch.gap) == ((), None)


@virtual
async def test_one_that_a_deep_poll_finds_is_sought_at_once_and_not_suspected():
    written = [
        *spread(-100, 0, 50),
        *spread(1, 100, 50, "new"),
        Written(151.0, 100.0, "deep"),
    ]
    batches, _ = await follow(written, 400, deep_every=10_000.0)
    assert came_at(batches)["deep"] < 151 + 2 * OPTIONS["idle_every"]
    assert suspected(batches) == []


@virtual
async def test_it_is_suspected_over_a_restart():
    written = [*spread(-400, 0, 80), Written(150.0, 0.0, "new")]
    batches, _ = await follow(written, 200)
    text = batches[-1][1].checkpoint.dumps()
    written.append(Written(250.0, 3 * DEEP, "gone"))
    await asyncio.sleep(100)
    batches, _ = await follow(written, 200, checkpoint=text)
    assert suspected(batches) == [1]


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_bursts_and_counts_of_the_past_raise_no_suspicion(lag):
    counts = []

    def lagging(count):
        counts.append(count)
        return counts[max(0, len(counts) - 1 - lag)]

    rng = random.Random(lag)
    written = spread(-100, 0, 50)
    for n, at in enumerate(range(20, 300, 40)):
        written += spread(at, at + 20, rng.choice([1, 30, 200]), f"new_{n}")
    batches, _ = run(follow(written, 400, count=lagging))
    assert set(names(batches)) == {row.name for row in written if row.at > 0}
    assert suspected(batches) == []


@virtual
async def test_a_count_of_the_past_raises_no_suspicion_after_a_restart():
    counted = []

    def lagging(count):
        counted.append((now(), count))
        return max(n for at, n in counted if at <= max(now() - 12, counted[0][0]))

    written = [*spread(-100, 0, 50), *spread(100, 101, 80, "new"), Written(200.0)]
    batches, _ = await follow(written, 103, count=lagging, idle_every=5.0)
    text = batches[-1][1].checkpoint.dumps()
    again, _ = await follow(
        written, 200, count=lagging, idle_every=5.0, checkpoint=text
    )
    assert len(names(batches) + names(again)) == 81
    assert suspected(again) == []


@virtual
async def test_one_that_was_deleted_before_it_could_be_seen_is_not_suspected():
    batches, _ = await follow(
        [*spread(-100, 0, 50), Written(150.0)],
        200,
        count=lambda count: count + (100 < now() < 104),
        idle_every=5.0,
        deep_every=None,
    )
    assert names(batches) == [""]
    assert suspected(batches) == []


@pytest.mark.parametrize("start", ["now", "beginning"])
@pytest.mark.parametrize("before", [5, 150, 900])
@virtual
async def test_a_server_that_counts_an_event_it_never_sends_is_followed(start, before):
    old, new = spread(-1_000, -1, before), spread(50, 350, 20, "new")
    batches, _ = await follow([*old, *new], 500, count=lambda n: n + 1, start=start)
    assert batches[0][0] < 10
    owed = [*old, *new] if start == "beginning" else new
    assert sorted(names(batches)) == sorted(row.name for row in owed)
    assert not any(batch.gap for _, batch in batches)


def test_a_poll_that_fails_leaves_the_tally_unsure():
    audit, known = CountAudit(), FollowCheckpoint(scope="s", explained=9)
    for _ in range(3):
        assert audit.with_count(known, 5) == known
        audit.note_poll(1)
    assert audit.with_count(known, 5).explained == 8
    audit.forget()
    assert audit.with_count(known, 5) == known


@virtual
async def test_events_that_are_deleted_raise_no_suspicion():
    log = [*spread(-400, 0, 200), *spread(1, 500, 100, "new")]
    batches, _ = await follow(log, 700, count=lambda count: min(count, 230))
    assert suspected(batches) == []


@given(
    polls=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3)), max_size=60),
    missed=st.integers(0, 5),
)
def test_a_tally_tells_what_was_missed_once_all_is_quiet(polls, missed):
    audit, known, counts, said = CountAudit(), FollowCheckpoint(scope="s"), [0], 0
    polls = [*polls, *[(0, 0)] * 8]
    quiet = len(polls)
    for at, (new, lag) in enumerate([*polls, *[(0, 0)] * 4]):
        counts.append(counts[-1] + new + (missed if at == quiet else 0))
        unexplained = known.unexplained
        known = audit.with_count(known, counts[max(0, len(counts) - 1 - lag)])
        explained = None if known.explained is None else known.explained + new
        found = audit.judge(unexplained - new, is_deep=True)
        assert at > quiet or found == 0
        said += found
        known = FollowCheckpoint(
            scope="s",
            count=counts[max(0, len(counts) - 1 - lag)],
            explained=None if explained is None else explained + found,
        )
        audit.note_poll(new)
    assert said == missed


# Settling


def test_settled_events_come_in_order_though_committed_in_another():
    rng = random.Random(1)
    written = [
        Written(float(at), rng.uniform(0, 25), f"evt_{at}") for at in range(5, 150)
    ]
    held, _ = run(follow(written, 250, settle=30.0, start="beginning"))
    assert sorted(names(held)) == sorted(row.name for row in written)
    assert late(held) == set()
    dates = [event.created_at for _, batch in held for event in batch.events]
    assert dates == sorted(dates)
    loose, _ = run(follow(written, 250, start="beginning"))
    assert sorted(names(loose)) == sorted(row.name for row in written)
    assert late(loose)


@virtual
async def test_the_last_events_of_a_log_that_goes_quiet_come_when_they_have_settled():
    written = [*spread(-100, 0, 10), *spread(50, 52, 3, "last")]
    batches, calls = await follow(written, 500, settle=300.0, idle_every=1000.0)
    at = came_at(batches)
    assert set(at) == {"last_0", "last_1", "last_2"}
    seen = next(call.at for call in calls if call.at > 52)
    assert all(350 < instant < seen + 300 + 10 for instant in at.values())
    assert len(calls) < 25


@virtual
async def test_what_was_committed_late_when_following_began_comes_in_order_too():
    written = [*spread(-100, 0, 50), Written(5.0, 55.0, "b"), Written(20.0, 73.0, "a")]
    batches, _ = await follow(written, 100, settle=75.0)
    assert names(batches) == ["a", "b"]
    assert late(batches) == set()


@virtual
async def test_newer_events_show_that_older_ones_have_settled():
    written = [Written(10.0, 0.0, "a"), Written(41.0, 0.0, "b")]
    batches, _ = await follow(written, 60, settle=30.0, idle_every=5.0)
    assert 41 < came_at(batches)["a"] < 50
    assert "b" not in came_at(batches)


@virtual
async def test_a_checkpoint_never_runs_ahead_of_what_was_handed_out():
    written = [*spread(-100, 0, 10), Written(20.0, 0.0, "a"), Written(51.0, 0.0, "b")]
    batches, _ = await follow(written, 70, settle=30.0)
    assert names(batches) == ["a"]
    checkpoint = batches[-1][1].checkpoint
    assert "b" not in checkpoint.ids
    again, _ = await follow(
        written, 80, settle=30.0, checkpoint=checkpoint.dumps(), start="beginning"
    )
    assert names(again) == ["b"]


@virtual
async def test_one_that_is_committed_later_than_settled_comes_at_once_and_is_named():
    written = [*spread(0, 100, 50), Written(90.0, 40.0, "late")]
    batches, _ = await follow(written, 200, settle=20.0, start="beginning")
    assert late(batches) == {"late"}
    assert came_at(batches)["late"] < 100
    assert len(names(batches)) == 51


@virtual
async def test_many_events_that_have_not_settled_are_not_stuck():
    written = [*spread(-100, 0, 10), *spread(20, 24, 900, "new")]
    batches, _ = await follow(written, 120, settle=40.0)
    assert names(batches) == [f"new_{n}" for n in range(900)]
    assert min(came_at(batches).values()) > 60


@virtual
async def test_what_has_not_settled_is_not_kept_however_much_it_is():
    written = [*spread(-100, 0, 10), *spread(20, 70, 1500, "new")]
    batches, calls = await follow(written, 200, settle=60.0)
    assert names(batches) == [f"new_{n}" for n in range(1500)]
    waiting = [call for call in calls if 30 < call.at < 75]
    assert len(waiting) < 200
    assert max(len(batch.events) for _, batch in batches) <= 600


@virtual
async def test_a_count_that_hides_how_much_has_come_is_noticed(monkeypatch):
    monkeypatch.setattr(poller, "MAX_ROWS_IN_MEMORY", 150)
    known = spread(-100, 0, 50)
    batches, _ = await follow(known, 1)
    text = batches[-1][1].checkpoint.dumps()
    written = [*known, *spread(10, 90, 700, "new")]
    await asyncio.sleep(100)
    batches, _ = await follow(
        written, 100, checkpoint=text, count=lambda count: min(count, 50)
    )
    assert names(batches) == [f"new_{n}" for n in range(700)]
    assert max(len(batch.events) for _, batch in batches) <= 300


def test_what_time_it_is_on_the_server_is_never_overstated():
    time = ServerTime()
    assert time.wait_for(NOON, SECOND, 0.0) == 0.0  # nothing is known yet
    assert time.settled(SECOND, newest=None, began=0.0) < NOON - 10**6 * SECOND
    time.learn(NOON, 100.0)
    time.learn(NOON - 50 * SECOND, 101.0)
    assert time.settled(SECOND, newest=None, began=130.0) == NOON + 29 * SECOND
    time.learn(NOON + 60 * SECOND, 131.0)
    assert time.settled(SECOND, newest=None, began=131.0) == NOON + 59 * SECOND
    assert time.wait_for(NOON + 61 * SECOND, 5 * SECOND, 132.0) == 5.0
    newest = NOON + 90 * SECOND
    assert time.settled(SECOND, newest=newest, began=131.0) == newest - SECOND
