"""The watermark by itself: simulated logs, restarts at every point, texts."""

import random
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canopy_async import (
    AuditEvent,
    Checkpoint,
    CheckpointError,
    FollowCheckpoint,
    Outcome,
    Severity,
)
from canopy_async._follow import follow_checkpoint as module
from canopy_async._follow.follow_checkpoint import front_of
from canopy_async.models import ActorType

NOON = datetime(2026, 4, 20, 12, tzinfo=UTC)
OVERLAP = timedelta(seconds=10)
DEEP = timedelta(seconds=40)


def event(name, seconds):
    return AuditEvent(
        id=name,
        actor_type=ActorType("user"),
        action="role.created",
        metadata={},
        created_at=NOON + timedelta(seconds=seconds),
        outcome=Outcome("success"),
        severity=Severity("info"),
        customer_visible=True,
        identity_visible=True,
    )


def digest(known, rows, *, truncated, until=None):
    """What rows add to a checkpoint, as a batch, as a poll makes one of them."""
    found = known.new_among(rows)
    if until is not None:
        found = known.settled(found, until)
    return known.batch("idn", found, rows, truncated=truncated)


@attrs.define
class Bot:
    """A follower of a simulated log, its memory, and what it did.

    With ``saves_with``, events and checkpoint are one transaction; without, the
    checkpoint is saved after the events were posted.
    """

    saves_with: bool
    rng: random.Random
    log: list = attrs.field(factory=list)
    now: int = 0
    made: int = 0
    posted: list = attrs.field(factory=list)
    saved: str = attrs.field(factory=lambda: FollowCheckpoint(scope="s").dumps())
    excused: set = attrs.field(factory=set)
    owed_a_gap: set = attrs.field(factory=set)
    is_empty_told: bool = False
    crashes: int = 0

    @property
    def known(self):
        return FollowCheckpoint.loads(self.saved)

    def insert(self, seconds):
        self.made += 1
        self.log.append(event(f"evt_{self.made}", seconds))

    def happen(self, gap):
        self.now += gap
        self.insert(self.now)

    def commit_late(self, age):
        """One that is no older than a deep poll allows at this instant."""
        newest = self.known.newest
        base = self.now if newest is None else (newest - NOON).total_seconds()
        self.insert(base - age)
        if age > OVERLAP.total_seconds():
            self.owed_a_gap.clear()  # the log seems to reach back further

    def commit_too_late(self, age):
        """One that may be found, or not."""
        self.commit_late(DEEP.total_seconds() + age)
        self.excused.add(self.log[-1].id)

    def delete(self):
        if self.log:
            gone = self.log.pop(self.rng.randrange(len(self.log)))
            self.excused.add(gone.id)

    def retain(self, count):
        known = self.known
        self.log.sort(key=lambda row: row.created_at)
        for row in self.log[:count]:
            self.excused.add(row.id)
            if known.ids and known.newest and row.created_at > known.newest:
                self.owed_a_gap.add(row.id)
        del self.log[:count]

    def poll(self, crash, *, deep=True, settle=None):
        """Poll once; ``crash`` says after which step, None for not at all."""
        known = self.known
        floor = known.floor if deep else known.near(OVERLAP)
        rows = [r for r in self.log if not floor or r.created_at >= floor]
        self.rng.shuffle(rows)
        batch = digest(
            known,
            rows,
            truncated=len(rows) == len(self.log),
            until=settle and NOON + timedelta(seconds=self.now - settle),
        )
        if deep:
            place = batch.checkpoint.trimmed(overlap=OVERLAP, deep=DEEP)
            batch = attrs.evolve(batch, checkpoint=place)
        assert [e.created_at for e in batch.events] == sorted(
            e.created_at for e in batch.events
        )
        assert batch.late == {
            e.id for e in batch.events if known.newest and e.created_at < known.newest
        }
        if crash == "before":
            return
        # A gap is told of together with the first event after it. A log in which
        # nothing is left is told of once, and again with what comes then.
        is_told_later = not batch.events and (settle if rows else self.is_empty_told)
        if self.owed_a_gap and not is_told_later:
            assert batch.gap is not None
        if crash == "between":
            self.crashes += 1
            if not self.saves_with:
                self.posted += [e.id for e in batch.events]
            return
        if not is_told_later:
            self.owed_a_gap.clear()
        self.is_empty_told = not rows and (self.is_empty_told or bool(batch.gap))
        self.posted += [e.id for e in batch.events]
        self.saved = batch.checkpoint.dumps()


