"""Following a log with runs of ties that no page can bridge, while it moves."""

import random
from collections import Counter

import pytest
from latesim import Log, Written
from support.late_logs import came_at, follow, names, spread
from support.virtual import now, run

from canopy_async._follow import follow_checkpoint

DEFAULTS = {"overlap": 120.0, "deep_overlap": 3600.0, "deep_every": 600.0}


class Shuffled(Log):
    """Sorts ties anew for each request."""

    def select(self, call):
        self._catch_up()
        self._rows = sorted((date, random.random(), row) for date, _, row in self._rows)
        return super().select(call)


def tied(count, *, at=0.0, age=0.0):
    """Events of one instant."""
    return [Written(at, age, f"tie_{n}") for n in range(count)]


@pytest.mark.parametrize("count", [110, 300])
def test_catching_up_passes_no_tie_by(count):
    written = [
        *spread(-8_000, -6_001, 250),
        *tied(count, age=6_000.0),
        *spread(-5_999, 0, 1_700, "rest"),
        *spread(0, 300, 600, "new"),
    ]
    log = Shuffled(written)
    batches, _ = run(follow(log, 600, start="beginning", **DEFAULTS))
    read = names(batches)
    missing = {row.name for row in written} - set(read)
    assert len(read) == len(set(read))
    gaps = [batch.gap for _, batch in batches if batch.gap]
    assert gaps or not missing
    assert len(missing) <= 3
    instants = [e.created_at for _, batch in batches for e in batch.events]
    tied_at = Counter(instants).most_common(1)[0][0]
    assert all(gap.older_than > tied_at for gap in gaps)


class Flooded(Log):
    """Gets more events of one instant than a page holds, before each of some requests.

    A read of it begins amid ties, loses its place there, and reaches no end.
    """

    floods = 205

    async def answer(self, call):
        if now() > 100 and self.floods:
            self.floods -= 1
            names = (f"flood_{self.floods}_{n}" for n in range(101))
            self._coming += [Written(now(), 0.0, name) for name in names]
        return await super().answer(call)

    def dates(self):
        """The date of each event that is there, by its name."""
        return {row.name: date for date, _, row in self._rows}


def test_reads_that_reach_neither_their_floor_nor_an_end_are_a_gap_in_the_end():
    log = Flooded(spread(-3_000, 0, 20))
    options = {"overlap": 60.0, "deep_overlap": 60.0, "deep_every": 600.0}
    batches, _ = run(follow(log, 230, start="beginning", **options))
    (told,) = [batch for _, batch in batches if batch.gap]
    assert batches[-1][1] is not told  # it goes on
    read = names(batches)
    assert len(read) == len(set(read))
    floor = told.checkpoint.floor
    old = {name: date for name, date in log.dates().items() if date < floor}
    lost = old.keys() - set(read)
    assert lost
    assert max(old[name] for name in lost) < told.gap.older_than


@pytest.mark.parametrize("log_type", [Log, Shuffled])
def test_what_can_not_be_proven_costs_no_reach(log_type):
    written = [
        *spread(-3_000, 0, 190),
        *spread(0, 500, 250, "new"),
        *tied(150, at=100.0),
        Written(160.0, 600.25, "late"),
    ]
    log = log_type(written)
    batches, _ = run(follow(log, 1_000, start="beginning", **DEFAULTS))
    assert came_at(batches)["late"] < 160 + 800
    assert len(names(batches)) == len(written)


def test_ties_that_keep_their_order_are_no_gap():
    written = [*spread(-300, 0, 190), *tied(250, at=50.0), *spread(0, 300, 600, "new")]
    batches, _ = run(follow(written, 600, start="beginning"))
    assert not any(batch.gap for _, batch in batches)
    assert len(names(batches)) == len(written)


def test_ids_that_had_to_go_before_their_ties_were_proven_are_a_gap(monkeypatch):
    monkeypatch.setattr(follow_checkpoint, "MAX_IDS", 450)
    written = [
        *spread(-3_000, -2_000, 100),
        *tied(300, age=1_900.0),
        *spread(-1_800, 0, 500, "rest"),
    ]
    batches, _ = run(follow(written, 60, start="beginning"))
    assert sorted(names(batches)) == sorted(row.name for row in written)
    places = [batch.checkpoint for _, batch in batches if batch.gap]
    assert places  # the look-back got shorter than what the proof leans on
    assert all(
        batch.gap.older_than == batch.checkpoint.floor
        for _, batch in batches
        if batch.gap
    )
