"""Measurements of this library in one situation each, run in a process of its own."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from contestants import Log, bare, raw
from contestants.ours import session
from readers import Stopwatch, peak_megabytes

_PAUSE_EVERY = 100


def read(log: dict[str, Any]) -> dict[str, Any]:
    """Read a log with the proof; return seconds, requests and megabytes."""
    return asyncio.run(_read(Log(**log)))


def read_slowly(log: dict[str, Any], per_second: float) -> dict[str, Any]:
    """Do so, and take so many events a second at most."""
    return asyncio.run(_read_slowly(Log(**log), per_second))


def fan_out(
    base_url: str, account: str, *, identities: int, events: int, in_flight: int
) -> dict[str, Any]:
    """Read the logs of many identities, of so many events each."""
    log = Log(
        base_url=base_url, account=account, identity="", events=0, in_flight=in_flight
    )
    return asyncio.run(_fan_out(log, identities, events))


def fan_out_bare(
    base_url: str, account: str, *, identities: int, events: int, in_flight: int
) -> dict[str, Any]:
    """Read the same logs with nothing but aiohttp and the decoder."""
    logs = _logs(base_url, account, identities, events)
    return _measured(bare.fan_out(logs, in_flight))


def fan_out_raw(
    base_url: str, account: str, *, identities: int, events: int, in_flight: int
) -> dict[str, Any]:
    """Read the same logs off raw sockets, with the decoder."""
    logs = _logs(base_url, account, identities, events)
    return _measured(raw.fan_out(logs, in_flight))


def _measured(reading: Coroutine[Any, Any, int]) -> dict[str, Any]:
    watch = Stopwatch()
    seen = asyncio.run(reading)
    return watch.figures() | {"events": seen}


async def _read(log: Log) -> dict[str, Any]:
    watch = Stopwatch()
    async with (
        session(log) as canopy,
        canopy.events(log.identity, order=log.order).open() as run,
    ):
        await anext(run)
        watch.saw_first()
        seen = 1
        async for _ in run:
            seen += 1
        return watch.figures() | {
            "events": seen,
            "requests": run.report.requests,
            "complete": run.report.complete,
            "peak": peak_megabytes(),
        }


async def _read_slowly(log: Log, per_second: float) -> dict[str, Any]:
    watch = Stopwatch()
    seen = 0
    async with session(log) as canopy:
        async for _ in canopy.events(log.identity, order=log.order):
            seen += 1
            if seen % _PAUSE_EVERY == 0:
                ahead = seen / per_second - (time.perf_counter() - watch.began)
                await asyncio.sleep(max(0.0, ahead))
    return watch.figures() | {"events": seen, "peak": peak_megabytes()}


async def _fan_out(log: Log, identities: int, events: int) -> dict[str, Any]:
    watch = Stopwatch()
    seen = 0
    async with session(log) as canopy:
        ids = _ids(identities, events)
        # Wide enough to have as many requests in flight; more would only be open.
        fan_out = canopy.fan_out(ids, width=log.in_flight, order=log.order)
        async with fan_out:
            async for _ in fan_out:
                if not seen:
                    watch.saw_first()
                seen += 1
        progress = fan_out.progress
    return watch.figures() | {
        "events": seen,
        "requests": progress.requests,
        "complete": progress.complete == identities,
        "peak": peak_megabytes(),
    }


def _logs(base_url: str, account: str, identities: int, events: int) -> list[Log]:
    return [
        Log(
            base_url=base_url,
            account=account,
            identity=_id(number, events),
            events=events,
        )
        for number in range(identities)
    ]


async def _ids(identities: int, events: int) -> AsyncIterator[str]:
    for number in range(identities):
        yield _id(number, events)


def _id(number: int, events: int) -> str:
    return f"idn_{number}_{events}"
