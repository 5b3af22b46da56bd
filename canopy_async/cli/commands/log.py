"""``canopy-async log`` and ``canopy-async show``: the log of the whole account."""

import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import msgspec

from canopy_async import AuditEvent, CheckpointStore, EventDetail
from canopy_async.cli.commands.events import Account, write_rows
from canopy_async.cli.commands.follow import (
    start_of,
    tell_of_warnings,
    write_batches,
)
from canopy_async.cli.terminal.exit import argument_checks
from canopy_async.cli.terminal.output import Output
from canopy_async.cli.terminal.render import event_table, json_lines, visible
from canopy_async.cli.terminal.row_style import RowStyle

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Following", "follow_log", "read_log", "show_event"]


@attrs.frozen(kw_only=True)
class Following:
    """The options of following the log.

    Attributes:
        checkpoint: The file to go on from, None to keep none.
        umask: The permissions that a new one is not to have.
        start: Where to begin: ``now``, ``beginning``, or the text of an instant.
        every: Seconds between polls.
        until_caught_up: Whether to end once all that there is was written.
    """

    checkpoint: Path | None
    umask: int
    start: str
    every: float
    until_caught_up: bool


async def read_log(
    account: Account,
    style: RowStyle,
    **options: Any,
) -> None:
    """Write the events of an account to standard output, newest first.

    Args:
        account: Where to read.
        style: How to write them.
        **options: As `CanopySession.account_events` takes them.

    Raises:
        typer.BadParameter: An argument can't be used.
        CanopyError: The read failed.
        OSError: Standard output can't be written.
    """
    render = style.renderer(AuditEvent)
    async with account.session() as canopy:
        with argument_checks():
            stream = canopy.account_events(**options)
        await write_rows(stream, render, head=render.head())


async def follow_log(
    account: Account,
    how: Following,
    style: RowStyle,
    **filters: Any,
) -> None:
    """Write new events of an account until cancelled, or caught up.

    What was written is saved afterwards: killed in between, it is written again.

    Args:
        account: Where to read.
        how: How the log is followed.
        style: How to write them.
        **filters: As `CanopySession.follow_account` takes them.

    Raises:
        typer.BadParameter: An argument can't be used.
        CanopyError: The log can't be read, or the checkpoints can't be used.
        OSError: Standard output can't be written.
    """
    render = style.renderer(AuditEvent)
    async with AsyncExitStack() as stack:
        canopy = await stack.enter_async_context(account.session())
        store = None
        if how.checkpoint is not None:
            store = CheckpointStore(how.checkpoint, umask=how.umask)
        with argument_checks():
            follower = canopy.follow_account(
                checkpoints=store,
                start=start_of(how.start),
                every=how.every,
                until_caught_up=how.until_caught_up,
                **filters,
            )
        tell_of_warnings(follower, secret=account.token)
        if store is not None:
            await stack.enter_async_context(store)
        await stack.enter_async_context(follower)
        if head := render.head():
            await Output(sys.stdout).write(head)
        await write_batches(follower, store, lambda batch: render(batch.events))


async def show_event(account: Account, event_id: str, *, as_json: bool | None) -> None:
    """Write one event with those it belongs to.

    Args:
        account: Where to read.
        event_id: The id of the event.
        as_json: Whether to write one object of JSON; None is unless on a terminal.

    Raises:
        typer.BadParameter: It can't be an id.
        CanopyError: The request failed.
        OSError: Standard output can't be written.
    """
    async with account.session() as canopy:
        with argument_checks():
            asked = canopy.event(event_id)
            detail = await asked
    if as_json is None:
        as_json = sys.stdout is None or not sys.stdout.isatty()
    text = _as_object(detail) if as_json else _as_tables(detail)
    await Output(sys.stdout).write(text)


def _as_object(detail: EventDetail) -> bytes:
    """Return an event and its relations as one line of JSON."""
    lists = {
        "related_by_correlation": detail.related_by_correlation,
        "related_by_actor": detail.related_by_actor,
    }
    parts = [b'"event":' + _joined([detail.event])]
    parts += [
        f'"{name}":['.encode() + _joined(rows) + b"]" for name, rows in lists.items()
    ]
    return b"{" + b",".join(parts) + b"}\n"


def _joined(rows: Sequence[AuditEvent]) -> bytes:
    return b",".join(json_lines([row]).rstrip(b"\n") for row in rows)


def _as_tables(detail: EventDetail) -> bytes:
    """Return the fields of an event, and its relations as tables."""
    # Not at the top: JSON needs none of it.
    from canopy_async.cli.terminal.console import make_console

    console = make_console()
    with console.capture() as capture:
        _print_fields(console, detail.event)
        for title, rows in (
            ("Other events of the same request", detail.related_by_correlation),
            ("Last events of the same actor", detail.related_by_actor),
        ):
            console.print()
            console.print(title if rows else f"{title}: none", style="bold")
            if rows:
                console.print(event_table(rows, width=console.width))
    return capture.get().encode(console.encoding, "backslashreplace")


def _print_fields(console: "Console", event: AuditEvent) -> None:
    fields: dict[str, Any] = msgspec.json.decode(json_lines([event]))
    width = max(map(len, fields))
    for name, value in fields.items():
        if value is None:
            continue
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        line = f"{visible(name):{width}}  {visible(text)}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
