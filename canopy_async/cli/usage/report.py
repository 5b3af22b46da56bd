"""Usage of ``canopy-async report``."""

from pathlib import Path
from typing import Annotated

import typer

from canopy_async.cli.terminal.exit import umask_of
from canopy_async.cli.usage.shared import DirectoryArgument, UmaskOption

__all__ = ["EXAMPLES", "report"]

EXAMPLES = ("canopy-async report out --out report.html",)


def report(
    directory: DirectoryArgument,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The page to write.")] = Path(
        "report.html"
    ),
    latest: Annotated[
        int,
        typer.Option(
            "--latest", min=1, max=200_000, help="Rows in the table of events, at most."
        ),
    ] = 200_000,
    top: Annotated[
        int,
        typer.Option("--top", min=1, max=100, help="Actors and actions to rank."),
    ] = 10,
    umask: UmaskOption = "077",
) -> None:
    """Make a page to look at of an export: one HTML file that loads nothing."""
    from canopy_async.cli.commands.report import report_on

    report_on(directory, out, latest=latest, top=top, umask=umask_of(umask))
