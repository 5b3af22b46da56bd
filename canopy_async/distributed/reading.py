"""What one task reads: a part of an export, in a directory of its own."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

import attrs

from canopy_async.checkpoint import Checkpoint
from canopy_async.distributed.splitting import rest_of
from canopy_async.distributed.work import Job, Outcome, Rest, Work
from canopy_async.errors import CanopyError, CheckpointError, ExportError
from canopy_async.export.exporter import ExportProgress, export_slice, new_header
from canopy_async.export.manifest import Commit, IdentityEntry, iter_commits
from canopy_async.identity_events import IdentityOutcome
from canopy_async.report import weakest
from canopy_async.session import CanopySession

__all__ = ["Reading"]

_NO_EVENT: Final = frozenset(("-",))
"""The ids at a place before the first event of its instant."""


class Reading:
    """What one attempt of a task reads.

    A part of a log is a log to read like any other, from ``since`` to ``until``.
    Its checkpoints, which are of that part, are made such of the whole export.

    Args:
        job: What is run.
        work: What to read.
        directory: Where to write; nothing is there.
    """

    def __init__(self, job: Job, work: Work, directory: Path) -> None:
        self._job: Final = job
        self._work: Final = work
        self._is_part: Final = (work.since, work.until) != (job.since, job.until)
        self.directory: Final = directory
        self._events = 0
        self._requests = 0
        self._scopes: Final[dict[str, str]] = {}
        self._ended: Final[dict[str, IdentityOutcome]] = {}
        self._rests: Final[dict[str, Rest]] = {}
        self._left: Final[list[str]] = []

    async def read(self, session: CanopySession) -> None:
        """Read until all is done, or until it is enough.

        Raises:
            ExportError: It could not be written, or it is a part of a log that is
                in another order than it was.
            UnauthorizedError: The token was refused.
        """
        job, work = self._job, self._work
        if self._is_part:
            for name in work.ids:
                self._scopes[name] = self._scope(session, name, job.since, job.until)
        await export_slice(
            session,
            self._ids(),
            self.directory,
            new_header(
                session.account,
                session.base_url,
                job.format,
                since=work.since,
                until=work.until,
                q=job.q,
            ),
            width=job.width,
            max_file_bytes=job.max_file_bytes,
            resume=self._resume(session),
            limit=work.limit,
            on_end=self._end,
            on_progress=self._look,
        )
        self._check_order()
        await self._find_rests(session)
        self._requests = session.stats.requests

    def commits(self) -> Iterator[Commit]:
        """Yield what was written, and what the manifest is to say of it."""
        for commit in iter_commits(self.directory):
            entries = tuple(map(self._said, commit.identities))
            yield attrs.evolve(commit, identities=entries)

    def outcome(self) -> Outcome:
        """Return how it ended, without its record."""
        failures: dict[str, CanopyError] = {}
        for name, outcome in self._ended.items():
            if outcome.error is not None:
                failures[name] = outcome.error
        return Outcome(
            failures=failures,
            rests=self._rests,
            left=tuple(self._left),
            proof=weakest(
                outcome.report.proof
                for outcome in self._ended.values()
                if outcome.error is None and outcome.report is not None
            ),
            requests=self._requests,
        )

    def _ids(self) -> Iterator[str]:
        for identity_id in self._work.ids:
            if self._events >= self._job.split_over:
                self._left.append(identity_id)
            else:
                yield identity_id

    def _look(self, progress: ExportProgress) -> None:
        self._events = progress.events

    def _end(self, outcome: IdentityOutcome) -> None:
        self._ended[outcome.identity_id] = outcome

    def _scope(
        self,
        session: CanopySession,
        identity_id: str,
        since: datetime | None,
        until: datetime | None,
    ) -> str:
        stream = session.events(
            identity_id, q=self._job.q, order="asc", since=since, until=until
        )
        return stream.open().checkpoint.scope

    def _resume(self, session: CanopySession) -> dict[str, str]:
        """Return where to begin, as checkpoints of what is read here."""
        work = self._work
        if not self._is_part:
            return dict(work.resume)
        return {
            name: _moved(
                Checkpoint.loads(text),
                self._scope(session, name, work.since, work.until),
            ).dumps()
            for name, text in work.resume.items()
        }

    def _check_order(self) -> None:
        """Raise where a part's end is not where the next part begins."""
        for outcome in self._ended.values() if self._is_part else ():
            if outcome.report is not None and outcome.report.order_observed == "desc":
                raise ExportError("the log is in desc order now; it was in asc order")

    async def _find_rests(self, session: CanopySession) -> None:
        """Find out what is left of logs of which enough was read."""
        limit = self._work.limit
        for name, outcome in self._ended.items():
            report, place = outcome.report, self._place(name)
            if outcome.error is not None or report is None or place is None:
                continue
            if limit is not None and report.delivered >= limit:
                self._rests[name] = await rest_of(
                    session, self._job, name, place, until=self._work.until
                )

    def _place(self, name: str) -> Checkpoint | None:
        """Return where the read of an identity ended, None where it never began."""
        place = self._ended[name].checkpoint
        if place is None or place.key is None:
            return None
        return _moved(place, self._scopes.get(name))

    def _said(self, entry: IdentityEntry) -> IdentityEntry:
        """Return an entry as one of the whole export."""
        begin = self._work.resume.get(entry.id)
        if entry.state != "done":
            place = entry.checkpoint and Checkpoint.loads(entry.checkpoint)
            if not place or place.key is None:
                return attrs.evolve(entry, checkpoint=begin)
            moved = _moved(place, self._scopes.get(entry.id))
            return attrs.evolve(entry, checkpoint=moved.dumps())
        if self._work.until == self._job.until and entry.id not in self._rests:
            return entry
        end = self._place(entry.id)
        return attrs.evolve(
            entry,
            state="open",
            complete=False,
            checkpoint=begin if end is None else self._named(end),
        )

    def _named(self, end: Checkpoint) -> str:
        """Return the place where a part ends."""
        try:
            return end.dumps()
        except CheckpointError:
            # Too many events share its last instant to be named. Nothing is left of
            # it before its bound: the place is there as well.
            return attrs.evolve(end, key=self._work.until, ids=_NO_EVENT).dumps()


def _moved(checkpoint: Checkpoint, scope: str | None) -> Checkpoint:
    """Return the same place in the same log, of a read with other bounds."""
    return checkpoint if scope is None else attrs.evolve(checkpoint, scope=scope)
