"""`Adoption`: what tasks have read becomes part of the export, and is counted."""

from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from canopy_async.distributed.cluster_result import DistributedProgress
from canopy_async.distributed.destination import Destination
from canopy_async.distributed.driver_clock import DriverClock
from canopy_async.distributed.storage import Storage
from canopy_async.distributed.task_records import Record
from canopy_async.distributed.uninterrupted import Uninterrupted
from canopy_async.distributed.work import Outcome
from canopy_async.errors import CanopyError, ExportError
from canopy_async.export.journal import Journal
from canopy_async.export.manifest_records import Commit
from canopy_async.export.names import under_way
from canopy_async.export.standing import Standing
from canopy_async.report import Proof

__all__ = ["Adoption"]


class Adoption:
    """Adopts the records of tasks: says in the manifest what they have read.

    Args:
        destination: The directory or URL of the export; open.
        journal: Where each identity stands, and what was committed.
        clock: The server's clock.
        thread: The thread that does all work with ``destination``.
        is_open: Whether the export has no ``until``.

    Attributes:
        progress: How far the run is.
        failures: The errors of identities that could not be read.
    """

    def __init__(
        self,
        destination: Destination,
        journal: Journal,
        *,
        clock: DriverClock,
        thread: Uninterrupted,
        is_open: bool,
    ) -> None:
        self._destination: Final = destination
        self._journal: Final = journal
        self._clock: Final = clock
        self._thread: Final = thread
        self._is_open: Final = is_open
        self.progress = DistributedProgress()
        self.failures: Final[dict[str, CanopyError]] = {}

    def adopt(self, record: Record) -> None:
        """Let the files of a record count.

        Raises:
            ExportError: One isn't there, or the manifest can't be written.
        """
        _check_files(record, self._destination.storage)
        self._commit(record.commits, record.name)

    def discard(self, records: Iterable[Record]) -> None:
        """Delete records, of which nothing is to be said in the manifest."""
        self._thread.do(
            self._destination.storage.delete, [record.name for record in records]
        )

    def note_failures(self, outcome: Outcome) -> None:
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

    def say_who_is_gone(self, listed: Iterable[str]) -> None:
        """Say in the manifest which identities the account lists no more.

        Args:
            listed: All that it lists.
        """
        gone = self._journal.commits_of_gone(
            frozenset(listed), self._clock.now(), is_open=self._is_open
        )
        self._commit(tuple(gone))

    def advance(self, **numbers: int) -> None:
        """Add to numbers of the progress."""
        more = {name: getattr(self.progress, name) + n for name, n in numbers.items()}
        self.progress = attrs.evolve(self.progress, **more)

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
        self.advance(
            done=len(done) + len(unchanged),
            complete=sum(entry.complete for entry in done) + proven,
            events=sum(entry.events for entry in entries),
            late=sum(entry.late for entry in entries),
            files=int(file is not None),
            bytes=0 if file is None else file.bytes,
        )


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
