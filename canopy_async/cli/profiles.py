"""Profiles: named accounts with the source of their token, in a TOML file."""

import os
import shlex
import stat
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import attrs
import typer

from canopy_async.cli.terminal.visible_text import one_line, visible

__all__ = ["Profile", "profiles_path", "read_profile", "read_token_file"]

_FLAG: Final = "--profile"
_SOURCES: Final = ("token-env", "token-file", "token-command", "token")
_KEYS: Final = ("account", "base-url", *_SOURCES)
_COMMAND_TIMEOUT: Final = 60.0
"""The most seconds that the command of ``token-command`` may take."""


@attrs.frozen(kw_only=True)
class Profile:
    """A named account, and the source of its token.

    Attributes:
        name: The profile's name.
        account: The account's slug, if the profile has one.
        base_url: The URL of the API; None for the default.
        source: The key in the profile that names the token's source, if any.
        place: The value of that key.
    """

    name: str
    account: str | None
    base_url: str | None
    source: str | None = None
    place: Any = attrs.field(default=None, repr=False)

    def token(self) -> str | None:
        """Return the token, or None if the profile names no source of it.

        Raises:
            typer.BadParameter: The token can't be read from its source.
        """
        match self.source:
            case "token-env":
                return self._from_variable()
            case "token-file":
                return read_token_file(
                    Path(self.place).expanduser(), f"{_FLAG} {self.name}: token-file"
                )
            case "token-command":
                return self._from_command()
            case "token":
                return str(self.place)
            case _:
                return None

    def _from_variable(self) -> str:
        value = os.environ.get(self.place)
        if not value:
            raise self._error(f"the variable {visible(self.place)} is not set")
        return value

    def _from_command(self) -> str:
        command: list[str] = (
            shlex.split(self.place) if isinstance(self.place, str) else self.place
        )
        try:
            ended = subprocess.run(  # noqa: S603 - the user's own file names it
                command, stdout=subprocess.PIPE, check=False, timeout=_COMMAND_TIMEOUT
            )
        except subprocess.TimeoutExpired:
            raise self._error(f"it took more than {_COMMAND_TIMEOUT:.0f} s") from None
        except OSError as error:
            raise self._error(f"can't be run: {error.strerror}") from None
        if ended.returncode:
            raise self._error(f"it ended with status {ended.returncode}")
        token = ended.stdout.decode("utf-8", "replace").strip()
        if not token:
            raise self._error("it printed nothing")
        return token

    def _error(self, message: str) -> typer.BadParameter:
        return _error(self.name, f"{self.source}: {message}")


def profiles_path() -> Path:
    """Return the path of the profiles, in the platform's directory for settings."""
    return Path(typer.get_app_dir("canopy-async")) / "profiles.toml"


def read_profile(name: str, path: Path | None = None) -> Profile:
    """Return a profile by its name.

    Args:
        name: The profile's name.
        path: The file of the profiles; None for the default.

    Raises:
        typer.BadParameter: There is no such profile, or the file is invalid.
    """
    path = path or profiles_path()
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            tables = tomllib.load(file)
    except OSError as error:
        raise _error(name, f"{path} can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        # The parser's message is not shown: it may quote a line that holds a token.
        place = getattr(error, "lineno", None)
        where = "" if place is None else f", line {place}"
        raise _error(name, f"{path}{where} is not TOML") from None
    if name not in tables or not isinstance(tables[name], dict):
        known = ", ".join(map(visible, tables)) or "none"
        raise _error(name, f"{path} has no such profile; it has: {known}")
    profile = _profile(name, tables[name], path)
    if profile.source == "token" and _others_may_read(mode):
        raise _error(
            name,
            f"{path} holds a token and others may read it: run chmod 600 on it, or"
            " name a token-env, token-file or token-command instead",
        )
    return profile


def read_token_file(path: Path, flag: str) -> str:
    """Return the token from a file.

    Raises:
        typer.BadParameter: The file can't be read, or is empty.
    """
    try:
        token = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise typer.BadParameter(
            f"can't be read: {error.strerror}", param_hint=flag
        ) from None
    except UnicodeDecodeError:
        raise typer.BadParameter("is not UTF-8 text", param_hint=flag) from None
    if not token:
        raise typer.BadParameter("the file is empty", param_hint=flag)
    return token


def _profile(name: str, table: Mapping[str, Any], path: Path) -> Profile:
    for key in table:
        if key not in _KEYS:
            known = ", ".join(_KEYS)
            raise _error(name, f"{path}: {visible(key)} is not one of {known}")
    given = [key for key in _SOURCES if key in table]
    if len(given) > 1:
        raise _error(name, f"{path}: {' and '.join(given)} exclude each other")
    for key, value in table.items():
        is_list = key == "token-command" and isinstance(value, list)
        words = cast("list[Any]", value if is_list else [value])
        if not words or not all(isinstance(word, str) and word for word in words):
            raise _error(name, f"{path}: {key} must be a text that is not empty")
    source = given[0] if given else None
    return Profile(
        name=name,
        account=table.get("account"),
        base_url=table.get("base-url"),
        source=source,
        place=None if source is None else table[source],
    )


def _others_may_read(mode: int) -> bool:
    if sys.platform == "win32":  # a file's mode has no permissions on Windows
        return False
    return bool(stat.S_IMODE(mode) & (stat.S_IRWXG | stat.S_IRWXO))


def _error(name: str, message: str) -> typer.BadParameter:
    return typer.BadParameter(one_line(message), param_hint=f"{_FLAG} {visible(name)}")
