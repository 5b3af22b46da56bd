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
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import attrs

from canopy_async.errors import ExportError
from canopy_async.export.files import (
    DurableFile,
    lock,
    open_manifest,
    rename,
    sha256_of,
    sync_directory,
    write_all,
)
from canopy_async.export.manifest import (
    FILE_NAME,
    MANIFEST,
    Commit,
    FileEntry,
    Header,
    IdentityEntry,
    dump_line,
    scan,
)
from canopy_async.export.writers import Format, Writer
from canopy_async.identity_events import IdentityBatch

__all__ = ["PARTIAL", "ExportDirectory", "is_data_file", "refuse_other"]

PARTIAL: Final = ".partial"
"""What the name of a data file ends with until it is final."""

MAX_FILES: Final = 99_999
"""Files of one export at most: their names have five digits, so that they sort."""

_NUMBERED: Final = re.compile(r"events-\d{5}\.[a-z.]+")
_DATA_FILE: Final = re.compile(FILE_NAME)
_BEGINNING: Final = b'{"kind":"header",'


class ExportDirectory:
    """A directory that one export writes to; it blocks, so use it in a thread.

    Args:
        path: The directory; it is made where there is none.
        header: What the export is of; one that is there must be of the same.
        written_as: The format of the data files.
        max_file_bytes: The size that a file is closed at.
    """

    def __init__(
        self, path: Path, header: Header, written_as: Format, *, max_file_bytes: int
    ) -> None:
        self.path: Final = path
        self._header: Final = header
        self._format: Final = written_as
        self._max_file_bytes: Final = max_file_bytes
        self._manifest: int | None = None
        self._writer: Writer | None = None
        self._file: DurableFile | None = None
        self._rows = 0
        self._commits = 0
        self._last_number = 0
        self._bytes_added = 0
        self._broken = False
        self.files: list[FileEntry] = []

    @property
    def bytes(self) -> int:
        """The size of the files that were added, and of the one under way."""
        return self._bytes_added + self.bytes_under_way

    @property
    def bytes_under_way(self) -> int:
        """The size of the file under way."""
        return 0 if self._file is None else self._file.size

    def open(self, restore: Callable[[Sequence[IdentityEntry]], None]) -> None:
        """Take the directory for this export, and finish what a kill left.

        Args:
            restore: Is given the identities of each commit, oldest first.

        Raises:
            ExportError: The directory is in use, is not an export's, or is that
                of another export; it is left as it was.
        """
        with self._explained():
            self.path.mkdir(parents=True, exist_ok=True)
            self._refuse_foreign()
            self._manifest = open_manifest(self.path / MANIFEST)
            self._lock()
            if self._is_new():
                self._begin()
                return
            self._go_on(restore)

    def write(self, batches: Sequence[IdentityBatch]) -> None:
        """Write events to the file under way.

        Raises:
            ExportError: They could not be written; nothing more will be.
        """
        with self._explained():
            if self._writer is None:
                self._writer = self._open_next()
            self._writer.write(batches)
            self._rows += sum(len(events) for _, events in batches)

    def commit(self, identities: Sequence[IdentityEntry]) -> None:
        """Make what was written final, and what is known of its identities.

        Raises:
            ExportError: It could not be done; nothing more will be.
        """
        with self._explained():
            entry = self._close_file()
            commit = Commit(
                n=self._commits + 1, file=entry, identities=tuple(identities)
            )
            self._append(commit)
            self._commits += 1
            if entry is not None:
                rename(self.path / (entry.name + PARTIAL), self.path / entry.name)
                self.files.append(entry)
                self._bytes_added += entry.bytes

    def adopt(self, commits: Iterable[Commit]) -> None:
        """Commit files that others have put here, whole and on the disk.

        Args:
            commits: In their order; they are given numbers of this manifest.

        Raises:
            ExportError: It could not be done; nothing more will be.
        """
        with self._explained():
            for commit in commits:
                self._commits += 1
                self._append(attrs.evolve(commit, n=self._commits))
                if commit.file is not None:
                    self.files.append(commit.file)
                    self._bytes_added += commit.file.bytes

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

    def _append(self, record: Header | Commit) -> None:
        write_all(self._descriptor, dump_line(record))
        os.fsync(self._descriptor)

    def _close_file(self) -> FileEntry | None:
        """End the file under way, and put it on the disk."""
        if self._writer is None or self._file is None:
            return None
        self._writer.close()
        self._file.close()
        # Or its name could be lost with the power, when the manifest has it.
        sync_directory(self.path)
        entry = FileEntry(
            name=self._file.path.name.removesuffix(PARTIAL),
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
        if names and MANIFEST not in names:
            raise ExportError(f"{self.path} is not empty, and holds no export")

    def _lock(self) -> None:
        try:
            lock(self._descriptor)
        except (BlockingIOError, PermissionError):
            raise ExportError(
                f"{self.path} is in use: another export writes to it"
            ) from None

    def _is_new(self) -> bool:
        """Tell whether there is no header yet, or one that was cut short."""
        with (self.path / MANIFEST).open("rb") as file:
            line = file.readline()
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

    def _go_on(self, restore: Callable[[Sequence[IdentityEntry]], None]) -> None:
        committed: dict[str, FileEntry] = {}
        path = self.path / MANIFEST
        with path.open("rb") as file:
            header, commits = scan(file, path)
            refuse_other(str(self.path), header, self._header)
            end = file.tell()
            for commit, end in commits:  # noqa: B007 - the last one is wanted
                self._commits += 1
                if commit.file is not None:
                    committed[commit.file.name] = commit.file
                restore(commit.identities)
        unnamed = self._find_unnamed(committed)
        # All is well, so that what a kill left may be put in order.
        os.ftruncate(self._descriptor, end)
        os.fsync(self._descriptor)
        os.lseek(self._descriptor, end, os.SEEK_SET)
        if unnamed is not None:
            rename(unnamed, unnamed.with_suffix(""))
        self._delete_partial_files()
        numbered = filter(_is_numbered, committed)
        self._last_number = max(map(_number_of, numbered), default=0)

    def _find_unnamed(self, committed: dict[str, FileEntry]) -> Path | None:
        """Return the last file where it was committed and not renamed yet.

        Raises:
            ExportError: A file is missing, has another size, or is not known.
        """
        for name in self._data_files() - committed.keys():
            raise ExportError(f"{self.path / name} is not in the manifest")
        last = max(filter(_is_numbered, committed), default=None)
        for name, entry in committed.items():
            path = self.path / name
            if _is_file_of(path, entry):
                continue
            partial = self.path / (name + PARTIAL)
            if (
                name == last
                and not path.exists()
                and _is_file_of(partial, entry)
                and sha256_of(partial) == entry.sha256
            ):
                return partial
            raise ExportError(
                f"{path} is missing, or is not what the manifest says it is"
            )
        return None

    def _data_files(self) -> set[str]:
        return set(filter(_is_numbered, self._names()))

    def _names(self) -> list[str]:
        return [path.name for path in self.path.iterdir()]

    def _delete_partial_files(self) -> None:
        for name in self._names():
            stem = name.removesuffix(PARTIAL)
            if stem != name and _is_numbered(stem):
                (self.path / name).unlink()

    def _open_next(self) -> Writer:
        if self._last_number >= MAX_FILES:
            raise ExportError(
                f"{self.path} has {MAX_FILES} files, which is the most there may"
                " be: begin another export, with a larger max_file_bytes"
            )
        self._last_number += 1
        name = f"events-{self._last_number:05d}.{self._format.suffix}{PARTIAL}"
        self._file = DurableFile(self.path / name)
        return self._format.open(self._file, self._max_file_bytes)


def refuse_other(where: str, there: Header, wanted: Header) -> None:
    """Raise unless an export that was begun is the one that is wanted.

    Raises:
        ExportError: It is another one.
    """
    for name in ("account", "base_url", "format", "q", "since", "until"):
        found, asked = getattr(there, name), getattr(wanted, name)
        if found != asked:
            raise ExportError(
                f"{where} holds another export: its {name} is {_shown(found)}, not"
                f" {_shown(asked)}"
            )
    if there.scope != wanted.scope:
        raise ExportError(f"{where} holds another export")


def is_data_file(name: str) -> bool:
    """Tell whether this is the final name of a data file."""
    return not name.endswith(PARTIAL) and bool(_DATA_FILE.fullmatch(name))


def _is_numbered(name: str) -> bool:
    """Tell whether it is that of a file which this module has written."""
    return not name.endswith(PARTIAL) and bool(_NUMBERED.fullmatch(name))


def _number_of(name: str) -> int:
    return int(name[len("events-") :].partition(".")[0])


def _is_file_of(path: Path, entry: FileEntry) -> bool:
    """Tell whether a plain file of the right size is there."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == entry.bytes


def _shown(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else repr(value)
