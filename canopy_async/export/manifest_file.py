"""The manifest of a directory as a file: locked, appended to, and put on the disk."""

import os
import time
from pathlib import Path
from typing import Final

from canopy_async._util.plain_files import open_or_create, open_plain, write_all
from canopy_async.errors import ExportError
from canopy_async.export.files import lock
from canopy_async.export.manifest_chain import MANIFEST, MAX_LINE, Chain, ManifestReader
from canopy_async.export.manifest_records import Record, dump_line

__all__ = ["ManifestFile", "lock_patiently"]

_BEGINNING: Final = b'{"kind":"header",'
_LOOKS: Final = (0.01, 0.05, 0.1, 0.2, 0.0)
"""Seconds after each attempt to lock a manifest, the last one being in vain."""


class ManifestFile:
    """The manifest that one export appends to; it blocks, so use it in a thread.

    Args:
        directory: The directory of the export.
        umask: The permissions that the file is not to have.
    """

    def __init__(self, directory: Path, *, umask: int) -> None:
        self._directory: Final = directory
        self._umask: Final = umask
        self._open_as: int | None = None
        self._chain = Chain()

    @property
    def path(self) -> Path:
        """The path of the file."""
        return self._directory / MANIFEST

    @property
    def digest(self) -> str:
        """The sha256 of the manifest."""
        return self._chain.digest

    def open(self) -> None:
        """Open the file, made where there is none, and lock it.

        Raises:
            ExportError: Another export writes to it.
        """
        self._open_as = open_or_create(self.path, umask=self._umask)
        lock_patiently(self._open_as, self._directory)

    def is_new(self, *, has_files: bool) -> bool:
        """Tell whether there is no header yet, or one that was cut short.

        Args:
            has_files: Whether there are data files beside the manifest.

        Raises:
            ExportError: The file is no manifest.
        """
        with open_plain(self.path) as file:
            line = file.readline(MAX_LINE)
        if line.endswith(b"\n"):
            return False
        was_begun = line.startswith(_BEGINNING) or _BEGINNING.startswith(line)
        if (was_begun or not line.strip(b"\0")) and not has_files:
            return True
        raise ExportError(f"{self.path}: not the manifest of an export")

    def begin_anew(self) -> None:
        """Drop whatever is in the file."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)

    def go_on_after(self, reader: ManifestReader) -> None:
        """Append behind the whole lines that were read; drop a line cut short.

        Args:
            reader: Has read the file to its end.
        """
        self._chain = reader.chain
        os.ftruncate(self._descriptor, reader.offset)
        os.fsync(self._descriptor)
        os.lseek(self._descriptor, reader.offset, os.SEEK_SET)

    def append(self, record: Record) -> None:
        """Append a record; it is on the disk at the return.

        Raises:
            ExportError: The line would be too long to be read again.
        """
        line = dump_line(self._chain.link(record))
        if len(line) > MAX_LINE:
            raise ExportError(f"a line of the manifest would have {len(line)} bytes")
        write_all(self._descriptor, line)
        os.fsync(self._descriptor)
        self._chain.add(line)

    def close(self) -> None:
        """Close the file, which unlocks it; safe to call twice."""
        if self._open_as is not None:
            os.close(self._open_as)
            self._open_as = None

    @property
    def _descriptor(self) -> int:
        if self._open_as is None:
            raise ExportError(f"{self._directory} was let go of")
        return self._open_as


def lock_patiently(manifest: int, directory: Path) -> None:
    """Lock a manifest for this process.

    Args:
        manifest: The descriptor of the open file.
        directory: The directory of the export, named in the error.

    Raises:
        ExportError: Another export writes to it.
    """
    for patience in _LOOKS:
        try:
            lock(manifest)
        except (BlockingIOError, PermissionError):
            # Whoever looks whether it is locked holds the lock for an instant.
            time.sleep(patience)
        else:
            return
    raise ExportError(f"{directory} is in use: another export writes to it")
