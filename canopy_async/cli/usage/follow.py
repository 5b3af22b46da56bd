"""Usage of ``canopy-async follow``."""

from pathlib import Path
from typing import Annotated

import typer

from canopy_async.cli.terminal.exit import run, umask_of
from canopy_async.cli.usage.connection import Connection, with_connection
from canopy_async.cli.usage.shared import (
    AllOption,
    IdentitiesArgument,
    SearchOption,
    UmaskOption,
)
from canopy_async.cli.usage.style import Style, with_style

__all__ = ["EXAMPLES", "follow"]

EXAMPLES = (
    "canopy-async follow idn_1 --checkpoint seen.db",
    "canopy-async follow --all --start 24h --until-caught-up",
)


@with_connection
@with_style
def follow(
    identity: IdentitiesArgument = None,
    *,
    is_all: AllOption = False,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            help="A file that remembers what was written.",
            show_default=False,
        ),
    ] = None,
    start: Annotated[
        str,
        typer.Option(
            "--start",
            "-s",
            help="On the first run: now, beginning, or a date or instant, in UTC if it"
            " does not say; or 24h, 7d, yesterday.",
        ),
    ] = "now",
    until_caught_up: Annotated[
        bool,
        typer.Option(
            "--until-caught-up", help="End once all that there is was written."
        ),
    ] = False,
    discover_every: Annotated[
        float,
        typer.Option(
            "--discover-every", help="Seconds between looks for new identities."
        ),
    ] = 60.0,
    every: Annotated[
        float, typer.Option("--every", help="Seconds between looks, where much comes.")
    ] = 5.0,
    settle: Annotated[
        float,
        typer.Option("--settle", help="Seconds to wait for late ones, for order."),
    ] = 0.0,
    umask: UmaskOption = "077",
    q: SearchOption = None,
    style: Style,
    connection: Connection,
) -> None:
    """Write new events as they come until Ctrl-C, which ends it with status 0."""
    from canopy_async.cli.commands import follow as following

    account = connection.resolve()
    follow_on = following.follow_events(
        account,
        identity or (),
        style.resolve(),
        is_all=is_all,
        checkpoint=checkpoint,
        umask=umask_of(umask),
        start=start,
        until_caught_up=until_caught_up,
        discover_every=discover_every,
        every=every,
        settle=settle,
        q=q,
    )
    run(follow_on, secret=account.token, ends_by_signal=True)
