"""The data file that an export writes to, until it is whole."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from canopy_async.errors import ExportError
from canopy_async.export.files import DurableFile, sync_directory
from canopy_async.export.manifest_records import FileEntry
from canopy_async.export.names import MAX_FILES, numbered_name, under_way
from canopy_async.export.writers import Format, Writer

__all__ = ["FileUnderWay"]


class FileUnderWay:
    """The data file under way, opened by its first rows; after it comes the next one.

    Args:
        directory: Where the files are.
        written_as: The format of the files.
        max_bytes: The size that a file is closed at.
        umask: The permissions that a file is not to have.

    Attributes:
        last_number: The number of the latest file, 0 before the first.
    """

    def __init__(
        self, directory: Path, written_as: Format, *, max_bytes: int, umask: int
    ) -> None:
        self._directory: Final = directory
        self._format: Final = written_as
        self._max_bytes: Final = max_bytes
        self._umask: Final = umask
        self._writer: Writer | None = None
        self._file: DurableFile | None = None
        self._rows = 0
        self.last_number = 0

    @property
    def size(self) -> int:
        """The size of the file in bytes, 0 where none is under way."""
        return 0 if self._file is None else self._file.size

    def write(self, chunks: Sequence[Any], rows: int) -> None:
        """Write events to the file.

        Args:
            chunks: Events as the format has encoded them.
            rows: How many events these are.

        Raises:
            ExportError: There are as many files as there may be.
        """
        if self._writer is None:
            self._writer = self._open_next()
        self._writer.write(chunks)
        self._rows += rows

    def close(self) -> FileEntry | None:
        """End the file, and put it on the disk.

        Returns:
            What the manifest says of it, None where no file is under way.
        """
        if self._writer is None or self._file is None:
            return None
        self._writer.close()
        self._file.close()
        # Or its name could be lost with the power, when the manifest has it.
        sync_directory(self._directory)
        entry = FileEntry(
            name=numbered_name(self.last_number, self._format.suffix),
            rows=self._rows,
            bytes=self._file.size,
            sha256=self._file.sha256,
        )
        self._writer = self._file = None
        self._rows = 0
        return entry

    def drop(self) -> None:
        """Delete the file, where one is under way."""
        file, writer = self._file, self._writer
        self._writer = self._file = None
        if file is not None:
            with suppress(OSError):
                file.discard()
        if writer is not None:
            with suppress(Exception):  # it can't reach the file any more
                writer.close()

    def _open_next(self) -> Writer:
        if self.last_number >= MAX_FILES:
            raise ExportError(
                f"{self._directory} has {MAX_FILES} files, which is the most there may"
                " be: begin another export, with a larger max_file_bytes"
            )
        self.last_number += 1
        name = numbered_name(self.last_number, self._format.suffix)
        self._file = DurableFile(self._directory / under_way(name), umask=self._umask)
        return self._format.open(self._file, self._max_bytes)
