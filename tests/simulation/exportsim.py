"""An export that is killed again and again, and run again each time."""

import asyncio
import os
import random
from collections import Counter
from pathlib import Path

import attrs
from support.exports import ids_of
from support.programs import script
from support.waiting import until

from canopy_async.export import iter_commits, verify
from canopy_async.testing import Faults, LocalCanopy

VICTIM = Path(__file__).parents[1] / "crash" / "export_victim.py"
PATIENCE = 60


@attrs.frozen
class Outcome:
    """What came of it.

    Attributes:
        made: Events that there were.
        lost: Those that are in no file.
        repeated: Those that are there more than once.
        in_order: Whether each identity's are in the order of its log.
        kills: How often it was killed.
        commits: How many commits it took.
        problems: What `verify` says.
    """

    made: int
    lost: int
    repeated: int
    in_order: bool
    kills: int
    commits: int
    problems: tuple[str, ...]


async def kill_again_and_again(
    directory, *, written_as, kills, seed, identities, events
):
    """Export; kill it so many times, let it finish, and compare.

    Args:
        directory: Where to export to.
        written_as: The format.
        kills: How often it is killed, at random instants of its work.
        seed: Decides on the logs and on the instants.
        identities: How many logs.
        events: How many events each has.
    """
    rng = random.Random(seed)
    out = directory / "out"
    async with LocalCanopy(seed=seed) as server:
        ids = server.seed_identities(identities)
        for identity_id in ids:
            server.seed_events(identity_id, events)
        requests = identities * (events // 98 + 1)
        # Slow enough that each life gets its part of the work.
        server.faults = Faults(latency=0.01, jitter=0.02)
        killed = 0
        for left in range(kills, 0, -1):
            done = len(server.requests)
            share = max(2, (requests - done) // left)
            until = done + rng.randint(1, share)
            killed += await live(server, out, written_as, at=until)
        server.faults = Faults()
        await _finish(server, out, written_as)
        made = {identity_id: server.event_ids(identity_id) for identity_id in ids}
    found = ids_of(out)
    lost, repeated = Counter(), Counter()
    for identity_id, log in made.items():
        there = Counter(found.get(identity_id, ()))
        lost[identity_id] = len(set(log) - there.keys())
        repeated[identity_id] = sum(count - 1 for count in there.values())
    return Outcome(
        made=sum(map(len, made.values())),
        lost=lost.total(),
        repeated=repeated.total(),
        in_order=found == {name: log for name, log in made.items() if log},
        kills=killed,
        commits=sum(1 for _ in iter_commits(out)),
        problems=verify(out).problems,
    )


async def live(server, out, written_as, *, at):
    """Run the export; kill it at so many requests in all, unless it is done.

    Returns:
        Whether it was killed.
    """
    async with _exporting(server, out, written_as) as process:
        await until(
            lambda: len(server.requests) >= at or process.returncode is not None,
            within=PATIENCE,
        )
        return process.returncode is None


async def _finish(server, out, written_as):
    async with (
        asyncio.timeout(PATIENCE),
        _exporting(server, out, written_as) as process,
    ):
        assert await process.wait() == 0


def _exporting(server, out, written_as):
    """Run the export during the block, at whose end it is killed."""
    env = os.environ | {"CANOPY_TOKEN": server.token}
    arguments = (server.base_url, server.account, written_as, out)
    return script(VICTIM, *arguments, env=env, stdout=1, stderr=2)
