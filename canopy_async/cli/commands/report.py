"""``canopy-async report``."""

from pathlib import Path

import typer

from canopy_async import CanopyError
from canopy_async.cli.commands.verify import STATUSES
from canopy_async.cli.terminal.exit import FAILED, complain, ended_by_sigterm
from canopy_async.cli.terminal.render import one_line, visible
from canopy_async.export import Status, WrittenReport, write_report

__all__ = ["report_on"]

_MEGABYTE = 1_000_000


def report_on(directory: str, out: Path, *, latest: int, top: int, umask: int) -> None:
    """Write a report of an export, and say so on standard output.

    Args:
        directory: Where the export is, a path or a URL.
        out: Where the page goes.
        latest: How many of the latest events its table has.
        top: How many actors and actions it ranks.
        umask: The permissions that it is not to have.

    Raises:
        typer.BadParameter: The page would replace a file of the export.
        typer.Exit: With the status that ``verify`` has for the export; or it could
            not be written, and standard error says why.
    """
    try:
        with ended_by_sigterm():
            written = write_report(directory, out, latest=latest, top=top, umask=umask)
    except ValueError as error:
        raise typer.BadParameter(one_line(str(error)), param_hint="--out") from None
    except CanopyError as error:
        complain(str(error))
        raise typer.Exit(FAILED) from None
    except OSError as error:
        complain(f"{error.filename or out}: {error.strerror or error}")
        raise typer.Exit(FAILED) from None
    typer.echo(_in_words(written))
    raise typer.Exit(STATUSES[written.status])


def _in_words(written: WrittenReport) -> str:
    text = (
        f"{visible(str(written.path))}: {written.size / _MEGABYTE:.1f} MB,"
        f" events: {written.events:,}, identities: {written.identities:,}"
    )
    if written.status is Status.FINISHED:
        return f"{text}, finished and proven complete"
    return f"{text}, {written.status}: the report says what is missing"
