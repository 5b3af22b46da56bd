"""One run on a cluster: tasks out, records in, until nothing is left."""

import queue
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, Final

import attrs
from distributed import Client

from canopy_async.distributed.budget import COOLDOWN, SHARE, waiting
from canopy_async.distributed.destination import Destination
from canopy_async.distributed.log_parts import LogParts
from canopy_async.distributed.primitives import leases, let_go, variable
from canopy_async.distributed.records import Record
from canopy_async.distributed.shard import list_identities, run_shard
from canopy_async.distributed.storage import Storage
from canopy_async.distributed.work import Job, Outcome, Rest, Work
from canopy_async.errors import CanopyError, ExportError

__all__ = ["DistributedProgress", "Run"]

MOST_IN_SHARD: Final = 256
SHARDS_PER_THREAD: Final = 4

_GRACE: Final = 5.0
"""Seconds that tasks are given to stop when a run is ended before its time."""


@attrs.frozen(kw_only=True)
class DistributedProgress:
    """How far a run on a cluster is.

    Attributes:
        tasks: Tasks there are, as far as is known: giant logs make more.
        tasks_done: How many of them have ended.
        done: Identities that were read to their end.
        complete: How many of these were proven complete.
        failed: Identities that could not be read.
        skipped: Identities that an earlier run had done.
        events: Events that are in files that count.
        files: These files.
        bytes: Their size.
        requests: Requests sent by tasks that have ended, retries included.
    """

    tasks: int = 0
    tasks_done: int = 0
    done: int = 0
    complete: int = 0
    failed: int = 0
    skipped: int = 0
    events: int = 0
    files: int = 0
    bytes: int = 0
    requests: int = 0


