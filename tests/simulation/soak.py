"""One process that follows, fans out, exports and reads for web pages, for long.

    PYTHONPATH=tests python tests/simulation/soak.py [--seconds N] [--seed N]

All of it reads one account of a `LocalCanopy` whose logs move, and which fails in every
way that it can: it answers 5xx and 429, is slow, cuts answers short, resets
connections, never answers, and goes away for seconds. At the end, each event that was
committed has to be there once in what was followed and in what was exported, memory
has to be flat, and no task, socket or thread may be left.
"""

import argparse
import asyncio
import gc
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import attrs
from support.exports import ids_of
from support.waiting import until

from canopy_async import CanopyError, CanopySession, CheckpointStore, RetryPolicy
from canopy_async.export import Status, export, verify
from canopy_async.testing import Faults, LocalCanopy

IDS = ("idn_a", "idn_b", "idn_c", "idn_d")
HISTORY = 4_000
"""Events of each log at the beginning, which are deleted from the oldest on."""

LATEST = timedelta(seconds=15)
"""How late an event is committed at most."""

LOOK_BACK = 40.0
"""Seconds for which readers look back, and remember ids: so short that in the middle
third of a run they remember as many as they ever will."""

FAULTS = Faults(
    latency=0.003,
    jitter=0.01,
    straggler_rate=0.02,
    straggler_factor=20.0,
    rate_limit=30.0,
    retry_after="seconds",
    error_rate=0.03,
    error_statuses=(500, 502, 503, 504),
    html_rate=0.01,
    empty_rate=0.01,
    reset_rate=0.02,
    truncate_rate=0.02,
    hang_rate=0.002,
    stall_rate=0.002,
    tie_order="shuffled",
)
"""Of these, the rate limit alone answers 429: where one in a hundred answers is a 429
however few requests are sent, a session sends ever fewer."""

MOST_GROWTH = 8.0
"""MB that the last third may need more than the middle one."""

PATIENCE = 120.0
"""Seconds that a request, the history, and the last events may take."""


@attrs.define
class Counts:
    """How much was done.

    Attributes:
        retries: Requests that were sent again.
        rate: Requests per second that the session of the jobs starts at the end.
        errors: Errors that a web page would have shown, by class.
        wrong: Sentences about reads that lost or doubled something.
    """

    committed: int = 0
    deleted: int = 0
    outages: int = 0
    requests: int = 0
    retries: int = 0
    rate: float | None = None
    web_reads: int = 0
    fan_outs: int = 0
    exports: int = 0
    followers: int = 0
    errors: Counter = attrs.field(factory=Counter)
    wrong: list = attrs.field(factory=list)


class Commits:
    """Writes to the logs, and remembers what it wrote.

    Ids go to a file: the memory of the process is a subject of this simulation.

    Attributes:
        recent: When each of the last events was committed, its date and its id.
        may_delete: Whether the events of the history were read by all who must.
    """

    def __init__(self, server, rng, path, counts):
        self._server = server
        self._rng = rng
        self._path = path
        self._counts = counts
        self._history = dict.fromkeys(IDS, HISTORY)
        self.recent = {name: deque(maxlen=400) for name in IDS}
        self.may_delete = False

    def begin(self):
        """Fill the logs with a history that ends before all that is committed later."""
        start = datetime.now(UTC) - timedelta(days=2)
        with self._path.open("w", encoding="utf-8") as file:
            for name in IDS:
                self._server.seed_events(name, HISTORY, start=start, spacing=20)
                file.writelines(f"{i}\n" for i in self._server.event_ids(name))

    async def go_on(self):
        """Commit events in time and late, alone and in bursts, some of one instant."""
        rng = self._rng
        with self._path.open("a", encoding="utf-8") as file:
            while True:
                name = rng.choice(IDS)
                count = rng.choice([1, 1, 1, 2, 3, 10])
                self._commit(name, count, file)
                if self.may_delete and self._history[name] > count:
                    self._delete(name, count)
                await asyncio.sleep(rng.uniform(0, 0.2))

    def _commit(self, name, count, file):
        late = self._rng.random() < 0.2
        age = self._rng.uniform(0, LATEST.total_seconds()) if late else 0.0
        date = datetime.now(UTC) - timedelta(seconds=age)
        step = timedelta(milliseconds=self._rng.choice([0, 0, 7]))
        dates = [date + number * step for number in range(count)]
        rows = [{"created_at": it.isoformat(timespec="milliseconds")} for it in dates]
        made = self._server.add_events(name, rows)
        now = time.monotonic()
        for row in made:
            date = datetime.fromisoformat(row["created_at"])
            self.recent[name].append((now, date, row["id"]))
            file.write(f"{row['id']}\n")
        file.flush()
        self._counts.committed += count

    def _delete(self, name, count):
        self._server.delete_oldest(name, count)
        self._history[name] -= count
        self._counts.deleted += count

    def missing_in(self, name, events, began):
        """Return ids that a read of the newest events must have and does not have."""
        oldest = min(event.created_at for event in events)
        found = {event.id for event in events}
        return [
            event_id
            for committed, date, event_id in self.recent[name]
            if committed < began and date > oldest and event_id not in found
        ]


