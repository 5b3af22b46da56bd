"""``canopy-async demo``: a whole read on one machine, without an account."""

import time
from collections import deque
from typing import TYPE_CHECKING, Final

import attrs
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from canopy_async import AuditEvent, CanopySession, ReadReport
from canopy_async.cli.local_events import seed_in_steps
from canopy_async.cli.terminal.console import make_console
from canopy_async.cli.terminal.exit import argument_checks
from canopy_async.cli.terminal.render import event_table, in_words
from canopy_async.testing import Faults, LocalCanopy

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["run_demo"]

_IDENTITY: Final = "idn_demo"
_SHOWN: Final = 5
_DENIED: Final = 20


@attrs.frozen
class _Result:
    last: list[AuditEvent]
    report: ReadReport
    seconds: float
    denied: int = 0
    denied_requests: int = 0


async def run_demo(*, events: int, concurrency: int, latency_ms: float) -> None:
    """Start a local server, read one identity of it and say how that went.

    Args:
        events: How many events to make and read.
        concurrency: Requests in flight at most.
        latency_ms: Milliseconds that the server takes for each answer.

    Raises:
        typer.BadParameter: An argument can't be used.
        CanopyError: The read failed.
    """
    console = make_console()
    async with LocalCanopy(faults=Faults(latency=latency_ms / 1000)) as server:
        with argument_checks():
            session = CanopySession(
                server.account,
                server.token,
                base_url=server.base_url,
                concurrency=concurrency,
            )
        console.print(f"A local Canopy is listening on {server.base_url}")
        async with session:
            with _bars(console) as bars:
                await _seed(server, events, bars)
                result = await _read(session, events, bars)
            result = await _newest_denied(session, result)
    _print(result, console)


async def _seed(server: LocalCanopy, events: int, bars: Progress) -> None:
    started = time.perf_counter()
    server.add_identity(id=_IDENTITY)
    bar = bars.add_task("Making events", total=events)
    async for done in seed_in_steps(server, _IDENTITY, events):
        bars.update(bar, completed=done)
    _say(bars, f"Made {events:,} events", started)


async def _read(session: CanopySession, events: int, bars: Progress) -> _Result:
    started = time.perf_counter()
    bar = bars.add_task("Reading them", total=events)
    last: deque[AuditEvent] = deque(maxlen=_SHOWN)
    async with session.events(_IDENTITY, order="asc").open() as run:
        while (batch := await run.next_batch()) is not None:
            last.extend(batch)
            progress = run.progress
            bars.update(bar, completed=progress.seen, total=progress.total)
    _say(bars, f"Read {run.progress.seen:,} events", started)
    return _Result(list(last), run.report, time.perf_counter() - started)


async def _newest_denied(session: CanopySession, result: _Result) -> _Result:
    """Add what one look at the log of the whole account has found."""
    newest = session.account_events(outcome="denied", limit=_DENIED)
    async with newest.open() as run:
        found = [event async for event in run]
        requests = run.progress.requests
    return attrs.evolve(result, denied=len(found), denied_requests=requests)


def _bars(console: "Console") -> Progress:
    """Return progress bars, which show nothing unless on a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _say(bars: Progress, what: str, started: float) -> None:
    if bars.disable:
        bars.console.print(f"{what} in {time.perf_counter() - started:.2f} s")


def _print(result: _Result, console: "Console") -> None:
    report, seconds = result.report, result.seconds
    if result.last:
        console.print("\nThe newest of them:\n")
        console.print(event_table(result.last, width=console.width))
    facts = {
        "events": f"{report.delivered:,}",
        "requests": f"{report.requests:,}",
        "seconds": f"{seconds:.2f}",
        "events/s": f"{report.delivered / seconds:,.0f}",
        "report": in_words(report),
        "account's log": (
            f"the newest {result.denied} denied events of the whole account took"
            f" {result.denied_requests} request"
            f"{'' if result.denied_requests == 1 else 's'}"
        ),
    }
    summary = Table.grid(padding=(0, 2))
    summary.add_column(style="bold", no_wrap=True)
    summary.add_column()
    for name, value in facts.items():
        summary.add_row(name, value)
    console.print()
    console.print(summary)
