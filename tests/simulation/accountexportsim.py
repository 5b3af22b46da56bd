"""An export of an account's log that is killed again and again while the log moves."""

import asyncio
import os
import random
from collections import Counter
from contextlib import suppress
from pathlib import Path

import attrs
from accountkillsim import Writer
from killedbot import write_on
from support.exports import ids_of
from support.programs import script

from canopy_async.export import iter_commits, read_manifest, verify
from canopy_async.testing import Faults, LocalCanopy, LogRules

VICTIM = Path(__file__).parents[1] / "crash" / "account_export_victim.py"
PATIENCE = 60


@attrs.frozen
class Outcome:
    """What came of it.

    Attributes:
        made: Events that there were.
        late: Those that were committed after a newer one.
        lost: Those that are in no file.
        repeated: Those that are there more than once.
        strange: Rows that are no event of the log, or belong to an identity.
        kills: How often it was killed.
        runs: How many runs the manifest has.
        commits: How many commits it took.
        status: What `verify` says of the export, in a word.
        problems: What `verify` says of damage.
    """

    made: int
    late: int
    lost: int
    repeated: int
    strange: int
    kills: int
    runs: int
    commits: int
    status: str
    problems: tuple[str, ...]


async def kill_again_and_again(directory, *, written_as, kills, seed, order, events):
    """Export under inserts; kill it so many times, let it finish, and compare.

    Args:
        directory: Where to export to.
        written_as: The format.
        kills: How often it is killed, at random instants from its first request on.
        seed: Decides on the writes and on the instants of the kills.
        order: That of the server.
        events: How many events there are when it begins.
    """
    rng = random.Random(seed)
    out = directory / "out"
    rules = LogRules(own_rows="none", order=order)
    faults = Faults(latency=0.004, jitter=0.004)
    async with LocalCanopy(seed=seed, log_rules=rules, faults=faults) as server:
        writer = Writer(server, rng)
        while writer.written < events:
            writer.write()
        writing = asyncio.create_task(write_on(writer, rng))
        try:
            for _ in range(kills):
                await live(server, out, written_as, rng.uniform(0, 0.6))
        finally:
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing
        server.faults = Faults()
        await finish(server, out, written_as)
        made = {row["id"] for row in server.account_events()}
    found = ids_of(out)
    there = Counter(found.pop(None, ()))
    return Outcome(
        made=len(made),
        late=writer.late,
        lost=len(made - there.keys()),
        repeated=sum(count - 1 for count in there.values()),
        strange=len(there.keys() - made) + sum(map(len, found.values())),
        kills=kills,
        runs=len(read_manifest(out).runs),
        commits=sum(1 for _ in iter_commits(out)),
        status=str(verify(out).status),
        problems=verify(out).problems,
    )


async def live(server, out, written_as, seconds):
    """Export again and again; kill it so long after its first request."""
    before = len(server.requests)
    async with exporting(server, out, written_as, "again") as process:
        async with asyncio.timeout(PATIENCE):
            while len(server.requests) == before:
                assert process.returncode is None, "the export ended by itself"
                await asyncio.sleep(0.001)
        await asyncio.sleep(seconds)
        assert process.returncode is None, "the export ended by itself"


async def finish(server, out, written_as):
    """Export once, to the end."""
    async with (
        asyncio.timeout(PATIENCE),
        exporting(server, out, written_as, "once") as process,
    ):
        assert await process.wait() == 0


def exporting(server, out, written_as, how):
    """Run the export during the block, at whose end it is killed."""
    env = os.environ | {"CANOPY_TOKEN": server.token}
    arguments = (server.base_url, server.account, written_as, out, how)
    return script(VICTIM, *arguments, env=env, stdout=1, stderr=2)