@attrs.define
class Soak:
    """All that runs side by side."""

    server: LocalCanopy
    commits: Commits
    counts: Counts
    rng: random.Random
    directory: Path
    stopping: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def follow(self, canopy):
        """Follow all logs, and now and then stop and go on from the store."""
        with self.followed.open("a", encoding="utf-8") as file:
            async with CheckpointStore(self.directory / "places.db") as store:
                while True:
                    self.counts.followers += 1
                    stop_at = time.monotonic() + self.rng.uniform(10, 30)
                    await self._follow_once(canopy, store, file, stop_at)

    async def _follow_once(self, canopy, store, file, stop_at):
        follower = canopy.follow(
            IDS,
            start="beginning",
            checkpoints=store,
            every=0.2,
            idle_every=1.0,
            overlap=LOOK_BACK,
            deep_overlap=2 * LOOK_BACK,
            deep_every=20.0,
        )
        async with follower:
            async for batch in follower:
                file.writelines(f"{event.id}\n" for event in batch.events)
                file.flush()
                await store.save(batch)
                if time.monotonic() > stop_at:
                    break

    @property
    def followed(self):
        return self.directory / "followed.txt"

    @property
    def exported(self):
        return self.directory / "export"

    async def export_on(self, canopy):
        while not self.stopping.is_set():
            await self.export_once(canopy)
            await self._pause(self.rng.uniform(2, 5))

    async def export_once(self, canopy):
        result = await export(canopy, IDS, self.exported, look_back=LOOK_BACK)
        if result.failures:
            self.counts.wrong.append(f"an export failed: {result.failures}")
        self.counts.exports += 1

    async def fan_out_on(self, canopy):
        while not self.stopping.is_set():
            await self._fan_out(canopy)
            await self._pause(self.rng.uniform(1, 3))

    async def _fan_out(self, canopy):
        before = {name: self.server.event_ids(name) for name in IDS}
        found = {name: Counter() for name in IDS}
        order = self.rng.choice(["asc", "desc"])
        async with canopy.fan_out(IDS, order=order) as fan_out:
            async for name, event in fan_out:
                found[name][event.id] += 1
        for name in IDS:
            there = set(before[name]) & set(self.server.event_ids(name))
            self._check(f"a fan-out, {order}, of {name}", there, found[name])
        self.counts.fan_outs += 1

    async def web_on(self, canopy):
        """Read the newest 20 as the handler of a web page does, which may fail."""
        while not self.stopping.is_set():
            name, began = self.rng.choice(IDS), time.monotonic()
            try:
                events = await canopy.events(name, order="desc", limit=20).collect()
            except CanopyError as error:
                self.counts.errors[type(error).__name__] += 1
            else:
                self._check_newest(name, events, began)
            self.counts.web_reads += 1
            await self._pause(self.rng.uniform(0, 0.4))

    def _check_newest(self, name, events, began):
        missing = self.commits.missing_in(name, events, began)
        ids = Counter(event.id for event in events)
        self._check(f"a web read of {name}", missing, ids)
        if len(events) != 20:
            self.counts.wrong.append(f"a web read of {name} had {len(events)} events")

    def _check(self, what, needed, found):
        lost = set(needed) - set(found)
        doubled = [event_id for event_id, count in found.items() if count > 1]
        if lost or doubled:
            self.counts.wrong.append(
                f"{what} lost {len(lost)} and doubled {len(doubled)} events"
            )

    async def go_away_on(self):
        """Refuse connections for some seconds now and then."""
        while not self.stopping.is_set():
            await self._pause(self.rng.uniform(15, 30))
            if not self.stopping.is_set():
                async with self.server.outage():
                    await asyncio.sleep(self.rng.uniform(0.5, 3))
                self.counts.outages += 1

    async def allow_deletes(self):
        """Let the history go once the follower and an export have read it."""
        await patiently(
            lambda: (
                self.counts.exports > 0
                and lines_in(self.followed) >= HISTORY * len(IDS)
            ),
            "the history was not read",
        )
        self.commits.may_delete = True

    async def forget_requests(self):
        """Keep the server's own record of requests from growing."""
        while True:
            self.counts.requests += len(self.server.requests)
            self.server.reset_requests()
            await asyncio.sleep(1)

    async def _pause(self, seconds):
        """Wait for that long, or until the end."""
        try:
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        except TimeoutError:
            pass


