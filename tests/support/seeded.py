"""Databases with events, copied for the servers of many tests."""

import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from canopy_async.testing import LocalCanopy


def copies_of(path, seed):
    """Create a database, and return a context manager that yields a copy of it.

    Copying takes much less time than filling a database with events.

    Args:
        path: The path of the original.
        seed: A function that fills a `LocalCanopy` before it is started.
    """
    local = LocalCanopy(path=str(path))
    seed(local)
    local.close_store()

    @contextmanager
    def copied():
        with TemporaryDirectory() as directory:
            yield shutil.copy(path, Path(directory) / path.name)

    return copied
