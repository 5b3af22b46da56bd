"""Usage of ``canopy-async identities``."""

from typing import Annotated

import typer

from canopy_async.cli.terminal.exit import run
from canopy_async.cli.usage.connection import Connection, with_connection
from canopy_async.cli.usage.shared import (
    ConcurrencyOption,
    LimitOption,
    OrderOption,
    SearchOption,
    SortOption,
    TakeOption,
)
from canopy_async.cli.usage.style import Style, with_style

__all__ = ["EXAMPLES", "identities"]

EXAMPLES = ("canopy-async identities --status active --limit 10",)


@with_connection
@with_style
def identities(
    *,
    q: SearchOption = None,
    order: OrderOption = None,
    sort_by: SortOption = None,
    status: Annotated[
        str | None, typer.Option("--status", help="active or inactive; both if none.")
    ] = None,
    limit: LimitOption = None,
    take: TakeOption = 100,
    concurrency: ConcurrencyOption = 8,
    style: Style,
    connection: Connection,
) -> None:
    """List the identities of the account."""
    from canopy_async.cli.commands import events as reading

    account = connection.resolve()
    read = reading.read_identities(
        account,
        style.resolve(),
        q=q,
        order=order,
        sort_by=sort_by,
        status=status,
        limit=limit,
        take=take,
        concurrency=concurrency,
    )
    run(read, secret=account.token)
