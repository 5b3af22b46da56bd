"""Local copies of files of an export on another filesystem, fetched one at a time."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from canopy_async.errors import ExportError

__all__ = ["Mirror", "is_url", "mirrored", "open_filesystem"]


class Mirror:
    """A local directory that holds copies of the files of a remote one.

    If the export's directory is itself local, the mirror is that directory.

    Args:
        path: The local directory.
        filesystem: The fsspec filesystem of the remote directory, or None.
        root: The path of the remote directory in its filesystem.

    Attributes:
        path: The local directory.
    """

    def __init__(self, path: Path, filesystem: Any = None, root: str = "") -> None:
        self.path: Final = path
        self._filesystem: Final = filesystem
        self._root: Final = root

    @property
    def is_elsewhere(self) -> bool:
        """Whether the export's directory is a remote one."""
        return self._filesystem is not None

    def names(self) -> list[str]:
        """Return the names of all files in the export's directory.

        Raises:
            OSError: The directory can't be listed.
        """
        if self._filesystem is None:
            return [path.name for path in self.path.iterdir()]
        found = self._filesystem.ls(self._root, detail=False)
        return [str(name).rpartition("/")[2] for name in found]

    @contextmanager
    def fetched(self, *names: str) -> Generator[None]:
        """Keep a local copy of a file during the ``with`` block.

        If no file of these names exists, the block runs without a copy.

        Args:
            *names: The possible names of the file. The first that exists is fetched.

        Raises:
            ExportError: The file can't be fetched.
        """
        if self._filesystem is None:
            yield
            return
        found = next(filter(self._fetch, names), None)
        try:
            yield
        finally:
            if found is not None:
                (self.path / found).unlink(missing_ok=True)

    def _fetch(self, name: str) -> bool:
        """Fetch a file; return whether it exists."""
        copy = self.path / name
        try:
            self._filesystem.get_file(f"{self._root}/{name}", str(copy))
        except FileNotFoundError:
            copy.unlink(missing_ok=True)
            return False
        except Exception as error:  # noqa: BLE001 - a filesystem may raise anything
            raise ExportError(f"{name}: {type(error).__name__}: {error}") from None
        return True


def is_url(directory: str | os.PathLike[str]) -> bool:
    """Tell whether a directory is given as a URL of fsspec, and not as a path."""
    return "://" in os.fspath(directory)


@contextmanager
def mirrored(directory: str | os.PathLike[str]) -> Generator[Mirror]:
    """Provide a `Mirror` of an export's directory during the ``with`` block.

    Args:
        directory: A path, or a URL of fsspec.

    Raises:
        ExportError: There is no such filesystem, or a package is missing.
    """
    if not is_url(directory):
        yield Mirror(Path(directory))
        return
    filesystem, root = open_filesystem(os.fspath(directory))
    with TemporaryDirectory(prefix="canopy-") as scratch:
        yield Mirror(Path(scratch), filesystem, root)


def open_filesystem(url: str) -> tuple[Any, str]:
    """Return the fsspec filesystem of a URL, and the URL's path in it.

    Raises:
        ExportError: There is no such filesystem, or a package is missing.
    """
    try:
        filesystem, root = import_module("fsspec.core").url_to_fs(url)
    except ImportError as error:
        raise ExportError(f"{url} needs a package that is missing: {error}") from None
    except ValueError as error:
        raise ExportError(f"{url} can't be reached: {error}") from None
    return filesystem, str(root).rstrip("/")
