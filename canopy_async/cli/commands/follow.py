"""``canopy-async follow``."""

import logging
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

import attrs
import typer

from canopy_async import (
    Batch,
    CanopyError,
    CanopySession,
    CheckpointStore,
    Follower,
    Identity,
)
from canopy_async.cli.commands.events import Account
from canopy_async.cli.terminal.exit import INCOMPLETE, argument_checks, complain
from canopy_async.cli.terminal.output import Output
from canopy_async.cli.terminal.render import event_table, json_lines, visible

__all__ = ["follow_events", "start_of", "tell_of_warnings", "write_batches"]


async def follow_events(
    account: Account,
    identity_ids: Sequence[str],
    *,
    is_all: bool,
    checkpoint: Path | None,
    umask: int,
    as_json: bool | None,
    start: str,
    **options: Any,
) -> None:
    """Write new events to standard output until cancelled, or caught up.

    What was written is saved afterwards: killed in between, it is written again.

    Args:
        account: Where to read.
        identity_ids: The identities.
        is_all: Whether to follow every other identity of the account as well.
        checkpoint: The file to go on from, None to keep none.
        umask: The permissions that a new one is not to have.
        as_json: Whether to write JSON lines; None is unless on a terminal.
        start: Where to begin: ``now``, ``beginning``, or the text of an instant.
        **options: As `CanopySession.follow` takes them.

    Raises:
        typer.BadParameter: An argument can't be used.
        CanopyError: The token was refused, or the checkpoints can't be used.
        OSError: Standard output can't be written.
        typer.Exit: Some identities could not be read to their end.
    """
    if not identity_ids and not is_all:
        raise typer.BadParameter("name one, or pass --all", param_hint="IDENTITY")
    async with AsyncExitStack() as stack:
        canopy = await stack.enter_async_context(account.session())
        store = None
        if checkpoint is not None:
            store = CheckpointStore(checkpoint, umask=umask)
        with argument_checks():
            for identity_id in identity_ids:
                canopy.events(identity_id)  # which refuses what can't be one
            follower = canopy.follow(
                _Account(canopy, identity_ids) if is_all else identity_ids,
                checkpoints=store,
                start=start_of(start),
                **options,
            )
        tell_of_warnings(follower, secret=account.token)
        if store is not None:
            await stack.enter_async_context(store)
        await stack.enter_async_context(follower)
        await write_batches(follower, store, _renderer(as_json=as_json))
    for identity_id, error in follower.failures.items():
        complain(f"{identity_id} could not be read: {error}", secret=account.token)
    if follower.failures:
        raise typer.Exit(INCOMPLETE)


class _Account:
    """The identities that were named, and then those of the account.

    It can be iterated again and again, which lists them anew.
    """

    def __init__(self, canopy: CanopySession, named: Sequence[str]) -> None:
        self._canopy = canopy
        self._named = named

    async def __aiter__(self) -> AsyncIterator[str | Identity]:
        for identity_id in self._named:
            yield identity_id
        async for identity in self._canopy.identities():
            yield identity


def start_of(text: str) -> Literal["now", "beginning"] | datetime:
    """Return the instant that a text names, in UTC where it does not say."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        # `CanopySession.follow` refuses other words than these.
        return cast("Literal['now', 'beginning']", text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


async def write_batches(
    follower: Follower,
    store: CheckpointStore | None,
    render: Callable[[Batch], bytes],
) -> None:
    """Write batches to standard output, and save the checkpoint of each after it."""
    output = Output(sys.stdout)
    async for batch in follower:
        if batch.gap is not None:
            complain(
                f"events of {batch.identity_id} may be missing: retention deleted"
                " some before they could be read"
            )
        if batch.late_suspected:
            complain(
                f"{batch.late_suspected} more events of {batch.identity_id} seem to"
                " have been committed, too late to be found"
            )
        if batch.events:
            await output.write(render(batch))
        if store is not None:
            await store.save(batch)


class _Complaints(logging.Handler):
    """Writes what the library warns of to standard error, a line each."""

    def __init__(self, follower: Follower, *, secret: str) -> None:
        super().__init__(logging.WARNING)
        self._follower = follower
        self._secret = secret

    def emit(self, record: logging.LogRecord) -> None:
        # A log names no URL, which has the id and the search term; this may.
        error = self._error_of(record)
        message = record.getMessage()
        text = message if error is None else f"{message}: {error}"
        complain(text, secret=self._secret)

    def _error_of(self, record: logging.LogRecord) -> CanopyError | None:
        """Return the error that a record tells of, None where it is good news."""
        identity_id: str | None = getattr(record, "identity_id", None)
        if identity_id is not None:
            return self._follower.failures.get(identity_id)
        outage: str | None = getattr(record, "outage", None)
        if outage is not None:
            return self._follower.outage if outage == "began" else None
        return self._follower.listing_failure


def tell_of_warnings(follower: Follower, *, secret: str) -> None:
    """Write what the library warns of to standard error from now on."""
    logger = logging.getLogger("canopy_async")
    logger.addHandler(_Complaints(follower, secret=secret))
    logger.propagate = False


def _renderer(*, as_json: bool | None) -> Callable[[Batch], bytes]:
    if as_json is None:
        as_json = sys.stdout is None or not sys.stdout.isatty()
    return _as_lines if as_json else _table_rows()


def _as_lines(batch: Batch) -> bytes:
    """Return the wire form of each event, and whose it is."""
    whose = {"identity_id": batch.identity_id}
    return json_lines(
        attrs.evolve(event, extra={**event.extra, **whose}) for event in batch.events
    )


def _table_rows() -> Callable[[Batch], bytes]:
    """Return what renders a table batch by batch, under the id they are of."""
    # Not at the top: JSON lines need none of it.
    from canopy_async.cli.terminal.console import make_console  # noqa: PLC0415

    console = make_console()
    above: str | None = None

    def render(batch: Batch) -> bytes:
        nonlocal above
        table = event_table(batch.events, width=console.width, header=above is None)
        with console.capture() as capture:
            if batch.identity_id != above:
                console.print(visible(batch.identity_id), style="bold")
            console.print(table)
        above = batch.identity_id
        return capture.get().encode(console.encoding, "backslashreplace")

    return render
