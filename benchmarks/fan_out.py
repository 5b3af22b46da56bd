"""The cost of a fan-out over many identities, on a local server of its own process.

    python benchmarks/fan_out.py                  # everything, some minutes
    python benchmarks/fan_out.py zipf limit       # some of it
    python benchmarks/fan_out.py memory --most 10000

It prints one line a measurement. Server and client each want a core: figures of
a machine that is busy otherwise are worse, the ratios less so.
"""

import argparse
import asyncio
import multiprocessing
import resource
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import aiohttp
import attrs

from canopy_async import CanopySession, FanOut, SessionStats
from canopy_async.testing import Faults, LocalCanopy, RecordedRequest

LATENCY = 0.02
LIMIT = 50
PAGE = 100
SPAWN = multiprocessing.get_context("spawn")


@attrs.frozen
class Server:
    """A server in another process."""

    base_url: str
    account: str
    token: str
    pipe: Connection

    def connect(self, **options: Any) -> CanopySession:
        """Return a session on it."""
        options.setdefault("base_url", self.base_url)
        return CanopySession(self.account, self.token, **options)

    def ask(self, question: Any) -> Any:
        """Send it faults to have from now on, or None for its counts."""
        self.pipe.send(question)
        return self.pipe.recv()

    def with_faults(self, **faults: Any) -> None:
        """Let it misbehave from now on, and forget what it counted."""
        self.ask(Faults(**faults))

    def statuses(self) -> Counter[int | None]:
        """Return how many requests it answered how."""
        return Counter(self.ask(None))


def serve(pipe: Connection, sizes: Sequence[int], empty: int) -> None:
    """Run a server until the pipe is closed."""
    asyncio.run(_serve(pipe, sizes, empty))


async def _serve(pipe: Connection, sizes: Sequence[int], empty: int) -> None:
    counts: Counter[int | None] = Counter()
    async with LocalCanopy() as server:
        for number, size in enumerate(sizes):
            server.seed_events(f"log_{number}", size)
        server.seed_identities(empty)
        pipe.send((server.base_url, server.account, server.token))
        pending: list[RecordedRequest] = []
        while True:
            # Records are turned into counts, so that the server's memory is flat.
            pending += server.requests
            server.reset_requests()
            counts.update(r.status for r in pending if r.finished is not None)
            pending = [r for r in pending if r.finished is None]
            try:
                question = pipe.recv() if pipe.poll() else ...
            except EOFError:
                return
            if isinstance(question, Faults):
                server.faults = question
                counts.clear()
                pipe.send(None)
            elif question is None:
                pipe.send(dict(counts))
            await asyncio.sleep(0.05)


@attrs.frozen
class Reading:
    """What one fan-out took."""

    seconds: float
    cpu: float
    fan_out: FanOut
    stats: SessionStats


