"""``canopy-async follow``."""

import logging
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, cast

import typer

from canopy_async import (
    AuditEvent,
    Batch,
    CanopyError,
    CanopySession,
    CheckpointStore,
    Follower,
    Identity,
)
from canopy_async.cli.commands.events import Account
from canopy_async.cli.quantities import instant_or_none
from canopy_async.cli.terminal.exit import INCOMPLETE, argument_checks, complain
from canopy_async.cli.terminal.output import Output
from canopy_async.cli.terminal.render import visible
from canopy_async.cli.terminal.row_style import Renderer, RowStyle

__all__ = ["follow_events", "start_of", "tell_of_warnings", "write_batches"]

_NAMED: Final = 3
"""Identities that are named in a line about all of them."""


async def follow_events(
    account: Account,
    identity_ids: Sequence[str],
    style: RowStyle,
    *,
    is_all: bool,
    checkpoint: Path | None,
    umask: int,
    start: str,
    **options: Any,
) -> None:
    """Write new events to standard output until cancelled, or caught up.

    What was written is saved afterwards: killed in between, it is written again.

    Args:
        account: Where to read.
        identity_ids: The identities.
        style: How to write them.
        is_all: Whether to follow every other identity of the account as well.
        checkpoint: The file to go on from, None to keep none.
        umask: The permissions that a new one is not to have.
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
    render = _renderer(style)
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
        if account.verbose or (not account.quiet and _is_watched()):
            complain(_what_is_awaited(identity_ids, start, is_all=is_all, **options))
        await write_batches(follower, store, render)
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
    # `CanopySession.follow` refuses other words than these.
    return instant_or_none(text) or cast("Literal['now', 'beginning']", text)


def _is_watched() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _what_is_awaited(
    identity_ids: Sequence[str],
    start: str,
    *,
    is_all: bool,
    every: float,
    until_caught_up: bool,
    **_: Any,
) -> str:
    """Say what a follower waits for, and how it ends."""
    named, others = identity_ids[:_NAMED], identity_ids[_NAMED:]
    names = ", ".join(named)
    more = f" and {len(others)} more" if others else ""
    whose = "every identity of the account" if is_all else f"{names}{more}"
    end = "ends once all was written" if until_caught_up else "Ctrl-C ends it"
    return (
        f"waiting for events of {whose}, from {start} on the first run; a look every"
        f" {every:g} s or less often; {end}"
    )


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


def _renderer(style: RowStyle) -> Callable[[Batch], bytes]:
    """Return what makes text of batches, each event with the id of whose it is."""
    render = style.renderer(AuditEvent, "identity_id")
    if style.kind == "table" and style.fields is None:
        return _under_ids(render)
    begun = False

    def with_id(batch: Batch) -> bytes:
        nonlocal begun
        head, begun = (b"" if begun else render.head()), True
        return head + render(batch.events, {"identity_id": batch.identity_id})

    return with_id


def _under_ids(render: Renderer) -> Callable[[Batch], bytes]:
    """Return what renders a table batch by batch, under the id they are of."""
    # Not at the top: JSON lines need none of it.
    from canopy_async.cli.terminal.console import make_console

    console = make_console()
    above: str | None = None

    def under_id(batch: Batch) -> bytes:
        nonlocal above
        title = b""
        if batch.identity_id != above:
            with console.capture() as capture:
                console.print(visible(batch.identity_id), style="bold")
            title = capture.get().encode(console.encoding, "backslashreplace")
        above = batch.identity_id
        return title + render(batch.events)

    return under_id
