"""One contestant reads one log and is measured, in a process of its own."""

import asyncio
import importlib
import resource
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import attrs
from contestants import CONTESTANTS, Contestant, Log
from events import event_ids


@attrs.define
class Stopwatch:
    """Wall and CPU seconds since it was made, and when the first event came."""

    began: float = attrs.field(factory=time.perf_counter)
    cpu: float = attrs.field(factory=time.process_time)
    first: float | None = None

    def saw_first(self) -> None:
        """Note the time."""
        self.first = time.perf_counter() - self.began

    def figures(self) -> dict[str, float | None]:
        """Return what it shows."""
        return {
            "wall": time.perf_counter() - self.began,
            "cpu": time.process_time() - self.cpu,
            "first": self.first,
        }


def read(contestant: str, log: dict[str, Any]) -> dict[str, Any]:
    """Read a log to its end; return seconds, events and megabytes."""
    who, what = CONTESTANTS[contestant], Log(**log)
    made = _made(who)
    before = peak_megabytes()
    if who.is_async:
        figures = asyncio.run(_read_async(who, made, what))
    else:
        figures = _read(made, what)
    return figures | {"peak": peak_megabytes(), "before": before}


def check(contestants: list[str], logs: list[dict[str, Any]]) -> list[str]:
    """Return which contestants did not see each event, once and in order."""
    return [
        name
        for name in contestants
        if any(_ids(CONTESTANTS[name], log) != _there(log) for log in _logs(logs))
    ]


def peak_megabytes() -> float:
    """Return the most memory that this process held so far."""
    status = Path("/proc/self/status")
    if status.exists():
        # Unlike ru_maxrss, it does not begin with that of the process that forked.
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def _made(who: Contestant) -> Any:
    module, _, name = who.made_by.partition(":")
    return getattr(importlib.import_module(f"contestants.{module}"), name)


async def _read_async(who: Contestant, made: Any, log: Log) -> dict[str, Any]:
    watch = Stopwatch()
    async with made(log) as rows:
        if who.gives == "list":
            watch.saw_first()  # nothing is to be had before all of it
            return watch.figures() | {"events": len(rows)}
        iterator: AsyncIterator[Any] = aiter(rows)
        found = await anext(iterator)
        watch.saw_first()
        if who.gives == "events":
            seen = 1
            async for _ in iterator:
                seen += 1
        else:
            seen = len(found)
            async for page in iterator:
                for _ in page:
                    seen += 1
    return watch.figures() | {"events": seen}


def _read(made: Any, log: Log) -> dict[str, Any]:
    watch = Stopwatch()
    with made(log) as rows:
        iterator: Iterator[Any] = iter(rows)
        next(iterator)
        watch.saw_first()
        seen = 1
        for _ in iterator:
            seen += 1
    return watch.figures() | {"events": seen}


def _logs(logs: list[dict[str, Any]]) -> Iterator[Log]:
    return (Log(**log) for log in logs)


def _there(log: Log) -> list[str]:
    ids = list(event_ids(log.events))
    return ids if log.order == "asc" else ids[::-1]


def _ids(who: Contestant, log: Log) -> list[str]:
    made = _made(who)
    if not who.is_async:
        with made(log) as rows:
            return [_id_of(row) for row in rows]

    async def collect() -> list[str]:
        async with made(log) as rows:
            if who.gives == "list":
                return [_id_of(row) for row in rows]
            if who.gives == "pages":
                return [_id_of(row) async for page in rows for row in page]
            return [_id_of(row) async for row in rows]

    return asyncio.run(collect())


def _id_of(event: Any) -> str:
    return event["id"] if isinstance(event, dict) else event.id
