"""Usage of ``canopy-async events``."""

from typing import Annotated

import typer

from canopy_async.cli.terminal.exit import run
from canopy_async.cli.usage.connection import Connection, with_connection
from canopy_async.cli.usage.shared import (
    ConcurrencyOption,
    FieldsOption,
    JsonOption,
    OrderOption,
    OutputOption,
    SearchOption,
    SinceOption,
    SortOption,
    TakeOption,
    UntilOption,
)

__all__ = ["EXAMPLES", "events"]

EXAMPLES = (
    "canopy-async events idn_1 --order desc --limit 20",
    "canopy-async events idn_1 --since 7d --outcome denied --output csv",
)
_FILTERS = "Filters: the server has none of these, so all of the range is read"


@with_connection
def events(
    connection: Connection,
    identity: Annotated[str, typer.Argument(metavar="IDENTITY", help="Its id.")],
    *,
    since: SinceOption = None,
    until: UntilOption = None,
    q: SearchOption = None,
    order: OrderOption = None,
    sort_by: SortOption = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", "-n", help="Events at most; with filters, those that match."
        ),
    ] = None,
    action: Annotated[
        list[str] | None,
        typer.Option(
            "--action",
            rich_help_panel=_FILTERS,
            show_default=False,
            help="An action, or a pattern as 'auth.*'; may be given several times.",
        ),
    ] = None,
    outcome: Annotated[
        list[str] | None,
        typer.Option(
            "--outcome",
            rich_help_panel=_FILTERS,
            show_default=False,
            help="success, failure or denied; may be given several times.",
        ),
    ] = None,
    severity: Annotated[
        list[str] | None,
        typer.Option(
            "--severity",
            rich_help_panel=_FILTERS,
            show_default=False,
            help="info, notice, warning or critical; may be given several times.",
        ),
    ] = None,
    take: TakeOption = 100,
    concurrency: ConcurrencyOption = 8,
    output: OutputOption = None,
    fields: FieldsOption = None,
    as_json: JsonOption = None,
) -> None:
    """Read the audit events of one identity."""
    from canopy_async.cli.commands import events as reading
    from canopy_async.cli.quantities import instant_of
    from canopy_async.cli.terminal.row_style import RowStyle

    account = connection.resolve()
    read = reading.read_events(
        account,
        identity,
        as_json=as_json,
        style=RowStyle.of(output, fields, as_json=as_json),
        wanted=reading.Wanted.of(action, outcome, severity),
        since=instant_of(since, "--since"),
        until=instant_of(until, "--until"),
        q=q,
        order=order,
        sort_by=sort_by,
        limit=limit,
        take=take,
        concurrency=concurrency,
    )
    run(read, secret=account.token)
