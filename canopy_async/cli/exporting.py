"""``canopy-async export`` and ``canopy-async verify``."""

import errno
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TextIO

import typer

from canopy_async import CanopyError
from canopy_async.cli.progress import Watch, shown
from canopy_async.cli.reading import Account
from canopy_async.cli.render import one_line, visible
from canopy_async.cli.running import (
    FAILED,
    INCOMPLETE,
    INTERRUPTED,
    argument_checks,
    complain,
)
from canopy_async.export import ExportResult, export, verify

__all__ = ["chosen_ids", "export_events", "verify_files"]

_MOST_NAMED: Final = 100
"""Failures that are listed; the manifest has all of them."""

_MEGABYTE: Final = 1_000_000


def chosen_ids(
    named: Sequence[str], path: Path | None, *, is_all: bool
) -> list[str] | None:
    """Return the ids to export, each once; None for all of the account.

    Args:
        named: Ids.
        path: A file with an id in each line; ``-`` is standard input.
        is_all: Whether every identity is wanted.

    Raises:
        typer.BadParameter: Not exactly one of these is given, or the file can't
            be read.
    """
    if (bool(named), path is not None, is_all).count(True) != 1:
        raise typer.BadParameter(
            "name some, or pass --from FILE, or --all", param_hint="IDENTITY"
        )
    if is_all:
        return None
    return list(dict.fromkeys(named if path is None else _lines_of(path)))


async def export_events(
    account: Account,
    identity_ids: Sequence[str] | None,
    directory: Path,
    *,
    since: str | None,
    until: str | None,
    concurrency: int,
    max_rate: float | None,
    **options: Any,
) -> None:
    """Export events into files, and say on standard output what was done.

    Args:
        account: Where to read.
        identity_ids: The identities, each once; None for all.
        directory: Where to write.
        since: The earliest instant that is wanted, as text.
        until: The first that is not wanted.
        concurrency: Requests in flight at most.
        max_rate: Requests per second at most, None for no limit.
        **options: As `canopy_async.export.export` takes them.

    Raises:
        typer.BadParameter: An argument can't be used.
        typer.Exit: Some identities could not be read; standard error says which.
        CanopyError: The export could not go on.
    """
    earliest, end = _instant(since, "--since"), _instant(until, "--until")
    session = account.session(concurrency=concurrency, max_rate=max_rate)
    async with session as canopy:
        if identity_ids is None:
            total = await canopy.identities().count()
        else:
            total = len(identity_ids)
        watch = Watch(canopy, total)
        with argument_checks():
            async with shown(watch):
                result = await export(
                    canopy,
                    canopy.identities() if identity_ids is None else identity_ids,
                    directory,
                    since=earliest,
                    until=end,
                    on_progress=watch.take,
                    **options,
                )
    typer.echo(_in_words(result))
    _tell_of_failures(result, secret=account.token)


def verify_files(directory: Path) -> None:
    """Verify an export, and say on standard output what was found.

    Args:
        directory: Where the export is.

    Raises:
        typer.Exit: Something is wrong; standard error says what.
    """
    try:
        found = verify(directory)
    except (CanopyError, OSError) as error:
        complain(str(error))
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    for problem in found.problems:
        complain(problem)
    unnamed = found.problem_count - len(found.problems)
    if unnamed:
        complain(f"and {unnamed:,} problems more")
    states = {
        "done": found.done,
        "proven complete": found.complete,
        "failed": found.failed,
        "not finished": found.open,
    }
    words = ", ".join(f"{count:,} {state}" for state, count in states.items())
    typer.echo(
        f"{visible(str(directory))}: {_counted(found.events, 'event')} in"
        f" {_counted(found.files, 'file')}; identities: {words}"
    )
    if not found.ok:
        raise typer.Exit(FAILED)
    typer.echo("The files are what was written.")


def _lines_of(path: Path) -> list[str]:
    try:
        # A byte order mark is what some editors begin a file with.
        text = (_input() if str(path) == "-" else path.read_bytes()).decode("utf-8-sig")
    except OSError as error:
        problem = f"can't be read: {error.strerror}"
        raise typer.BadParameter(problem, param_hint="--from") from None
    except UnicodeDecodeError:
        raise typer.BadParameter("is not UTF-8 text", param_hint="--from") from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    # By line feeds only: an id may hold what else ends a line of Unicode.
    return [line.strip() for line in text.split("\n") if line.strip()]


def _input() -> bytes:
    # Python sets it to None where it was closed from the start.
    stdin: TextIO | None = sys.stdin
    if stdin is None:
        raise OSError(errno.EBADF, "standard input is closed")
    return stdin.buffer.read()


def _instant(text: str | None, flag: str) -> datetime | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            "must be a date or an instant, as 2026-01-31 or 2026-01-31T12:00:00Z",
            param_hint=flag,
        ) from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _in_words(result: ExportResult) -> str:
    size = sum(file.bytes for file in result.files) / _MEGABYTE
    text = (
        f"{visible(str(result.directory))}: {_counted(result.events, 'event')} into"
        f" {_counted(len(result.files), 'file')} ({size:,.1f} MB);"
        f" identities: {result.done:,} done, {result.complete:,} proven complete,"
        f" {result.failed:,} failed"
    )
    return f"{text}, {result.skipped:,} done before" if result.skipped else text


def _tell_of_failures(result: ExportResult, *, secret: str) -> None:
    """List what could not be read.

    Raises:
        typer.Exit: There is something.
    """
    if not result.failures:
        return
    for identity_id, error in list(result.failures.items())[:_MOST_NAMED]:
        complain(f"{one_line(identity_id)}: {error}", secret=secret)
    unnamed = result.failed - _MOST_NAMED
    if unnamed > 0:
        complain(f"and {unnamed:,} more, which the manifest names")
    complain(
        f"{_counted(result.failed, 'identity', 'identities')} could not be read:"
        " run it again to go on with what is left"
    )
    raise typer.Exit(INCOMPLETE)


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
