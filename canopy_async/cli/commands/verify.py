"""``canopy-async verify``."""

import attrs
import msgspec
import typer

from canopy_async import CanopyError
from canopy_async.cli.export_summary import counted
from canopy_async.cli.terminal.exit import (
    FAILED,
    INCOMPLETE,
    INTERRUPTED,
    complain,
    ended_by_sigterm,
)
from canopy_async.cli.terminal.render import visible
from canopy_async.export import Status, VerifyResult, verify

__all__ = ["STATUSES", "verify_files"]

STATUSES = {Status.FINISHED: 0, Status.UNFINISHED: INCOMPLETE, Status.DAMAGED: FAILED}
"""The exit status for each thing that can be said of an export."""


def verify_files(directory: str, *, digest: str | None, as_json: bool) -> None:
    """Verify an export, and say on standard output what was found.

    Args:
        directory: Where the export is.
        digest: The digest that its manifest must have, or have had.
        as_json: Whether to say it as one object of JSON.

    Raises:
        typer.Exit: It is not finished, or damaged.
    """
    try:
        with ended_by_sigterm():
            found = verify(directory, digest=digest)
    except (CanopyError, OSError) as error:
        complain(str(error))
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        typer.echo(_as_json(found))
    else:
        _tell(directory, found)
    raise typer.Exit(STATUSES[found.status])


def _as_json(found: VerifyResult) -> str:
    names = [field.name for field in attrs.fields(VerifyResult)]
    return msgspec.json.encode({name: getattr(found, name) for name in names}).decode()


def _tell(directory: str, found: VerifyResult) -> None:
    for problem in found.problems:
        complain(problem)
    unnamed = found.problem_count - len(found.problems)
    if unnamed:
        complain(f"and {unnamed:,} problems more")
    states = {
        "read to the end": found.done,
        "proven complete": found.complete,
        "failed": found.failed,
        "not finished": found.open,
        "listed no more": found.gone,
    }
    words = ", ".join(f"{count:,} {state}" for state, count in states.items())
    subject = f"identities: {words}"
    if found.source == "account-log":
        subject = f"the account's own log: {_log_in_words(found)}"
    typer.echo(
        f"{visible(directory)}: {counted(found.events, 'event')} in"
        f" {counted(found.files, 'file')} by {counted(found.runs, 'run')};"
        f" {subject}"
    )
    typer.echo(f"Scope: {visible(found.scope)}")
    if found.as_of is not None:
        typer.echo(f"Covered as of: {found.as_of:%Y-%m-%d %H:%M:%SZ}")
    typer.echo(f"Digest: {found.digest} ({counted(found.lines, 'line')})")
    if found.digest_line is not None:
        typer.echo(_digest_in_words(found))
    typer.echo(_status_in_words(found))


def _log_in_words(found: VerifyResult) -> str:
    if not found.done:
        return "not read to the end"
    proof = f"complete by the proof '{found.proof}'" if found.complete else "not proven"
    return f"read to the end, {proof}"


def _digest_in_words(found: VerifyResult) -> str:
    if found.digest_line == found.lines:
        return "The digest that you gave is that of the manifest."
    return (
        f"The digest that you gave is that of its first {found.digest_line:,} lines;"
        " what comes after them was added since."
    )


def _status_in_words(found: VerifyResult) -> str:
    if found.status is Status.FINISHED:
        return "Finished: all that was asked for is there, proven, and as written."
    if found.status is Status.DAMAGED:
        return "Damaged: what is there is not what was written."
    left = "\n".join(f"  {visible(sentence)}" for sentence in found.left)
    return (
        "Unfinished: what is there is what was written, but it is not all, or not"
        f" proven.\n{left}\nTo go on: {visible(found.command)}"
    )