steps = st.one_of(
    st.tuples(st.just("happen"), st.integers(0, 12)),
    st.tuples(st.just("commit_late"), st.integers(0, 10)),
    st.tuples(st.just("commit_late"), st.integers(11, 40)),
    st.tuples(st.just("commit_too_late"), st.integers(1, 40)),
    st.tuples(st.just("delete")),
    st.tuples(st.just("retain"), st.integers(1, 6)),
    st.builds(
        lambda crash, deep, settle: ("poll", crash, {"deep": deep, "settle": settle}),
        st.sampled_from([None, None, "before", "between"]),
        st.sampled_from([False, False, True]),
        st.sampled_from([None, None, 5]),
    ),
)


@pytest.mark.parametrize("saves_with", [True, False])
@settings(max_examples=4 * settings().max_examples)
@given(steps=st.lists(steps, max_size=60), seed=st.integers(0, 999))
def test_whatever_happens_each_event_is_posted(saves_with, steps, seed):
    bot = Bot(saves_with, random.Random(seed))
    for name, *arguments in steps:
        options = arguments.pop() if name == "poll" else {}
        getattr(bot, name)(*arguments, **options)
    bot.poll(None)
    wanted = {f"evt_{n}" for n in range(1, bot.made + 1)}
    assert wanted - bot.excused <= set(bot.posted)
    if saves_with or not bot.crashes:
        assert len(bot.posted) == len(set(bot.posted))
    again = digest(bot.known, bot.log, truncated=False)
    assert again.events == ()


@given(
    ages=st.lists(st.integers(0, 40), min_size=1, max_size=30),
    cut=st.integers(0, 30),
)
def test_a_place_within_a_batch_is_as_good_as_one_after_it(ages, cut):
    rows = [event(f"evt_{n}", -age) for n, age in enumerate(ages)]
    start = FollowCheckpoint(scope="s")
    whole = digest(start, rows, truncated=False)
    handed, left = whole.events[:cut], whole.events[cut:]
    place = start.after(handed)
    rest = digest(place, rows, truncated=False)
    assert rest.events == left


def test_what_is_older_than_the_watermark_does_not_wait():
    place = FollowCheckpoint(scope="s").after([event("evt_1", 0)])
    rows = [event("late", -1), event("tied", 0), event("new", 1)]
    until = NOON - timedelta(seconds=9)
    batch = digest(place, rows, truncated=False, until=until)
    assert [e.id for e in batch.events] == ["late", "tied"]
    assert batch.late == {"late"}


def test_a_gap_is_said_with_the_events_that_come_after_it():
    place = FollowCheckpoint(scope="s").after([event("evt_1", 0)])
    rows = [event("evt_2", 50)]
    batch = digest(place, rows, truncated=True, until=NOON)
    assert (batch.events, batch.gap) == ((), None)
    released = digest(batch.checkpoint, rows, truncated=True)
    assert released.gap.older_than == rows[0].created_at
    assert [e.id for e in released.events] == ["evt_2"]
    assert digest(released.checkpoint, rows, truncated=True).gap is None


def test_an_event_dated_ahead_hides_no_gap():
    rows = [event("evt_1", 0), event("ahead", 60)]
    place = FollowCheckpoint(scope="s").after(rows)
    left = [event("evt_50", 50), rows[1]]
    batch = digest(place, left, truncated=True)
    assert batch.gap.older_than == left[0].created_at
    assert digest(batch.checkpoint, left, truncated=True).gap is None


def test_a_late_event_that_is_the_oldest_is_no_gap():
    rows = [event("evt_1", 0), event("evt_2", 9)]
    place = FollowCheckpoint(scope="s").after(rows)
    batch = digest(place, [event("late", -1), *rows], truncated=True)
    assert (batch.late, batch.gap) == ({"late"}, None)


def test_a_new_event_of_the_instant_of_the_oldest_known_one_is_no_gap():
    rows = [event("evt_1", 0), event("evt_2", 9)]
    place = FollowCheckpoint(scope="s").after(rows)
    batch = digest(place, [rows[1], event("tied", 9)], truncated=True)
    assert [e.id for e in batch.events] == ["tied"]
    assert batch.gap is None


def test_a_gap_after_a_log_was_emptied_is_said_too():
    place = FollowCheckpoint(scope="s").after([event("evt_1", 0)])
    emptied = digest(place, [], truncated=True)
    assert emptied.gap.older_than is None
    assert digest(emptied.checkpoint, [], truncated=True).gap is None
    left = [event("evt_300", 300)]
    batch = digest(emptied.checkpoint, left, truncated=True)
    assert batch.gap.older_than == left[0].created_at


