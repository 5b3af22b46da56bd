"""Usage of ``canopy-async log``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from canopy_async.cli.terminal.exit import run, umask_of
from canopy_async.cli.usage.connection import Connection, with_connection
from canopy_async.cli.usage.filters import with_filters
from canopy_async.cli.usage.shared import (
    ConcurrencyOption,
    LimitOption,
    SearchOption,
    SinceOption,
    UmaskOption,
    UntilOption,
)
from canopy_async.cli.usage.style import Style, with_style

__all__ = ["EXAMPLES", "log"]

EXAMPLES = (
    "canopy-async log --outcome denied --limit 20",
    "canopy-async log --follow --checkpoint seen.db",
)
_FOLLOWING = "Following"


@with_connection
@with_filters
@with_style
def log(
    *,
    since: SinceOption = None,
    until: UntilOption = None,
    filters: dict[str, Any],
    q: SearchOption = None,
    limit: LimitOption = None,
    concurrency: ConcurrencyOption = 8,
    is_followed: Annotated[
        bool,
        typer.Option(
            "--follow",
            help="Write new events as they come until Ctrl-C.",
            rich_help_panel=_FOLLOWING,
        ),
    ] = False,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            help="A file that remembers what was written.",
            show_default=False,
            rich_help_panel=_FOLLOWING,
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--start",
            help="On the first run: now, beginning, or a date or instant.",
            show_default="now",
            rich_help_panel=_FOLLOWING,
        ),
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(
            "--every",
            help="Seconds between looks, each of which may write a row into the log.",
            show_default="60",
            rich_help_panel=_FOLLOWING,
        ),
    ] = None,
    until_caught_up: Annotated[
        bool,
        typer.Option(
            "--until-caught-up",
            help="End once all that there is was written.",
            rich_help_panel=_FOLLOWING,
        ),
    ] = False,
    umask: UmaskOption = "077",
    style: Style,
    connection: Connection,
) -> None:
    """Read the log of the whole account, newest first; or follow it.

    Each request may write one row into that log.
    """
    from canopy_async.cli.commands import log as logs
    from canopy_async.cli.quantities import instant_of

    of_reads = {"--since": since, "--until": until, "--limit": limit}
    of_following = {
        "--checkpoint": checkpoint,
        "--start": start,
        "--every": every,
        "--until-caught-up": until_caught_up or None,
    }
    for name, value in (of_reads if is_followed else of_following).items():
        if value is not None:
            said = "can't be used with --follow" if is_followed else "needs --follow"
            raise typer.BadParameter(said, param_hint=name)
    where = connection.resolve()
    written_as = style.resolve()
    if not is_followed:
        read = logs.read_log(
            where,
            written_as,
            since=instant_of(since, "--since"),
            until=instant_of(until, "--until"),
            limit=limit,
            concurrency=concurrency,
            q=q,
            **filters,
        )
        run(read, secret=where.token)
        return
    how = logs.Following(
        checkpoint=checkpoint,
        umask=umask_of(umask),
        start="now" if start is None else start,
        every=60.0 if every is None else every,
        until_caught_up=until_caught_up,
    )
    following = logs.follow_log(where, how, written_as, q=q, **filters)
    run(following, secret=where.token, ends_by_signal=True)
