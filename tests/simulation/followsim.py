"""A follower that is killed again and again while its log moves."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import attrs
from follow_victim import OVERLAP, SOURCE
from killedbot import KilledBot

from canopy_async.testing import LocalCanopy

NOON = datetime(2026, 4, 20, 12, tzinfo=UTC)
AHEAD = [timedelta(hours=2), timedelta(days=40), timedelta(days=7_900 * 365)]
MOST_AHEAD = 80


@attrs.define
class Outcome:
    """What came of it.

    Attributes:
        made: Events that there were.
        lost: Those that were not posted.
        repeated: Those that were posted more than once.
        kills: How often the follower was killed.
        late: Events that were committed after a newer one.
        deep: Those of them that only deep polls are sure to find.
        tied: Events that share their instant with another.
        ahead: Events that are dated hours or millennia ahead.
    """

    made: int
    lost: int
    repeated: int
    kills: int
    late: int
    deep: int
    tied: int
    ahead: int


class _Writer:
    """Fills the log: steps of time, ties, bursts, late commits, dates ahead."""

    def __init__(self, server, rng):
        self._server = server
        self._rng = rng
        self._now = NOON
        self.instants = []
        self.late = 0
        self.deep = 0
        self.ahead = 0

    def write(self):
        rng = self._rng
        rows = []
        for _ in range(rng.choice([1, 1, 2, 3, 8, 130 if rng.random() < 0.02 else 1])):
            instant = self._now
            if rng.random() < 0.2:
                age = rng.uniform(0.001, 60)
                instant -= timedelta(seconds=age)
                self.late += 1
                self.deep += age > OVERLAP
            elif self.ahead < MOST_AHEAD and rng.random() < 0.02:
                instant += rng.choice(AHEAD)
                self.ahead += 1
            elif rng.random() < 0.7:
                self._now += timedelta(seconds=rng.expovariate(1.0))
                instant = self._now
            rows.append({"created_at": _in_milliseconds(instant)})
        self.instants += [row["created_at"] for row in rows]
        self._server.add_events(SOURCE, rows)


async def kill_again_and_again(directory, *, how, kills, seed, longest=0.8):
    """Run a follower under inserts, kill it so many times, compare at the end.

    Args:
        directory: Where it keeps its files.
        how: ``with`` or ``after``: when it saves its checkpoint.
        kills: How often it is killed.
        seed: Decides on the writes and on the instants of the kills.
        longest: Seconds of one life at most, from its first request.
    """
    rng = random.Random(seed)
    async with LocalCanopy(seed=seed) as server:
        server.add_identity(id=SOURCE)
        writer = _Writer(server, rng)
        bot = KilledBot("follow_victim.py", server, directory, how)
        await bot.live_and_die(writer, rng, kills=kills, longest=longest)
        made = set(server.event_ids(SOURCE))
        posted = await bot.finish(made)
    ties = Counter(writer.instants)
    return Outcome(
        made=len(made),
        lost=len(made - posted.keys()),
        repeated=sum(count > 1 for count in posted.values()),
        kills=kills,
        late=writer.late,
        deep=writer.deep,
        tied=sum(count for count in ties.values() if count > 1),
        ahead=writer.ahead,
    )


def _in_milliseconds(instant):
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)
