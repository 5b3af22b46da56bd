"""The gaps that a follower tells of: events that were deleted before it saw them."""

import math
from datetime import timedelta

import attrs
import pytest
from latesim import NOON, Log, Written
from support.late_logs import follow, names, spread
from support.virtual import now, run

from canopy_async import FollowCheckpoint

HOUR = 3600.0
MINUTE = 60.0
OFTEN = {"overlap": 60.0, "deep_overlap": 600.0, "deep_every": 60.0}
SECOND = timedelta(seconds=1)


class Retaining(Log):
    """Deletes what is older than so much, or more than so many."""

    def __init__(self, written, *, age=math.inf, number=None, tells_time=True):
        super().__init__(written, retains=number, tells_time=tells_time)
        self._age = age

    def _catch_up(self):
        super()._catch_up()
        if self._age < math.inf:
            oldest = NOON + timedelta(seconds=now() - self._age)
            self._rows = [row for row in self._rows if row[0] >= oldest]


def gaps(batches):
    return [batch.gap for _, batch in batches if batch.gap]


def quiet(count=5):
    """Events of an hour ago, close together."""
    return spread(-HOUR, -HOUR + 10, count)


def test_a_quiet_log_loses_its_last_events_without_a_gap():
    log = Retaining([*quiet(), Written(HOUR, 0.0, "new")], age=HOUR + 30 * MINUTE)
    batches, _ = run(follow(log, 1.5 * HOUR, start="beginning", **OFTEN))
    assert names(batches)[-1] == "new"
    assert gaps(batches) == []


def test_a_quiet_log_is_in_doubt_where_the_server_tells_no_time():
    log = Retaining(
        [*quiet(), Written(HOUR, 0.0, "new")], age=HOUR + 30 * MINUTE, tells_time=False
    )
    batches, _ = run(follow(log, 1.5 * HOUR, start="beginning", **OFTEN))
    (emptied, after) = gaps(batches)
    assert emptied.older_than is None
    assert after.older_than == batches[-1][1].events[0].created_at


def test_a_log_that_lost_its_last_events_soon_after_they_came_has_a_gap_once():
    log = Retaining([Written(-100.0, 0.0, "old")], age=3 * MINUTE)
    batches, _ = run(follow(log, HOUR, start="beginning", **OFTEN))
    (gap,) = gaps(batches)
    assert gap.older_than is None


def test_what_comes_after_a_gap_is_in_doubt_until_an_event_is_left_that_is_due():
    written = [Written(-100.0, 0.0, "old"), Written(500.0, -HOUR, "ahead")]
    log = Retaining([*written, Written(900.0, 0.0, "new")], age=3 * MINUTE)
    batches, _ = run(follow(log, 1_000, start="beginning", **OFTEN))
    assert names(batches) == ["old", "ahead", "new"]
    dates = {event.id: event.created_at for _, b in batches for event in b.events}
    told = [gap.older_than for gap in gaps(batches)]
    assert told == [None, dates["ahead"], dates["new"]]


def test_a_burst_that_pushes_itself_out_of_a_quiet_log_is_a_gap():
    burst = [Written(1_000.0 + n / 1000, 0.0, f"burst_{n}") for n in range(12)]
    log = Retaining([*quiet(5), *burst], number=5)
    batches, _ = run(follow(log, 1_200, start="beginning", **OFTEN))
    missing = {row.name for row in burst} - set(names(batches))
    assert len(missing) >= 6  # of those that came between two polls
    (gap,) = gaps(batches)
    assert gap.older_than == batches[-1][1].events[0].created_at


class Purging(Log):
    """Deletes the oldest events once it was asked for so many pages, oldest first."""

    def __init__(self, written, *, after, keeps_from):
        super().__init__(written)
        self._pages = after
        self._keeps_from = keeps_from

    def select(self, call):
        rows = super().select(call)
        if call.url.query["order"] == "asc":
            self._pages -= 1
            if self._pages == 0:
                kept = [row for row in self._rows if row[2].at >= self._keeps_from]
                self._rows = kept
        return rows


@pytest.mark.parametrize("knows_ahead", [False, True])
def test_retention_that_overtakes_a_catching_up_is_a_gap_whatever_is_dated_ahead(
    knows_ahead,
):
    ahead = Written(-50.0, -90 * 24 * HOUR, "ahead")
    before = [*spread(-500, -100, 40), *([ahead] if knows_ahead else [])]
    first = Log(before)
    batches, _ = run(follow(first, 5, start="beginning", **OFTEN))
    text = batches[-1][1].checkpoint.dumps()
    backlog = spread(-90, -1, 2_000, "new")
    log = Purging([*before, *backlog], after=2, keeps_from=-30.0)
    batches, _ = run(follow(log, 60, checkpoint=text, **OFTEN))
    got = set(names(batches))
    kept = {row.name for row in backlog if row.at >= -30.0}
    assert kept <= got
    assert kept | got != {row.name for row in backlog}
    told = gaps(batches)
    assert told
    dates = {row.name: row.date for row in backlog}
    lost = [dates[row.name] for row in backlog if row.name not in got]
    assert max(lost) < max(gap.older_than for gap in told)


def test_the_time_for_which_a_log_keeps_its_events_is_kept_in_the_text():
    place = FollowCheckpoint(scope="s", newest=NOON, ids={"evt_1": NOON})
    place = attrs.evolve(place, kept=90 * 24 * HOUR * SECOND)
    assert FollowCheckpoint.loads(place.dumps()) == place
