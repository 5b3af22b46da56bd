"""The rows that an export takes for new in a log that it reads again, without I/O."""

import math
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from looksim import NOON, Read, Simulation, Written, at

from canopy_async._follow.follow_checkpoint import FollowCheckpoint, Gap
from canopy_async.export.look_back import LookBack

SPAN = 20


SEEDS = st.integers(0, 2**32)


def log(rng, *, deletes=False):
    """Events with dates of some minutes: in time, late, ahead, and tied."""
    for number in range(rng.choice([0, 1, 5, 40])):
        committed = rng.randrange(200)
        age = rng.choice([0, 0, rng.randint(0, SPAN), SPAN, -rng.randint(1, 300)])
        deleted = math.inf
        if deletes and rng.random() < 0.3:
            deleted = rng.randint(committed, 260)
        yield Written(f"e{number}", committed - age, committed, deleted)


def reads(rng):
    """Reads one after the other, most of which are killed."""
    begins = rng.choice([0, 100])
    for _ in range(rng.randrange(6)):
        begins += rng.randint(0, 60)
        pages = rng.choice([None, rng.randrange(8)])
        pace = rng.choice([0, 0, 1, 7])
        yield Read(begins, rng.randint(1, 6), pace, pages)
        begins += pace * (10 if pages is None else pages)


def went_through(simulation, made):
    """Read all of these, then to the end; return the last read's begin."""
    for read in made:
        simulation.read(read)
    # A read that goes on backwards is as of its first begin: one more finds the rest.
    begins = 1_000.0
    for n in range(2):
        simulation.read(Read(begins + n))
    return begins


@pytest.mark.parametrize("order", ["asc", "desc"])
@settings(max_examples=150)
@given(seed=SEEDS)
def test_whatever_is_late_and_wherever_it_is_killed_each_event_is_new_once(order, seed):
    rng = random.Random(seed)
    simulation = Simulation(log(rng), span=SPAN, order=order)
    begins = went_through(simulation, reads(rng))
    counts = Counter(simulation.files)
    assert counts.keys() == simulation.owed(begins)
    assert set(counts.values()) <= {1}


@pytest.mark.parametrize("order", ["asc", "desc"])
@settings(max_examples=150)
@given(seed=SEEDS)
def test_nothing_that_a_finished_read_could_see_is_missing_though_others_are_deleted(
    order, seed
):
    rng = random.Random(seed)
    written = list(log(rng, deletes=True))
    simulation = Simulation(written, span=SPAN, order=order)
    for read in [*reads(rng), Read(1_000.0)]:
        entry = simulation.read(read)
        counts = Counter(simulation.files)
        assert set(counts.values()) <= {1}
        if entry.as_of is None or entry.state != "done":
            continue
        # As of then: committed before, and there until the read was over.
        seconds = (entry.as_of - NOON) // timedelta(seconds=1)
        stays = {e.id for e in written if e.committed <= seconds and e.deleted > 1_000}
        assert stays <= counts.keys()


@pytest.mark.parametrize("order", ["asc", "desc"])
@settings(max_examples=150)
@given(seed=SEEDS)
def test_since_holds_in_every_read(order, seed):
    rng = random.Random(seed)
    since = rng.randint(-50, 150)
    simulation = Simulation(log(rng), span=SPAN, order=order, since=since)
    begins = went_through(simulation, reads(rng))
    counts = Counter(simulation.files)
    assert counts.keys() == simulation.owed(begins)
    assert set(counts.values()) <= {1}


@settings(max_examples=150)
@given(seed=SEEDS)
def test_what_is_late_is_counted_against_what_was_covered(seed):
    rng = random.Random(seed)
    written = list(log(rng))
    simulation = Simulation(written, span=SPAN, order="asc")
    dates = {event.id: at(event.dated) for event in written}
    for read in [*reads(rng), Read(1_000.0)]:
        covered = simulation.standings.of("idn_1").as_of
        there = len(simulation.files)
        entry = simulation.read(read)
        new = simulation.files[there:]
        late = 0 if covered is None else sum(dates[i] < covered for i in new)
        assert (entry.events, entry.late) == (len(new), late)


