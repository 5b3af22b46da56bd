"""Clients for those who have no Dask of their own at hand, as on a command line."""

import signal
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

import distributed

from canopy_async.arguments import check_integer

__all__ = ["connected", "dask_setup", "local_cluster"]

_DISTRIBUTED: Final[Any] = distributed
"""Untyped, as it is."""


@contextmanager
def connected(address: str) -> Generator[distributed.Client]:
    """Be connected to a cluster inside the block.

    Args:
        address: That of its scheduler, such as ``tcp://scheduler:8786``.

    Raises:
        ValueError: It is no address.
        OSError: Nobody is there.
    """
    with _DISTRIBUTED.Client(address) as client:
        yield client


@contextmanager
def local_cluster(workers: int) -> Generator[distributed.Client]:
    """Have a cluster of this machine inside the block: processes of one thread.

    The processes have the environment variables of this one. Call it under
    ``if __name__ == "__main__":``, as they import the main module.

    Args:
        workers: How many processes.

    Raises:
        TypeError: It is no int.
        ValueError: It is below 1.

    Example:
        >>> with local_cluster(4) as client:
        ...     export(client, None, "out", account="acme")
    """
    check_integer("workers", workers, minimum=1)
    with (
        _DISTRIBUTED.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            preload=[__name__],
        ) as cluster,
        _DISTRIBUTED.Client(cluster) as client,
    ):
        yield client


def dask_setup(_: object) -> None:
    """Let Ctrl-C, which a terminal sends to workers as well, end the driver alone.

    Dask calls this where each worker process begins, a restarted one too.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
