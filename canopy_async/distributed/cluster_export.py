"""`ClusterExport`: one run of an export on a cluster, from its begin to its end."""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from distributed import Client

from canopy_async.distributed.cluster_result import (
    DistributedProgress,
    DistributedResult,
)
from canopy_async.distributed.cluster_run import Run
from canopy_async.distributed.destination import Destination
from canopy_async.distributed.driver_clock import DriverClock
from canopy_async.distributed.recovery import delete_leftovers, recover
from canopy_async.distributed.uninterrupted import Uninterrupted
from canopy_async.distributed.work import Job, Listing
from canopy_async.errors import ExportError
from canopy_async.export.export_run import unsettled_from
from canopy_async.export.journal import Journal
from canopy_async.export.manifest_records import Asked, End, Listed
from canopy_async.export.source import hash_of

__all__ = ["ClusterExport"]


class ClusterExport:
    """One run, from its begin in the manifest to its end there.

    Args:
        client: The cluster.
        job: The options of the run.
        destination: The directory or URL of the export.
        thread: The thread that does all work with ``destination``.
        wanted: The identities, each once; None for all of the account.
    """

    def __init__(
        self,
        client: Client,
        job: Job,
        destination: Destination,
        thread: Uninterrupted,
        wanted: list[str] | None,
    ) -> None:
        self._client: Final = client
        self._job: Final = job
        self._destination: Final = destination
        self._thread: Final = thread
        self._wanted: Final = wanted
        asked = Asked(kind="all" if wanted is None else "selection")
        self._journal: Final = Journal(asked, job.look_back)
        self._clock: Final = DriverClock()
        self._began: Final = time.monotonic()
        self._has_end = False

    def open(self) -> None:
        """Take the destination, adopt what a killed run has left, and begin.

        Raises:
            ExportError: It is in use, is not an export's, or that of another.
        """
        self._thread.do(self._destination.open, self._journal.restore)
        self._journal.check(self._job.url)
        self._thread.do(
            recover, self._destination, self._journal, self._job.header.scope
        )
        begin = self._journal.begin(datetime.now(UTC))
        self._thread.do(self._destination.append, begin)

    def run(
        self,
        *,
        retries: int,
        on_progress: Callable[[DistributedProgress], None] | None,
    ) -> Run:
        """Return what has tasks read; to be closed."""
        return Run(
            self._client,
            self._job,
            self._destination,
            self._journal,
            clock=self._clock,
            thread=self._thread,
            retries=retries,
            on_progress=on_progress,
        )

    def export(self, run: Run, *, shard_size: int | None) -> DistributedResult:
        """Read what is new, and what earlier runs have left.

        Raises:
            CanopyError: It can't go on; what was read is kept.
        """
        try:
            run.open()
            self._read(run, shard_size)
            self._append_end(
                self._journal.end(
                    "finished", began=self._told_begin, at=self._clock.now()
                )
            )
            self._thread.do(self._destination.write_sums)
            self._thread.do(delete_leftovers, self._destination)
        except BaseException as error:
            self._break_off(error)
            raise
        return self._result(run)

    def _read(self, run: Run, shard_size: int | None) -> None:
        listing = run.list_identities() if self._wanted is None else None
        wanted = self._wanted or []
        if listing is not None:
            wanted = list(dict.fromkeys(listing.ids))
        listed = _listed(wanted, listing, self._clock.now())
        self._thread.do(self._destination.append, listed)
        left = [name for name in wanted if not self._is_done(name)]
        run.export(left, skipped=len(wanted) - len(left), shard_size=shard_size)
        if listing is not None and listing.complete:
            run.say_who_is_gone(wanted)

    def _is_done(self, identity_id: str) -> bool:
        """Tell whether nothing can come to an identity any more."""
        state = self._journal.standings.of(identity_id).state
        return self._job.header.until is not None and state == "done"

    @property
    def _told_begin(self) -> datetime | None:
        """The begin of the run by the server's clock; None where that is unknown."""
        return self._clock.told_at(self._began)

    def _append_end(self, end: End) -> None:
        self._has_end = True
        self._thread.do(self._destination.append, end)

    def _break_off(self, error: BaseException) -> None:
        """Say how the run ends before its time, where that can be written."""
        if isinstance(error, (TypeError, ValueError)) and self._destination.is_empty:
            # An argument can't be used, and nothing was read before that showed.
            with suppress(ExportError):
                self._thread.do(self._destination.discard)
            return
        if not self._has_end:
            with suppress(ExportError):
                self._append_end(
                    self._journal.broken_off(
                        error, began=self._told_begin, at=self._clock.now()
                    )
                )
        error.add_note(self._journal.note_of_kept(self._job.url))

    def _result(self, run: Run) -> DistributedResult:
        journal, progress = self._journal, run.progress
        return DistributedResult(
            directory=self._job.url,
            run=journal.run,
            done=progress.done,
            complete=progress.complete,
            skipped=progress.skipped,
            new_identities=journal.new_identities,
            gone=journal.gone,
            events=journal.events,
            late=journal.late,
            gaps=tuple(journal.gaps),
            as_of=journal.as_of,
            unsettled_from=unsettled_from(
                self._job.header, self._job.look_back, journal.as_of
            ),
            files=progress.files,
            tasks=progress.tasks,
            requests=progress.requests,
            failures=run.failures,
        )


def _listed(ids: list[str], listing: Listing | None, at: datetime) -> Listed:
    """Return what the manifest says of the identities that a run was given."""
    return Listed(
        at=at,
        identities=len(ids),
        sha256=hash_of(ids),
        complete=listing is None or listing.complete,
        proof=None if listing is None else listing.proof,
        counted=None if listing is None else listing.counted,
    )
