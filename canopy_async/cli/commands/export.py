"""``canopy-async export``."""

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self, TypedDict

import attrs
import typer

from canopy_async import CanopySession
from canopy_async.cli.commands.events import Account
from canopy_async.cli.export_summary import Summary, counted
from canopy_async.cli.terminal.exit import argument_checks, complain
from canopy_async.cli.terminal.progress_bar import Watch, shown
from canopy_async.export import ExportResult, export, export_log

__all__ = [
    "Cluster",
    "Options",
    "export_events",
    "export_log_events",
    "notes_shown",
]

_MEGABYTE: Final = 1_000_000


class Options(TypedDict):
    """The options of an export, in one process or on a cluster."""

    format: str
    since: datetime | None
    until: datetime | None
    q: str | None
    look_back: float
    concurrency: int
    max_rate: float | None
    max_file_bytes: int
    umask: int


@attrs.frozen(kw_only=True)
class Cluster:
    """The workers of an export: a scheduler's address, or a number of processes.

    Attributes:
        address: That of a scheduler, None to start workers here.
        workers: How many to start.
        token_from: Where they get the token from, None for the usual variable.
    """

    address: str | None
    workers: int | None
    token_from: str | None

    @classmethod
    def of(
        cls,
        address: str | None,
        workers: int | None,
        token_from: str | None,
        *,
        token: str,
        out: str,
    ) -> Self | None:
        """Return what the options say, None for no cluster.

        Raises:
            typer.BadParameter: They do not go together.
        """
        if address is not None and workers is not None:
            raise typer.BadParameter(
                "can't be used with --workers", param_hint="--dask"
            )
        if address is not None or workers is not None:
            return cls(address=address, workers=workers, token_from=token_from)
        if not token:
            raise typer.BadParameter("is missing", param_hint="--token")
        if token_from is not None:
            raise typer.BadParameter(
                "is for --dask and --workers", param_hint="--token-from"
            )
        if "://" in out:
            raise typer.BadParameter(
                "a URL is for --dask and --workers", param_hint="--out"
            )
        return None


async def export_events(
    account: Account,
    identity_ids: Sequence[str] | None,
    directory: Path,
    *,
    until: datetime | None,
    concurrency: int,
    max_rate: float | None,
    **options: Any,
) -> None:
    """Export events into files, and say on standard output what was done.

    Args:
        account: Where to read.
        identity_ids: The identities, each once; None for all.
        directory: Where to write.
        until: The first instant that is not wanted, None for no end.
        concurrency: Requests in flight at most.
        max_rate: Requests per second at most, None for no limit.
        **options: As `canopy_async.export.export` takes them.

    Raises:
        typer.BadParameter: An argument can't be used.
        typer.Exit: Some identities could not be read; standard error says which.
        CanopyError: The export could not go on.
    """
    session = account.session(concurrency=concurrency, max_rate=max_rate)
    watch = Watch(session)
    async with _watched(session, watch, account):
        result = await export(
            session,
            identity_ids,
            directory,
            until=until,
            on_progress=watch.take,
            **options,
        )
    _summary_of(result, account, until=until).tell_of_identities()


async def export_log_events(
    account: Account,
    directory: Path,
    *,
    until: datetime | None,
    concurrency: int,
    max_rate: float | None,
    **options: Any,
) -> None:
    """Export the account's own log, and say on standard output what was done.

    Args:
        account: Where to read.
        directory: Where to write.
        until: The first instant that is not wanted, None for no end.
        concurrency: Requests in flight at most.
        max_rate: Requests per second at most, None for no limit.
        **options: As `canopy_async.export.export_log` takes them.

    Raises:
        typer.BadParameter: An argument can't be used.
        typer.Exit: The log could not be read to its end; standard error says why.
        CanopyError: The export could not go on.
    """
    session = account.session(concurrency=concurrency, max_rate=max_rate)
    watch = Watch(session, counts_identities=False)
    async with _watched(session, watch, account):
        result = await export_log(
            session, directory, until=until, on_progress=watch.take, **options
        )
    _summary_of(result, account, until=until).tell_of_log()


@asynccontextmanager
async def _watched(
    session: CanopySession, watch: Watch, account: Account
) -> AsyncGenerator[None]:
    """Have a session open, and show the progress of what it exports."""
    is_quiet = account.quiet or account.verbose
    async with session:
        with argument_checks(), notes_shown(account.token):
            async with shown(watch, quiet=is_quiet):
                yield


def _summary_of(
    result: ExportResult, account: Account, *, until: datetime | None
) -> Summary:
    return Summary(
        result=result,
        directory=result.directory,
        into=_files_in_words(result),
        until=until,
        secret=account.token,
    )


def _files_in_words(result: ExportResult) -> str:
    size = sum(file.bytes for file in result.files) / _MEGABYTE
    return f"{counted(len(result.files), 'file')} ({size:,.1f} MB)"


@contextmanager
def notes_shown(secret: str) -> Generator[None]:
    """Say on standard error what an export has kept that ends before its time.

    Args:
        secret: What no line may show.
    """
    try:
        yield
    except BaseException as error:
        for note in getattr(error, "__notes__", ()):
            complain(note, secret=secret)
        raise
