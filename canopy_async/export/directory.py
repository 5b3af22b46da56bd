"""The directory of an export, and how it becomes final step by step.

A commit closes the file under way and puts it on the disk, appends a line to
the manifest and puts that on the disk, and then renames the file. So a file
with a final name is whole and in the manifest, at whatever instant the process
is killed or the power goes; what the manifest does not know is deleted by the
next run.
"""

import os
import re
import stat
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import attrs

from canopy_async._util.plain_files import (
    PRIVATE,
    make_directory,
    open_or_create,
    open_plain,
    write_all,
)
from canopy_async.errors import ExportError
from canopy_async.export.files import (
    DurableFile,
    lock,
    rename,
    sha256_of,
    sync_directory,
    write_whole,
)
from canopy_async.export.manifest_chain import (
    MANIFEST,
    MAX_LINE,
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
from canopy_async.export.names import (
    MAX_FILES,
    is_ignored,
    is_numbered,
    is_of_task,
    number_of,
    numbered_name,
    partial_names,
    stem_of_partial,
    under_way,
)
from canopy_async.export.sums import SUMS, dump_sums
from canopy_async.export.writers import Format, Writer

__all__ = ["ExportDirectory", "refuse_other"]

_LEFT: Final = re.compile(r"_[0-9a-f]{32}\.partial")
"""What a kill leaves of a file that is written whole."""

_OF: Final = {"identities": "identities", "account-log": "the account's own log"}

_BEGINNING: Final = b'{"kind":"header",'
_LOOKS: Final = (0.01, 0.05, 0.1, 0.2, 0.0)
"""Seconds after each attempt to lock a manifest, the last one being in vain."""


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
        self._format: Final = written_as
        self._max_file_bytes: Final = max_file_bytes
        self._umask: Final = umask
        self._manifest: int | None = None
        self._chain = Chain()
        self._writer: Writer | None = None
        self._file: DurableFile | None = None
        self._rows = 0
        self._committed: dict[str, FileEntry] = {}
        self._last_number = 0
        self._bytes_added = 0
        self._broken = False
        self._is_begun_here = False
        self._is_made_here = False
        self._has_commits = False
        self.files: list[FileEntry] = []

    @property
    def bytes(self) -> int:
        """The size of the files that were added, and of the one under way."""
        return self._bytes_added + self.bytes_under_way

    @property
    def bytes_under_way(self) -> int:
        """The size of the file under way."""
        return 0 if self._file is None else self._file.size

    @property
    def is_empty(self) -> bool:
        """Whether this run has begun the export, and nothing was committed."""
        return self._is_begun_here and not self._has_commits

    @property
    def committed(self) -> Mapping[str, FileEntry]:
        """All files that count, by their names."""
        return self._committed

    @property
    def digest(self) -> str:
        """The sha256 of the manifest."""
        return self._chain.digest

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
            self._refuse_foreign()
            if (self.path / OLD_MANIFEST).exists():
                self._take_over()
            self._manifest = open_or_create(self.path / MANIFEST, umask=self._umask)
            self._lock(self._manifest)
            if self._is_new():
                self._is_begun_here = True
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
            self._append(record)

    def write(self, chunks: Sequence[Any], rows: int) -> None:
        """Write events to the file under way.

        Args:
            chunks: Events as the format has encoded them.
            rows: How many events these are.

        Raises:
            ExportError: They could not be written; nothing more will be.
        """
        with self._explained():
            if self._writer is None:
                self._writer = self._open_next()
            self._writer.write(chunks)
            self._rows += rows

    def commit(self, commit: Commit) -> None:
        """Make what was written final, and what is known of its identities.

        Args:
            commit: What is to be said, without the file.

        Raises:
            ExportError: It could not be done; nothing more will be.
        """
        with self._explained():
            entry = self._close_file()
            self._append(attrs.evolve(commit, file=entry))
            self._has_commits = True
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
                self._append(commit)
                self._has_commits = True
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
            for name in filter(is_of_task, self._names()):
                if (stem_of_partial(name) or name) not in self._committed:
                    (self.path / name).unlink()

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
            (self.path / MANIFEST).unlink()
            self._broken = True
            if self._is_made_here:
                with suppress(OSError):  # others have put something there
                    self.path.rmdir()

    def close(self) -> None:
        """Let go of the directory; what was not committed is dropped."""
        try:
            self._drop_file()
        finally:
            if self._manifest is not None:
                os.close(self._manifest)
                self._manifest = None

    @property
    def _descriptor(self) -> int:
        if self._manifest is None:
            raise ExportError(f"{self.path} was let go of")
        return self._manifest

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

    def _append(self, record: Record) -> None:
        line = dump_line(self._chain.link(record))
        if len(line) > MAX_LINE:  # which nothing could read again
            raise ExportError(f"a line of the manifest would have {len(line)} bytes")
        write_all(self._descriptor, line)
        os.fsync(self._descriptor)
        self._chain.add(line)

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

    def _close_file(self) -> FileEntry | None:
        """End the file under way, and put it on the disk."""
        if self._writer is None or self._file is None:
            return None
        self._writer.close()
        self._file.close()
        # Or its name could be lost with the power, when the manifest has it.
        sync_directory(self.path)
        entry = FileEntry(
            name=numbered_name(self._last_number, self._format.suffix),
            rows=self._rows,
            bytes=self._file.size,
            sha256=self._file.sha256,
        )
        self._writer = self._file = None
        self._rows = 0
        return entry

    def _drop_file(self) -> None:
        file, writer = self._file, self._writer
        self._writer = self._file = None
        if file is not None:
            with suppress(OSError):
                file.discard()
        if writer is not None:
            with suppress(Exception):  # it can't reach the file any more
                writer.close()

    def _refuse_foreign(self) -> None:
        names = self._names()
        if MANIFEST in names or OLD_MANIFEST in names:
            return
        for name in names:
            if not is_ignored(name):
                raise ExportError(
                    f"{self.path} holds no export, and is not empty: it has {name!r}"
                )

    def _take_over(self) -> None:
        """Turn a manifest of version 1 into one of this version."""
        old = open_or_create(self.path / OLD_MANIFEST)
        try:
            self._lock(old)
            if not (self.path / MANIFEST).exists():
                with os.fdopen(os.dup(old), "rb") as file:
                    reader = ManifestReader(file, self.path / OLD_MANIFEST)
                    refuse_other(str(self.path), reader.header, self._header)
                    data = migrate(self._path_of, reader, self._header)
                write_whole(self.path / MANIFEST, data, umask=self._umask)
            (self.path / OLD_MANIFEST).unlink()
        finally:
            os.close(old)

    def _lock(self, manifest: int) -> None:
        for patience in _LOOKS:
            try:
                lock(manifest)
            except (BlockingIOError, PermissionError):
                # Whoever looks whether it is locked holds the lock for an instant.
                time.sleep(patience)
            else:
                return
        raise ExportError(f"{self.path} is in use: another export writes to it")

    def _is_new(self) -> bool:
        """Tell whether there is no header yet, or one that was cut short."""
        with open_plain(self.path / MANIFEST) as file:
            line = file.readline(MAX_LINE)
        if line.endswith(b"\n"):
            return False
        was_begun = line.startswith(_BEGINNING) or _BEGINNING.startswith(line)
        if (was_begun or not line.strip(b"\0")) and not self._data_files():
            return True
        raise ExportError(f"{self.path / MANIFEST}: not the manifest of an export")

    def _begin(self) -> None:
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self._append(self._header)
        sync_directory(self.path)
        with suppress(OSError):  # it may not be ours to read
            sync_directory(self.path.parent)

    def _go_on(self, restore: Callable[[Record], None]) -> None:
        path = self.path / MANIFEST
        with open_plain(path) as file:
            reader = ManifestReader(file, path)
            refuse_other(str(self.path), reader.header, self._header)
            for record in reader:
                if isinstance(record, Commit) and record.file is not None:
                    self._committed[record.file.name] = record.file
                restore(record)
        unnamed = self._find_unnamed()
        # All is well, so that what a kill left may be put in order.
        self._chain = reader.chain
        os.ftruncate(self._descriptor, reader.offset)
        os.fsync(self._descriptor)
        os.lseek(self._descriptor, reader.offset, os.SEEK_SET)
        for partial, name in unnamed:
            rename(partial, self.path / name)
        self._delete_partial_files()
        numbered = filter(is_numbered, self._committed)
        self._last_number = max(map(number_of, numbered), default=0)

    def _find_unnamed(self) -> list[tuple[Path, str]]:
        """Return the files that were committed and not renamed yet.

        Raises:
            ExportError: A file is missing, has another size, or is not known.
        """
        for name in sorted(self._data_files() - self._committed.keys()):
            raise ExportError(f"{self.path / name} is not in the manifest")
        return [
            (partial, name)
            for name, entry in self._committed.items()
            if (partial := self._partial_of(name, entry)) is not None
        ]

    def _partial_of(self, name: str, entry: FileEntry) -> Path | None:
        """Return where a file is that has no final name yet; None if it has one.

        Raises:
            ExportError: It is nowhere, or another one.
        """
        path = self.path / name
        if _is_file_of(path, entry):
            return None
        if not path.exists():
            for partial in map(self.path.joinpath, partial_names(name)):
                if _is_file_of(partial, entry) and sha256_of(partial) == entry.sha256:
                    return partial
        raise ExportError(f"{path} is missing, or is not what the manifest says it is")

    def _path_of(self, name: str) -> Path:
        """Return where a committed file is: its final name may be yet to come."""
        for partial in map(self.path.joinpath, partial_names(name)):
            if not (self.path / name).exists() and partial.exists():
                return partial
        return self.path / name

    def _data_files(self) -> set[str]:
        return set(filter(is_numbered, self._names()))

    def _names(self) -> list[str]:
        return [path.name for path in self.path.iterdir()]

    def _delete_partial_files(self) -> None:
        for name in self._names():
            stem = stem_of_partial(name)
            if _LEFT.fullmatch(name) or (stem is not None and is_numbered(stem)):
                (self.path / name).unlink()

    def _open_next(self) -> Writer:
        if self._last_number >= MAX_FILES:
            raise ExportError(
                f"{self.path} has {MAX_FILES} files, which is the most there may"
                " be: begin another export, with a larger max_file_bytes"
            )
        self._last_number += 1
        name = numbered_name(self._last_number, self._format.suffix)
        self._file = DurableFile(self.path / under_way(name), umask=self._umask)
        return self._format.open(self._file, self._max_file_bytes)


def refuse_other(where: str, there: Header, wanted: Header) -> None:
    """Raise unless an export that was begun is the one that is wanted.

    Raises:
        ExportError: It is another one.
    """
    if there.source != wanted.source:
        raise ExportError(
            f"{where} holds an export of {_OF[there.source]}, and {_OF[wanted.source]}"
            " can't be added to it: use another directory"
        )
    for name in ("account", "base_url", "format", "q", "since", "until", "filters"):
        found, asked = getattr(there, name), getattr(wanted, name)
        if found != asked:
            raise ExportError(
                f"{where} holds another export: its {name} is {_shown(found)}, not"
                f" {_shown(asked)}"
            )
    if there.version == wanted.version and there.scope != wanted.scope:
        raise ExportError(f"{where} holds another export")


def _is_file_of(path: Path, entry: FileEntry) -> bool:
    """Tell whether a plain file of the right size is there."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == entry.bytes


def _shown(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else repr(value)
