"""Opening and creating files safely: only plain files, and no link when creating.

Opening a fifo may wait for ever. Reading a device may never end. Writing through a
symbolic link would overwrite the file that it points to.
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
"""The umask of a private file: group and others get no permission."""

_NO_LINKS: Final[int] = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: Final[int] = getattr(os, "O_NONBLOCK", 0)
_FLAGS: Final[int] = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def open_plain(path: StrPath) -> BufferedReader:
    """Open a plain file for reading. A symbolic link to a plain file is followed.

    Raises:
        OSError: The file can't be opened, or is not a plain file.
    """
    # Checked before it is opened, as opening a device may have an effect.
    _check_mode(Path(path).stat().st_mode, path)
    fd = os.open(path, os.O_RDONLY | _NO_WAIT | _FLAGS)
    try:
        check_plain(fd, path)
        return os.fdopen(fd, "rb")
    except BaseException:
        os.close(fd)
        raise


def check_plain(fd: int, path: StrPath) -> None:
    """Check that a file descriptor refers to a plain file.

    Raises:
        OSError: It refers to a fifo, a device, a directory or the like.
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
    """Create a file and return its descriptor, open for reading and writing.

    Args:
        path: The path of the new file. Nothing may exist there, not even a dangling
            symbolic link.
        umask: The permission bits that the file must not get. The umask of the process
            is not used, unless this is `PRIVATE`.

    Raises:
        OSError: The file can't be created, or something exists there.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINKS | _FLAGS
    fd = os.open(path, flags, 0o600)
    if umask != PRIVATE and hasattr(os, "fchmod"):
        os.fchmod(fd, 0o666 & ~umask)
    return fd


def open_or_create(path: StrPath, *, umask: int = PRIVATE) -> int:
    """Open a plain file for reading and writing, and return its descriptor.

    Args:
        path: The path of the file, which is created if nothing exists there. A
            symbolic link is not followed.
        umask: The permission bits that a new file must not get.

    Raises:
        OSError: The file can't be opened, or is not a plain file.
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
    """Create a directory, and the directories above it.

    A directory that exists keeps its mode.

    Args:
        path: The path of the directory.
        umask: The permission bits that a new directory must not get.

    Raises:
        OSError: The directory can't be created.
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
    """Write all of ``data``: one call of ``os.write`` may write only a part.

    Raises:
        OSError: The disk is full, or the like.
    """
    view = memoryview(data).cast("B")
    while view:
        view = view[os.write(fd, view) :]


def replace_whole(path: Path, data: bytes, *, umask: int = PRIVATE) -> None:
    """Write a file atomically: readers see the old content or the new, never a part.

    The data is written to a new file of a random name, synced to the disk, and then
    renamed. No symbolic link is followed.

    Args:
        path: The path of the file. A file or link that exists there is replaced.
        data: The new content.
        umask: The permission bits that the file must not get.

    Raises:
        OSError: The file can't be written. What existed at ``path`` is unchanged.
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
