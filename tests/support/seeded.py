"""Databases with rows in them, for many servers to start from."""

import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from canopy_async.testing import LocalCanopy


def copies_of(path, seed):
    """Make a database and return what makes copies of it, each for one block.

    That takes a small part of the time that it takes to seed each of them.

    Args:
        path: Where the original goes.
        seed: Fills a `LocalCanopy` that has not been started.
    """
    local = LocalCanopy(path=str(path))
    seed(local)
    local.close_store()

    @contextmanager
    def copied():
        with TemporaryDirectory() as directory:
            yield shutil.copy(path, Path(directory) / path.name)

    return copied
