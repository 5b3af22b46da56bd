"""The directory of an export, and how it becomes final step by step.

A commit closes the file under way and puts it on the disk, appends a line to
the manifest and puts that on the disk, and then renames the file. So a file
with a final name is whole and in the manifest, at whatever instant the process
is killed or the power goes; what the manifest does not know is deleted by the
next run.
"""

import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import attrs

from canopy_async._util.plain_files import (
    PRIVATE,
    make_directory,
    open_or_create,
    open_plain,
)
from canopy_async.errors import ExportError
from canopy_async.export.directory_files import DirectoryFiles
from canopy_async.export.file_under_way import FileUnderWay
from canopy_async.export.files import rename, sync_directory, write_whole
from canopy_async.export.manifest_chain import OLD_MANIFEST, ManifestReader
from canopy_async.export.manifest_file import ManifestFile, lock_patiently
from canopy_async.export.manifest_header import Header, refuse_other
from canopy_async.export.manifest_records import (
    Begin,
    Commit,
    End,
    FileEntry,
    Listed,
    Record,
)
from canopy_async.export.migration import migrate
from canopy_async.export.names import is_numbered, number_of, under_way
from canopy_async.export.sums import SUMS, dump_sums
from canopy_async.export.writers import Format

__all__ = ["ExportDirectory", "refuse_other"]


