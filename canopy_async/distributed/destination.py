"""The manifest of an export on a cluster, written by the driver alone.

What tasks have put beside it begins with ``_``. Once a line of the manifest names a
file, and is durable, the file gets its final name; a kill in between is mended when
the export is opened again.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Protocol, TypeAlias

from canopy_async.distributed.storage import LocalStorage, Storage
from canopy_async.errors import ExportError
from canopy_async.export.directory import ExportDirectory, refuse_other
from canopy_async.export.manifest_chain import (
    MANIFEST,
    OLD_MANIFEST,
    Chain,
    ManifestReader,
)
from canopy_async.export.manifest_records import (
    Begin,
    Commit,
    End,
    FileEntry,
    Header,
    Listed,
    Record,
    dump_line,
)
from canopy_async.export.migration import migrate
from canopy_async.export.names import is_ignored, partial_names, under_way
from canopy_async.export.sums import SUMS, dump_sums
from canopy_async.export.writers import FORMATS

__all__ = ["Destination", "LocalDestination", "RemoteDestination", "open_destination"]

_Restore: TypeAlias = Callable[[Record], None]

FLUSH_EVERY: Final = 60.0
"""Seconds between writes of a manifest that can only be written as a whole."""


class Destination(Protocol):
    """The destination of an export, and its manifest, which says what counts."""

    @property
    def storage(self) -> Storage:
        """The place of the files."""
        ...

    @property
    def files(self) -> Mapping[str, FileEntry]:
        """The files that count, by their final names."""
        ...

    def open(self, restore: _Restore) -> None:
        """Take it for this export; to be closed also where that fails.

        Args:
            restore: Is given each record that is there, oldest first.

        Raises:
            ExportError: It is in use, is not an export's, or that of another.
        """
        ...

    def append(self, record: Begin | Listed | End) -> None:
        """Append a record to the manifest; it is durable at the return."""
        ...

    def adopt(self, commits: Iterable[Commit], record: str | None = None) -> None:
        """Append commits to the manifest, and let their files count.

        Args:
            commits: In their order.
            record: The name of what a task has said of them, which is not needed
                any more once they are durable.
        """
        ...

    def write_sums(self) -> None:
        """Leave the hashes of all files, for ``sha256sum -c``."""
        ...

    @property
    def is_empty(self) -> bool:
        """Whether this run has begun the export, and nothing was committed."""
        ...

    def discard(self) -> None:
        """Delete an export that this run has begun, and that holds nothing."""
        ...

    def close(self) -> None:
        """Make all of the file durable, and close it."""
        ...


class LocalDestination:
    """A directory: the manifest is appended to, as one process does it."""

    def __init__(self, storage: LocalStorage, header: Header) -> None:
        self.storage: Final = storage
        self._directory: Final = ExportDirectory(
            storage.path,
            header,
            FORMATS[header.format],
            max_file_bytes=1,
            umask=storage.umask,
        )

    @property
    def files(self) -> Mapping[str, FileEntry]:
        """The files that count, by their final names."""
        return self._directory.committed

    def open(self, restore: _Restore) -> None:
        """Take the directory, and finish what a kill left."""
        self._directory.open(restore)

    def append(self, record: Begin | Listed | End) -> None:
        """Append a record to the manifest."""
        self._directory.append(record)

    def adopt(self, commits: Iterable[Commit], record: str | None = None) -> None:
        """Append commits to the manifest, and give their files their names."""
        self._directory.adopt(commits)
        if record is not None:
            self.storage.delete((record,))

    def write_sums(self) -> None:
        """Leave the hashes of all files."""
        self._directory.write_sums()

    @property
    def is_empty(self) -> bool:
        """Whether this run has begun the export, and nothing was committed."""
        return self._directory.is_empty

    def discard(self) -> None:
        """Delete an export that this run has begun, and that holds nothing."""
        self._directory.discard()

    def close(self) -> None:
        """Release the directory; all of it is on the disk already."""
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
        self._chain = Chain()
        self._files: Final[dict[str, FileEntry]] = {}
        self._unnamed: Final[list[str]] = []
        self._adopted: Final[list[str]] = []
        self._is_dirty = False
        self._is_begun_here = False
        self._has_commits = False
        self._size: int | None = None
        self._next_flush = 0.0

    @property
    def files(self) -> Mapping[str, FileEntry]:
        """The files that count, by their final names."""
        return self._files

    def open(self, restore: _Restore) -> None:
        """Read the manifest, or begin one; finish what a kill left."""
        self.storage.make()
        sizes = self.storage.sizes()
        if MANIFEST in sizes:
            self._go_on(sizes, restore)
        elif OLD_MANIFEST in sizes:
            self._take_over(sizes, restore)
        else:
            for name in sizes:
                if not is_ignored(name):
                    raise ExportError(
                        f"{self.storage.url} is not empty, and holds no export: it has"
                        f" {name!r}"
                    )
            self._is_begun_here = True
            self._append(self._header)
            self._flush()
        self._next_flush = time.monotonic() + FLUSH_EVERY

    def append(self, record: Begin | Listed | End) -> None:
        """Append a record to the manifest, and write it."""
        if isinstance(record, Begin):
            # They would not be those of the files, once the run has begun.
            self.storage.delete((SUMS,))
        self._append(record)
        self._flush()

    def adopt(self, commits: Iterable[Commit], record: str | None = None) -> None:
        """Append commits to the copy of the manifest; write it where it is time to."""
        for commit in commits:
            self._append(commit)
            self._has_commits = True
            if commit.file is not None:
                self._files[commit.file.name] = commit.file
                self._unnamed.append(commit.file.name)
        if record is not None:
            self._adopted.append(record)
        if time.monotonic() >= self._next_flush:
            self._flush()

    def write_sums(self) -> None:
        """Leave the hashes of all files."""
        data = dump_sums(self._files.values(), self._chain.digest)
        self.storage.put(SUMS, data)

    @property
    def is_empty(self) -> bool:
        """Whether this run has begun the export, and nothing was committed."""
        return self._is_begun_here and not self._has_commits

    def discard(self) -> None:
        """Delete an export that this run has begun, and that holds nothing."""
        self.storage.delete((MANIFEST,))
        self._is_dirty = False

    def close(self) -> None:
        """Write the manifest where there is something new in it."""
        try:
            if self._is_dirty:
                self._flush()
        finally:
            self._scratch.cleanup()

    @property
    def _manifest(self) -> Path:
        return self._path / MANIFEST

    def _append(self, record: Record) -> None:
        line = dump_line(self._chain.link(record))
        with self._manifest.open("ab") as file:
            file.write(line)
        self._chain.add(line)
        self._is_dirty = True

    def _go_on(self, sizes: Mapping[str, int], restore: _Restore) -> None:
        self._manifest.write_bytes(self.storage.read(MANIFEST))
        self._size = sizes[MANIFEST]
        self._read(sizes, restore)
        if OLD_MANIFEST in sizes:  # a kill has left it
            self.storage.delete((OLD_MANIFEST,))

    def _take_over(self, sizes: Mapping[str, int], restore: _Restore) -> None:
        """Turn a manifest of version 1 into one of this version."""
        old = self._path / OLD_MANIFEST
        old.write_bytes(self.storage.read(OLD_MANIFEST))
        named = f"{self.storage.url}/{OLD_MANIFEST}"
        with old.open("rb") as file:
            reader = ManifestReader(file, named)
            refuse_other(self.storage.url, reader.header, self._header)
            self._manifest.write_bytes(migrate(self._fetched, reader, self._header))
        (self._path / _FETCHED).unlink(missing_ok=True)
        self._read(sizes, restore)
        self._is_dirty = True
        self._flush()
        self.storage.delete((OLD_MANIFEST,))

    def _fetched(self, name: str) -> Path:
        """Fetch a data file to this machine, until the next one is asked for."""
        path = self._path / _FETCHED
        path.write_bytes(self.storage.read(name))
        return path

    def _read(self, sizes: Mapping[str, int], restore: _Restore) -> None:
        """Go through the copy of the manifest; give files their final names."""
        with self._manifest.open("rb+") as file:
            reader = ManifestReader(file, f"{self.storage.url}/{MANIFEST}")
            refuse_other(self.storage.url, reader.header, self._header)
            for record in reader:
                restore(record)
                if isinstance(record, Commit) and record.file is not None:
                    self._files[record.file.name] = record.file
            file.truncate(reader.offset)
        self._chain = reader.chain
        unnamed = {
            partial: entry.name
            for entry in self._files.values()
            if (partial := self._partial_of(entry, sizes)) is not None
        }
        for partial, name in unnamed.items():
            self.storage.rename(partial, name)

    def _partial_of(self, entry: FileEntry, sizes: Mapping[str, int]) -> str | None:
        """Return the name of a file that has no final one yet; None if it has.

        Raises:
            ExportError: It is nowhere, or another one.
        """
        if sizes.get(entry.name) == entry.bytes:
            return None
        for partial in partial_names(entry.name):
            # Its name is that of one attempt, which never writes another file.
            if entry.name not in sizes and sizes.get(partial) == entry.bytes:
                return partial
        raise ExportError(
            f"{self.storage.url}: {entry.name} is missing, or is not what the manifest"
            " says it is"
        )

    def _flush(self) -> None:
        """Write the manifest; let count what it names by then."""
        began = time.monotonic()
        if self.storage.sizes().get(MANIFEST) != self._size:
            raise ExportError(f"{self.storage.url} is in use: its manifest has changed")
        size = self._manifest.stat().st_size
        self.storage.put_file(MANIFEST, self._manifest)
        self._size, self._is_dirty = size, False
        while self._unnamed:
            self.storage.rename(under_way(self._unnamed[-1]), self._unnamed[-1])
            self._unnamed.pop()
        self.storage.delete(self._adopted)
        self._adopted.clear()
        now = time.monotonic()
        self._next_flush = now + max(FLUSH_EVERY, 10 * (now - began))


_FETCHED: Final = "fetched"


def open_destination(storage: Storage, header: Header) -> Destination:
    """Return the destination of an export, not open yet."""
    if isinstance(storage, LocalStorage):
        return LocalDestination(storage, header)
    return RemoteDestination(storage, header)
