"""A log that is read in parts, each at a time of its own: what is known of it then."""

import random
from collections import Counter
from datetime import timedelta
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st
from looksim import Written, at

from canopy_async._follow.follow_checkpoint import FollowCheckpoint
from canopy_async.export.look_back import LookBack, joined

SPAN = 20
BEGINS = 100


def log(rng):
    """Events of two hundred seconds, each committed at most a look-back late."""
    for number in range(rng.choice([0, 1, 5, 60])):
        dated = rng.randrange(200)
        late = rng.choice([0, 0, rng.randint(0, SPAN), SPAN])
        yield Written(f"e{number}", dated, dated + late)


def page(written, now, since, until):
    """The rows of a range, as the server has them."""
    found = [
        SimpleNamespace(id=event.id, created_at=at(event.dated))
        for event in written
        if event.is_there(now)
        and (since is None or event.dated >= since)
        and (until is None or event.dated < until)
    ]
    return sorted(found, key=lambda row: row.created_at)


def look_back(*, known=None, began=None):
    return LookBack("s", timedelta(seconds=SPAN), known=known, began=began)


@settings(max_examples=300)
@given(seed=st.integers(0, 2**32))
def test_each_event_is_new_once_after_a_read_in_parts_that_is_left_anywhere(seed):
    rng = random.Random(seed)
    written = list(log(rng))
    bounds = sorted(rng.sample(range(1, 200), rng.choice([0, 1, 2, 5])))
    ranges = list(zip([None, *bounds], [*bounds, None], strict=True))
    # Tasks read the parts in any order; they are adopted in that of time.
    found, known = Counter(), FollowCheckpoint(scope="s")
    adopted = rng.randrange(1, len(ranges) + 1)
    for number, (since, until) in enumerate(ranges[:adopted]):
        now = BEGINS + (0 if number == 0 else rng.randrange(60))
        part = look_back(began=at(BEGINS))
        rows = part.take(page(written, now, since, until))
        found.update(row.id for row in rows)
        if rows:
            known = joined(known, part.known())
    # A run of its own goes on from what is known, where the parts were left.
    again = look_back(known=known, began=at(500))
    floor = None if known.floor is None else (known.floor - at(0)).total_seconds()
    found.update(row.id for row in again.take(page(written, 500, floor, None)))
    assert found == Counter(event.id for event in written)
