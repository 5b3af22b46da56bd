"""An account that is exported each night into one directory, with a kill each night.

    PYTHONPATH=tests python tests/simulation/nightsim.py RUNS

By day and while it is read, events are committed, in time, late or dated ahead, and
deleted; identities come and go. What was there and when is written down, so that the
files can be held against it.
"""

import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
from exportsim import live
from support.disks import Disk, Step, after_kill, after_power_loss
from support.exports import normal, read_back, without_empty
from support.manifests import MANIFEST

from canopy_async import CanopySession, ExportError, RetryPolicy
from canopy_async.export import Status, export, read_manifest, verify
from canopy_async.testing import Faults, LocalCanopy

FIRST_NIGHT = datetime(2026, 4, 20, 2, tzinfo=UTC)
DAY = timedelta(days=1)
MOST_OF_A_DAY = 80_000
KEPT_FOR = timedelta(days=4)
NIGHTS = 7
LOOK_BACK = 600.0
QUICK = RetryPolicy(base=0.001, throttled_base=0.001)
SERVERS = {
    "plain": {},
    "newest first": {"ignore_order": True},
    "ties": {"tie_order": "stable"},
}
ENDS = ("kill", "power", "cancel", "full disk")
"""How a run may end; where the disk is not a real one, the kill needs no process."""


@attrs.define
class Fact:
    """An event that there was.

    Attributes:
        identity_id: Whose log it was in.
        row: What the server served.
        committed: When it was committed.
        deleted: When it was deleted, None if it is there.
    """

    identity_id: str
    row: dict
    committed: datetime
    deleted: datetime | None = None


