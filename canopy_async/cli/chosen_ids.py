"""The identities for a command: named as arguments, read from a file, or all."""

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

_ID_CHECKER: Final = CanopySession("account", "token")
"""A session that sends nothing. It is only used to check ids."""


def chosen_ids(
    named: Sequence[str], path: Path | None, *, is_all: bool
) -> list[str] | None:
    """Return the ids of the chosen identities, each once; None for all of the account.

    Args:
        named: Ids given as arguments.
        path: A file with one id per line; ``-`` is standard input.
        is_all: Whether all identities of the account are chosen.

    Raises:
        typer.BadParameter: Not exactly one of the three is given, an id is invalid, or
            the file can't be read or contains no id.
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
    """Return why a text is not a valid id, in words; None if it is valid."""
    try:
        _ID_CHECKER.events(identity_id)
    except ValueError as error:
        return one_line(str(error).removeprefix("identity_"))
    return None


def _lines_of(path: Path) -> list[str]:
    try:
        # "utf-8-sig", as some editors put a byte order mark at the start of a file.
        text = (_input() if str(path) == "-" else path.read_bytes()).decode("utf-8-sig")
    except OSError as error:
        problem = f"can't be read: {error.strerror}"
        raise typer.BadParameter(problem, param_hint="--from") from None
    except UnicodeDecodeError:
        raise typer.BadParameter("is not UTF-8 text", param_hint="--from") from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    # Not splitlines(), as an id may contain other line separators of Unicode.
    return [line.strip() for line in text.split("\n")]


def _input() -> bytes:
    # If standard input was closed when Python started, it is None.
    stdin: TextIO | None = sys.stdin
    if stdin is None:
        raise OSError(errno.EBADF, "standard input is closed")
    return stdin.buffer.read()
