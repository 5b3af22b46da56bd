"""Safe files: only plain ones are opened, and new ones never replace or follow.

A fifo would make whoever opens it wait for ever, a device never ends, and a link that
stands where a file is to be made has its target written over.
"""

import errno
import os
import secrets
import stat
from io import BufferedReader
from pathlib import Path
from typing import Final, TypeAlias

__all__ = [
    "PRIVATE",
    "StrPath",
    "check_plain",
    "create",
    "make_directory",
    "open_or_create",
    "open_plain",
    "replace_whole",
    "write_all",
]

StrPath: TypeAlias = str | os.PathLike[str]

PRIVATE: Final = 0o077
"""What others may not do with what is made: anything."""

_NO_LINKS: Final[int] = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: Final[int] = getattr(os, "O_NONBLOCK", 0)
_FLAGS: Final[int] = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def open_plain(path: StrPath) -> BufferedReader:
    """Open a plain file for reading; a link to one is followed.

    Raises:
        OSError: It can't be opened, or is not a plain file.
    """
    _check_mode(Path(path).stat().st_mode, path)  # to open a device may do something
    fd = os.open(path, os.O_RDONLY | _NO_WAIT | _FLAGS)
    try:
        check_plain(fd, path)
        return os.fdopen(fd, "rb")
    except BaseException:
        os.close(fd)
        raise


def check_plain(fd: int, path: StrPath) -> None:
    """Raise where a descriptor is not of a plain file.

    Raises:
        OSError: It is of a fifo, a device, a directory or the like.
    """
    _check_mode(os.fstat(fd).st_mode, path)


def _check_mode(mode: int, path: StrPath) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(
            errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path)
        )
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a plain file", os.fspath(path))


def create(path: StrPath, *, umask: int = PRIVATE) -> int:
    """Return the descriptor of a new file, to be written to and read.

    Args:
        path: Where it is to be; nothing may be there, and no link either.
        umask: The permissions that it is not to have, whatever the process has set.

    Raises:
        OSError: It can't be made, or something is there.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINKS | _FLAGS
    fd = os.open(path, flags, 0o600)
    if umask != PRIVATE and hasattr(os, "fchmod"):
        os.fchmod(fd, 0o666 & ~umask)
    return fd


def open_or_create(path: StrPath, *, umask: int = PRIVATE) -> int:
    """Return the descriptor of a plain file, to be written to and read.

    Args:
        path: Where it is; it is made where nothing is. A link is not followed.
        umask: The permissions that a new one is not to have.

    Raises:
        OSError: It can't be opened, or is not a plain file.
    """
    try:
        return create(path, umask=umask)
    except FileExistsError:
        pass
    fd = os.open(path, os.O_RDWR | _NO_LINKS | _NO_WAIT | _FLAGS)
    try:
        check_plain(fd, path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def make_directory(path: Path, *, umask: int = PRIVATE) -> None:
    """Make a directory where there is none; one that is there keeps its mode.

    Args:
        path: Where it is to be; those above it are made as well.
        umask: The permissions that a new one is not to have.

    Raises:
        OSError: It can't be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    if umask != PRIVATE:
        path.chmod(0o777 & ~umask)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of ``data``, however many calls it takes.

    Raises:
        OSError: The disk is full, or the like.
    """
    view = memoryview(data).cast("B")
    while view:
        view = view[os.write(fd, view) :]


def replace_whole(path: Path, data: bytes, *, umask: int = PRIVATE) -> None:
    """Write a file so that nobody ever sees a part of it, and no link is followed.

    It is written under a name that can't be guessed, put on the disk, and renamed.

    Args:
        path: Where it is to be; what is there is replaced.
        data: What it is to hold.
        umask: The permissions that it is not to have.

    Raises:
        OSError: It can't be written; what was there still is.
    """
    partial = path.with_name(f"_{secrets.token_hex(16)}.partial")
    fd = create(partial, umask=umask)
    try:
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
