"""The progress of an export: a bar on a terminal, else a line every ten seconds."""

import asyncio
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Final, Protocol

import attrs
import typer

from canopy_async import CanopySession
from canopy_async.export import ExportProgress

__all__ = ["Snapshot", "Watch", "shown"]

_WINDOW: Final = 10.0
"""The last seconds over which the rate of requests is measured."""

_BAR_EVERY: Final = 0.2
_LINE_EVERY: Final = 10.0
_BAR_WIDTH: Final = 20
_WIDE: Final = 110
"""The columns that a terminal must have to show a bar beside the counts."""


@attrs.frozen(kw_only=True)
class Snapshot:
    """The figures of an export at one instant, as shown to the user.

    Attributes:
        ended: The number of identities that were read, were skipped or failed.
        total: The number of identities, or None while it is not known.
        events: The number of events read.
        rate: Requests per second.
        failed: The number of identities that could not be read.
        left: The estimated seconds until the end, or None while it is not known.
        counts_identities: Whether the export is of identities, and not of an account's
            log.
    """

    ended: int
    total: int | None
    events: int
    rate: float
    failed: int
    left: float | None
    counts_identities: bool = True

    def __str__(self) -> str:
        """Return the figures as one line, the most important ones first."""
        if not self.counts_identities:
            return f"{self.events:,} events, {self.rate:,.0f} requests/s"
        of = "" if self.total is None else f" of {self.total:,}"
        left = "?" if self.left is None else timedelta(seconds=round(self.left))
        return (
            f"{self.events:,} events, {self.ended:,}{of} identities,"
            f" {self.failed:,} failed, {self.rate:,.0f} requests/s, {left} left"
        )


class Watch:
    """Keeps the last progress of an export, and computes its rate and remaining time.

    Args:
        session: The session that the export reads with.
        clock: A monotonic clock, in seconds.
        counts_identities: Whether the export is of identities, and not of an account's
            log.
    """

    def __init__(
        self,
        session: CanopySession,
        *,
        clock: Callable[[], float] = time.monotonic,
        counts_identities: bool = True,
    ) -> None:
        self._counts_identities: Final = counts_identities
        self._session: Final = session
        self._clock: Final = clock
        self._began: Final = clock()
        self._latest = ExportProgress()
        self._requests: deque[tuple[float, int]] = deque([(self._began, 0)])

    def take(self, progress: ExportProgress) -> None:
        """Store the progress that the export reports."""
        self._latest = progress

    def snapshot(self) -> Snapshot:
        """Return the figures to show now."""
        latest, stats = self._latest, self._session.stats
        ended = latest.done + latest.failed
        total = latest.total
        if total is not None:
            total = max(total, ended + latest.skipped)
        return Snapshot(
            ended=ended + latest.skipped,
            total=total,
            events=latest.events,
            rate=self._rate(stats.requests),
            failed=latest.failed,
            left=None if total is None else self._left(ended, total - latest.skipped),
            counts_identities=self._counts_identities,
        )

    def _rate(self, requests: int) -> float:
        now = self._clock()
        while len(self._requests) > 1 and self._requests[0][0] < now - _WINDOW:
            self._requests.popleft()
        self._requests.append((now, requests))
        since, before = self._requests[0]
        return (requests - before) / (now - since) if now > since else 0.0

    def _left(self, ended: int, total: int) -> float | None:
        if not ended:
            return None
        return (self._clock() - self._began) / ended * max(0, total - ended)


class _Display(Protocol):
    every: float

    def show(self, snapshot: Snapshot) -> None: ...

    def end(self) -> None: ...


@asynccontextmanager
async def shown(watch: Watch, *, quiet: bool = False) -> AsyncGenerator[None]:
    """Show progress on standard error during the ``with`` block, unless ``quiet``."""
    if quiet:
        yield
        return
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    display = _Bar() if on_terminal else _Lines()
    showing = asyncio.create_task(_show(display, watch))
    try:
        yield
    finally:
        showing.cancel()
        with suppress(asyncio.CancelledError):
            await showing
        display.end()


async def _show(display: _Display, watch: Watch) -> None:
    while True:
        await asyncio.sleep(display.every)
        display.show(watch.snapshot())


class _Lines:
    """Progress as a line of text every ten seconds."""

    every = _LINE_EVERY

    def show(self, snapshot: Snapshot) -> None:
        with suppress(OSError):
            typer.echo(str(snapshot), err=True)

    def end(self) -> None:
        pass


class _Bar:
    """Progress as a bar, which is removed at the end."""

    every = _BAR_EVERY

    def __init__(self) -> None:
        # Imported here, as progress without a terminal does not need rich.
        from rich.progress import (
            BarColumn,
            Progress,
            TextColumn,
        )

        from canopy_async.cli.terminal.console import make_error_console

        console = make_error_console()
        text = TextColumn("{task.description}", markup=False)
        # On a narrow terminal, show only the counts.
        is_wide = console.width >= _WIDE
        bar = (BarColumn(bar_width=_BAR_WIDTH),) if is_wide else ()
        self._bars: Final = Progress(
            text, *bar, console=console, auto_refresh=False, transient=True
        )
        self._task: Final = self._bars.add_task("", total=None)
        self._bars.start()

    def show(self, snapshot: Snapshot) -> None:
        self._bars.update(
            self._task,
            completed=snapshot.ended,
            total=snapshot.total,
            description=str(snapshot),
        )
        self._bars.refresh()

    def end(self) -> None:
        self._bars.stop()