async def soak(seconds, seed, directory, memory):
    """Run everything for that long; return what was done, and what was left."""
    rng, counts = random.Random(seed), Counts()
    began = left()
    path = str(directory / "server.db")
    async with LocalCanopy(seed=seed, path=path) as server:
        commits = Commits(server, rng, directory / "made.txt", counts)
        commits.begin()
        server.faults = FAULTS
        run = Soak(server, commits, counts, rng, directory)
        run.followed.touch()
        async with jobs_and_web(server) as (jobs, web):
            await _run(run, jobs, web, seconds, memory)
            counts.rate = jobs.stats.rate
            counts.retries = jobs.stats.retries + web.stats.retries
        await until(lambda: server.open_connections == 0, "the server has connections")
    gc.collect()
    return run, began, left()


@asynccontextmanager
async def jobs_and_web(server):
    """A session for what may take long, and one for what people wait for."""
    patient = RetryPolicy(deadline=PATIENCE, base=0.05, throttled_base=0.1, cap=1.0)
    quick = RetryPolicy(deadline=2, base=0.05, throttled_base=0.1)
    where = {"base_url": server.base_url, "timeout": 2.0}
    async with (
        CanopySession(server.account, server.token, retry=patient, **where) as jobs,
        CanopySession(server.account, server.token, retry=quick, **where) as web,
    ):
        yield jobs, web


async def _run(run, jobs, web, seconds, memory):
    writing = asyncio.create_task(run.commits.go_on())
    lasting = [
        asyncio.create_task(it)
        for it in (
            run.follow(jobs),
            run.allow_deletes(),
            run.forget_requests(),
            sample(memory),
        )
    ]
    ending = [
        asyncio.create_task(it)
        for it in (
            run.export_on(jobs),
            run.fan_out_on(jobs),
            run.go_away_on(),
            *(run.web_on(web) for _ in range(4)),
        )
    ]
    everything = [writing, *lasting, *ending]
    try:
        done, _ = await asyncio.wait(
            everything, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION
        )
        for task in done:
            task.result()
        await end(writing)
        run.stopping.set()
        await asyncio.gather(*ending)
        await run.export_once(jobs)
        made = lines_in(run.directory / "made.txt")
        await patiently(
            lambda: lasting[0].done() or lines_in(run.followed) >= made,
            "not all that was committed was followed",
        )
        await asyncio.sleep(1)  # in which nothing more may come
    finally:
        await end(*everything)


async def patiently(fact, otherwise):
    """Look a few times a second whether something is so, and fail if it never is."""
    limit = time.monotonic() + PATIENCE
    while not fact():
        if time.monotonic() > limit:
            raise AssertionError(otherwise)
        await asyncio.sleep(0.2)


