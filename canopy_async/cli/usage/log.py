"""Usage of ``canopy-async log``."""

from pathlib import Path
from typing import Annotated

import typer

from canopy_async.cli.terminal.exit import run, umask_of
from canopy_async.cli.usage.connection import Connection, with_connection
from canopy_async.cli.usage.filters import (
    ActionOption,
    ActorIdOption,
    ActorTypeOption,
    ApplicationIdOption,
    CategoryOption,
    CorrelationIdOption,
    EnvironmentIdOption,
    OutcomeOption,
    ResourceIdOption,
    ResourceTypeOption,
    SeverityOption,
    filters_given,
)
from canopy_async.cli.usage.shared import (
    ConcurrencyOption,
    FieldsOption,
    JsonOption,
    LimitOption,
    OutputOption,
    SearchOption,
    SinceOption,
    UmaskOption,
    UntilOption,
)

__all__ = ["EXAMPLES", "log"]

EXAMPLES = (
    "canopy-async log --outcome denied --limit 20",
    "canopy-async log --follow --checkpoint seen.db",
)
_FOLLOWING = "Following"


@with_connection
def log(
    connection: Connection,
    *,
    since: SinceOption = None,
    until: UntilOption = None,
    action: ActionOption = None,
    category: CategoryOption = None,
    severity: SeverityOption = None,
    outcome: OutcomeOption = None,
    actor_id: ActorIdOption = None,
    actor_type: ActorTypeOption = None,
    resource_type: ResourceTypeOption = None,
    resource_id: ResourceIdOption = None,
    correlation_id: CorrelationIdOption = None,
    application_id: ApplicationIdOption = None,
    environment_id: EnvironmentIdOption = None,
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
    output: OutputOption = None,
    fields: FieldsOption = None,
    as_json: JsonOption = None,
) -> None:
    """Read the log of the whole account, newest first; or follow it.

    Each request may write one row into that log.
    """
    from canopy_async.cli.commands import log as logs
    from canopy_async.cli.quantities import instant_of
    from canopy_async.cli.terminal.row_style import RowStyle

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
    style = RowStyle.of(output, fields, as_json=as_json)
    filters = filters_given(
        action=action,
        category=category,
        severity=severity,
        outcome=outcome,
        actor_id=actor_id,
        actor_type=actor_type,
        resource_type=resource_type,
        resource_id=resource_id,
        correlation_id=correlation_id,
        application_id=application_id,
        environment_id=environment_id,
    )
    if not is_followed:
        read = logs.read_log(
            where,
            as_json=as_json,
            style=style,
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
    following = logs.follow_log(
        where, how, as_json=as_json, style=style, q=q, **filters
    )
    run(following, secret=where.token, ends_by_signal=True)
