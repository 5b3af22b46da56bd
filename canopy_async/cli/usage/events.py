"""Usage of ``canopy-async events``."""

from typing import Annotated, Any

import typer

from canopy_async.cli.terminal.exit import run
from canopy_async.cli.usage.connection import Connection, with_connection
from canopy_async.cli.usage.shared import (
    ConcurrencyOption,
    OrderOption,
    SearchOption,
    SinceOption,
    SortOption,
    TakeOption,
    UntilOption,
)
from canopy_async.cli.usage.style import Style, with_style

__all__ = ["EXAMPLES", "events"]

EXAMPLES = (
    "canopy-async events idn_1 --order desc --limit 20",
    "canopy-async events idn_1 --since 7d --outcome denied --output csv",
)
_FILTERS = "Filters: the server has none of these, so all of the range is read"


def _filter(flag: str, described: str) -> Any:
    return typer.Option(
        flag,
        rich_help_panel=_FILTERS,
        show_default=False,
        help=f"{described}; may be given several times.",
    )


@with_connection
@with_style
def events(
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
        _filter("--action", "An action, or a pattern as 'auth.*'"),
    ] = None,
    outcome: Annotated[
        list[str] | None, _filter("--outcome", "success, failure or denied")
    ] = None,
    severity: Annotated[
        list[str] | None,
        _filter("--severity", "info, notice, warning or critical"),
    ] = None,
    take: TakeOption = 100,
    concurrency: ConcurrencyOption = 8,
    style: Style,
    connection: Connection,
) -> None:
    """Read the audit events of one identity."""
    from canopy_async.cli.commands import events as reading
    from canopy_async.cli.quantities import instant_of

    account = connection.resolve()
    read = reading.read_events(
        account,
        identity,
        style.resolve(),
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