@pytest.fixture(scope="module")
def few_ids():
    """A checkpoint holds 60 ids, of which a look-back keeps 18."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("canopy_async._follow.follow_checkpoint.MAX_IDS", 60)
        patch.setattr("canopy_async.export.look_back.MAX_IDS", 60)
        patch.setattr("canopy_async.export.look_back.MOST_KEPT", 18)
        yield


@pytest.mark.usefixtures("few_ids")
@pytest.mark.parametrize("order", ["asc", "desc"])
@settings(max_examples=60)
@given(seed=SEEDS)
def test_a_log_with_more_events_than_a_look_back_keeps_can_stop_anywhere(order, seed):
    rng = random.Random(seed)
    # In time and with different dates, as whoever is late may be missed here.
    dates = rng.sample(range(400), rng.choice([60, 200]))
    written = [Written(f"e{n}", n, n) for n in dates]
    simulation = Simulation(written, span=200, order=order)
    made = list(reads(rng))  # each entry of which must have a text
    begins = went_through(simulation, made)
    counts = Counter(simulation.files)
    assert counts.keys() == simulation.owed(begins)
    assert set(counts.values()) <= {1}
    known = FollowCheckpoint.loads(simulation.standings.of("idn_1").known)
    assert len(known.ids) <= 18


def gap_after(*, deleted, late=(), order="asc", age=100, apart=100):
    """The gap that a second read tells of, some events having been deleted between.

    Args:
        deleted: Which of the events 0 to 4, and 500, which is dated ahead of time.
        late: When events are dated that come between the reads.
        order: That of the server.
        age: How old the events are at the first read.
        apart: Seconds between the reads.
    """
    began = 100 + apart
    log = [
        Written(f"e{n}", 100 + n - age, n, 101 if n in deleted else math.inf)
        for n in range(5)
    ]
    ahead = Written("ahead", 500, 3, 101 if 500 in deleted else math.inf)
    later = [Written(f"l{n}", n, 101) for n in late]
    simulation = Simulation([*log, ahead, *later], span=SPAN, order=order)
    simulation.read(Read(100))
    return simulation.read(Read(began)).gap


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_gap_is_told_where_all_that_is_known_was_deleted(order):
    everything = {0, 1, 2, 3, 4, 500}
    assert gap_after(deleted=(), order=order) is None
    assert gap_after(deleted={0, 1, 2, 500}, order=order) is None
    assert gap_after(deleted=everything, order=order) == Gap(older_than=None)
    newer = gap_after(deleted=everything, late=(110, 90), order=order)
    assert newer == Gap(older_than=at(90))


def test_an_event_that_was_dated_ahead_of_its_time_hides_no_gap():
    assert gap_after(deleted={0, 1, 2, 3, 4}, late=(110,)) == Gap(older_than=at(110))


def test_what_had_been_kept_for_long_is_deleted_without_a_gap():
    everything = {0, 1, 2, 3, 4, 500}
    long_enough = SPAN + 104  # for the newest of them
    assert gap_after(deleted=everything, age=long_enough) is None
    assert gap_after(deleted=everything, age=long_enough, late=(110,)) is None
    assert gap_after(deleted=everything, age=long_enough - 1) is not None
    assert gap_after(deleted=everything, age=long_enough, apart=101) is not None


def gaps_of(written, *begins, order="asc"):
    """The gaps that are told by reads which begin at these instants."""
    simulation = Simulation(written, span=SPAN, order=order)
    return [simulation.read(Read(begin)).gap for begin in begins]


def ring(rows, *instants):
    """Events at these instants, of which the log keeps the newest so many."""
    deleted = [*instants[rows:], *[math.inf] * rows]
    for dated, gone in zip(instants, deleted, strict=True):
        yield Written(f"e{dated}", dated, dated, gone)


def test_a_log_that_keeps_so_many_events_has_a_gap_though_it_was_quiet_for_long():
    # It is full again: it may have held others that came before these.
    written = list(ring(3, 1, 2, 3, 1_101, 1_102, 1_103, 1_104))
    assert gaps_of(written, 1_000, 1_200) == [None, Gap(older_than=at(1_102))]
    # One of these is there still.
    assert gaps_of(ring(3, 1, 2, 3, 1_101, 1_102), 1_000, 1_200) == [None, None]


def test_a_log_that_held_more_before_is_not_taken_for_full():
    written = [Written(f"e{n}", n, n, 1_050) for n in range(3)]
    new = [Written("new", 1_100, 1_100)]
    assert gaps_of([*written, *new], 1_000, 1_200) == [None, None]


def test_what_was_deleted_before_the_last_read_does_not_excuse_a_gap():
    written = [Written("old", 0, 0, 110), Written("lost", 205, 205, 315)]
    late = [Written("new", 400, 400)]
    told = gaps_of([*written, *late], 100, 200, 320, 420)
    assert told == [None, Gap(older_than=None), None, Gap(older_than=at(400))]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_the_gap_of_an_emptied_log_is_told_once_and_once_with_what_comes(order):
    written = [Written("old", 90, 90, 110), Written("new", 400, 400)]
    told = gaps_of(written, 100, 200, 300, 420, 520, order=order)
    gone, come = Gap(older_than=None), Gap(older_than=at(400))
    assert told == [None, gone, None, come, None]


def test_a_log_can_be_emptied_of_an_event_that_was_a_moment_ahead():
    written = [Written("old", 103, 100, 110), Written("new", 400, 400)]
    told = gaps_of(written, 100, 200, 420)
    assert told == [None, Gap(older_than=None), Gap(older_than=at(400))]


def test_an_event_ahead_hides_no_gap_from_a_read_that_goes_on_from_a_killed_one():
    old = [Written(f"e{n}", n, n, 150) for n in range(5)]
    lost = [Written("lost", 120, 120, 160)]
    new = [Written("new", 190, 190)]
    ahead = [Written("ahead", 500, 3)]
    simulation = Simulation([*old, *lost, *new, *ahead], span=SPAN, order="asc")
    killed = simulation.read(Read(100, page=3, pages=2))  # after its last row
    assert (killed.state, killed.as_of) == ("open", None)
    entry = simulation.read(Read(200))
    assert "lost" not in simulation.files
    assert entry.gap == Gap(older_than=at(190))


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_an_event_ahead_hides_no_other_where_only_a_wrong_clock_tells_the_time(order):
    written = [Written(f"e{n}", n, n) for n in range(0, 1_000, 5)]
    ahead = Written("ahead", 5_000, 300)
    simulation = Simulation(
        [*written, ahead], span=SPAN, order=order, clock_error=86_400
    )
    for begin in range(50, 1_100, 50):
        simulation.read(Read(begin))
    assert Counter(simulation.files) == Counter(e.id for e in [*written, ahead])


def test_an_event_ahead_of_its_time_does_not_move_the_look_back():
    written = [Written("ahead", 9_000, 0), Written("a", 90, 90), Written("b", 85, 105)]
    simulation = Simulation(written, span=SPAN, order="asc")
    simulation.read(Read(100))
    assert simulation.files == ["a", "ahead"]
    entry = simulation.read(Read(200))
    assert simulation.files == ["a", "ahead", "b"]
    assert (entry.late, entry.as_of) == (1, at(200))


def test_a_look_back_before_the_beginning_of_time_is_the_whole_log():
    event = SimpleNamespace(id="x", created_at=datetime.min.replace(tzinfo=UTC))
    look_back = LookBack("s", timedelta(days=1))
    assert look_back.take([event]) == [event]
    known = look_back.known()
    assert (known.floor, set(known.ids)) == (None, {"x"})
    assert LookBack("s", timedelta(days=1), known=known).take([event]) == []
