"""An account that is exported each night on a cluster, with a kill each night.

By day and while it is read, events are committed, in time or late, and deleted;
identities come. Each night a worker is killed, or a driver, or the run is stopped;
then a run on the cluster, or by one process, goes on to its end. What was there and
when is written down, so that the files can be held against it.
"""

import asyncio
import functools
import json
import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import attrs
from support.clusters import NOON, TOKEN_VARIABLE
from support.exports import json_lines
from support.programs import script
from support.waiting import until

from canopy_async import CanopySession, RetryPolicy
from canopy_async.distributed import export as export_on_cluster
from canopy_async.export import export, read_manifest, verify
from canopy_async.export.file_check import path_of
from canopy_async.testing import Faults, LocalCanopy

VICTIM = Path(__file__).parents[1] / "crash" / "distributed_victim.py"
LOOK_BACK = 600.0
QUICK = RetryPolicy(base=0.001, throttled_base=0.001)
SPLIT = {"split_over": 150, "shard_size": 2, "max_file_bytes": 40_000}
HOW = ("worker", "driver", "stop")


class Clock:
    """Each night has its date, and goes on as time does."""

    def __init__(self):
        self._night, self._since = NOON, time.monotonic()

    def __call__(self):
        return self._night + timedelta(seconds=time.monotonic() - self._since)

    def next_night(self):
        self._night, self._since = self._night + timedelta(days=1), time.monotonic()


@attrs.define
class Fact:
    """An event that there was: whose, since when, and whether it still is."""

    identity_id: str
    committed: object
    is_there: bool = True


class Account:
    """A server, what happens to its account, and all that there was."""

    def __init__(self, rng):
        self.rng = rng
        self.clock = Clock()
        self.server = LocalCanopy(clock=self.clock)
        self.facts = {}
        self.ids = []

    def come(self, count):
        """Have one more identity."""
        self.ids.append(f"idn_{len(self.ids)}")
        self.server.add_identity(id=self.ids[-1])
        self.commit(self.ids[-1], count, within=80_000)

    def commit(self, identity_id, count, *, within=1.0):
        """Commit events of the last seconds, some of them as late as can be found."""
        now = self.clock()
        rows = []
        for _ in range(count):
            age = self.rng.uniform(0, within)
            lateness = self.rng.choice([0, 0, self.rng.uniform(0, LOOK_BACK - 5)])
            date = now - timedelta(seconds=age + lateness)
            rows.append({"created_at": date.replace(microsecond=0)})
        for row in self.server.add_events(identity_id, rows):
            self.facts[row["id"]] = Fact(identity_id, now)

    def retain(self, count):
        """Delete the oldest events of the one log that has many.

        In a log of a few, these could be all that were known, which is a gap.
        """
        for event_id in self.server.delete_oldest(self.ids[0], count):
            self.facts[event_id].is_there = False

    def pass_a_day(self):
        """Have a day's events, and go on to its night."""
        self.clock.next_night()
        for identity_id in self.ids:
            count = 300 if identity_id == "idn_0" else self.rng.choice([0, 0, 3])
            self.commit(identity_id, count, within=80_000)
        if self.rng.random() < 0.5:
            self.come(self.rng.choice([0, 4]))
        self.retain(self.rng.choice([1, 20]))

    def happen(self, _, request):
        """Have something happen while the account is read."""
        if request.identity is not None and self.rng.random() < 0.5:
            self.commit(self.rng.choice(self.ids), self.rng.choice([1, 4]))
        if self.rng.random() < 0.05:
            self.retain(3)


