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
from canopy_async import watermark as module
from canopy_async.models import ActorType

NOON = datetime(2026, 4, 20, 12, tzinfo=UTC)
OVERLAP = timedelta(seconds=10)


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
        """One that is no older than the overlap allows at this instant."""
        newest = self.known.newest
        base = self.now if newest is None else (newest - NOON).total_seconds()
        self.insert(base - age)

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

    def poll(self, crash):
        """Poll once; ``crash`` says after which step, None for not at all."""
        known = self.known
        rows = [r for r in self.log if not known.floor or r.created_at >= known.floor]
        self.rng.shuffle(rows)
        batch = known.digest(
            "idn", rows, overlap=OVERLAP, truncated=len(rows) == len(self.log)
        )
        assert [e.created_at for e in batch.events] == sorted(
            e.created_at for e in batch.events
        )
        if crash == "before":
            return
        if self.owed_a_gap:
            assert batch.gap is not None
        if crash == "between":
            self.crashes += 1
            if not self.saves_with:
                self.posted += [e.id for e in batch.events]
            return
        self.owed_a_gap.clear()
        self.posted += [e.id for e in batch.events]
        self.saved = batch.checkpoint.dumps()


steps = st.one_of(
    st.tuples(st.just("happen"), st.integers(0, 12)),
    st.tuples(st.just("commit_late"), st.integers(0, 10)),
    st.tuples(st.just("delete")),
    st.tuples(st.just("retain"), st.integers(1, 6)),
    st.tuples(st.just("poll"), st.sampled_from([None, None, "before", "between"])),
)


@pytest.mark.parametrize("saves_with", [True, False])
@settings(max_examples=600)
@given(steps=st.lists(steps, max_size=60), seed=st.integers(0, 999))
def test_whatever_happens_each_event_is_posted(saves_with, steps, seed):
    bot = Bot(saves_with, random.Random(seed))
    for name, *arguments in steps:
        getattr(bot, name)(*arguments)
    bot.poll(None)
    wanted = {f"evt_{n}" for n in range(1, bot.made + 1)}
    assert wanted - bot.excused <= set(bot.posted)
    if saves_with or not bot.crashes:
        assert len(bot.posted) == len(set(bot.posted))
    again = bot.known.digest("idn", bot.log, overlap=OVERLAP, truncated=False)
    assert again.events == ()


@given(
    ages=st.lists(st.integers(0, 40), min_size=1, max_size=30),
    cut=st.integers(0, 30),
)
def test_a_place_within_a_batch_is_as_good_as_one_after_it(ages, cut):
    rows = [event(f"evt_{n}", -age) for n, age in enumerate(ages)]
    start = FollowCheckpoint(scope="s")
    whole = start.digest("idn", rows, overlap=OVERLAP, truncated=False)
    handed, left = whole.events[:cut], whole.events[cut:]
    place = start.after(handed, overlap=None)
    rest = place.digest("idn", rows, overlap=OVERLAP, truncated=False)
    assert rest.events == left


@given(ages=st.lists(st.integers(0, 10**7), max_size=30), count=st.integers(0, 2**62))
def test_its_text_keeps_all_of_it_to_the_microsecond(ages, count):
    rows = [event(f"evt_{n}", -age / 10**6) for n, age in enumerate(ages)]
    place = FollowCheckpoint(scope="s", count=count).after(rows, overlap=OVERLAP)
    assert FollowCheckpoint.loads(place.dumps()) == place
    assert FollowCheckpoint.loads(place.dumps().encode()) == place


def test_a_shorter_overlap_than_before_repeats_nothing():
    rows = [event("evt_1", 0), event("evt_2", 8)]
    narrow = FollowCheckpoint(scope="s").after(rows, overlap=timedelta(seconds=1))
    batch = narrow.digest("idn", rows[1:], overlap=OVERLAP, truncated=False)
    assert batch.events == ()
    assert batch.checkpoint.floor == narrow.floor


def test_ids_are_bounded_by_a_narrower_overlap(monkeypatch):
    monkeypatch.setattr(module, "MAX_IDS", 3)
    rows = [event(f"evt_{n}", n // 2) for n in range(8)]
    place = FollowCheckpoint(scope="s").after(rows, overlap=OVERLAP)
    assert place.ids.keys() == {"evt_6", "evt_7"}
    assert place.floor == rows[6].created_at
    assert FollowCheckpoint.loads(place.dumps()) == place


def test_more_events_of_one_instant_than_fit_can_not_be_saved(monkeypatch):
    monkeypatch.setattr(module, "MAX_IDS", 3)
    rows = [event(f"evt_{n}", 0) for n in range(4)]
    place = FollowCheckpoint(scope="s").after(rows, overlap=OVERLAP)
    assert len(place.ids) == 4
    with pytest.raises(CheckpointError, match="share one created_at"):
        place.dumps()


def test_an_overlap_that_reaches_before_all_time_is_none():
    first = attrs.evolve(event("evt_1", 0), created_at=datetime.min.replace(tzinfo=UTC))
    place = FollowCheckpoint(scope="s").after([first], overlap=OVERLAP)
    assert place.floor is None
    assert FollowCheckpoint.loads(place.dumps()) == place


GOOD = (
    '{"v":1,"kind":"follow","scope":"s","wm":"2026-04-20T12:00:00Z",'
    '"floor":null,"ids":{"evt_1":0},"n":1}'
)


def test_the_text_is_what_it_was():
    place = FollowCheckpoint.loads(GOOD)
    assert place.newest == NOON
    assert place.ids == {"evt_1": NOON}
    assert place.dumps() == GOOD


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        b"\xff",
        "[" * 100_000,
        GOOD[:-1],
        GOOD.replace('"v":1', '"v":2'),
        GOOD.replace("follow", "read"),
        GOOD.replace('"n":1', '"n":-1'),
        GOOD.replace('"n":1', '"n":1,"more":1'),
        GOOD.replace(":0}", ":-1}"),
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
