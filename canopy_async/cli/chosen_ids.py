"""The identities that a command is to read: named ones, or a file of them."""

import errno
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TextIO

import typer

from canopy_async import CanopySession
from canopy_async.cli.terminal.exit import INTERRUPTED
from canopy_async.cli.terminal.render import one_line

__all__ = ["chosen_ids"]

_UNUSED: Final = CanopySession("account", "token")
"""A session that sends nothing: it knows what an id may be."""


def chosen_ids(
    named: Sequence[str], path: Path | None, *, is_all: bool
) -> list[str] | None:
    """Return the ids to export, each once; None for all of the account.

    Args:
        named: Ids.
        path: A file with an id in each line; ``-`` is standard input.
        is_all: Whether every identity is wanted.

    Raises:
        typer.BadParameter: Not exactly one of these is given, an id can't be one,
            or the file can't be read or names none.
    """
    if (bool(named), path is not None, is_all).count(True) != 1:
        raise typer.BadParameter(
            "name some, or pass --from FILE, or --all; or --log for the account's own"
            " log",
            param_hint="IDENTITY",
        )
    if is_all:
        return None
    ids = _checked(named) if path is None else _ids_of(path)
    return list(dict.fromkeys(ids))


def _checked(named: Sequence[str]) -> Sequence[str]:
    for identity_id in named:
        if fault := _fault_of(identity_id):
            raise typer.BadParameter(fault, param_hint="IDENTITY")
    return named


def _ids_of(path: Path) -> list[str]:
    name = "standard input" if str(path) == "-" else str(path)
    ids: list[str] = []
    for number, identity_id in enumerate(_lines_of(path), 1):
        if not identity_id:
            continue
        if fault := _fault_of(identity_id):
            raise typer.BadParameter(
                f"{name}, line {number}: {fault}", param_hint="--from"
            )
        ids.append(identity_id)
    if not ids:
        raise typer.BadParameter(f"{name} names no identity", param_hint="--from")
    return ids


def _fault_of(identity_id: str) -> str | None:
    """Return why this can't be an id, in words; None where it can."""
    try:
        _UNUSED.events(identity_id)
    except ValueError as error:
        return one_line(str(error).removeprefix("identity_"))
    return None


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
    return [line.strip() for line in text.split("\n")]


def _input() -> bytes:
    # Python sets it to None where it was closed from the start.
    stdin: TextIO | None = sys.stdin
    if stdin is None:
        raise OSError(errno.EBADF, "standard input is closed")
    return stdin.buffer.read()
