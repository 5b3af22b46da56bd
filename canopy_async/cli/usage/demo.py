"""Usage of ``canopy-async demo``."""

from typing import Annotated

import typer

from canopy_async.cli.terminal.exit import run
from canopy_async.cli.usage.shared import ConcurrencyOption, LatencyOption

__all__ = ["EXAMPLES", "demo"]

EXAMPLES = ("canopy-async demo --events 2000",)


def demo(
    *,
    events: Annotated[
        int, typer.Option("--events", min=0, help="How many to make and read.")
    ] = 50_000,
    concurrency: ConcurrencyOption = 8,
    latency: LatencyOption = 5.0,
) -> None:
    """Read from a local server made up for it: no account, no network."""
    from canopy_async.cli.commands.demo import run_demo

    run(run_demo(events=events, concurrency=concurrency, latency_ms=latency))
