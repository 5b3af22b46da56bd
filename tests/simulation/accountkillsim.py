"""A follower of a whole account that is killed again and again while its log moves.

It saves its checkpoint ``with`` the events in one transaction, or ``after`` them.
`tests/crash/account_kills.py` prints what comes of it.
"""

import asyncio
import os
import random
from collections import Counter
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
from follow_victim import posted_ids
from support.programs import script
from support.waiting import until

from canopy_async.testing import LocalCanopy, LogRules

VICTIM = Path(__file__).parents[1] / "crash" / "account_victim.py"
NOON = datetime(2026, 4, 20, 12, tzinfo=UTC)
PATIENCE = 30
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
        writing = asyncio.create_task(write_on(writer, rng))
        try:
            for _ in range(kills):
                await live(server, directory, how, rng.uniform(0, longest))
        finally:
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing
        made = {row["id"] for row in server.account_events()}
        await finish(server, directory, how, made)
        posted = Counter(posted_ids(directory))
    return Outcome(
        made=len(made),
        lost=len(made - posted.keys()),
        repeated=sum(count > 1 for count in posted.values()),
        kills=kills,
        late=writer.late,
    )


async def write_on(writer, rng):
    while True:
        writer.write()
        await asyncio.sleep(rng.uniform(0, 0.02))


async def live(server, directory, how, seconds):
    """Run the follower; kill it so long after its first request."""
    before = len(server.requests)
    async with following(server, directory, how):
        await until(lambda: len(server.requests) > before)
        await asyncio.sleep(seconds)


async def finish(server, directory, how, made):
    """Run the follower until nothing is missing, or nothing more comes."""
    async with following(server, directory, how):
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while made - set(posted_ids(directory)):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.05)
                await asyncio.sleep(0.3)


@asynccontextmanager
async def following(server, directory, how):
    """Run the follower during the block, at whose end it is killed."""
    env = os.environ | {"CANOPY_TOKEN": server.token}
    arguments = (server.base_url, server.account, how, directory)
    async with script(VICTIM, *arguments, env=env, stdout=1, stderr=2) as process:
        yield
        assert process.returncode is None, "the follower ended by itself"
