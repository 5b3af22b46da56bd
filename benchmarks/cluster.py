"""An export by one process, and by two workers of a Dask cluster, on two cores.

    python benchmarks/cluster.py              # everything, some minutes
    python benchmarks/cluster.py cpu latency  # some of it

``cpu`` and ``latency`` read from the raw server of `server.py`, at no distance and
at 30 ms. Each run exports the same identities to Parquet with the same number of
requests in flight in all; processes are started before the clock is. ``kill`` kills a
worker in the midst of an export and compares what was written with what the server
holds. ``budget`` prints how many requests the server saw at once, and per second.
"""

import argparse
import asyncio
import multiprocessing
import os
import random
import signal
import statistics
import tempfile
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import attrs
import dask
import msgspec
from distributed import Client, LocalCluster
from measure import running_server

from canopy_async import CanopySession
from canopy_async.distributed import export as export_on_cluster
from canopy_async.export import export, read_manifest, verify
from canopy_async.testing import Faults, LocalCanopy

SPAWN = multiprocessing.get_context("spawn")
VARIABLE = "CANOPY_TOKEN"
CONCURRENCY = 16
SOON = {"distributed.scheduler.locks.lease-timeout": "5s"}


@contextmanager
def cluster() -> Iterator[Client]:
    """Start two workers of one thread each."""
    with (
        dask.config.set(SOON),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            silence_logs=50,
        ) as workers,
        Client(workers) as client,
    ):
        yield client


@attrs.frozen
class Task:
    """What is exported, and from where."""

    base_url: str
    account: str
    ids: tuple[str, ...]


@attrs.frozen
class Taken:
    """What one export took.

    Attributes:
        rate: Events per second.
        cpu: Seconds of the processor, of each process that reads and writes.
    """

    rate: float
    cpu: tuple[float, ...]


def by_one_process(task: Task) -> Taken:
    """Export in a new process."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=_be_one_process, args=(theirs, task))
    process.start()
    took: Taken = ours.recv()
    process.join()
    return took


def _be_one_process(pipe: Connection, task: Task) -> None:
    pipe.send(asyncio.run(_export(task)))


async def _export(task: Task) -> Taken:
    session = CanopySession(
        task.account,
        os.environ[VARIABLE],
        base_url=task.base_url,
        concurrency=CONCURRENCY,
    )
    with tempfile.TemporaryDirectory() as directory:
        async with session:
            await export(session, task.ids[:4], f"{directory}/warm", format="parquet")
            began, cpu = time.perf_counter(), time.process_time()
            result = await export(
                session, task.ids, f"{directory}/out", format="parquet"
            )
            seconds = time.perf_counter() - began
            return Taken(result.events / seconds, (time.process_time() - cpu,))


def by_two_workers(client: Client, task: Task) -> Taken:
    """Export on the cluster."""
    options: dict[str, Any] = {
        "account": task.account,
        "base_url": task.base_url,
        "concurrency": CONCURRENCY,
        "format": "parquet",
    }
    with tempfile.TemporaryDirectory() as directory:
        export_on_cluster(client, task.ids[:4], f"{directory}/warm", **options)
        before = client.run(time.process_time)
        began = time.perf_counter()
        result = export_on_cluster(client, task.ids, f"{directory}/out", **options)
        seconds = time.perf_counter() - began
        after = client.run(time.process_time)
        cpu = tuple(after[worker] - before[worker] for worker in before)
        return Taken(result.events / seconds, cpu)


def compare(name: str, account: str, sizes: Sequence[int], rounds: int) -> None:
    """Print how fast both are, in turns."""
    ids = tuple(f"idn_{number}_{size}" for number, size in enumerate(sizes))
    one: list[Taken] = []
    two: list[Taken] = []
    with running_server() as base_url, cluster() as client:
        task = Task(base_url, account, ids)
        for _ in range(rounds):
            one.append(by_one_process(task))
            two.append(by_two_workers(client, task))
    ratio = statistics.median(b.rate / a.rate for a, b in zip(one, two, strict=True))
    print(f"{name:8} {sum(sizes):,} events; two workers {ratio:.2f} times as fast")
    for who, taken in (("one process", one), ("two workers", two)):
        rate = statistics.median(run.rate for run in taken)
        each = zip(*(sorted(run.cpu) for run in taken), strict=True)
        cpu = " and ".join(f"{statistics.median(one):.1f}" for one in each)
        print(f"         {who}: {rate:,.0f} events/s, CPU {cpu} s", flush=True)


@attrs.frozen
class Server:
    """A `LocalCanopy` in another process."""

    base_url: str
    account: str
    pipe: Connection

    def ask(self, name: str, *arguments: Any) -> Any:
        """Return what an attribute or a method of it is."""
        self.pipe.send((name, arguments))
        return self.pipe.recv()


@contextmanager
def local_canopy(sizes: dict[str, int], faults: Faults) -> Iterator[Server]:
    """Start a server with logs of these sizes."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=_serve, args=(theirs, sizes, faults), daemon=True)
    process.start()
    theirs.close()
    try:
        base_url, account, os.environ[VARIABLE] = ours.recv()
        yield Server(base_url, account, ours)
    finally:
        ours.close()
        process.join()


