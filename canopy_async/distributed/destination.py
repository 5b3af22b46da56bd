"""The manifest of an export on a cluster, written by the driver alone."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Protocol

import attrs

from canopy_async.distributed.records import Record
from canopy_async.distributed.storage import LocalStorage, Storage
from canopy_async.errors import ExportError
from canopy_async.export.directory import ExportDirectory, refuse_other
from canopy_async.export.manifest import (
    MANIFEST,
    FileEntry,
    Header,
    IdentityEntry,
    dump_line,
    iter_commits,
    scan,
)
from canopy_async.export.writers import FORMATS

__all__ = ["Destination", "LocalDestination", "RemoteDestination", "open_destination"]

_Restore = Callable[[Sequence[IdentityEntry]], None]

FLUSH_EVERY: Final = 60.0
"""Seconds between writes of a manifest that can only be written as a whole."""


class Destination(Protocol):
    """Where an export goes, and its manifest, which says what counts."""

    @property
    def storage(self) -> Storage:
        """Where the files are."""
        ...

    def open(self, restore: _Restore) -> None:
        """Take it for this export; to be closed also where that fails.

        Args:
            restore: Is given the identities of each commit, oldest first.

        Raises:
            ExportError: It is in use, is not an export's, or that of another.
        """
        ...

    def adopt(self, record: Record) -> None:
        """Let what an attempt has read count; its record is not needed then."""
        ...

    def files(self) -> Iterator[FileEntry]:
        """Yield the files that count."""
        ...

    def close(self) -> None:
        """Make all of it durable, and let go of it."""
        ...


class LocalDestination:
    """A directory: the manifest is appended to, as one process does it."""

    def __init__(self, storage: LocalStorage, header: Header) -> None:
        self.storage: Final = storage
        self._directory: Final = ExportDirectory(
            storage.path, header, FORMATS[header.format], max_file_bytes=1
        )

    def open(self, restore: _Restore) -> None:
        """Take the directory, and finish what a kill left."""
        self._directory.open(restore)

    def adopt(self, record: Record) -> None:
        """Append to the manifest."""
        self._directory.adopt(record.commits)
        self.storage.delete((record.name,))

    def files(self) -> Iterator[FileEntry]:
        """Yield the files that count."""
        return _files(self.storage.path)

    def close(self) -> None:
        """Let go of the directory; all of it is on the disk already."""
        self._directory.close()


class RemoteDestination:
    """A directory of objects: the manifest is written as a whole, now and then.

    A copy of it that can be appended to is kept on this machine.
    """

    def __init__(self, storage: Storage, header: Header) -> None:
        self.storage: Final = storage
        self._header: Final = header
        self._scratch: Final = TemporaryDirectory(prefix="canopy-")
        self._path: Final = Path(self._scratch.name)
        self._commits = 0
        self._adopted: list[str] = []
        self._size = 0
        self._next_flush = 0.0

    def open(self, restore: _Restore) -> None:
        """Read the manifest, or begin one."""
        self.storage.make()
        sizes = self.storage.sizes()
        if MANIFEST in sizes:
            self._go_on(sizes, restore)
        elif sizes:
            raise ExportError(f"{self.storage.url} is not empty, and holds no export")
        else:
            self._manifest.write_bytes(dump_line(self._header))
            self._write()
        self._next_flush = time.monotonic() + FLUSH_EVERY

    def adopt(self, record: Record) -> None:
        """Append to the copy, and write it where it is time to."""
        with self._manifest.open("ab") as file:
            for commit in record.commits:
                self._commits += 1
                file.write(dump_line(attrs.evolve(commit, n=self._commits)))
        self._adopted.append(record.name)
        if time.monotonic() >= self._next_flush:
            self._flush()

    def files(self) -> Iterator[FileEntry]:
        """Yield the files that count."""
        return _files(self._path)

    def close(self) -> None:
        """Write the manifest where there is something new in it."""
        try:
            if self._adopted:
                self._flush()
        finally:
            self._scratch.cleanup()

    @property
    def _manifest(self) -> Path:
        return self._path / MANIFEST

    def _go_on(self, sizes: dict[str, int], restore: _Restore) -> None:
        self._manifest.write_bytes(self.storage.read(MANIFEST))
        self._size = sizes[MANIFEST]
        with self._manifest.open("rb+") as file:
            header, commits = scan(file, f"{self.storage.url}/{MANIFEST}")
            refuse_other(self.storage.url, header, self._header)
            end = file.tell()
            for commit, end in commits:  # noqa: B007 - the last one is wanted
                self._commits += 1
                if commit.file and sizes.get(commit.file.name) != commit.file.bytes:
                    raise ExportError(
                        f"{self.storage.url}: {commit.file.name} is missing, or is not"
                        " what the manifest says it is"
                    )
                restore(commit.identities)
            file.truncate(end)

    def _flush(self) -> None:
        began = time.monotonic()
        if self.storage.sizes().get(MANIFEST) != self._size:
            raise ExportError(f"{self.storage.url} is in use: its manifest has changed")
        self._write()
        self.storage.delete(self._adopted)
        self._adopted.clear()
        now = time.monotonic()
        self._next_flush = now + max(FLUSH_EVERY, 10 * (now - began))

    def _write(self) -> None:
        self._size = self._manifest.stat().st_size
        self.storage.put_file(MANIFEST, self._manifest)


def open_destination(storage: Storage, header: Header) -> Destination:
    """Return the destination of an export, not open yet."""
    if isinstance(storage, LocalStorage):
        return LocalDestination(storage, header)
    return RemoteDestination(storage, header)


def _files(directory: Path) -> Iterator[FileEntry]:
    for commit in iter_commits(directory):
        if commit.file is not None:
            yield commit.file