class World:
    """A server, what happens to its account, and all that there was.

    Args:
        rng: Decides on what happens.
        has_ties: Whether many events share their ``created_at``.

    Attributes:
        facts: Each event that there was, by its id.
        identities: Each identity that there was, and whether its log is a busy one.
        came: When each identity came.
        oblivion: How likely it is, each day, that all is deleted that is known of
            one log. Where this never happens, no log has a gap.
    """

    def __init__(self, rng, *, has_ties=False):
        self.rng = rng
        self._night = FIRST_NIGHT
        self._since = time.monotonic()
        self.server = LocalCanopy(seed=rng.randrange(2**32), clock=self.now)
        self.facts = {}
        self.identities = {}
        self.came = {}
        self.oblivion = rng.choice([0.0, 0.3])
        self._has_ties = has_ties

    def now(self):
        """What time it is: each night has its date, and goes on as time does."""
        return self._night + timedelta(seconds=time.monotonic() - self._since)

    def next_night(self):
        self._night += DAY
        self._since = time.monotonic()

    def commit(self, identity_id, count, *, within=0.0):
        """Commit events, at any instants of the last seconds, with dates before these.

        Nobody reads the log meanwhile, so that they may come at once.
        """
        if not self.server.has_identity(identity_id):
            return
        dated = {}
        for _ in range(count):
            committed = self.now() - timedelta(seconds=self.rng.uniform(0, within))
            date = committed - timedelta(seconds=self.age())
            unit = 1_000_000 if self._has_ties else 1_000
            date = date.replace(microsecond=date.microsecond // unit * unit)
            dated.setdefault(date, []).append(committed)
        rows = [{"created_at": date} for date, all_ in dated.items() for _ in all_]
        instants = [at for all_ in dated.values() for at in all_]
        for row, at in zip(
            self.server.add_events(identity_id, rows), instants, strict=True
        ):
            self.facts[row["id"]] = Fact(identity_id, row, at)

    def note_deleted(self, ids):
        for event_id in ids:
            self.facts[event_id].deleted = self.now()

    def retain(self, identity_id, count):
        """Delete the oldest events."""
        ids = self.server.delete_oldest(identity_id, count)
        self.note_deleted(ids)

    def retain_by_age(self):
        """Delete what has become too old, of each log."""
        oldest = (self.now() - KEPT_FOR).isoformat()
        for identity_id in self.listed:
            rows = self.server.events(identity_id)
            self.retain(identity_id, sum(r["created_at"] < oldest for r in rows))

    def delete_one(self, identity_id):
        ids = self.server.event_ids(identity_id)
        if len(ids) > 20 or (ids and self.oblivion):
            event_id = self.rng.choice(ids)
            self.server.delete_event(identity_id, event_id)
            self.note_deleted([event_id])

    def come(self, *, is_busy=False):
        """Have one more identity."""
        identity_id = f"idn_{len(self.identities)}"
        self.server.add_identity(id=identity_id)
        self.identities[identity_id] = is_busy
        self.came[identity_id] = self.now()
        return identity_id

    def vanish(self, identity_id):
        """Delete an identity with its log."""
        self.note_deleted(self.server.event_ids(identity_id))
        self.server.delete_identity(identity_id)
        del self.identities[identity_id]
        self.identities[f"{identity_id} was there"] = False

    @property
    def listed(self):
        return [name for name in self.identities if self.server.has_identity(name)]

    def age(self):
        """How old an event is when it is committed, as late as can still be found."""
        rng = self.rng
        return rng.choice(
            [
                *[rng.uniform(0, 0.01)] * 4,
                rng.uniform(0, LOOK_BACK - 2),
                LOOK_BACK - 2,
                -rng.uniform(1, 9 * 3600) if rng.random() < 0.3 else 0.0,
            ]
        )

    def pass_a_day(self):
        """Have a day's events, and go on to its night."""
        self.next_night()
        rng = self.rng
        for identity_id in self.listed:
            is_busy = self.identities[identity_id]
            count = rng.randint(30, 120) if is_busy else rng.choice([0, 0, 1, 3])
            self.commit(identity_id, count, within=MOST_OF_A_DAY)
        for _ in range(rng.choice([0, 1])):
            self.commit(self.come(), rng.choice([0, 5]), within=3_600)
        for identity_id in rng.sample(self.listed, 2):
            self.delete_one(identity_id)
        self.retain_by_age()
        if rng.random() < self.oblivion:
            self.retain(rng.choice(self.listed), rng.choice([1, 30]))
            name = rng.choice(self.listed)
            self.retain(name, self.server.count(name))
            self.commit(name, 3, within=3_600)
        if rng.random() < 0.3 and len(self.listed) > 4:
            self.vanish(rng.choice(self.listed[2:]))

    def happen(self, _server, request):
        """Have something happen while the account is read."""
        rng = self.rng
        if request.identity is None or rng.random() < 0.4:
            return
        name = rng.choice(self.listed)
        self.commit(name, rng.choice([1, 1, 4]))
        if rng.random() < 0.1:
            self.delete_one(rng.choice(self.listed))
        if rng.random() < 0.05:
            self.retain_by_age()
        if rng.random() < 0.05:
            self.come()


@attrs.define
class Outcome:
    """What came of it.

    Attributes:
        made: Events that there were.
        exported: Events in the files.
        late: Those that runs said to be late.
        ends: How often which end of a run came before its time.
        wrong: What was not as it should be, a sentence each.
        finished: How often `verify` said that all is there.
        gaps: Identities with a gap.
    """

    made: int = 0
    exported: int = 0
    late: int = 0
    ends: Counter = attrs.field(factory=Counter)
    wrong: list = attrs.field(factory=list)
    finished: int = 0
    gaps: int = 0


class Nights:
    """The runs of an export, and what is checked after each."""

    def __init__(self, world, out, written_as, outcome):
        self.world, self.out, self.written_as = world, out, written_as
        self.outcome = outcome
        self.rng = world.rng

    async def run(self):
        """Run the export to its end."""
        server = self.world.server
        async with CanopySession(
            server.account, server.token, base_url=server.base_url, retry=QUICK
        ) as canopy:
            result = await export(
                canopy,
                None,
                self.out,
                format=self.written_as,
                look_back=LOOK_BACK,
                max_file_bytes=20_000,
                commit_every=0.03,
            )
        self.outcome.late += result.late
        return result

    async def run_and_end(self, how):
        """Run the export, and have it end before its time."""
        self.outcome.ends[how] += 1
        if how == "cancel":
            return await self._cancelled()
        if how == "full disk":
            return await self._on_a_full_disk()
        if how == "SIGKILL":
            until = len(self.world.server.requests) + self.rng.randint(1, 20)
            await live(self.world.server, self.out, self.written_as, at=until)
            return None
        before = list(self._steps_of_what_is_there())
        disk = Disk(self.out)
        with disk.watching():
            await self.run()
        steps = [*before, *disk.steps[: self.rng.randrange(len(disk.steps))]]
        if how == "kill":
            files = after_kill(self._cut(steps))
        else:
            files = after_power_loss(steps, keeps_names=self.rng.random() < 0.5)
        for path in self.out.iterdir():
            path.unlink()
        for name, data in files.items():
            (self.out / name).write_bytes(data)
        return None

    def _cut(self, steps):
        """Have the last write done by half, now and then."""
        if steps and steps[-1].what == "write" and self.rng.random() < 0.5:
            data = steps[-1].data
            half = data[: self.rng.randrange(len(data))] if data else data
            return [*steps[:-1], attrs.evolve(steps[-1], data=half)]
        return steps

    def _steps_of_what_is_there(self):
        if not self.out.exists():
            return
        for path in self.out.iterdir():
            yield Step("create", path.name)
            yield Step("write", path.name, path.read_bytes())
            yield Step("sync", path.name)
        yield Step("sync", "")

    async def _cancelled(self):
        server = self.world.server
        at = len(server.requests) + self.rng.randint(1, 30)
        running = asyncio.create_task(self.run())
        while len(server.requests) < at and not running.done():  # noqa: ASYNC110 - any instant
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])
        if not running.cancelled():
            running.result()

    async def _on_a_full_disk(self):
        left = self.rng.randint(0, 12)

        def fault(step):
            nonlocal left
            left -= step.what == "write"
            return OSError(28, "No space left on device") if left < 0 else None

        with Disk(self.out, fault).watching(), suppress(ExportError):
            await self.run()

    def check(self, *, is_last_run_over):
        """Hold the files and what is said of them against what there was."""
        path = self.out / MANIFEST
        if not path.exists() or b"\n" not in path.read_bytes():
            return  # killed before the first line was whole
        found = verify(self.out)
        manifest = read_manifest(self.out)
        self.outcome.wrong += found.problems
        self._check_rows(manifest)
        self._check_words(found, manifest, is_last_run_over)

    def _check_rows(self, manifest):
        wrong = self.outcome.wrong
        logs = self._committed(manifest)
        counts = Counter(row["id"] for log in logs.values() for row in log)
        wrong += [f"{i} is there {n} times" for i, n in counts.items() if n > 1]
        for name, log in logs.items():
            for row in log:
                fact = self.world.facts.get(row["id"])
                if fact is None or fact.identity_id != name:
                    wrong.append(f"{row['id']} of {name} never was")
                elif row != without_empty(normal(fact.row)):
                    wrong.append(f"{row['id']} is not as it was served")
        # Whatever was committed by the instant that is told, and is still there.
        for event_id, fact in self.world.facts.items():
            entry = manifest.identities.get(fact.identity_id)
            as_of = entry and entry.as_of
            is_owed = as_of and fact.committed < as_of and fact.deleted is None
            if is_owed and event_id not in counts:
                wrong.append(f"{event_id} of {fact.identity_id} is lost")
        self.outcome.exported = counts.total()

    def _committed(self, manifest):
        """The rows of all committed files, also of one that has no final name yet."""
        with tempfile.TemporaryDirectory() as scratch:
            for file in manifest.files:
                path = self.out / file.name
                if not path.exists():
                    path = self.out / f"_{file.name}.partial"
                (Path(scratch) / file.name).symlink_to(path)
            return read_back(scratch, empty_is_null=True)

    def _check_words(self, found, manifest, is_last_run_over):
        wrong = self.outcome.wrong
        entries = manifest.identities.values()
        self.outcome.gaps = sum(entry.gap is not None for entry in entries)
        if found.events != self.outcome.exported:
            wrong.append("verify has counted other events")
        run = manifest.runs[-1] if manifest.runs else None
        has_ended = run is not None and run.end is not None
        is_over = has_ended and not manifest.is_cut_short
        if is_over and run.end.outcome == "finished":
            is_clean = not any(e.state in {"failed", "open"} or e.gap for e in entries)
            expected = Status.FINISHED if is_clean else Status.UNFINISHED
        else:
            expected = Status.UNFINISHED
        if found.status is not expected:
            wrong.append(f"it is said to be {found.status}: {found.left}")
        if is_last_run_over and not has_ended:
            wrong.append("a run that is over has no end")
        if found.status is Status.FINISHED:
            self.outcome.finished += 1
            listed = set(manifest.identities) - {
                e.id for e in entries if e.state == "gone"
            }
            missing = [i for i in self.world.listed if i not in listed]
            since = manifest.runs[-1].end.began
            for name in missing:
                if self.world.came[name] < since:
                    wrong.append(f"{name} is missing from what is finished")


