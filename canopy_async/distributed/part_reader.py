"""The read of one task: a part of an export, in a directory of its own."""

from collections.abc import AsyncGenerator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

import attrs

from canopy_async._fanout.results import IdentityOutcome
from canopy_async.checkpoint import Checkpoint
from canopy_async.distributed.splitting import split_of
from canopy_async.distributed.work import Job, Outcome, Rest, Work
from canopy_async.errors import CanopyError, CheckpointError, ExportError
from canopy_async.export.directory import ExportDirectory
from canopy_async.export.journal import Journal
from canopy_async.export.log_reader import LogReader, ReadLimits
from canopy_async.export.manifest import iter_commits
from canopy_async.export.manifest_records import Asked, Commit
from canopy_async.export.one_thread import OneThread
from canopy_async.export.pending import OpenLog
from canopy_async.export.progress import ExportProgress
from canopy_async.export.standing import Standing
from canopy_async.export.writers import FORMATS
from canopy_async.report import Proof, weakest
from canopy_async.session import CanopySession

__all__ = ["Reading"]

_NEVER: Final = 1e9
"""Seconds between commits: what is on a task's own disk is of no use before its end."""


class Reading:
    """One attempt of a task: what it reads, as one process does, and where it ended.

    Args:
        job: The options of the run.
        work: The work of the task.
        directory: The directory to write to; nothing is there.
    """

    def __init__(self, job: Job, work: Work, directory: Path) -> None:
        self._job: Final = job
        self._work: Final = work
        self.directory: Final = directory
        self._events = 0
        self._requests = 0
        self._server_time: datetime | None = None
        self._ended: Final[dict[str, tuple[OpenLog, IdentityOutcome]]] = {}
        self._rests: Final[dict[str, Rest]] = {}
        self._left: Final[list[str]] = []

    async def read(self, session: CanopySession) -> None:
        """Read until all is done, or until it is enough.

        Raises:
            CheckpointError: A log can't be left where enough of it was read.
            ExportError: It could not be written, or it is a part of a log that is
                in another order than it was.
            UnauthorizedError: The token was refused.
        """
        await self._read_logs(session)
        self._check_order()
        await self._find_rests(session)
        self._requests = session.stats.requests
        self._server_time = session.server_time

    def commits(self) -> Iterator[Commit]:
        """Yield what was written, and what the manifest is to say of it."""
        return iter_commits(self.directory)

    def outcome(self) -> Outcome:
        """Return how it ended, without its record."""
        failures: dict[str, CanopyError] = {}
        proofs: list[Proof] = []
        for name, (_, outcome) in self._ended.items():
            report = outcome.report
            if outcome.error is not None:
                failures[name] = outcome.error
            elif report is not None:
                proofs.append(report.proof if report.complete else Proof.NONE)
        return Outcome(
            done=len(proofs),
            failures=failures,
            rests=self._rests,
            left=tuple(self._left),
            proof=weakest(proofs),
            requests=self._requests,
            server_time=self._server_time,
        )

    async def _read_logs(self, session: CanopySession) -> None:
        job, work = self._job, self._work
        written_as = FORMATS[job.header.format]
        written_as.check()
        target = ExportDirectory(
            self.directory,
            job.header,
            written_as,
            max_file_bytes=job.max_file_bytes,
            umask=job.umask,
        )
        thread = OneThread("canopy-task")
        try:
            await thread.do(target.open, lambda _: None)
            reader = LogReader(
                session,
                target,
                thread,
                header=job.header,
                journal=Journal(
                    # Only the driver's journal says what was asked for.
                    Asked(kind="selection"),
                    job.look_back,
                    standings=work.standings,
                ),
                limits=ReadLimits(
                    look_back=job.look_back,
                    width=job.width,
                    max_file_bytes=job.max_file_bytes,
                    commit_every=_NEVER,
                    events_each=work.limit,
                    until=work.until,
                ),
                on_progress=self._look,
                on_end=self._end,
            )
            await reader.read(self._ids())
        finally:
            await thread.do(target.close)
            thread.close()

    async def _ids(self) -> AsyncGenerator[str]:
        for identity_id in self._work.ids:
            if self._events >= self._job.split_over:
                self._left.append(identity_id)
            else:
                yield identity_id

    def _look(self, progress: ExportProgress) -> None:
        self._events = progress.events

    def _end(self, log: OpenLog, outcome: IdentityOutcome) -> None:
        self._ended[outcome.identity_id] = log, outcome

    def _check_order(self) -> None:
        """Raise where a part's end is not where the next part begins."""
        for _, outcome in self._ended.values() if self._work.is_part else ():
            if outcome.report is not None and outcome.report.order_observed == "desc":
                raise ExportError("the log is in desc order now; it was in asc order")

    async def _find_rests(self, session: CanopySession) -> None:
        """Find out what is left of logs of which enough was read."""
        limit = self._work.limit
        for name, (log, outcome) in self._ended.items():
            report, place = outcome.report, outcome.checkpoint
            if outcome.error is not None or report is None or place is None:
                continue
            if limit is not None and report.delivered >= limit:
                self._rests[name] = await self._rest_of(session, log, place)

    async def _rest_of(
        self, session: CanopySession, log: OpenLog, place: Checkpoint
    ) -> Rest:
        """Return what is left of a log after a place.

        Raises:
            CheckpointError: Among what is left may be events that are known.
        """
        if place.order != "asc" and not self._work.is_part:
            return Rest()
        key, known = place.key, log.look_back.known_so_far()
        is_ahead = key is None or known.newest is None or known.newest > key
        if is_ahead and log.before.known is not None:
            raise CheckpointError("what is known reaches beyond the place")
        split = await split_of(
            session, self._job, log.identity_id, place, until=self._work.until
        )
        if is_ahead or split.limit is None or key is None:
            # It may not be sorted, so that it can only be left at that very place.
            return Rest(standing=_standing_of(log, log.since, place.dumps()))
        standing = _standing_of(log, key, None)
        # Of what is known, the next part can only meet the rows at that place.
        at_place = attrs.evolve(known.without_older(key), floor=None)
        return Rest(
            standing=attrs.evolve(standing, known=at_place.dumps()),
            bounds=split.bounds,
            limit=split.limit,
        )


def _standing_of(
    log: OpenLog, since: datetime | None, checkpoint: str | None
) -> Standing:
    """Return where a part of a log stands that is to be read.

    It belongs to the read that has begun: what is committed since then may be
    missing from it.

    Args:
        log: The log, as far as it was read.
        since: The instant where the part begins.
        checkpoint: The place in there where to go on, as text.
    """
    return Standing(
        as_of=log.before.as_of,
        checkpoint=checkpoint,
        since=since,
        began=log.look_back.began,
    )
