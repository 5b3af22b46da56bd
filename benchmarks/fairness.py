"""A long read beside many short ones: its share of the requests, and their waits.

    python benchmarks/fairness.py [--seconds 6]

Web handlers read the newest twenty events of a log again and again, while one log is
read from end to end, all over one session of eight requests in flight, from a server
that takes 50 ms for an answer. In turns, the long read has one part, as each handler.
"""

import argparse
import asyncio
import time

from tables import Table, number

from canopy_async import CanopySession
from canopy_async.testing import Faults, LocalCanopy

HANDLERS = (0, 4, 16, 64)
CONCURRENCY = 8
LATENCY = 0.05
TAKE = 20
ROWS = 100_000


async def compared(seconds: float) -> Table:
    """Return the table, a row for each number of handlers."""
    table = Table(
        "A long read beside short ones",
        ("handlers", "requests/s", "share of the long read", "p50, ms", "p99, ms"),
    )
    async with LocalCanopy() as server:
        server.seed_events("long", ROWS)
        for handler in range(max(HANDLERS)):
            server.seed_events(f"short_{handler}", 40)
        server.faults = Faults(latency=LATENCY)
        for handlers in HANDLERS:
            table.add(*await _row(server, handlers, seconds))
    return table


async def _row(server: LocalCanopy, handlers: int, seconds: float) -> list[str]:
    server.reset_requests()
    waits: list[float] = []
    session = CanopySession(
        server.account,
        server.token,
        base_url=server.base_url,
        concurrency=CONCURRENCY,
    )
    async with session as canopy:
        until = time.perf_counter() + seconds
        await asyncio.gather(
            _read_on(canopy, until),
            *(_ask_on(canopy, handler, until, waits) for handler in range(handlers)),
        )
    asked = [request.identity for request in server.requests]
    waits.sort()
    return [
        str(handlers),
        number(len(asked) / seconds),
        f"{asked.count('long') / len(asked):.0%}",
        number(1_000 * _quantile(waits, 0.5)) if waits else "",
        number(1_000 * _quantile(waits, 0.99)) if waits else "",
    ]


async def _read_on(canopy: CanopySession, until: float) -> None:
    async with canopy.events("long", take=TAKE).open() as run:
        async for _ in run:
            if time.perf_counter() >= until:
                return


async def _ask_on(
    canopy: CanopySession, handler: int, until: float, waits: list[float]
) -> None:
    newest = canopy.events(f"short_{handler}", order="desc", limit=TAKE, take=TAKE)
    while (began := time.perf_counter()) < until:
        await newest.collect()
        waits.append(time.perf_counter() - began)


def _quantile(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=6.0, help="for each row")
    print(asyncio.run(compared(parser.parse_args().seconds)))


if __name__ == "__main__":
    main()
