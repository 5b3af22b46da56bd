"""Usage of ``canopy-async serve``."""

from typing import Annotated

import typer

from canopy_async.cli.terminal.exit import run
from canopy_async.cli.usage.shared import LatencyOption

__all__ = ["EXAMPLES", "serve"]

EXAMPLES = ("canopy-async serve --port 8787 --identities 5 --events 1000 --rate 2",)


def serve(
    *,
    host: Annotated[
        str, typer.Option("--host", help="The address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="0 for a free one.")
    ] = 8787,
    rate: Annotated[
        float,
        typer.Option("--rate", min=0, help="Events added per second while it runs."),
    ] = 0.0,
    events: Annotated[
        int, typer.Option("--events", min=0, help="Events of each identity.")
    ] = 1_000,
    identities: Annotated[
        int, typer.Option("--identities", min=0, help="How many identities.")
    ] = 5,
    latency: LatencyOption = 0.0,
    seed: Annotated[
        int, typer.Option("--seed", help="The same seed makes the same rows.")
    ] = 0,
    path: Annotated[
        str | None,
        typer.Option(
            "--path", help="The SQLite file; one with identities is served as it is."
        ),
    ] = None,
) -> None:
    """Serve a local Canopy until Ctrl-C, which ends it with status 0."""
    from canopy_async.cli.commands import serve as serving

    options = serving.ServeOptions(
        host=host,
        port=port,
        rate=rate,
        identities=identities,
        events=events,
        latency_ms=latency,
        seed=seed,
        path=path,
    )
    run(serving.serve(options), ends_by_signal=True)
