"""The files in the directory of an export: which count, and what a kill has left."""

import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from canopy_async.errors import ExportError
from canopy_async.export.files import sha256_of
from canopy_async.export.manifest_chain import MANIFEST, OLD_MANIFEST
from canopy_async.export.manifest_records import FileEntry
from canopy_async.export.names import (
    is_ignored,
    is_numbered,
    is_of_task,
    partial_names,
    stem_of_partial,
)

__all__ = ["DirectoryFiles"]

_LEFT: Final = re.compile(r"_[0-9a-f]{32}\.partial")
"""The name of what a kill leaves of a file that is written whole."""


class DirectoryFiles:
    """The files that are in the directory of an export.

    Args:
        path: The directory.
    """

    def __init__(self, path: Path) -> None:
        self._path: Final = path

    def check_foreign(self) -> None:
        """Refuse a directory that is not empty and holds no export.

        Raises:
            ExportError: It is such a directory.
        """
        names = self._names()
        if MANIFEST in names or OLD_MANIFEST in names:
            return
        for name in names:
            if not is_ignored(name):
                raise ExportError(
                    f"{self._path} holds no export, and is not empty: it has {name!r}"
                )

    def numbered(self) -> set[str]:
        """Return the names of the data files that this export may have written."""
        return set(filter(is_numbered, self._names()))

    def unnamed(self, committed: Mapping[str, FileEntry]) -> list[tuple[Path, str]]:
        """Return the files that were committed and not renamed yet.

        Args:
            committed: The files that count, by their names.

        Returns:
            Where each is, and the name that it is to have.

        Raises:
            ExportError: A file is missing, has another size, or is not known.
        """
        for name in sorted(self.numbered() - committed.keys()):
            raise ExportError(f"{self._path / name} is not in the manifest")
        return [
            (partial, name)
            for name, entry in committed.items()
            if (partial := self._partial_of(name, entry)) is not None
        ]

    def path_of(self, name: str) -> Path:
        """Return where a committed file is: its final name may be yet to come."""
        for partial in map(self._path.joinpath, partial_names(name)):
            if not (self._path / name).exists() and partial.exists():
                return partial
        return self._path / name

    def delete_partial(self) -> None:
        """Delete what a kill has left of files that are not whole."""
        for name in self._names():
            stem = stem_of_partial(name)
            if _LEFT.fullmatch(name) or (stem is not None and is_numbered(stem)):
                (self._path / name).unlink()

    def delete_of_tasks(self, committed: Mapping[str, FileEntry]) -> None:
        """Delete what tasks on a cluster have left that does not count.

        A task of an interrupted run may be writing still, and may rename or delete
        its files meanwhile.

        Args:
            committed: The files that count, by their names.
        """
        for name in filter(is_of_task, self._names()):
            if (stem_of_partial(name) or name) not in committed:
                (self._path / name).unlink(missing_ok=True)

    def _partial_of(self, name: str, entry: FileEntry) -> Path | None:
        """Return where a file is that has no final name yet; None if it has one.

        Raises:
            ExportError: The file is nowhere, or is another one.
        """
        path = self._path / name
        if _is_file_of(path, entry):
            return None
        if not path.exists():
            for partial in map(self._path.joinpath, partial_names(name)):
                if _is_file_of(partial, entry) and sha256_of(partial) == entry.sha256:
                    return partial
        raise ExportError(f"{path} is missing, or is not what the manifest says it is")

    def _names(self) -> list[str]:
        return [path.name for path in self._path.iterdir()]


def _is_file_of(path: Path, entry: FileEntry) -> bool:
    """Tell whether a plain file of the right size is there."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == entry.bytes
