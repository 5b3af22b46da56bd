"""One run on a cluster: tasks out, records in, until nothing is left."""

import queue
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, Final

import attrs
from distributed import Client

from canopy_async.distributed.cluster_result import DistributedProgress
from canopy_async.distributed.cluster_share import ClusterShare
from canopy_async.distributed.destination import Destination
from canopy_async.distributed.driver_clock import DriverClock
from canopy_async.distributed.log_parts import LogParts
from canopy_async.distributed.shard import list_identities, run_shard
from canopy_async.distributed.storage import Storage
from canopy_async.distributed.suspect_tasks import Suspects
from canopy_async.distributed.task_records import Record, fingerprints
from canopy_async.distributed.uninterrupted import Uninterrupted
from canopy_async.distributed.work import Job, Listing, Outcome, Rest, Work
from canopy_async.errors import CanopyError, CheckpointError, ExportError
from canopy_async.export.journal import Journal
from canopy_async.export.look_back import MOST_KEPT
from canopy_async.export.manifest_records import Commit, IdentityEntry
from canopy_async.export.names import under_way
from canopy_async.export.standing import Standing
from canopy_async.report import Proof

__all__ = ["Run"]

MOST_IN_SHARD: Final = 256
SHARDS_PER_THREAD: Final = 4

MOST_KNOWN: Final = 1 << 22
"""Characters of look-backs that are sent with one task at most."""


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

    Attributes:
        progress: How far it is.
        failures: The errors of identities that could not be read.
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
        self._client: Final[Any] = client
        self._job: Final = job
        self._destination: Final = destination
        self._journal: Final = journal
        self._clock: Final = clock
        self._thread: Final = thread
        self._retries: Final = retries
        self._on_progress: Final = on_progress
        self._numbers: Final = count(1)
        self._running: Final[dict[str, tuple[Any, Work]]] = {}
        self._ended: Final[queue.SimpleQueue[Any]] = queue.SimpleQueue()
        self._logs: Final[dict[int, LogParts]] = {}
        self._dropped: Final[set[int]] = set()
        self._suspects: Final = Suspects(job.retry.deadline)
        self._share: Final = ClusterShare(client, job)
        self.progress = DistributedProgress()
        self.failures: Final[dict[str, CanopyError]] = {}

    def open(self) -> None:
        """Put on the cluster what the tasks look at."""
        self._share.open()

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
        self.progress = attrs.evolve(self.progress, skipped=skipped)
        self._share.look()
        size = shard_size or self._usual_size(len(ids))
        # Dealt out like cards: identities that are listed together are often alike.
        step = max(1, -(-len(ids) // size))
        shards = [ids[at::step] for at in range(step) if at < len(ids)]
        self._submit(work for shard in shards for work in self._works(shard))
        while self._running:
            self._share.look()
            self._share.tell(running=len(self._running), dropped=self._dropped)
            with suppress(queue.Empty):
                future = self._ended.get(timeout=self._job.beat)
                self._take(future)
                # Not left to its end, where an interrupt would get lost.
                future.release()
            self._tell()
        self._judge_suspects(at_end=True)
        for outcome in self._suspects.give_back():
            self._take_shard(outcome)
        self._tell()

    def close(self) -> None:
        """Take from the cluster what was put there, tasks that still run too."""
        futures = [future for future, _ in self._running.values()]
        if futures:
            self._share.stop_all()
            self._client.cancel(futures)
        self._share.close(waits=bool(futures))

    def _usual_size(self, identities: int) -> int:
        shards = SHARDS_PER_THREAD * self._share.threads
        return max(1, min(MOST_IN_SHARD, -(-identities // shards)))

    def _works(self, ids: Sequence[str]) -> Iterator[Work]:
        """Yield the tasks of a shard: more than one where its look-backs are large."""
        some: dict[str, Standing | None] = {}
        known = 0
        for name in ids:
            standing = self._journal.standings.get(name)
            size = len(standing.known or "") if standing is not None else 0
            if some and known + size > MOST_KNOWN:
                yield self._work(some)
                some, known = {}, 0
            some[name] = standing
            known += size
        if some:
            yield self._work(some)

    def _work(self, ids: Mapping[str, Standing | None]) -> Work:
        standings = {name: at for name, at in ids.items() if at is not None}
        limit = self._job.split_over
        if any(standing.known for standing in standings.values()):
            # The events of look-backs are read again, and don't count.
            limit += MOST_KEPT
        return Work(
            number=next(self._numbers),
            ids=tuple(ids),
            standings=standings,
            begins=fingerprints(ids, standings),
            limit=limit,
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

    def _take(self, future: Any) -> None:
        """Take the outcome of a task."""
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
            if outcome.record is not None:
                self._adopt(outcome.record)
            raise outcome.fatal
        self._clock.note(outcome.server_time)
        self._advance(tasks_done=1, requests=outcome.requests)
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
        self._thread.do(
            self._destination.storage.delete,
            [record.name for record in records if record is not None],
        )
        raise error

    def _take_shard(self, outcome: Outcome) -> None:
        if outcome.record is not None:
            self._adopt(outcome.record)
        self._note_failures(outcome)
        half = -(-len(outcome.left) // 2)
        for ids in (outcome.left[:half], outcome.left[half:]):
            self._submit(self._works(ids))
        for name, rest in outcome.rests.items():
            self._go_on(name, rest, outcome)

    def _go_on(self, name: str, rest: Rest, outcome: Outcome) -> None:
        """Submit the tasks that read the rest of a log."""
        if rest.standing is None:
            works = self._works((name,))
            self._submit(attrs.evolve(work, limit=None) for work in works)
            return
        parts = list(self._parts(name, rest, None))
        log = LogParts(parts, _latest_entry(outcome.record, name))
        self._logs.update((part.number, log) for part in parts)
        self._submit(parts)

    def _take_part(self, log: LogParts, work: Work, outcome: Outcome) -> None:
        log.end(work, outcome)
        for name, rest in outcome.rests.items():
            parts = list(self._parts(name, rest, work))
            log.split(work, parts)
            self._logs.update((part.number, log) for part in parts)
            self._submit(parts)
        try:
            for counting in log.ready():
                if counting.record is not None:
                    self._adopt(counting.record)
                self._note_failures(counting)
        except CheckpointError as error:
            self._note_failures(_lost(work, error))
        if log.has_failed:
            self._drop(log.drop())

    def _parts(self, name: str, rest: Rest, within: Work | None) -> Iterator[Work]:
        """Yield the tasks that read the rest of a log, or of a part of a log."""
        standing = rest.standing
        end = None if within is None else within.until
        for bound in (*rest.bounds, end):
            yield Work(
                number=next(self._numbers),
                ids=(name,),
                standings={} if standing is None else {name: standing},
                until=bound,
                limit=rest.limit,
                follows=True,
            )
            if standing is not None:
                standing = attrs.evolve(
                    standing, since=bound, checkpoint=None, known=None
                )

    def _note_failures(self, outcome: Outcome) -> None:
        """Keep the errors; say in the manifest what no task has said there."""
        self.failures.update(outcome.failures)
        self.progress = attrs.evolve(self.progress, failed=len(self.failures))
        unsaid = [
            self._journal.standings.of(name).failed(name, error)
            for name, error in outcome.failures.items()
            if outcome.record is None or name not in outcome.record.identities
        ]
        if unsaid:
            self._commit((Commit(identities=tuple(unsaid)),))

    def _drop(self, parts: Iterable[Work]) -> None:
        """End tasks early, and wait for their ends: they may be putting files away."""
        for part in parts:
            self._logs.pop(part.number, None)
            if self._job.name_of(part.name) in self._running:
                self._dropped.add(part.number)

    def _adopt(self, record: Record) -> None:
        _check_files(record, self._destination.storage)
        self._commit(record.commits, record.name)

    def say_who_is_gone(self, listed: Iterable[str]) -> None:
        """Say in the manifest which identities the account lists no more.

        Args:
            listed: All that it lists.
        """
        is_open = self._job.header.until is None
        gone = self._journal.commits_of_gone(
            frozenset(listed), self._clock.now(), is_open=is_open
        )
        self._commit(tuple(gone))

    def _commit(self, commits: Iterable[Commit], record: str | None = None) -> None:
        now = self._clock.now()
        timed = tuple(attrs.evolve(commit, at=now) for commit in commits)
        self._thread.do(self._commit_all, timed, record)

    def _commit_all(self, commits: Sequence[Commit], record: str | None) -> None:
        self._destination.adopt(commits, record)
        for commit in commits:
            unchanged = [self._journal.standings.of(name) for name in commit.unchanged]
            self._journal.add(commit)
            self._count(commit, unchanged)

    def _count(self, commit: Commit, unchanged: Sequence[Standing]) -> None:
        entries, file = commit.identities, commit.file
        done = [entry for entry in entries if entry.state == "done"]
        proven = sum(standing.proof is not Proof.NONE for standing in unchanged)
        self._advance(
            done=len(done) + len(unchanged),
            complete=sum(entry.complete for entry in done) + proven,
            events=sum(entry.events for entry in entries),
            late=sum(entry.late for entry in entries),
            files=int(file is not None),
            bytes=0 if file is None else file.bytes,
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
        if file is None:
            continue
        if storage.size(under_way(file.name)) != file.bytes:
            raise ExportError(
                f"{storage.url}: {file.name} is not there, though a worker has written"
                " it: the workers must see the same directory as this machine"
            )


def _latest_entry(record: Record | None, name: str) -> IdentityEntry:
    """Return what a record says of an identity at last."""
    commits = () if record is None else record.commits
    entries = [entry for commit in commits for entry in commit.identities]
    return next(entry for entry in reversed(entries) if entry.id == name)


def _lost(work: Work, error: Exception) -> Outcome:
    """Return how a task ended that has no outcome of its own."""
    return Outcome(failures=dict.fromkeys(work.ids, _task_failed(error)))


def _task_failed(error: Exception) -> ExportError:
    return ExportError(f"its task failed: {type(error).__name__}: {error}")