async def end(*tasks):
    """Cancel tasks, and raise the first error that one of them has ended with."""
    for task in tasks:
        task.cancel()
    for found in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(found, Exception):
            raise found


async def sample(memory):
    """Write down what the process holds, twice a second: MB, and Python's blocks."""
    while True:
        memory.append((resident(), sys.getallocatedblocks()))
        await asyncio.sleep(0.5)


def resident():
    """The memory of this process, in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2


@attrs.frozen
class Left:
    """What a process holds: tasks but this one, threads, and sockets."""

    tasks: int
    threads: int
    sockets: int


def left():
    return Left(
        tasks=len(asyncio.all_tasks()) - 1,
        threads=sum(it.name[:8] != "asyncio_" for it in threading.enumerate()),
        sockets=sum(is_socket(fd) for fd in Path("/proc/self/fd").iterdir()),
    )


def is_socket(fd):
    try:
        return str(fd.readlink()).startswith("socket:")
    except OSError:  # the one with which the directory was read
        return False


def lines_in(path):
    return path.read_bytes().count(b"\n")


def judge(run, before, after, memory):
    """Print a table; return whether everything is as it has to be."""
    counts = run.counts
    made = lines_of(run.directory / "made.txt")
    followed = lines_of(run.followed)
    files = Counter(i for log in ids_of(run.exported).values() for i in log)
    verified = verify(run.exported)
    middle, last = thirds([size for size, _ in memory])
    blocks = " and ".join(f"{it:.0f}" for it in thirds([it for _, it in memory]))
    rows = [
        ("events committed, the history among them", made.total(), True),
        ("events deleted meanwhile", counts.deleted, True),
        ("requests", counts.requests, counts.requests > 0),
        ("attempts that failed and were repeated", counts.retries, True),
        ("rate that the jobs have learnt, per second", counts.rate, True),
        ("outages", counts.outages, True),
        ("followers, each from where the last ended", counts.followers, True),
        *differences("followed", made, followed),
        ("exports into one directory", counts.exports, counts.exports > 1),
        *differences("exported", made, files),
        ("status of the export", verified.status, verified.status == Status.FINISHED),
        ("fan-outs of all logs", counts.fan_outs, counts.fan_outs > 0),
        ("reads of the newest 20", counts.web_reads, counts.web_reads > 0),
        ("of them with an error", dict(counts.errors) or 0, True),
        (
            "fan-outs and web reads that lost or doubled",
            len(counts.wrong),
            not counts.wrong,
        ),
        ("MB in the middle third", f"{middle:.1f}", True),
        ("MB in the last third", f"{last:.1f}", last - middle < MOST_GROWTH),
        ("Python's blocks of memory in these thirds", blocks, True),
        ("tasks left", after.tasks - before.tasks, after.tasks <= before.tasks),
        ("threads left", after.threads - before.threads, after.threads == 1),
        ("sockets left", after.sockets - before.sockets, after == before),
    ]
    print("| | | |\n|---|---|---|")
    for name, value, is_good in rows:
        print(f"| {name} | {value} | {'' if is_good else 'WRONG'} |")
    for sentence in counts.wrong[:10]:
        print(sentence)
    return all(is_good for _, _, is_good in rows)


def thirds(values):
    """Return what is usual in the middle third, and what is in the last."""
    third = len(values) // 3
    return median(values[third : 2 * third]), median(values[2 * third :])


def differences(what, made, found):
    lost = len(made.keys() - found.keys())
    doubled = sum(count > 1 for count in found.values())
    unknown = len(found.keys() - made.keys())
    return (
        (f"events {what}", found.total(), unknown == 0),
        (f"events lost of those {what}", lost, lost == 0),
        (f"events doubled of those {what}", doubled, doubled == 0),
    )


def lines_of(path):
    return Counter(path.read_text(encoding="utf-8").splitlines())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    memory = []
    with tempfile.TemporaryDirectory() as directory:
        found = asyncio.run(soak(chosen.seconds, chosen.seed, Path(directory), memory))
        is_good = judge(*found, memory)
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
