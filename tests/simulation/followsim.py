"""A follower that is killed again and again while its log moves."""

import asyncio
import os
import random
from collections import Counter
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
from follow_victim import OVERLAP, SOURCE, posted_ids
from support.programs import script
from support.waiting import until

from canopy_async.testing import LocalCanopy

VICTIM = Path(__file__).parents[1] / "crash" / "follow_victim.py"
NOON = datetime(2026, 4, 20, 12, tzinfo=UTC)
PATIENCE = 30
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
        writing = asyncio.create_task(_write_on(writer, rng))
        try:
            for _ in range(kills):
                await _live(server, directory, how, rng.uniform(0, longest))
        finally:
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing
        made = server.event_ids(SOURCE)
        await _finish(server, directory, how, made)
        posted = Counter(posted_ids(directory))
    ties = Counter(writer.instants)
    return Outcome(
        made=len(made),
        lost=len(set(made) - set(posted)),
        repeated=sum(count > 1 for count in posted.values()),
        kills=kills,
        late=writer.late,
        deep=writer.deep,
        tied=sum(count for count in ties.values() if count > 1),
        ahead=writer.ahead,
    )


async def _write_on(writer, rng):
    while True:
        writer.write()
        await asyncio.sleep(rng.uniform(0, 0.02))


async def _live(server, directory, how, seconds):
    """Run the follower; kill it so long after its first request."""
    before = len(server.requests)
    async with _following(server, directory, how):
        await until(lambda: len(server.requests) > before)
        await asyncio.sleep(seconds)


async def _finish(server, directory, how, made):
    """Run the follower until nothing is missing, or nothing more comes."""
    async with _following(server, directory, how):
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while set(made) - set(posted_ids(directory)):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.05)
                await asyncio.sleep(0.3)


@asynccontextmanager
async def _following(server, directory, how):
    """Run the follower during the block, at whose end it is killed."""
    env = os.environ | {"CANOPY_TOKEN": server.token}
    arguments = (server.base_url, server.account, how, directory)
    async with script(VICTIM, *arguments, env=env, stdout=1, stderr=2) as process:
        yield
        assert process.returncode is None, "the follower ended by itself"


def _in_milliseconds(instant):
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)
