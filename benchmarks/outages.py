"""Reads through an outage of the server: their failures, and requests meanwhile.

    python benchmarks/outages.py [--seconds 0.5 2 10 30]

A server that takes 30 ms for an answer refuses all connections for a while, in the
middle of a read, a fan-out over 800 identities, an export of them, and a follower of
50. Each has a server and a session of its own.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
from tables import Table, number

from canopy_async import CanopyError, CanopySession
from canopy_async.export import export, verify
from canopy_async.testing import Faults, LocalCanopy

LATENCY = 0.03
ROWS = 15_000
IDENTITIES = [f"idn_{number}" for number in range(800)]
ROWS_EACH = 20
FOLLOWED = IDENTITIES[:50]
IN_THE_MIDDLE = 80
"""Requests after which the server goes away."""


@attrs.define
class Ending:
    """How a read ended.

    Attributes:
        events: Different events that it has handed out.
        doubled: Events that it has handed out again.
        failures: Identities that failed, or the error that ended it.
    """

    events: int = 0
    doubled: int = 0
    failures: list[str] = attrs.field(factory=list)

    def count(self, ids: list[str]) -> None:
        """Count the events that it has handed out."""
        self.events = len(set(ids))
        self.doubled = len(ids) - self.events


Read = Callable[[CanopySession, LocalCanopy, Ending], Awaitable[None]]


async def read(canopy: CanopySession, _: LocalCanopy, ending: Ending) -> None:
    """Read one long log."""
    ids: list[str] = []
    try:
        async for event in canopy.events("long", order="asc"):
            ids.append(event.id)  # noqa: PERF401 - what came before an error counts
    finally:
        ending.count(ids)


async def fan_out(canopy: CanopySession, _: LocalCanopy, ending: Ending) -> None:
    """Read the logs of all identities."""
    ids: list[str] = []
    reading = canopy.fan_out(IDENTITIES, on_error="collect")
    try:
        async for _identity, event in reading:
            ids.append(event.id)
    finally:
        ending.count(ids)
        ending.failures += reading.failures


async def write(canopy: CanopySession, _: LocalCanopy, ending: Ending) -> None:
    """Export the logs of all identities."""
    with TemporaryDirectory() as directory:
        out = Path(directory) / "out"
        try:
            result = await export(canopy, IDENTITIES, out)
            ending.failures += result.failures
        finally:
            found = verify(out)
            ending.events = found.events
            ending.failures += found.problems


async def follow(canopy: CanopySession, server: LocalCanopy, ending: Ending) -> None:
    """Follow some identities until all events came, those of the outage included."""
    ids: list[str] = []
    wanted = len(FOLLOWED) * (ROWS_EACH + 1)
    for_outage = asyncio.create_task(_write_soon(server))
    follower = canopy.follow(FOLLOWED, start="beginning", every=0.5)
    try:
        async with follower, asyncio.timeout(90):
            async for batch in follower:
                ids += [event.id for event in batch.events]
                if len(set(ids)) >= wanted:
                    return
    finally:
        ending.count(ids)
        for_outage.cancel()


async def _write_soon(server: LocalCanopy) -> None:
    """Add an event to each log as soon as the server is away."""
    await _until(lambda: len(server.requests) >= IN_THE_MIDDLE)
    await _until(lambda: not server.open_connections)
    for identity in FOLLOWED:
        server.add_event(identity)


async def _until(fact: Callable[[], bool]) -> None:
    while not fact():  # noqa: ASYNC110 - the server is in a thread of its own
        await asyncio.sleep(0.005)


READS: dict[str, tuple[Read, int]] = {
    "read of 15 000 events": (read, ROWS),
    "fan_out of 800": (fan_out, len(IDENTITIES) * ROWS_EACH),
    "export of 800": (write, len(IDENTITIES) * ROWS_EACH),
    "follow of 50": (follow, len(FOLLOWED) * (ROWS_EACH + 1)),
}


async def through(name: str, seconds: float) -> list[str]:
    """Return the row of one read through one outage."""
    work, wanted = READS[name]
    ending = Ending()
    async with LocalCanopy() as server:
        if work is read:
            server.seed_events("long", ROWS)
        for identity in () if work is read else IDENTITIES:
            server.add_identity(id=identity)
            server.seed_events(identity, ROWS_EACH)
        server.faults = Faults(latency=LATENCY)
        session = CanopySession(
            server.account, server.token, base_url=server.base_url, concurrency=8
        )
        async with session as canopy:
            reading = asyncio.create_task(_to_its_end(work, canopy, server, ending))
            await _until(lambda: len(server.requests) >= IN_THE_MIDDLE)
            before = canopy.stats.requests
            async with server.outage():
                await asyncio.sleep(seconds)
                meanwhile = canopy.stats.requests - before
            back = time.perf_counter()
            await reading
            after = time.perf_counter() - back
    return [
        name,
        number(seconds),
        number(meanwhile),
        number(after),
        number(wanted - ending.events),
        number(ending.doubled),
        f"{len(ending.failures)}",
        ending.failures[0][:60] if ending.failures else "",
    ]


async def _to_its_end(
    work: Read, canopy: CanopySession, server: LocalCanopy, ending: Ending
) -> None:
    try:
        await work(canopy, server, ending)
    except (CanopyError, TimeoutError) as error:
        ending.failures.append(f"{type(error).__name__}: {error}")


async def compared(outages: list[float]) -> Table:
    """Return the table, a row for each read and outage."""
    table = Table(
        "Through an outage",
        (
            "",
            "outage, s",
            "requests meanwhile",
            "its end, s after",
            "events missing",
            "doubled",
            "failures",
            "such as",
        ),
    )
    for seconds in outages:
        rows = await asyncio.gather(*(through(name, seconds) for name in READS))
        for row in rows:
            table.add(*row)
    return table


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, nargs="+", default=[0.5, 2, 10, 30])
    print(asyncio.run(compared(parser.parse_args().seconds)))


if __name__ == "__main__":
    main()
