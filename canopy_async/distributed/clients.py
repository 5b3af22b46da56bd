"""Clients for those who have no Dask of their own at hand, as on a command line."""

import signal
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import distributed
from distributed.security import Security

from canopy_async._util.arguments import check_integer
from canopy_async._util.public import publish
from canopy_async.errors import ExportError

__all__ = ["connected", "dask_setup", "local_cluster"]

_DISTRIBUTED: Final[Any] = distributed
"""Untyped, as it is."""


@contextmanager
def connected(address: str) -> Generator[distributed.Client]:
    """Connect to a cluster for the time of the block.

    A cluster is as trusted as its network: with ``tcp://``, whoever can connect to
    the scheduler or to a worker can have code run there, with the rights, the
    environment variables and the token of the workers. Let no one else reach them,
    or have Dask use TLS (``tls://``), with the credentials of its configuration
    under ``distributed.comm.tls``.

    Args:
        address: The address of its scheduler, such as ``tcp://scheduler:8786``.

    Raises:
        ValueError: It is no address.
        OSError: Nobody is there.
    """
    with _DISTRIBUTED.Client(address) as client:
        yield client


@contextmanager
def local_cluster(
    workers: int, *, env: Mapping[str, str] | None = None
) -> Generator[distributed.Client]:
    """Start a cluster of this machine for the time of the block.

    Its processes have one thread each. They talk over TLS, with credentials that are
    made for this cluster and are in no file: no other user of this machine can have
    code run in it.

    The processes have the environment variables of this one. Call it under
    ``if __name__ == "__main__":``, as they import the main module.

    Args:
        workers: How many processes.
        env: Environment variables for these processes alone, such as that of a token:
            no other process inherits them, and no list of processes shows them.

    Raises:
        TypeError: It is no int.
        ValueError: It is below 1.
        ExportError: The package cryptography is missing.

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
            security=_new_credentials(),
            preload=[__name__],
            env=dict(env or {}),
        ) as cluster,
        _DISTRIBUTED.Client(cluster) as client,
    ):
        yield client


def _new_credentials() -> Any:
    """Return credentials for one cluster, which are in memory only.

    Raises:
        ExportError: The package cryptography is missing.
    """
    credentials: Any = Security
    try:
        return credentials.temporary()
    except ImportError:
        raise ExportError(
            "a cluster of this machine needs the package cryptography, for its TLS:"
            " install this library with its extra 'dask'"
        ) from None


def dask_setup(_: object) -> None:
    """Let workers ignore Ctrl-C, which a terminal sends to them as well.

    Dask calls this where each worker process begins, a restarted one too.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)


publish("canopy_async.distributed", connected, local_cluster)