def _serve(pipe: Connection, sizes: dict[str, int], faults: Faults) -> None:
    asyncio.run(_answer(pipe, sizes, faults))


async def _answer(pipe: Connection, sizes: dict[str, int], faults: Faults) -> None:
    async with LocalCanopy(faults=faults) as server:
        for name, size in sizes.items():
            server.seed_events(name, size)
        pipe.send((server.base_url, server.account, server.token))
        while True:
            await asyncio.sleep(0.01)
            try:
                name, arguments = pipe.recv() if pipe.poll() else (None, ())
            except EOFError:
                return
            if name == "starts":
                pipe.send([request.started for request in server.requests])
            elif name is not None:
                found = getattr(server, name)
                pipe.send(found(*arguments) if callable(found) else found)


def measure_kills(args: argparse.Namespace) -> None:
    """Kill a worker at a random instant of each export."""
    sizes = {f"idn_{number}": 400 for number in range(60)} | {"giant": 12_000}
    dice = random.Random(args.seed)
    faults = Faults(latency=0.005)
    with local_canopy(sizes, faults) as server:
        truth = {name: server.ask("event_ids", name) for name in sizes}
        with cluster() as client:
            for number in range(args.kills + 1):
                killer = (lambda: None) if not number else _killer(client, dice)
                _measure_kill(server, client, truth, killer, kills=min(number, 1))


def _measure_kill(
    server: Server,
    client: Client,
    truth: dict[str, list[str]],
    kill: Callable[[], None],
    *,
    kills: int,
) -> None:
    client.wait_for_workers(2)
    with tempfile.TemporaryDirectory() as directory:
        began = time.perf_counter()
        killing = threading.Thread(target=kill)
        killing.start()
        export_on_cluster(
            client,
            list(truth),
            directory,
            account=server.account,
            base_url=server.base_url,
            concurrency=8,
            split_over=1_000,
        )
        took = time.perf_counter() - began
        killing.join()
        found = Counter(_rows(Path(directory)))
        wanted = {(name, row) for name, ids in truth.items() for row in ids}
        print(
            f"kill     {kills} worker killed   {took:5.1f} s   {len(wanted):,} events:"
            f" {len(wanted - found.keys())} lost,"
            f" {sum(count - 1 for count in found.values())} twice,"
            f" verified: {verify(directory).ok}",
            flush=True,
        )


def _killer(client: Client, dice: random.Random) -> Callable[[], None]:
    pid = dice.choice(list(client.run(os.getpid).values()))
    wait = dice.uniform(0.3, 1.5)

    def kill() -> None:
        time.sleep(wait)
        os.kill(pid, signal.SIGKILL)

    return kill


def _rows(directory: Path) -> Iterator[tuple[str, str]]:
    for file in read_manifest(directory).files:
        for line in (directory / file.name).read_bytes().splitlines():
            row = msgspec.json.decode(line)
            yield row["identity_id"], row["id"]


def measure_budget(_: argparse.Namespace) -> None:
    """Print what the server saw against what was allowed."""
    sizes = {f"idn_{number}": 1_500 for number in range(24)}
    for concurrency, max_rate in ((3, None), (8, None), (16, None), (16, 60.0)):
        with local_canopy(sizes, Faults(latency=0.04)) as server, cluster() as client:
            with tempfile.TemporaryDirectory() as directory:
                export_on_cluster(
                    client,
                    list(sizes),
                    directory,
                    account=server.account,
                    base_url=server.base_url,
                    concurrency=concurrency,
                    max_rate=max_rate,
                )
            starts = sorted(server.ask("starts"))
            busiest = max(
                bisect_left(starts, at + 1.0) - n for n, at in enumerate(starts)
            )
            rate = "any number" if max_rate is None else f"{max_rate:.0f}"
            print(
                f"budget   {concurrency:>2} in flight allowed,"
                f" {server.ask('peak_in_flight'):>2} seen at most;"
                f" {rate} a second allowed, {busiest} seen at most",
                flush=True,
            )


def measure_cpu(args: argparse.Namespace) -> None:
    """Without latency, decoding and writing is what takes time."""
    compare("cpu", "acme", [2_000] * args.identities, args.rounds)


def measure_latency(args: argparse.Namespace) -> None:
    """At 30 ms, it is waiting: more processes have no more requests in flight."""
    compare("latency", "acme-30", [400] * args.identities, args.rounds)


MEASURES = {
    "cpu": measure_cpu,
    "latency": measure_latency,
    "kill": measure_kills,
    "budget": measure_budget,
}


def main() -> None:
    """Print one line a measurement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", choices=[*MEASURES, []])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--identities", type=int, default=200)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    os.environ[VARIABLE] = "made-up"
    for name in args.what or MEASURES:
        MEASURES[name](args)


if __name__ == "__main__":
    main()
