"""An export that is elsewhere, read as if it were here: one file at a time."""

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
    """A directory of this machine, which stands for one that may be elsewhere.

    Args:
        path: The directory of this machine.
        filesystem: What the other one is in, None where it is this one.
        root: Where it is in there.

    Attributes:
        path: The directory of this machine.
    """

    def __init__(self, path: Path, filesystem: Any = None, root: str = "") -> None:
        self.path: Final = path
        self._filesystem: Final = filesystem
        self._root: Final = root

    @property
    def is_elsewhere(self) -> bool:
        """Whether it stands for a directory that is not on this machine."""
        return self._filesystem is not None

    def names(self) -> list[str]:
        """Return the names of all files.

        Raises:
            OSError: They can't be had.
        """
        if self._filesystem is None:
            return [path.name for path in self.path.iterdir()]
        found = self._filesystem.ls(self._root, detail=False)
        return [str(name).rpartition("/")[2] for name in found]

    @contextmanager
    def fetched(self, *names: str) -> Generator[None]:
        """Have a file here inside the block; one that is missing stays missing.

        Args:
            *names: What it may be called; the first that is there counts.

        Raises:
            ExportError: It can't be fetched.
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
        """Get a file; tell whether it is there."""
        here = self.path / name
        try:
            self._filesystem.get_file(f"{self._root}/{name}", str(here))
        except FileNotFoundError:
            here.unlink(missing_ok=True)
            return False
        except Exception as error:  # noqa: BLE001 - whatever a filesystem raises
            raise ExportError(f"{name}: {type(error).__name__}: {error}") from None
        return True


def is_url(directory: str | os.PathLike[str]) -> bool:
    """Tell whether this is a URL of fsspec rather than a path."""
    return "://" in os.fspath(directory)


@contextmanager
def mirrored(directory: str | os.PathLike[str]) -> Generator[Mirror]:
    """Have a directory here inside the block, its files when they are asked for.

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
    """Return the filesystem of a URL, and where in there it points to.

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
