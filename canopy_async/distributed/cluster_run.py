"""One run on a cluster: tasks out, records in, until nothing is left."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import attrs
from distributed import Client

from canopy_async.distributed.adoption import Adoption
from canopy_async.distributed.cluster_result import DistributedProgress
from canopy_async.distributed.cluster_share import ClusterShare
from canopy_async.distributed.cluster_tasks import ClusterTasks, lost
from canopy_async.distributed.destination import Destination
from canopy_async.distributed.driver_clock import DriverClock
from canopy_async.distributed.log_parts import LogParts
from canopy_async.distributed.suspect_tasks import Suspects
from canopy_async.distributed.task_plan import TaskPlan
from canopy_async.distributed.task_records import Record
from canopy_async.distributed.uninterrupted import Uninterrupted
from canopy_async.distributed.work import Job, Listing, Outcome, Rest, Work
from canopy_async.errors import CanopyError, CheckpointError
from canopy_async.export.journal import Journal
from canopy_async.export.manifest_records import IdentityEntry

__all__ = ["Run"]


class Run:
    """One run of a job.

    Args:
        client: The cluster; synchronous.
        job: The options of the run.
        destination: The directory or URL of the export; open.
        journal: Where each identity stands, and what was committed.
        clock: The server's clock.
        thread: The thread that does all work with ``destination``.
        retries: How often Dask tries a task again that raises.
        on_progress: Whom to tell.
    """

    def __init__(
        self,
        client: Client,
        job: Job,
        destination: Destination,
        journal: Journal,
        *,
        clock: DriverClock,
        thread: Uninterrupted,
        retries: int,
        on_progress: Callable[[DistributedProgress], None] | None,
    ) -> None:
        self._clock: Final = clock
        self._on_progress: Final = on_progress
        self._plan: Final = TaskPlan(job, journal)
        self._tasks: Final = ClusterTasks(client, job, retries=retries)
        self._share: Final = ClusterShare(client, job)
        self._adoption: Final = Adoption(
            destination,
            journal,
            clock=clock,
            thread=thread,
            is_open=job.header.until is None,
        )
        self._logs: Final[dict[int, LogParts]] = {}
        self._suspects: Final = Suspects(job.retry.deadline)

    @property
    def progress(self) -> DistributedProgress:
        """How far it is."""
        return self._adoption.progress

    @property
    def failures(self) -> Mapping[str, CanopyError]:
        """The errors of identities that could not be read."""
        return self._adoption.failures

    def open(self) -> None:
        """Put on the cluster what the tasks look at."""
        self._share.open()

    def list_identities(self) -> Listing:
        """List the identities of the account, on a worker.

        Raises:
            CanopyError: It can't.
        """
        found = self._tasks.list_identities()
        self._clock.note(found.server_time)
        return found

    def export(
        self, ids: Sequence[str], *, skipped: int, shard_size: int | None
    ) -> None:
        """Read these identities, and adopt what was read.

        Args:
            ids: The identities, each once.
            skipped: Identities that an earlier run had done.
            shard_size: Identities of a task at most, None for what is usual.

        Raises:
            CanopyError: What concerns all identities, such as a refused token or an
                outage; or the manifest can't be written.
        """
        self._adoption.advance(skipped=skipped)
        self._share.look()
        threads = self._share.threads
        self._submit(self._plan.shards(ids, size=shard_size, threads=threads))
        while self._tasks.running:
            self._share.look()
            self._share.tell(running=self._tasks.running, dropped=self._tasks.dropped)
            ended = self._tasks.next_ended()
            if ended is not None:
                self._take(*ended)
            self._tell()
        self._judge_suspects(at_end=True)
        for outcome in self._suspects.give_back():
            self._take_shard(outcome)
        self._tell()

    def say_who_is_gone(self, listed: Iterable[str]) -> None:
        """Say in the manifest which identities the account lists no more.

        Args:
            listed: All that it lists.
        """
        self._adoption.say_who_is_gone(listed)

    def close(self) -> None:
        """Take from the cluster what was put there, tasks that still run too."""
        is_early = self._tasks.running > 0
        if is_early:
            self._share.stop_all()
            self._tasks.cancel()
        self._share.close(waits=is_early)

    def _submit(self, works: Iterable[Work]) -> None:
        for work in works:
            # A part of a giant log is what may take longest.
            self._tasks.submit(work, priority=1 if work.number in self._logs else 0)
            self._adoption.advance(tasks=1)

    def _take(self, work: Work, outcome: Outcome | None) -> None:
        """Take the outcome of a task, None for one that was dropped."""
        if outcome is None:
            self._adoption.advance(tasks_done=1)
            return
        if outcome.fatal is not None:
            if outcome.record is not None:
                self._adoption.adopt(outcome.record)
            raise outcome.fatal
        self._clock.note(outcome.server_time)
        self._adoption.advance(tasks_done=1, requests=outcome.requests)
        log = self._logs.pop(work.number, None)
        if log is None and self._suspects.hold(outcome, time.monotonic()):
            self._judge_suspects(at_end=False)
            return
        if outcome.done:
            for held in self._suspects.release(time.monotonic()):
                self._take_shard(held)
        if log is None:
            self._take_shard(outcome)
        else:
            self._take_part(log, work, outcome)

    def _judge_suspects(self, *, at_end: bool) -> None:
        """End the run if what its tasks ended with concerns all identities.

        Raises:
            CanopyError: That. Nothing is said of the identities in the manifest.
        """
        error = self._suspects.verdict(at_end=at_end)
        if error is None:
            return
        records = [outcome.record for outcome in self._suspects.give_back()]
        self._adoption.discard(record for record in records if record is not None)
        raise error

    def _take_shard(self, outcome: Outcome) -> None:
        self._count_in(outcome)
        half = -(-len(outcome.left) // 2)
        for ids in (outcome.left[:half], outcome.left[half:]):
            self._submit(self._plan.works(ids))
        for name, rest in outcome.rests.items():
            self._go_on(name, rest, outcome)

    def _count_in(self, outcome: Outcome) -> None:
        """Let count what a task has read, and keep its errors."""
        if outcome.record is not None:
            self._adoption.adopt(outcome.record)
        self._adoption.note_failures(outcome)

    def _go_on(self, name: str, rest: Rest, outcome: Outcome) -> None:
        """Submit the tasks that read the rest of a log."""
        if rest.standing is None:
            works = self._plan.works((name,))
            self._submit(attrs.evolve(work, limit=None) for work in works)
            return
        parts = list(self._plan.parts(name, rest, None))
        self._submit_parts(LogParts(parts, _latest_entry(outcome.record, name)), parts)

    def _take_part(self, log: LogParts, work: Work, outcome: Outcome) -> None:
        log.end(work, outcome)
        for name, rest in outcome.rests.items():
            parts = list(self._plan.parts(name, rest, work))
            log.split(work, parts)
            self._submit_parts(log, parts)
        try:
            for counting in log.ready():
                self._count_in(counting)
        except CheckpointError as error:
            self._adoption.note_failures(lost(work, error))
        if log.has_failed:
            self._drop(log.drop())

    def _submit_parts(self, log: LogParts, parts: Sequence[Work]) -> None:
        self._logs.update((part.number, log) for part in parts)
        self._submit(parts)

    def _drop(self, parts: Sequence[Work]) -> None:
        for part in parts:
            self._logs.pop(part.number, None)
        self._tasks.drop(parts)

    def _tell(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self.progress)


def _latest_entry(record: Record | None, name: str) -> IdentityEntry:
    """Return what a record says of an identity at last."""
    commits = () if record is None else record.commits
    entries = [entry for commit in commits for entry in commit.identities]
    return next(entry for entry in reversed(entries) if entry.id == name)
