"""Durable files, which survive a crash of the machine, and locks on files."""

import hashlib
import os
import sys
from pathlib import Path
from typing import Final

from canopy_async._util.plain_files import (
    PRIVATE,
    create,
    open_plain,
    replace_whole,
    write_all,
)

__all__ = [
    "DurableFile",
    "is_locked",
    "lock",
    "rename",
    "sha256_of",
    "sync_directory",
    "write_whole",
]

_NO_LINKS: Final[int] = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: Final[int] = getattr(os, "O_NONBLOCK", 0)
_BINARY: Final[int] = getattr(os, "O_BINARY", 0)
_LOCKED_BYTE: Final = 1 << 40
"""The byte that is locked on Windows.

It lies beyond the end of any manifest, as other processes can't read a locked byte."""


class DurableFile:
    """A new file that is hashed while it is written.

    Args:
        path: The path of the file; nothing may exist there.
        umask: The permission bits that the file must not get.

    Attributes:
        path: The path of the file.
        size: The number of bytes written so far.
        closed: Whether the file was closed.

    Raises:
        OSError: The file can't be created.
    """

    def __init__(self, path: Path, *, umask: int = PRIVATE) -> None:
        self._fd: Final = create(path, umask=umask)
        self._hash: Final = hashlib.sha256()
        self._discarding = False
        self.path: Final = path
        self.size = 0
        self.closed = False

    @property
    def sha256(self) -> str:
        """The sha256 of the bytes written so far, in hexadecimal."""
        return self._hash.hexdigest()

    def write(self, data: bytes | memoryview) -> int:
        """Write all of ``data``; return its length.

        Raises:
            OSError: The disk is full, or the like.
        """
        if self._discarding:
            return len(data)
        view = memoryview(data)  # pyarrow passes its own buffer objects
        write_all(self._fd, view)
        self._hash.update(view)
        self.size += view.nbytes
        return view.nbytes

    def flush(self) -> None:
        """Do nothing, as `write` does not buffer."""

    def close(self) -> None:
        """Sync the file to the disk, then close it.

        Raises:
            OSError: The file could not be synced.
        """
        if self.closed:
            return
        try:
            os.fsync(self._fd)
        finally:
            self.closed = True
            os.close(self._fd)

    def discard(self) -> None:
        """Close and delete the file, and ignore all further writes.

        Raises:
            OSError: The file could not be deleted.
        """
        self._discarding = True
        if not self.closed:
            self.closed = True
            os.close(self._fd)
        self.path.unlink()


def write_whole(path: Path, data: bytes, *, umask: int = PRIVATE) -> None:
    """Write a file atomically and durably; see `replace_whole`.

    Raises:
        OSError: The file could not be written.
    """
    replace_whole(path, data, umask=umask)
    sync_directory(path.parent)


def rename(source: Path, target: Path) -> None:
    """Rename a file, and sync the new name to the disk.

    Raises:
        OSError: The file could not be renamed, or the directory not be synced.
    """
    source.rename(target)
    sync_directory(target.parent)


def sync_directory(path: Path) -> None:
    """Sync a directory to the disk, so that the names of its files survive a crash.

    Raises:
        OSError: The directory could not be synced.
    """
    if sys.platform == "win32":  # Windows can't sync a directory
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal.

    Raises:
        OSError: The file can't be read.
    """
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if sys.platform == "win32":

    def lock(fd: int) -> None:
        """Lock a file until it is closed or the process ends.

        Raises:
            OSError: Another process has locked it.
        """
        import msvcrt  # exists on Windows only

        os.lseek(fd, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
else:

    def lock(fd: int) -> None:
        """Lock a file until it is closed or the process ends.

        Raises:
            OSError: Another process has locked it.
        """
        import fcntl  # does not exist on Windows

        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_locked(path: Path) -> bool:
    """Tell whether another process holds the lock of a file."""
    try:
        fd = os.open(path, os.O_RDWR | _NO_LINKS | _NO_WAIT | _BINARY)
    except OSError:
        return False
    try:
        lock(fd)
    except OSError:
        return True
    finally:
        os.close(fd)  # releases the lock if it was just taken
    return False
