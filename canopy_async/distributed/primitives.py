"""Dask's own means that a run leans on; they are untyped, so only here."""

from typing import Any, Final

import dask
import distributed

__all__ = [
    "lease_patience",
    "lease_timeout",
    "leases",
    "let_go",
    "variable",
    "worker_client",
    "worker_directory",
]

_DASK: Final[Any] = dask
_DISTRIBUTED: Final[Any] = distributed
_LEASE: Final = "distributed.scheduler.locks.lease-"


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
    """Return a semaphore on the scheduler, to be given to `let_go` at the end.

    Args:
        name: Its name.
        most: Leases that there are.
        client: The cluster; None in a task's own thread.
    """
    if client is None:
        return _DISTRIBUTED.Semaphore(most, name)
    return _DISTRIBUTED.Semaphore(
        most, name, scheduler_rpc=client.scheduler, loop=client.loop
    )


def let_go(semaphore: Any) -> None:
    """End what a semaphore does from time to time, which keeps it in memory."""
    callback = getattr(semaphore, "refresh_callback", None)
    if callback is not None:  # there is none where leases never time out
        semaphore.loop.add_callback(callback.stop)


def lease_timeout() -> float | None:
    """Return after how many seconds a lease that nobody refreshes is free, or None."""
    seconds = _DASK.config.get(f"{_LEASE}timeout")
    return None if seconds == "inf" else _seconds(seconds)


def lease_patience() -> float:
    """Return after how many seconds the leases of a killed process are surely free."""
    interval = _seconds(_DASK.config.get(f"{_LEASE}validation-interval"))
    return 1.0 + (lease_timeout() or 0.0) + interval


def _seconds(text: Any) -> float:
    return float(_DASK.utils.parse_timedelta(text, "s"))
