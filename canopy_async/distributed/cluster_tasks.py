"""`ClusterTasks`: the tasks of a run on the cluster, from their begin to their end."""

import queue
from collections.abc import Collection, Iterable
from typing import Any, Final

from distributed import Client

from canopy_async.distributed.shard import list_identities, run_shard
from canopy_async.distributed.work import Job, Listing, Outcome, Work
from canopy_async.errors import CanopyError, ExportError

__all__ = ["ClusterTasks", "lost"]


class ClusterTasks:
    """The tasks of one run.

    Args:
        client: The cluster; synchronous.
        job: The options of the run.
        retries: How often Dask tries a task again that raises.
    """

    def __init__(self, client: Client, job: Job, *, retries: int) -> None:
        self._client: Final[Any] = client
        self._job: Final = job
        self._retries: Final = retries
        self._running: Final[dict[str, tuple[Any, Work]]] = {}
        self._ended: Final[queue.SimpleQueue[Any]] = queue.SimpleQueue()
        self._dropped: Final[set[int]] = set()

    @property
    def running(self) -> int:
        """How many tasks run, or wait to."""
        return len(self._running)

    @property
    def dropped(self) -> Collection[int]:
        """The numbers of tasks that are to end early, and have not ended yet."""
        return self._dropped

    def list_identities(self) -> Listing:
        """List the identities of the account, on a worker.

        Raises:
            CanopyError: It can't.
        """
        future = self._client.submit(
            list_identities,
            self._job,
            key=self._job.name_of("identities"),
            pure=False,
            retries=self._retries,
        )
        try:
            found: Listing | CanopyError = future.result()
        except Exception as error:  # noqa: BLE001 - whatever a task or Dask raises
            raise _task_failed(error) from None
        if isinstance(found, CanopyError):
            raise found
        return found

    def submit(self, work: Work, *, priority: int) -> None:
        """Have a task read.

        Args:
            work: The work of the task.
            priority: A task of a higher one begins before others.
        """
        key = self._job.name_of(work.name)
        future = self._client.submit(
            run_shard,
            self._job,
            work,
            key=key,
            pure=False,
            retries=self._retries,
            priority=priority,
        )
        self._running[key] = future, work
        future.add_done_callback(self._ended.put)

    def next_ended(self) -> tuple[Work, Outcome | None] | None:
        """Wait for the end of a task, for a beat at most.

        Returns:
            The work of the task, with its outcome; None for the outcome of a task that
            was dropped. None where no task has ended.
        """
        try:
            future = self._ended.get(timeout=self._job.beat)
        except queue.Empty:
            return None
        _, work = self._running.pop(future.key)
        if work.number in self._dropped:
            self._dropped.discard(work.number)
            outcome = None
        else:
            outcome = _outcome_of(future, work)
        # Not left to its end, where an interrupt would get lost.
        future.release()
        return work, outcome

    def drop(self, works: Iterable[Work]) -> None:
        """End tasks early, and wait for their ends: they may be putting files away."""
        for work in works:
            if self._job.name_of(work.name) in self._running:
                self._dropped.add(work.number)

    def cancel(self) -> None:
        """Cancel the tasks that still run."""
        self._client.cancel([future for future, _ in self._running.values()])


def lost(work: Work, error: Exception) -> Outcome:
    """Return how a task ended that has no outcome of its own."""
    return Outcome(failures=dict.fromkeys(work.ids, _task_failed(error)))


def _outcome_of(future: Any, work: Work) -> Outcome:
    try:
        outcome: Outcome = future.result()
    except Exception as error:  # noqa: BLE001 - whatever a task or Dask raises
        return lost(work, error)
    return outcome


def _task_failed(error: Exception) -> ExportError:
    return ExportError(f"its task failed: {type(error).__name__}: {error}")