@given(
    ages=st.lists(st.integers(-(10**6), 10**7), max_size=30),
    count=st.integers(0, 2**62),
    explained=st.none() | st.integers(0, 2**62),
)
def test_its_text_keeps_all_of_it_to_the_microsecond(ages, count, explained):
    rows = [event(f"evt_{n}", -age / 10**6) for n, age in enumerate(ages)]
    place = FollowCheckpoint(scope="s", count=count, explained=explained).after(rows)
    # As where following began with a settle: ids that are newer than it.
    place = attrs.evolve(place.trimmed(overlap=OVERLAP, deep=DEEP), newest=NOON)
    assert FollowCheckpoint.loads(place.dumps()) == place
    assert FollowCheckpoint.loads(place.dumps().encode()) == place


def test_a_shorter_overlap_than_before_repeats_nothing():
    rows = [event("evt_1", 0), *(event(f"evt_{n}", 8) for n in range(2, 100))]
    second = timedelta(seconds=1)
    narrow = (
        FollowCheckpoint(scope="s").after(rows).trimmed(overlap=second, deep=second)
    )
    batch = digest(narrow, rows[1:], truncated=False)
    assert batch.events == ()
    wide = batch.checkpoint.trimmed(overlap=OVERLAP, deep=DEEP)
    assert wide.floor == narrow.floor == NOON + timedelta(seconds=7)


def test_what_is_older_than_the_floor_is_not_new():
    place = FollowCheckpoint(scope="s").without_older(NOON)
    batch = digest(place, [event("old", -1), event("new", 1)], truncated=False)
    assert [e.id for e in batch.events] == ["new"]


def test_a_poll_that_is_not_deep_forgets_nothing():
    rows = [event("evt_1", 0), *(event(f"evt_{n}", 30) for n in range(2, 40))]
    place = FollowCheckpoint(scope="s").after(rows)
    place = place.trimmed(overlap=OVERLAP, deep=DEEP)
    assert place.near(OVERLAP) == NOON + timedelta(seconds=20)
    batch = digest(place, [event("evt_40", 100)], truncated=False)
    assert batch.checkpoint.floor == place.floor
    assert batch.checkpoint.ids.keys() == {f"evt_{n}" for n in range(1, 41)}


def test_what_came_since_a_deep_poll_began_keeps_its_reach():
    rows = [event("evt_0", 200), *(event(f"evt_{n}", 0) for n in range(1, 16))]
    place = FollowCheckpoint(scope="s").after(rows)
    place = place.trimmed(overlap=OVERLAP, deep=DEEP, seen=NOON)
    assert place.floor == NOON - DEEP
    assert place.wants(event("late", -40))


