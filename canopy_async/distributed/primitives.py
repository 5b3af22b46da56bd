"""Dask's own means that a run leans on; they are untyped, so only here."""

from typing import Any, Final

import dask
import distributed

__all__ = [
    "lease_patience",
    "leases",
    "variable",
    "worker_client",
    "worker_directory",
]

_DASK: Final[Any] = dask
_DISTRIBUTED: Final[Any] = distributed


def worker_client() -> Any:
    """Return the client that a task has, in the task's own thread."""
    return _DISTRIBUTED.get_client()


def worker_directory() -> str:
    """Return where a task may write, in the task's own thread."""
    return str(_DISTRIBUTED.get_worker().local_directory)


def variable(name: str, client: Any) -> Any:
    """Return a value on the scheduler, which any client and worker may change."""
    return _DISTRIBUTED.Variable(name, client)


def leases(name: str, most: int, client: Any = None) -> Any:
    """Return a semaphore on the scheduler.

    Args:
        name: Its name.
        most: Leases that there are.
        client: Whose it is; None in a task's own thread.
    """
    if client is None:
        return _DISTRIBUTED.Semaphore(most, name)
    return _DISTRIBUTED.Semaphore(
        most, name, scheduler_rpc=client.scheduler, loop=client.loop
    )


def lease_patience() -> float:
    """Return after how many seconds the leases of a killed process are surely free."""
    config = "distributed.scheduler.locks.lease-"
    return 1.0 + sum(
        float(_DASK.utils.parse_timedelta(_DASK.config.get(f"{config}{name}"), "s"))
        for name in ("timeout", "validation-interval")
    )
