"""Files as an export needs them: on the disk when they say so, and locked."""

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
"""Beyond the end of any manifest: a lock must not keep others from reading it."""


class DurableFile:
    """A new file, hashed as it is written; a sink for whoever encodes.

    Args:
        path: Where it is; nothing may be there.
        umask: The permissions that it is not to have.

    Raises:
        OSError: It can't be made.
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
        """The hash of what was written so far, in hexadecimal."""
        return self._hash.hexdigest()

    def write(self, data: bytes | memoryview) -> int:
        """Write all of ``data``; return its length.

        Raises:
            OSError: The disk is full, or the like.
        """
        if self._discarding:
            return len(data)
        # Arrow hands over buffers of its own.
        view = memoryview(data)
        write_all(self._fd, view)
        self._hash.update(view)
        self.size += view.nbytes
        return view.nbytes

    def flush(self) -> None:
        """Do nothing: what was written is not held back."""

    def close(self) -> None:
        """Close the file; what was written is on the disk at the return.

        Raises:
            OSError: It could not be put there.
        """
        if self.closed:
            return
        try:
            os.fsync(self._fd)
        finally:
            self.closed = True
            os.close(self._fd)

    def discard(self) -> None:
        """Close and delete the file; from now on, writes go nowhere.

        Raises:
            OSError: It could not be deleted.
        """
        self._discarding = True
        if not self.closed:
            self.closed = True
            os.close(self._fd)
        self.path.unlink()


def write_whole(path: Path, data: bytes, *, umask: int = PRIVATE) -> None:
    """Write a file under another name, and give it its own once it is on the disk.

    Raises:
        OSError: It could not be written.
    """
    replace_whole(path, data, umask=umask)
    sync_directory(path.parent)


def rename(source: Path, target: Path) -> None:
    """Give a file its final name, durably.

    Raises:
        OSError: It could not be done.
    """
    source.rename(target)
    sync_directory(target.parent)


def sync_directory(path: Path) -> None:
    """Put the names in a directory on the disk.

    Raises:
        OSError: It could not be done.
    """
    if sys.platform == "win32":  # it knows no such thing
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sha256_of(path: Path) -> str:
    """Return the hash of a file, in hexadecimal.

    Raises:
        OSError: It can't be read.
    """
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if sys.platform == "win32":

    def lock(fd: int) -> None:
        """Keep others from locking a file; the system ends it with the process.

        Raises:
            OSError: Another one has locked it.
        """
        import msvcrt  # exists there only

        os.lseek(fd, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
else:

    def lock(fd: int) -> None:
        """Keep others from locking a file; the system ends it with the process.

        Raises:
            OSError: Another one has locked it.
        """
        import fcntl  # exists there only

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
        os.close(fd)  # which ends the lock, where it was had
    return False