async def seven_nights(out, *, written_as, server, seed, ends=ENDS):
    """Export an account for some nights, each of which has a run that ends too early.

    Args:
        out: The directory.
        written_as: The format.
        server: Which of `SERVERS` it is.
        seed: Decides on all that happens.
        ends: How a run may end before its time.
    """
    rng = random.Random(seed)
    world = World(rng, has_ties=server == "ties")
    outcome = Outcome()
    faults = Faults(**SERVERS[server], mutate=world.happen)
    async with world.server:
        for is_busy in (True, True, False, False, False):
            name = world.come(is_busy=is_busy)
            world.commit(name, 130 if is_busy else 3, within=9 * MOST_OF_A_DAY)
        sim = Nights(world, out, written_as, outcome)
        for _ in range(NIGHTS):
            world.server.faults = Faults(**SERVERS[server])
            world.pass_a_day()
            world.server.faults = faults
            await sim.run_and_end(rng.choice(ends))
            sim.check(is_last_run_over=False)
            await sim.run()
            sim.check(is_last_run_over=True)
        # What came while it was read, and what one newest first has put off.
        world.server.faults = Faults(**SERVERS[server])
        world.next_night()
        for _ in range(2):
            await sim.run()
        sim.check(is_last_run_over=True)
        there = {i for i, fact in world.facts.items() if fact.deleted is None}
        logs = read_back(out, empty_is_null=True)
        got = {row["id"] for log in logs.values() for row in log}
        outcome.wrong += [f"{event_id} is lost in the end" for event_id in there - got]
    outcome.made = len(world.facts)
    return outcome


def main(runs):
    """Print what came of many runs of each server and format."""
    for seed in range(runs):
        for server in SERVERS:
            for written_as in ("jsonl", "jsonl.gz", "jsonl.zst", "csv", "parquet"):
                directory = Path(tempfile.mkdtemp(prefix="nights-"))
                outcome = asyncio.run(
                    seven_nights(
                        directory / "out",
                        written_as=written_as,
                        server=server,
                        seed=seed,
                    )
                )
                print(seed, server, written_as, outcome)
                shutil.rmtree(directory)


if __name__ == "__main__":
    main(int(sys.argv[1]))