class Nights:
    """The runs of an export, and what is checked after each.

    Args:
        client: The cluster, of processes.
        account: What is exported.
        out: The directory.

    Attributes:
        ends: How often which end of a run came before its time.
        wrong: What was not as it should be, a sentence each.
        late: How many events runs said to be late.
    """

    def __init__(self, client, account, out):
        self.client, self.account, self.out = client, account, out
        self.rng = account.rng
        self.ends = Counter()
        self.wrong = []
        self.late = 0

    async def run(self, *, on_cluster=True, **options):
        """Run the export to its end."""
        server = self.account.server
        if not on_cluster:
            async with CanopySession(
                server.account, server.token, base_url=server.base_url, retry=QUICK
            ) as canopy:
                result = await export(canopy, None, self.out, look_back=LOOK_BACK)
        else:
            call = functools.partial(
                export_on_cluster,
                self.client,
                None,
                self.out,
                account=server.account,
                base_url=server.base_url,
                token=f"env:{TOKEN_VARIABLE}",
                retry=QUICK,
                look_back=LOOK_BACK,
                **SPLIT,
                **options,
            )
            result = await asyncio.to_thread(call)
        self.late += result.late
        return result

    async def run_and_end(self, how):
        """Run the export on the cluster, and have something end before its time."""
        self.ends[how] += 1
        server = self.account.server
        at = len(server.requests) + self.rng.randint(2, 16)
        if how == "stop":
            with suppress(KeyboardInterrupt):
                await self.run(on_progress=functools.partial(_stop, server, at))
        elif how == "driver":
            options = json.dumps({"look_back": LOOK_BACK, **SPLIT})
            arguments = (self.client.scheduler.address, server.base_url, self.out)
            async with script(
                VICTIM, *arguments, options, env=os.environ, stdout=1, stderr=2
            ) as process:
                await until(
                    lambda: len(server.requests) >= at or process.returncode is not None
                )
        else:
            running = asyncio.create_task(self.run())
            await until(lambda: len(server.requests) >= at or running.done())
            pids = await asyncio.to_thread(self.client.run, os.getpid)
            os.kill(self.rng.choice(list(pids.values())), signal.SIGKILL)
            await running
            await asyncio.to_thread(self.client.wait_for_workers, 2)

    def ids_in_files(self, manifest):
        """The ids of all events that count, also where a kill has kept a name away."""
        for file in manifest.files:
            for row in json_lines(path_of(self.out, file.name).read_bytes()):
                yield row["id"]

    def check(self, *, is_over):
        """Hold the files and what is said of them against what there was."""
        found, manifest = verify(self.out), read_manifest(self.out)
        self.wrong += found.problems
        counts = Counter(self.ids_in_files(manifest))
        self.wrong += [f"{i} is there {n} times" for i, n in counts.items() if n > 1]
        for event_id, fact in self.account.facts.items():
            entry = manifest.identities.get(fact.identity_id)
            as_of = entry and entry.as_of
            is_covered = as_of and fact.is_there and fact.committed < as_of
            if is_covered and event_id not in counts:
                self.wrong.append(f"{event_id} of {fact.identity_id} is lost")
        if is_over and not found.is_finished:
            self.wrong.append(f"it is {found.status}: {found.left}")
        run = manifest.runs[-1]
        if is_over and (run.listed.proof is None or run.end.outcome != "finished"):
            self.wrong.append(f"its last run was not written down: {run}")


def _stop(server, at, _):
    if len(server.requests) >= at:
        raise KeyboardInterrupt


async def nights_on_a_cluster(client, out, *, seed, nights):
    """Export an account for some nights, each of which has a kill.

    Args:
        client: The cluster, of processes.
        out: The directory.
        seed: Decides on all that happens.
        nights: How many.

    Returns:
        What was done, and what was wrong.
    """
    account = Account(random.Random(seed))
    sim = Nights(client, account, out)
    async with account.server:
        for size in (900, 40, 40, 0, 3):
            account.come(size)
        for _ in range(nights):
            account.server.faults = Faults()
            account.pass_a_day()
            account.server.faults = Faults(mutate=account.happen, latency=0.002)
            await sim.run_and_end(account.rng.choice(HOW))
            sim.check(is_over=False)
            await sim.run(on_cluster=account.rng.random() < 0.5)
            sim.check(is_over=True)
        account.server.faults = Faults()
        account.clock.next_night()
        await sim.run(on_cluster=account.rng.random() < 0.5)
        sim.check(is_over=True)
        got = set(sim.ids_in_files(read_manifest(out)))
        there = {i for i, fact in account.facts.items() if fact.is_there}
        sim.wrong += [f"{event_id} is lost in the end" for event_id in there - got]
    return sim