def test_ids_are_bounded_by_a_narrower_overlap(monkeypatch):
    monkeypatch.setattr(module, "MAX_IDS", 3)
    rows = [event(f"evt_{n}", n // 2) for n in range(8)]
    place = FollowCheckpoint(scope="s").after(rows)
    assert place.ids.keys() == {"evt_6", "evt_7"}
    assert place.floor == rows[6].created_at
    assert FollowCheckpoint.loads(place.dumps()) == place


@pytest.mark.parametrize(("most", "kept"), [(100, 41), (25, 25), (11, 11), (5, 11)])
def test_ids_for_deep_polls_are_fewer_but_those_of_the_overlap_stay(
    monkeypatch, most, kept
):
    monkeypatch.setattr(module, "MAX_DEEP_IDS", most)
    rows = [event(f"evt_{n}", n) for n in range(80)]
    place = FollowCheckpoint(scope="s").after(rows).trimmed(overlap=OVERLAP, deep=DEEP)
    assert len(place.ids) == kept
    assert place.floor == min(place.ids.values())


def test_more_events_of_one_instant_than_fit_can_not_be_saved(monkeypatch):
    monkeypatch.setattr(module, "MAX_IDS", 3)
    rows = [event(f"evt_{n}", 0) for n in range(4)]
    place = FollowCheckpoint(scope="s").after(rows)
    assert len(place.ids) == 4
    with pytest.raises(CheckpointError, match="share one created_at"):
        place.dumps()


def test_an_overlap_that_reaches_before_all_time_is_none():
    first = attrs.evolve(event("evt_1", 0), created_at=datetime.min.replace(tzinfo=UTC))
    place = FollowCheckpoint(scope="s").after([first])
    place = place.trimmed(overlap=OVERLAP, deep=DEEP)
    assert place.floor is place.near(OVERLAP) is None
    assert FollowCheckpoint.loads(place.dumps()) == place


def test_the_text_of_a_busy_hour_is_bounded():
    rows = [event(f"evt_{n:032x}", n / 10) for n in range(36_000)]
    place = FollowCheckpoint(scope="s").after(rows)
    place = place.trimmed(overlap=timedelta(minutes=2), deep=timedelta(hours=1))
    assert len(place.dumps()) < 110_000


GOOD = (
    '{"v":2,"kind":"follow","scope":"s","wm":"2026-04-20T12:00:00Z",'
    '"floor":null,"ids":{"evt_1":0},"n":1}'
)


def test_the_text_is_what_it_was():
    place = FollowCheckpoint.loads(GOOD)
    assert place.newest == NOON
    assert place.ids == {"evt_1": NOON}
    assert place.explained is None
    assert place.dumps() == GOOD


def test_ids_of_an_older_text_reach_as_far_as_its_overlap_and_then_further():
    text = GOOD.replace("null", '"2026-04-20T11:59:50Z"')
    place = FollowCheckpoint.loads(text).trimmed(overlap=OVERLAP, deep=DEEP)
    assert place.floor == NOON - OVERLAP
    assert not place.wants(event("evt_0", -11))
    rows = [event(f"evt_{n}", 100) for n in range(2, 100)]
    grown = place.after(rows).trimmed(overlap=OVERLAP, deep=DEEP)
    assert grown.floor == NOON + timedelta(seconds=60)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        b"\xff",
        "[" * 100_000,
        GOOD[:-1],
        GOOD.replace('"v":2', '"v":3'),
        GOOD.replace("follow", "read"),
        GOOD.replace('"n":1', '"n":-1'),
        GOOD.replace('"n":1', '"n":1,"more":1'),
        GOOD.replace('"n":1', '"n":1,"explained":-1'),
        GOOD.replace('"n":1', '"n":1,"kept":-1'),
        GOOD.replace('"n":1', f'"n":1,"kept":{10**30}'),
        GOOD.replace(":0}", f":-{10**18}}}"),
        GOOD.replace(":0}", f":{10**18}}}"),
        GOOD.replace(":0}", f":{10**30}}}"),
        GOOD.replace('"2026-04-20T12:00:00Z"', "null"),
        GOOD.replace("12:00:00Z", "12:00:00"),
        " " * 16 * 1024 * 1024 + GOOD,
        Checkpoint(scope="s").dumps(),
    ],
)
def test_other_texts_are_refused(text):
    with pytest.raises(CheckpointError):
        FollowCheckpoint.loads(text)


def test_what_is_no_text_is_refused():
    with pytest.raises(TypeError):
        FollowCheckpoint.loads(3)


def seen(*seconds):
    return [NOON + timedelta(seconds=second) for second in seconds]


HOUR = timedelta(hours=1)
DAY = 86_400
BUSY = range(-100, 0)


@pytest.mark.parametrize(
    ("dates", "front"),
    [
        (seen(*BUSY), -1),
        (seen(*BUSY, 60), 60),  # within the look back
        (seen(*BUSY, 2 * DAY), -1),
        (seen(*BUSY, *range(2 * DAY, 2 * DAY + 89)), -1),
        (seen(*BUSY, *range(2 * DAY, 2 * DAY + 90)), 2 * DAY + 89),
        (seen(*range(2 * DAY, 2 * DAY + 500), *range(15)), 14),
        (seen(-9 * DAY, -5 * DAY, -DAY, 0), -9 * DAY),
        (seen(7), 7),
    ],
)
def test_where_events_come_is_told_by_those_seen_last(dates, front):
    assert front_of(dates, HOUR) == NOON + timedelta(seconds=front)


@pytest.mark.parametrize(
    ("dates", "front"),
    [
        (seen(*BUSY, *range(2 * DAY, 2 * DAY + 5_000)), -1),
        (seen(*BUSY, 5, 11, 12), 5),
        (seen(*range(100, 200)), 199),  # its clocks are two
        (seen(*range(-9 * DAY, -9 * DAY + 15)), -9 * DAY + 14),
    ],
)
def test_the_time_tells_which_are_dated_ahead(dates, front):
    assert front_of(dates, HOUR, now=NOON) == NOON + timedelta(seconds=front)
