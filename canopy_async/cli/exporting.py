"""``canopy-async export`` and ``canopy-async verify``."""

import errno
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self, TextIO, TypedDict

import attrs
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

__all__ = [
    "Cluster",
    "Options",
    "chosen_ids",
    "counted",
    "export_events",
    "instant_of",
    "tell_of_failures",
    "verify_files",
]

_MOST_NAMED: Final = 100
"""Failures that are listed; the manifest has all of them."""

_MEGABYTE: Final = 1_000_000


class Options(TypedDict):
    """What both ways to export take."""

    format: str
    since: str | None
    until: str | None
    q: str | None
    concurrency: int
    max_rate: float | None
    max_file_bytes: int


@attrs.frozen(kw_only=True)
class Cluster:
    """Where the workers of an export are.

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
            raise typer.BadParameter("is not for --workers", param_hint="--dask")
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
    earliest, end = instant_of(since, "--since"), instant_of(until, "--until")
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
    tell_of_failures(result.failures, secret=account.token)


def verify_files(directory: str) -> None:
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
        f"{visible(directory)}: {counted(found.events, 'event')} in"
        f" {counted(found.files, 'file')}; identities: {words}"
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


def instant_of(text: str | None, flag: str) -> datetime | None:
    """Return the instant that an option names, in UTC where it does not say.

    Raises:
        typer.BadParameter: It names none.
    """
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
        f"{visible(str(result.directory))}: {counted(result.events, 'event')} into"
        f" {counted(len(result.files), 'file')} ({size:,.1f} MB);"
        f" identities: {result.done:,} done, {result.complete:,} proven complete,"
        f" {result.failed:,} failed"
    )
    return f"{text}, {result.skipped:,} done before" if result.skipped else text


def tell_of_failures(failures: Mapping[str, CanopyError], *, secret: str) -> None:
    """List what could not be read.

    Raises:
        typer.Exit: There is something.
    """
    if not failures:
        return
    for identity_id, error in list(failures.items())[:_MOST_NAMED]:
        complain(f"{one_line(identity_id)}: {error}", secret=secret)
    unnamed = len(failures) - _MOST_NAMED
    if unnamed > 0:
        complain(f"and {unnamed:,} more, which the manifest names")
    complain(
        f"{counted(len(failures), 'identity', 'identities')} could not be read:"
        " run it again to go on with what is left"
    )
    raise typer.Exit(INCOMPLETE)


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun, ``many`` being the plural of an odd one."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