class ExportDirectory:
    """A directory that one export writes to; it blocks, so use it in a thread.

    Args:
        path: The directory; it is made where there is none.
        header: What the export is of; an export that is there must have an equal one.
        written_as: The format of the data files.
        max_file_bytes: The size that a file is closed at.
        umask: The permissions that what is made is not to have.

    Attributes:
        path: The directory.
        files: The data files that were added.
    """

    def __init__(
        self,
        path: Path,
        header: Header,
        written_as: Format,
        *,
        max_file_bytes: int,
        umask: int = PRIVATE,
    ) -> None:
        self.path: Final = path
        self._header: Final = header
        self._umask: Final = umask
        self._manifest: Final = ManifestFile(path, umask=umask)
        self._under_way: Final = FileUnderWay(
            path, written_as, max_bytes=max_file_bytes, umask=umask
        )
        self._there: Final = DirectoryFiles(path)
        self._committed: dict[str, FileEntry] = {}
        self._bytes_added = 0
        self._broken = False
        self._is_made_here = False
        self._is_empty = False
        self.files: list[FileEntry] = []

    @property
    def bytes(self) -> int:
        """The size of the files that were added, and of the one under way."""
        return self._bytes_added + self.bytes_under_way

    @property
    def bytes_under_way(self) -> int:
        """The size of the file under way."""
        return self._under_way.size

    @property
    def is_empty(self) -> bool:
        """Whether this run has begun the export, and nothing was committed."""
        return self._is_empty

    @property
    def committed(self) -> Mapping[str, FileEntry]:
        """All files that count, by their names."""
        return self._committed

    @property
    def digest(self) -> str:
        """The sha256 of the manifest."""
        return self._manifest.digest

    def open(self, restore: Callable[[Record], None]) -> None:
        """Take the directory for this export, and finish what a kill left.

        Args:
            restore: Is given each record that is there, oldest first.

        Raises:
            ExportError: The directory is in use, is not an export's, or is that
                of another export; it is left as it was.
        """
        with self._explained():
            self._is_made_here = not self.path.exists()
            make_directory(self.path, umask=self._umask)
            self._there.check_foreign()
            if (self.path / OLD_MANIFEST).exists():
                self._take_over()
            self._manifest.open()
            if self._manifest.is_new(has_files=bool(self._there.numbered())):
                self._is_empty = True
                self._begin()
                return
            self._go_on(restore)

    def append(self, record: Begin | Listed | End) -> None:
        """Append a record to the manifest; it is on the disk at the return.

        Raises:
            ExportError: It could not be done; nothing more will be.
        """
        with self._explained():
            if isinstance(record, Begin):
                self._drop_sums()
            self._manifest.append(record)

    def write(self, chunks: Sequence[Any], rows: int) -> None:
        """Write events to the file under way.

        Args:
            chunks: Events as the format has encoded them.
            rows: How many events these are.

        Raises:
            ExportError: They could not be written; nothing more will be.
        """
        with self._explained():
            self._under_way.write(chunks, rows)

    def commit(self, commit: Commit) -> None:
        """Make what was written final, and what is known of its identities.

        Args:
            commit: What is to be said, without the file.

        Raises:
            ExportError: It could not be done; nothing more will be.
        """
        with self._explained():
            entry = self._under_way.close()
            self._manifest.append(attrs.evolve(commit, file=entry))
            self._is_empty = False
            if entry is not None:
                self._add(entry)
                name = self.path / under_way(entry.name)
                rename(name, self.path / entry.name)

    def adopt(self, commits: Iterable[Commit]) -> None:
        """Commit files that others have put here, whole and on the disk.

        Args:
            commits: In their order; they become lines of this manifest. Their
                files are named as files under way, until they are committed.

        Raises:
            ExportError: It could not be done; nothing more will be.
        """
        with self._explained():
            for commit in commits:
                self._manifest.append(commit)
                self._is_empty = False
                if commit.file is not None:
                    self._add(commit.file)
                    name = self.path / under_way(commit.file.name)
                    rename(name, self.path / commit.file.name)

    def delete_leftovers(self) -> None:
        """Delete what tasks on a cluster have left here that does not count.

        Raises:
            ExportError: It could not be done; nothing more will be.
        """
        with self._explained():
            self._there.delete_of_tasks(self._committed)

    def write_sums(self) -> None:
        """Leave the hashes of all files, for ``sha256sum -c``.

        Raises:
            ExportError: It could not be done; nothing more will be.
        """
        with self._explained():
            data = dump_sums(self._committed.values(), self.digest)
            write_whole(self.path / SUMS, data, umask=self._umask)

    def discard(self) -> None:
        """Delete an export that this run has begun, and that holds nothing.

        Raises:
            ExportError: It could not be done.
        """
        with self._explained():
            self._manifest.path.unlink()
            self._broken = True
            if self._is_made_here:
                with suppress(OSError):  # others have put something there
                    self.path.rmdir()

    def close(self) -> None:
        """Let go of the directory; what was not committed is dropped."""
        try:
            self._under_way.drop()
        finally:
            self._manifest.close()

    @contextmanager
    def _explained(self) -> Generator[None]:
        """Name what went wrong, and do nothing more after it."""
        if self._broken:
            raise ExportError(f"{self.path} could not be written to")
        try:
            yield
        except OSError as error:
            self._broken = True
            where = error.filename or self.path
            raise ExportError(f"{where}: {error.strerror or error}") from None
        except BaseException:
            self._broken = True
            raise

    def _drop_sums(self) -> None:
        """Delete the hashes that the run before has left, for good.

        They are not those of a manifest that goes on. If the power went, they must
        not come back beside it.
        """
        with suppress(FileNotFoundError):
            (self.path / SUMS).unlink()
            sync_directory(self.path)

    def _add(self, entry: FileEntry) -> None:
        self._committed[entry.name] = entry
        self.files.append(entry)
        self._bytes_added += entry.bytes

    def _take_over(self) -> None:
        """Turn a manifest of version 1 into one of this version."""
        old = open_or_create(self.path / OLD_MANIFEST)
        try:
            lock_patiently(old, self.path)
            if not self._manifest.path.exists():
                with os.fdopen(os.dup(old), "rb") as file:
                    reader = ManifestReader(file, self.path / OLD_MANIFEST)
                    refuse_other(str(self.path), reader.header, self._header)
                    data = migrate(self._there.path_of, reader, self._header)
                write_whole(self._manifest.path, data, umask=self._umask)
            (self.path / OLD_MANIFEST).unlink()
        finally:
            os.close(old)

    def _begin(self) -> None:
        self._manifest.begin_anew()
        self._manifest.append(self._header)
        sync_directory(self.path)
        with suppress(OSError):  # it may not be ours to read
            sync_directory(self.path.parent)

    def _go_on(self, restore: Callable[[Record], None]) -> None:
        with open_plain(self._manifest.path) as file:
            reader = ManifestReader(file, self._manifest.path)
            refuse_other(str(self.path), reader.header, self._header)
            for record in reader:
                if isinstance(record, Commit) and record.file is not None:
                    self._committed[record.file.name] = record.file
                restore(record)
        unnamed = self._there.unnamed(self._committed)
        # All is well, so that what a kill left may be put in order.
        self._manifest.go_on_after(reader)
        for partial, name in unnamed:
            rename(partial, self.path / name)
        self._there.delete_partial()
        numbered = filter(is_numbered, self._committed)
        self._under_way.last_number = max(map(number_of, numbered), default=0)
