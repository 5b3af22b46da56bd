"""The storage of an export: a directory of this machine, or a URL of fsspec."""

import os
import shutil
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from canopy_async._util.plain_files import PRIVATE, create, make_directory, open_plain
from canopy_async.errors import CanopyError, ExportError
from canopy_async.export.exporter import check_directory
from canopy_async.export.files import rename, sync_directory
from canopy_async.export.mirror import is_url, open_filesystem

__all__ = ["LocalStorage", "RemoteStorage", "Storage", "check_url", "open_storage"]

_PARTIAL: Final = ".partial"
_LOCAL: Final = "file://"


class Storage(Protocol):
    """One directory of objects that are written once and whole."""

    @property
    def url(self) -> str:
        """The address of this storage."""
        ...

    def make(self) -> None:
        """Make the directory, where there is such a thing."""
        ...

    def sizes(self) -> dict[str, int]:
        """Return the size of each object."""
        ...

    def size(self, name: str) -> int | None:
        """Return the size of one object, None where there is none."""
        ...

    def read(self, name: str) -> bytes:
        """Return an object's bytes."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Write an object; nobody ever sees a part of it."""
        ...

    def put_file(self, name: str, source: Path) -> None:
        """Write an object from a file, which may be gone then."""
        ...

    def rename(self, name: str, final: str) -> None:
        """Give an object another name, under which it is whole from the start."""
        ...

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects, those that are gone already too."""
        ...


class LocalStorage:
    """A directory; what is put there is on the disk at the return.

    Args:
        path: The address of this storage.
        umask: The permissions that it and its files are not to have.
    """

    def __init__(self, path: Path, *, umask: int = PRIVATE) -> None:
        self.path: Final = path
        self.umask: Final = umask

    @property
    def url(self) -> str:
        """The address of this storage."""
        return str(self.path)

    def make(self) -> None:
        """Make the directory."""
        make_directory(self.path, umask=self.umask)

    def sizes(self) -> dict[str, int]:
        """Return the size of each file.

        A task of an interrupted run may be writing still, and may rename or delete
        its files meanwhile.
        """
        sizes: dict[str, int] = {}
        for entry in os.scandir(self.path) if self.path.is_dir() else ():
            with suppress(FileNotFoundError):
                if entry.is_file(follow_symlinks=False):
                    sizes[entry.name] = entry.stat(follow_symlinks=False).st_size
        return sizes

    def size(self, name: str) -> int | None:
        """Return the size of one file, None where there is none."""
        try:
            return (self.path / name).lstat().st_size
        except FileNotFoundError:
            return None

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        with open_plain(self.path / name) as file:
            return file.read()

    def put(self, name: str, data: bytes) -> None:
        """Write a file under another name, and give it its own then."""
        partial = self.path / f"{name}{_PARTIAL}"
        partial.unlink(missing_ok=True)
        with os.fdopen(create(partial, umask=self.umask), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        rename(partial, self.path / name)

    def put_file(self, name: str, source: Path) -> None:
        """Move a file here, or copy it where that can't be."""
        try:
            source.rename(self.path / name)
        except OSError:  # another disk
            (self.path / name).unlink(missing_ok=True)
            with (
                open_plain(source) as reading,
                os.fdopen(create(self.path / name, umask=self.umask), "wb") as writing,
            ):
                shutil.copyfileobj(reading, writing, 1 << 20)
                writing.flush()
                os.fsync(writing.fileno())
        sync_directory(self.path)

    def rename(self, name: str, final: str) -> None:
        """Give a file another name."""
        rename(self.path / name, self.path / final)

    def delete(self, names: Iterable[str]) -> None:
        """Delete files."""
        for name in names:
            (self.path / name).unlink(missing_ok=True)


class RemoteStorage:
    """A directory of an fsspec filesystem whose objects are written whole.

    Object stores are such filesystems. Whatever one raises is an `ExportError`:
    theirs may be of any class, and not survive being sent to the driver.
    """

    def __init__(self, url: str, filesystem: Any, root: str) -> None:
        self._url: Final = url
        self._filesystem: Final = filesystem
        self._root: Final = root

    @property
    def url(self) -> str:
        """The address of this storage."""
        return self._url

    def make(self) -> None:
        """Make the directory, where the filesystem has such a thing."""
        with self._explained():
            self._filesystem.makedirs(self._root, exist_ok=True)

    def sizes(self) -> dict[str, int]:
        """Return the size of each object."""
        with self._explained():
            self._filesystem.invalidate_cache()
            try:
                found = self._filesystem.ls(self._root, detail=True)
            except FileNotFoundError:
                return {}
            return {
                str(entry["name"]).rpartition("/")[2]: int(entry["size"] or 0)
                for entry in found
                if entry["type"] == "file"
            }

    def size(self, name: str) -> int | None:
        """Return the size of one object, None where there is none."""
        with self._explained():
            self._filesystem.invalidate_cache()
            try:
                return int(self._filesystem.size(f"{self._root}/{name}"))
            except FileNotFoundError:
                return None

    def read(self, name: str) -> bytes:
        """Return an object's bytes."""
        with self._explained():
            return bytes(self._filesystem.cat_file(f"{self._root}/{name}"))

    def put(self, name: str, data: bytes) -> None:
        """Write an object."""
        with self._explained():
            self._filesystem.pipe_file(f"{self._root}/{name}", data)

    def put_file(self, name: str, source: Path) -> None:
        """Write an object from a file."""
        with self._explained():
            self._filesystem.put_file(str(source), f"{self._root}/{name}")

    def rename(self, name: str, final: str) -> None:
        """Copy an object, and delete the first one."""
        source, target = f"{self._root}/{name}", f"{self._root}/{final}"
        with self._explained():
            try:
                self._filesystem.cp_file(source, target)
            except NotImplementedError:  # one that renames, and can't copy
                self._filesystem.mv(source, target)
                return
            self._filesystem.rm_file(source)

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects."""
        with self._explained():
            for name in names:
                try:
                    self._filesystem.rm_file(f"{self._root}/{name}")
                except FileNotFoundError:
                    continue

    @contextmanager
    def _explained(self) -> Generator[None]:
        try:
            yield
        except CanopyError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a filesystem raises
            text = f"{self._url}: {type(error).__name__}: {error}"
            raise ExportError(text) from None


def check_url(directory: str | os.PathLike[str]) -> str:
    """Return where to write as text: an absolute path, or a URL of fsspec.

    Raises:
        TypeError: It is neither text nor a path.
        ValueError: It is empty, or holds a password, which must not reach the
            workers so.
    """
    check_directory(directory)
    url = os.fspath(directory)
    if not is_url(url) or url.startswith(_LOCAL):
        return str(Path(url.removeprefix(_LOCAL)).absolute())
    if urlsplit(url).password is not None:
        raise ValueError(
            "directory must hold no password: configure fsspec on the workers"
        )
    return url.rstrip("/")


def open_storage(url: str, *, umask: int = PRIVATE) -> Storage:
    """Return the storage at a path or URL.

    Args:
        url: The path or URL.
        umask: The permissions that files of this machine are not to have.

    Raises:
        ExportError: There is no such filesystem here, or its package is missing.
    """
    if not is_url(url):
        return LocalStorage(Path(url), umask=umask)
    filesystem, root = open_filesystem(url)
    return RemoteStorage(url, filesystem, root)