class Run:
    """One run of a job.

    Args:
        client: The cluster; synchronous.
        job: What is run.
        retries: How often Dask tries a task again that raises.
        on_progress: Whom to tell.

    Attributes:
        progress: How far it is.
        failures: The errors of identities that could not be read.
    """

    def __init__(
        self,
        client: Client,
        job: Job,
        *,
        retries: int,
        on_progress: Callable[[DistributedProgress], None] | None,
    ) -> None:
        self._client: Final[Any] = client
        self._job: Final = job
        self._retries: Final = retries
        self._on_progress: Final = on_progress
        self._numbers: Final = count(1)
        self._running: Final[dict[str, tuple[Any, Work]]] = {}
        self._ended: Final[queue.SimpleQueue[Any]] = queue.SimpleQueue()
        self._logs: Final[dict[int, LogParts]] = {}
        self._dropped: Final[set[int]] = set()
        self._share: Final = variable(job.name_of(SHARE), client)
        self._cooldown: Final = variable(job.name_of(COOLDOWN), client)
        self._waiting: Final = waiting(job, client)
        self._shared: dict[str, Any] = {}
        self._look_again_at = 0.0
        self._threads = 1
        self._waiters = 0
        self.progress = DistributedProgress()
        self.failures: Final[dict[str, CanopyError]] = {}

    def open(self) -> None:
        """Put on the cluster what the tasks look at."""
        self._cooldown.set(None)
        self._look_at_cluster()
        self._tell_share()

    def list_identities(self) -> list[str]:
        """Let a worker list the identities of the account.

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
            found: list[str] | CanopyError = future.result()
        except Exception as error:  # noqa: BLE001 - whatever a task or Dask raises
            raise _task_failed(error) from None
        if isinstance(found, CanopyError):
            raise found
        return found

    def export(
        self,
        destination: Destination,
        ids: Sequence[str],
        *,
        begun: dict[str, str | None],
        skipped: int,
        shard_size: int | None,
    ) -> None:
        """Read these identities, and adopt what was read.

        Args:
            destination: Where the export goes; open.
            ids: The identities, each once.
            begun: Where to go on with those that were begun.
            skipped: Identities that an earlier run had done.
            shard_size: Identities of a task at most, None for what is usual.

        Raises:
            CanopyError: The token was refused, or the manifest can't be written.
        """
        self.progress = attrs.evolve(self.progress, skipped=skipped)
        self._look_at_cluster()
        size = shard_size or self._usual_size(len(ids))
        # Every so-and-so-manieth: those that are listed together are often alike.
        step = max(1, -(-len(ids) // size))
        shards = [ids[at::step] for at in range(step) if at < len(ids)]
        self._submit(self._shard(shard, begun) for shard in shards)
        while self._running:
            self._look_at_cluster()
            self._tell_share()
            with suppress(queue.Empty):
                future = self._ended.get(timeout=self._job.beat)
                self._take(future, destination)
                # Not left to its end, where an interrupt would get lost.
                future.release()
            self._tell()
        self._tell()

    def close(self) -> None:
        """Take from the cluster what was put there, tasks that still run too."""
        let_go(self._waiting)
        if self._running:
            self._share.set({"each": 0, "dropped": []})
            self._client.cancel([future for future, _ in self._running.values()])
            self._wait_for_leases()
        # One that begins only now waits for them in vain, and ends.
        self._share.delete()
        self._cooldown.delete()

    def _wait_for_leases(self) -> None:
        """Wait until no task may send anything; a killed one's time out later."""
        budget = leases(self._job.budget, self._job.concurrency, self._client)
        until = time.monotonic() + _GRACE
        while budget.get_value() and time.monotonic() < until:
            time.sleep(0.05)
        let_go(budget)

    def _usual_size(self, identities: int) -> int:
        shards = SHARDS_PER_THREAD * self._threads
        return max(1, min(MOST_IN_SHARD, -(-identities // shards)))

    def _shard(self, ids: Sequence[str], begun: dict[str, str | None]) -> Work:
        known = {name: begun.get(name) for name in ids}
        return Work(
            number=next(self._numbers),
            ids=tuple(ids),
            resume={name: text for name, text in known.items() if text is not None},
            since=self._job.since,
            until=self._job.until,
            limit=self._job.split_over,
        )

    def _submit(self, works: Iterable[Work]) -> None:
        for work in works:
            key = self._job.name_of(work.name)
            future = self._client.submit(
                run_shard,
                self._job,
                work,
                key=key,
                pure=False,
                retries=self._retries,
                # A part of a giant log is what may take longest.
                priority=1 if work.number in self._logs else 0,
            )
            self._running[key] = future, work
            self._advance(tasks=1)
            future.add_done_callback(self._ended.put)

    def _tell_share(self) -> None:
        """Let the tasks know how many requests each may have in flight."""
        tasks = max(1, min(self._threads, len(self._running)))
        each = -(-self._job.concurrency // tasks)
        if self._waiters:  # rounded up, it may leave nothing to some
            each = max(1, self._job.concurrency // (tasks + self._waiters))
        share = {"each": each, "dropped": sorted(self._dropped)}
        if share != self._shared:
            self._share.set(share)
            self._shared = share

    def _look_at_cluster(self) -> None:
        now = time.monotonic()
        if now >= self._look_again_at:
            self._threads = max(1, sum(self._client.nthreads().values()))
            self._waiters = self._waiting.get_value()
            self._look_again_at = now + self._job.beat

    def _take(self, future: Any, destination: Destination) -> None:
        """Take what came of a task."""
        _, work = self._running.pop(future.key)
        if work.number in self._dropped:
            self._dropped.discard(work.number)
            self._advance(tasks_done=1)
            return
        try:
            outcome: Outcome = future.result()
        except Exception as error:  # noqa: BLE001 - whatever a task or Dask raises
            outcome = _lost(work, error)
        if outcome.fatal is not None:
            raise outcome.fatal
        self._advance(tasks_done=1, requests=outcome.requests)
        self.failures.update(outcome.failures)
        self.progress = attrs.evolve(self.progress, failed=len(self.failures))
        log = self._logs.pop(work.number, None)
        if log is None:
            self._take_shard(work, outcome, destination)
        else:
            self._take_part(log, work, outcome, destination)

    def _take_shard(
        self, work: Work, outcome: Outcome, destination: Destination
    ) -> None:
        if outcome.record is not None:
            self._adopt(outcome.record, destination)
        half = -(-len(outcome.left) // 2)
        for ids in (outcome.left[:half], outcome.left[half:]):
            if ids:
                self._submit((self._shard(ids, dict(work.resume)),))
        for name, rest in outcome.rests.items():
            parts = list(self._parts(name, rest, work))
            log = LogParts(parts, rest.checkpoint)
            self._logs.update((part.number, log) for part in parts)
            self._submit(parts)

    def _take_part(
        self, log: LogParts, work: Work, outcome: Outcome, destination: Destination
    ) -> None:
        log.end(work, outcome)
        for name, rest in outcome.rests.items():
            parts = list(self._parts(name, rest, work))
            log.split(work, parts)
            self._logs.update((part.number, log) for part in parts)
            self._submit(parts)
        for record in log.ready():
            self._adopt(record, destination)
        if log.has_failed:
            self._drop(log.drop())

    def _parts(self, name: str, rest: Rest, work: Work) -> Iterator[Work]:
        """Yield the parts of what is left of a log."""
        since = self._job.since
        for bound in (*rest.bounds, work.until):
            is_first = since == self._job.since
            yield Work(
                number=next(self._numbers),
                ids=(name,),
                resume={name: rest.checkpoint} if is_first else {},
                since=since,
                until=bound,
                limit=rest.limit,
                follows=not is_first or work.follows,
            )
            since = bound

    def _drop(self, parts: Iterable[Work]) -> None:
        """Let tasks end early, and wait for it: they may be putting files away."""
        for part in parts:
            self._logs.pop(part.number, None)
            if self._job.name_of(part.name) in self._running:
                self._dropped.add(part.number)

    def _adopt(self, record: Record, destination: Destination) -> None:
        _check_files(record, destination.storage)
        destination.adopt(record)
        files = [commit.file for commit in record.commits if commit.file is not None]
        entries = [entry for commit in record.commits for entry in commit.identities]
        self._advance(
            done=sum(entry.state == "done" for entry in entries),
            complete=sum(entry.complete for entry in entries),
            events=sum(file.rows for file in files),
            files=len(files),
            bytes=sum(file.bytes for file in files),
        )

    def _advance(self, **numbers: int) -> None:
        more = {name: getattr(self.progress, name) + n for name, n in numbers.items()}
        self.progress = attrs.evolve(self.progress, **more)

    def _tell(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self.progress)


def _check_files(record: Record, storage: Storage) -> None:
    """Refuse to let files count that are not where the driver looks.

    Raises:
        ExportError: One isn't there: its worker has written elsewhere.
    """
    for commit in record.commits:
        file = commit.file
        if file is not None and storage.size(file.name) != file.bytes:
            raise ExportError(
                f"{storage.url}: {file.name} is not there, though a worker has written"
                " it: the workers must see the same directory as this machine"
            )


def _lost(work: Work, error: Exception) -> Outcome:
    """Return how a task ended that has no outcome of its own."""
    return Outcome(failures=dict.fromkeys(work.ids, _task_failed(error)))


def _task_failed(error: Exception) -> ExportError:
    return ExportError(f"its task failed: {type(error).__name__}: {error}")
