"""The log of a whole account: by its cursor, and by time with more in flight.

    python benchmarks/account_log.py --events 1000000 --latency 20

A server in a process of its own holds the events of 30 days; each reader runs in a
process of its own as well. Prints the time, the requests, the time of the first event
and the peak memory of each.
"""

import argparse
import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from tempfile import TemporaryDirectory

import aiohttp

from canopy_async import CanopySession
from canopy_async.export import ExportProgress, export_log
from canopy_async.testing import Faults, LocalCanopy, LogRules

DAYS = 30
START = datetime(2026, 3, 1, tzinfo=UTC)
SINCE = START - timedelta(days=1)
UNTIL = START + timedelta(days=2 * DAYS)
READERS = ("cursor", "1", "8", "32", "export-8", "export-32")


async def serve(events: int, latency: float) -> None:
    """Serve a log until standard input ends."""
    rules = LogRules(own_rows="none")
    async with LocalCanopy(log_rules=rules) as server:
        spacing = DAYS * 86_400 / events
        server.seed_events("idn_1", events, start=START, spacing=spacing)
        server.faults = Faults(latency=latency / 1000)
        print(json.dumps([server.base_url, server.account, server.token]), flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def read_by_cursor(base_url: str, account: str, token: str) -> dict[str, float]:
    """Follow the cursor, one page after the other, into plain dicts."""
    url = f"{base_url}/portal/v1/accounts/{account}/audit-log/identities"
    query = {"from": SINCE.isoformat(), "to": UNTIL.isoformat(), "limit": "200"}
    headers = {"Authorization": f"Bearer {token}"}
    began, first, rows, requests = time.perf_counter(), 0.0, 0, 0
    async with aiohttp.ClientSession(headers=headers) as http:
        while True:
            async with http.get(url, params=query) as answer:
                page = await answer.json()
            requests += 1
            rows += len(page["items"])
            first = first or time.perf_counter() - began
            cursor = page["pagination"]["next_cursor"]
            if cursor is None:
                break
            query["cursor"] = cursor
    seconds = time.perf_counter() - began
    return {"rows": rows, "requests": requests, "first": first, "seconds": seconds}


async def read_by_time(
    base_url: str, account: str, token: str, width: int
) -> dict[str, float]:
    """Read by time, proven, with so many requests in flight."""
    began, first, rows = time.perf_counter(), 0.0, 0
    async with CanopySession(
        account, token, base_url=base_url, concurrency=width
    ) as canopy:
        stream = canopy.account_events(since=SINCE)
        async with stream.open() as run:
            while (batch := await run.next_batch()) is not None:
                rows += len(batch)
                first = first or time.perf_counter() - began
            report = run.report
    if not report.complete:
        raise RuntimeError("the read is not complete")
    seconds = time.perf_counter() - began
    requests = report.requests
    return {"rows": rows, "requests": requests, "first": first, "seconds": seconds}


async def export_by_time(
    base_url: str, account: str, token: str, width: int
) -> dict[str, float]:
    """Write JSON lines, oldest first, with so many requests in flight."""
    began, first, requests = time.perf_counter(), 0.0, 0

    def look(progress: ExportProgress) -> None:
        nonlocal first, requests
        requests = progress.requests
        if progress.events:
            first = first or time.perf_counter() - began

    async with CanopySession(
        account, token, base_url=base_url, concurrency=width
    ) as canopy:
        with TemporaryDirectory() as directory:
            result = await export_log(canopy, directory, since=SINCE, on_progress=look)
    if not result.complete:
        raise RuntimeError("the export is not complete")
    seconds, rows = time.perf_counter() - began, result.events
    return {"rows": rows, "requests": requests, "first": first, "seconds": seconds}


async def read(how: str) -> None:
    """Read as one reader does, and print what came of it."""
    where = json.loads(os.environ["WHERE"])
    if how == "cursor":
        result = await read_by_cursor(*where)
    elif how.startswith("export-"):
        result = await export_by_time(*where, int(how.removeprefix("export-")))
    else:
        result = await read_by_time(*where, int(how))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(result | {"peak": peak}))


@asynccontextmanager
async def program(
    *arguments: str, **env: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run this file in another process during the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | env,
    )
    try:
        yield process
    finally:
        await process.communicate()


async def compare(events: int, latency: float, readers: list[str]) -> None:
    """Print a line for each reader."""
    size = ("--events", str(events), "--latency", str(latency))
    async with program("--serve", *size) as server:
        if server.stdout is None:
            raise RuntimeError("the server has no output")
        where = (await server.stdout.readline()).decode()
        print("| reader | seconds | events/s | requests | first event | peak memory |")
        print("|:--|--:|--:|--:|--:|--:|")
        for how in readers:
            async with program("--read", how, WHERE=where) as reader:
                out, _ = await reader.communicate()
            done = json.loads(out)
            if done["rows"] != events:
                raise RuntimeError(f"{how} has read {done['rows']} events")
            name = "the cursor" if how == "cursor" else f"by time, {how} in flight"
            if how.startswith("export-"):
                width = how.removeprefix("export-")
                name = f"export_log(), {width} in flight"
            print(
                f"| {name} | {done['seconds']:.1f} |"
                f" {events / done['seconds']:,.0f} | {done['requests']:,} |"
                f" {1000 * done['first']:.0f} ms | {done['peak']:.0f} MB |",
                flush=True,
            )


def main() -> None:
    """Serve, read or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--latency", type=float, default=20.0)
    parser.add_argument("--readers", nargs="+", default=list(READERS))
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--read", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.events, options.latency))
    elif options.read:
        asyncio.run(read(options.read))
    else:
        asyncio.run(compare(options.events, options.latency, options.readers))


if __name__ == "__main__":
    main()