@contextmanager
def running(sizes: Sequence[int] = (), *, empty: int = 0) -> Iterator[Server]:
    """Start a server with logs of these sizes, and so many empty ones."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=serve, args=(theirs, sizes, empty), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Server(*ours.recv(), ours)
    finally:
        ours.close()
        process.join()


def say(what: str, **figures: Any) -> None:
    """Print one line."""
    texts = [
        f"{name.replace('_', ' ')} {value:,.2f}"
        if isinstance(value, float)
        else f"{name.replace('_', ' ')} {value}"
        for name, value in figures.items()
    ]
    print(f"{what:<34} {', '.join(texts)}", flush=True)


async def read_all(
    server: Server, ids: Sequence[str], *, width: int, concurrency: int
) -> Reading:
    """Fan out over ids."""
    async with server.connect(concurrency=concurrency) as canopy:
        await canopy.page(ids[0], take=1)  # the first connection
        began, cpu = time.perf_counter(), time.process_time()
        fan_out = canopy.fan_out(ids, width=width, on_error="collect")
        async with fan_out:
            while await fan_out.next_batch() is not None:
                pass
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        return Reading(took, cpu, fan_out, canopy.stats)


async def fetch_all(
    server: Server, sizes: Sequence[int], concurrency: int
) -> tuple[float, int]:
    """Fetch every page by bare aiohttp: no order, no proof, no waiting for page 1."""
    path = f"{server.base_url}/portal/v1/accounts/{server.account}/identities"
    todo = deque(
        f"{path}/log_{number}/audit?page={page}&take={PAGE}"
        for number, size in enumerate(sizes)
        for page in range(1, max(1, -(-size // PAGE)) + 1)
    )
    headers = {"Authorization": f"Bearer {server.token}"}
    headers["Accept-Encoding"] = "identity"
    sent = len(todo)

    async def work(http: aiohttp.ClientSession) -> None:
        while todo:
            async with http.get(todo.popleft(), headers=headers) as response:
                await response.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        began = time.perf_counter()
        await asyncio.gather(*(work(http) for _ in range(concurrency)))
        return time.perf_counter() - began, sent


def zipf(identities: int, largest: int) -> list[int]:
    """Return sizes that fall as one over the rank, shuffled the same each time."""
    sizes = [max(1, largest // rank) for rank in range(1, identities + 1)]
    return [sizes[place * 7919 % identities] for place in range(identities)]


def measure_zipf(args: argparse.Namespace) -> None:
    """Wall time against the ideal schedule."""
    sizes = zipf(2_000, 20_000)
    ids = [f"log_{number}" for number in range(len(sizes))]
    with running(sizes) as server:
        for concurrency in args.concurrency:
            server.with_faults(latency=LATENCY)
            bare, pages = asyncio.run(fetch_all(server, sizes, concurrency))
            reading = asyncio.run(
                read_all(server, ids, concurrency=concurrency, width=2 * concurrency)
            )
            progress = reading.fan_out.progress
            ideal = progress.requests * LATENCY / concurrency
            say(
                f"Zipf, {concurrency} in flight",
                seconds=reading.seconds,
                ideal=ideal,
                share=ideal / reading.seconds,
                cpu=reading.cpu,
                events=progress.events,
                requests=progress.requests,
                complete=progress.complete,
            )
            ideal = pages * LATENCY / concurrency
            say(
                "  bare aiohttp, pages known before",
                seconds=bare,
                ideal=ideal,
                share=ideal / bare,
                requests=pages,
            )


def measure_limit(args: argparse.Namespace) -> None:
    """How close to a limit that 429s enforce, and how many requests they cost."""
    ids = [f"idn_{number + 1}" for number in range(args.limited)]
    with running(empty=len(ids)) as server:
        for retry_after in ("seconds", None):
            server.with_faults(
                latency=LATENCY, rate_limit=LIMIT, retry_after=retry_after
            )
            reading = asyncio.run(read_all(server, ids, concurrency=16, width=32))
            time.sleep(0.2)
            statuses = server.statuses()
            progress = reading.fan_out.progress
            say(
                f"{LIMIT}/s, Retry-After {retry_after}",
                seconds=reading.seconds,
                per_second=progress.done / reading.seconds,
                refused=statuses[429],
                requests=statuses.total(),
                cooldowns=reading.stats.cooldowns,
                width=reading.stats.width,
                complete=progress.complete,
                failed=progress.failed,
            )


def read_and_weigh(server: Server, count: int) -> None:
    """Send the peak memory of a process that reads so many identities."""
    ids = [f"idn_{number + 1}" for number in range(count)]
    before = _peak_megabytes()
    reading = asyncio.run(read_all(server, ids, concurrency=32, width=64))
    progress = reading.fan_out.progress
    server.pipe.send((reading.seconds, before, _peak_megabytes(), progress.done))


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_memory(args: argparse.Namespace) -> None:
    """Peak memory against the number of identities."""
    with running(empty=args.most) as server:
        for count in (1_000, args.most):
            server.with_faults()
            ours, theirs = SPAWN.Pipe()
            alone = attrs.evolve(server, pipe=theirs)
            reader = SPAWN.Process(target=read_and_weigh, args=(alone, count))
            reader.start()
            seconds, before, peak, done = ours.recv()
            reader.join()
            say(
                f"memory, {count:,} identities",
                MB_before=before,
                MB_peak=peak,
                MB_grown=peak - before,
                seconds=seconds,
                per_second=done / seconds,
                done=done,
            )


def measure_failing(args: argparse.Namespace) -> None:
    """What one missing identity in a hundred costs."""
    sizes = zipf(1_000, 5_000)
    with running(sizes) as server:
        for every in (0, 100):
            ids = [f"log_{number}" for number in range(len(sizes))]
            if every:
                ids[every // 2 :: every] = [f"gone_{n}" for n in range(1_000 // every)]
            server.with_faults(latency=LATENCY)
            reading = asyncio.run(
                read_all(server, ids, concurrency=args.concurrency[0], width=32)
            )
            progress, failures = reading.fan_out.progress, reading.fan_out.failures
            say(
                "1 % failing" if every else "none failing",
                seconds=reading.seconds,
                complete=progress.complete,
                failed=progress.failed,
                kinds=dict(Counter(type(e).__name__ for e in failures.values())),
                requests=progress.requests,
                retries=reading.stats.retries,
            )


MEASUREMENTS = {
    "zipf": measure_zipf,
    "limit": measure_limit,
    "memory": measure_memory,
    "failing": measure_failing,
}


def main() -> None:
    """Measure what the command line names, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", help=", ".join(MEASUREMENTS))
    parser.add_argument("--most", type=int, default=100_000)
    parser.add_argument("--limited", type=int, default=2_000)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[4, 8, 16])
    args = parser.parse_args()
    for name in args.what or MEASUREMENTS:
        MEASUREMENTS[name](args)


if __name__ == "__main__":
    main()
