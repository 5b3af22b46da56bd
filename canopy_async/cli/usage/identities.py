"""Usage of ``canopy-async identities``."""

from typing import Annotated

import typer

from canopy_async.cli.terminal.exit import run
from canopy_async.cli.usage.connection import Connection, with_connection
from canopy_async.cli.usage.shared import (
    ConcurrencyOption,
    FieldsOption,
    JsonOption,
    LimitOption,
    OrderOption,
    OutputOption,
    SearchOption,
    SortOption,
    TakeOption,
)

__all__ = ["EXAMPLES", "identities"]

EXAMPLES = ("canopy-async identities --status active --limit 10",)


@with_connection
def identities(
    connection: Connection,
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
    output: OutputOption = None,
    fields: FieldsOption = None,
    as_json: JsonOption = None,
) -> None:
    """List the identities of the account."""
    from canopy_async.cli.commands import events as reading
    from canopy_async.cli.terminal.row_style import RowStyle

    account = connection.resolve()
    read = reading.read_identities(
        account,
        as_json=as_json,
        style=RowStyle.of(output, fields, as_json=as_json),
        q=q,
        order=order,
        sort_by=sort_by,
        status=status,
        limit=limit,
        take=take,
        concurrency=concurrency,
    )
    run(read, secret=account.token)
