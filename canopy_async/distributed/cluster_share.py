"""`ClusterShare`: the requests that each task of a run may have in flight."""

import time
from collections.abc import Collection
from typing import Any, Final

from distributed import Client

from canopy_async.distributed.primitives import leases, let_go, variable
from canopy_async.distributed.work import Job
from canopy_async.distributed.worker_share import COOLDOWN, SHARE, waiting

__all__ = ["ClusterShare"]

_GRACE: Final = 5.0
"""Seconds that tasks are given to stop when a run is ended before its time."""


class ClusterShare:
    """Deals the requests of a run out among its tasks.

    The tasks look at what it puts on the cluster, as `worker_share` says.

    Args:
        client: The cluster; synchronous.
        job: The run's options.

    Attributes:
        threads: How many threads all workers have.
    """

    def __init__(self, client: Client, job: Job) -> None:
        self._client: Final[Any] = client
        self._job: Final = job
        self._share: Final = variable(job.name_of(SHARE), client)
        self._cooldown: Final = variable(job.name_of(COOLDOWN), client)
        self._waiting: Final = waiting(job, client)
        self._told: dict[str, Any] = {}
        self._look_again_at = 0.0
        self._waiters = 0
        self.threads = 1

    def open(self) -> None:
        """Put on the cluster what the tasks look at."""
        self._cooldown.set(None)
        self.look()
        self.tell(running=0, dropped=())

    def look(self) -> None:
        """Look at the cluster, once in a beat."""
        now = time.monotonic()
        if now >= self._look_again_at:
            self.threads = max(1, sum(self._client.nthreads().values()))
            self._waiters = self._waiting.get_value()
            self._look_again_at = now + self._job.beat

    def tell(self, *, running: int, dropped: Collection[int]) -> None:
        """Tell the tasks how many requests each may have in flight.

        Args:
            running: How many tasks run, or wait to.
            dropped: The numbers of tasks that are to end early.
        """
        tasks = max(1, min(self.threads, running))
        each = -(-self._job.concurrency // tasks)
        if self._waiters:  # rounded up, it may leave nothing to some
            each = max(1, self._job.concurrency // (tasks + self._waiters))
        share = {"each": each, "dropped": sorted(dropped)}
        if share != self._told:
            self._share.set(share)
            self._told = share

    def stop_all(self) -> None:
        """Tell the tasks that none may send anything any more."""
        let_go(self._waiting)
        self._share.set({"each": 0, "dropped": []})

    def close(self, *, waits: bool) -> None:
        """Take from the cluster what was put there.

        Args:
            waits: Whether to wait until no task may send anything, which those that
                were killed may until their leases time out.
        """
        if waits:
            self._wait_for_leases()
        else:
            let_go(self._waiting)
        # A task that begins only now waits for them in vain, and ends.
        self._share.delete()
        self._cooldown.delete()

    def _wait_for_leases(self) -> None:
        budget = leases(self._job.budget, self._job.concurrency, self._client)
        until = time.monotonic() + _GRACE
        while budget.get_value() and time.monotonic() < until:
            time.sleep(0.05)
        let_go(budget)
