"""A follower of a whole account that is killed again and again while its log moves.

It saves its checkpoint ``with`` the events in one transaction, or ``after`` them.
`tests/crash/account_kills.py` prints what comes of it.
"""

import random
from datetime import UTC, datetime, timedelta

import attrs
from killedbot import KilledBot

from canopy_async.testing import LocalCanopy, LogRules

NOON = datetime(2026, 4, 20, 12, tzinfo=UTC)
IDENTITIES = tuple(f"idn_{number}" for number in range(20))


@attrs.define
class Outcome:
    """What came of it.

    Attributes:
        made: Events that there were.
        lost: Those that were not posted.
        repeated: Those that were posted more than once.
        kills: How often the follower was killed.
        late: Events that were committed after a newer one.
    """

    made: int
    lost: int
    repeated: int
    kills: int
    late: int


class Writer:
    """Fills the logs of identities: steps of time, ties, bursts, late commits."""

    def __init__(self, server, rng):
        self._server = server
        self._rng = rng
        self._now = NOON
        self.late = 0
        self.written = 0

    def write(self):
        rng = self._rng
        rows = []
        for _ in range(rng.choice([1, 1, 2, 3, 8, 250 if rng.random() < 0.02 else 1])):
            instant = self._now
            if rng.random() < 0.2:
                instant -= timedelta(seconds=rng.uniform(0.001, 60))
                self.late += 1
            elif rng.random() < 0.7:
                self._now += timedelta(seconds=rng.expovariate(1.0))
                instant = self._now
            rows.append({"created_at": instant})
        self.written += len(rows)
        self._server.add_events(rng.choice(IDENTITIES), rows)


async def kill_again_and_again(directory, *, how, kills, seed, order, longest=0.8):
    """Run a follower under inserts, kill it so many times, compare at the end.

    Args:
        directory: Where it keeps its files.
        how: ``with`` or ``after``: when it saves its checkpoint.
        kills: How often it is killed.
        seed: Decides on the writes and on the instants of the kills.
        order: That of the server.
        longest: Seconds of one life at most, from its first request.
    """
    rng = random.Random(seed)
    rules = LogRules(own_rows="none", order=order)
    async with LocalCanopy(seed=seed, log_rules=rules) as server:
        writer = Writer(server, rng)
        bot = KilledBot("account_victim.py", server, directory, how)
        await bot.live_and_die(writer, rng, kills=kills, longest=longest)
        made = {row["id"] for row in server.account_events()}
        posted = await bot.finish(made)
    return Outcome(
        made=len(made),
        lost=len(made - posted.keys()),
        repeated=sum(count > 1 for count in posted.values()),
        kills=kills,
        late=writer.late,
    )
