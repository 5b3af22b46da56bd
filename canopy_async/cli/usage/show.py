"""Usage of ``canopy-async show``."""

from typing import Annotated

import typer

from canopy_async.cli.terminal.exit import run
from canopy_async.cli.usage.connection import Connection, with_connection
from canopy_async.cli.usage.shared import JsonOption

__all__ = ["EXAMPLES", "show"]

EXAMPLES = ("canopy-async show evt_1",)


@with_connection
def show(
    event: Annotated[str, typer.Argument(metavar="EVENT_ID", help="Its id.")],
    *,
    as_json: JsonOption = None,
    connection: Connection,
) -> None:
    """Show one event of the account's log, with those of its request and actor."""
    from canopy_async.cli.commands.log import show_event

    account = connection.resolve()
    run(show_event(account, event, as_json=as_json), secret=account.token)
