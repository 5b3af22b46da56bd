"""Logs with events that were read but not committed yet, and their next commit."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

import attrs

from canopy_async._fanout.results import IdentityOutcome
from canopy_async._follow.follow_checkpoint import FollowCheckpoint, Gap
from canopy_async.checkpoint import Checkpoint
from canopy_async.export.look_back import LookBack
from canopy_async.export.manifest_records import (
    Commit,
    EventMark,
    Failure,
    IdentityEntry,
)
from canopy_async.export.standing import Standing
from canopy_async.models import AuditEvent
from canopy_async.report import Proof

__all__ = ["OpenLog", "Pending"]

_PROVEN_SO_FAR: Final = frozenset((Proof.STRICT_KEY, Proof.SHARED_ID, Proof.CURSOR))
"""The proofs that hold for the rows read so far, before the end of a read."""


@attrs.define(eq=False, kw_only=True)
class OpenLog:
    """The log of one identity while it is read.

    Attributes:
        identity_id: The identity's id.
        before: The identity's state when the read began.
        since: The ``since`` of the read.
        began: The begin of the read, by the event loop's clock.
        look_back: The look-back of the log, which tells which events are new.
        events: The number of new events since the last commit.
        first: The first of these events.
        last: The last of these events.
        late: The number of late events that were committed.
        is_gap_recorded: Whether a commit has recorded the log's gap.
        left: Why the log stays open for another read: ``limit`` if the limit of events
            was reached, ``until`` if it was read to an instant before its end. None if
            it was read to its end.
        outcome: The outcome of the read, or None while it continues.
    """

    identity_id: str
    before: Standing
    since: datetime | None
    began: float
    look_back: LookBack
    events: int = 0
    first: AuditEvent | None = None
    last: AuditEvent | None = None
    late: int = 0
    is_gap_recorded: bool = False
    left: Literal["limit", "until"] | None = None
    outcome: IdentityOutcome | None = None

    @classmethod
    def of(
        cls,
        identity_id: str,
        before: Standing,
        *,
        since: datetime | None,
        began: float,
        span: timedelta,
        scope: str,
    ) -> "OpenLog":
        """Return the log of an identity whose read is about to begin.

        Args:
            identity_id: The identity's id.
            before: The identity's state after earlier runs.
            since: The ``since`` of the export.
            began: The current time of the event loop's clock.
            span: The length of the look-back.
            scope: The hash of the export.

        Raises:
            CheckpointError: The stored look-back is damaged.
        """
        known = None
        if before.known is not None:
            known = FollowCheckpoint.loads(before.known)
        if before.began is not None:  # this continues an unfinished read
            since = before.since
        elif known is not None and known.floor is not None:
            since = known.floor if since is None else max(since, known.floor)
        look_back = LookBack(
            scope,
            span,
            known=known,
            covered=before.as_of,
            began=before.began,
            counted=before.counted,
            resumes=before.checkpoint is not None,
        )
        return cls(
            identity_id=identity_id,
            before=before,
            since=since,
            began=began,
            look_back=look_back,
        )

    def take(self, events: Sequence[AuditEvent]) -> Sequence[AuditEvent]:
        """Add some rows, and return those that are new.

        Args:
            events: Consecutive rows of the log.
        """
        new = self.look_back.take(events)
        if new:
            self.events += len(new)
            self.first = self.first or new[0]
            self.last = new[-1]
        return new

    def entry(self, checkpoint: Checkpoint | None) -> IdentityEntry:
        """Return the identity's entry in a commit while its read continues.

        Raises:
            CheckpointError: Too many events share one instant to store their ids.
        """
        said = self._counted()
        if checkpoint is None or checkpoint.key is None:
            return self._with_old_state(said)
        proof = checkpoint.proof if checkpoint.proof in _PROVEN_SO_FAR else Proof.NONE
        said = attrs.evolve(said, proof=self.before.proof_with(proof))
        if checkpoint.order == "asc":
            # The next read starts at the look-back, not at the checkpoint, as events
            # may be committed late before the checkpoint.
            return attrs.evolve(
                said,
                known=self.look_back.known_so_far().dumps(),
                gap=self._gap(self.look_back.gap_so_far),
            )
        return attrs.evolve(
            said,
            checkpoint=checkpoint.dumps(),
            since=self.since,
            began=self.look_back.began,
            known=self.look_back.all_known().dumps(),
        )

    def last_entry(
        self, outcome: IdentityOutcome, began: datetime, *, goes_on: bool
    ) -> IdentityEntry:
        """Return the identity's entry in a commit after its read has ended.

        Args:
            outcome: The outcome of the read.
            began: The begin of the read, by the server's clock.
            goes_on: Whether later runs add new events to the export.

        Raises:
            CheckpointError: Too many events share one instant to store their ids.
        """
        if self.look_back.began is None:
            self.look_back.began = began
        error, report = outcome.error, outcome.report
        if error is not None:
            failed = self.entry(outcome.checkpoint)
            return attrs.evolve(failed, state="failed", error=Failure.of(error))
        read_proof = Proof.NONE if report is None else report.proof
        proof = self.before.proof_with(read_proof)
        is_complete = report is not None and report.complete
        recorded_proof = proof if is_complete else Proof.NONE
        if self.left == "limit":
            return attrs.evolve(self.entry(outcome.checkpoint), proof=recorded_proof)
        if self.left == "until":
            return attrs.evolve(
                self._counted(), proof=recorded_proof, known=self._known_at_end()
            )
        return attrs.evolve(
            self._counted(),
            state="done",
            complete=self.is_proven_by(outcome),
            proof=recorded_proof,
            as_of=self.look_back.began,
            counted=None if report is None else report.expected,
            known=self._known_at_end() if goes_on else None,
            gap=self._gap(self.look_back.gap),
        )

    def is_proven_by(self, outcome: IdentityOutcome) -> bool:
        """Tell whether this read and those before it prove the log complete."""
        report = outcome.report
        if outcome.error is not None or report is None or not report.complete:
            return False
        return self.before.proof_with(report.proof) is not Proof.NONE

    def is_unchanged(self, entry: IdentityEntry) -> bool:
        """Tell whether the entry of an ended read equals the state before the read."""
        return (
            self.before.state == entry.state == "done"
            and entry.complete == (self.before.proof is not Proof.NONE)
            and entry.proof is self.before.proof
            and not entry.events
            and entry.gap is None
            and entry.known == self.before.known
        )

    def note_begin(self, began: datetime, *, is_told: bool) -> None:
        """Set the begin of the read, unless it is known.

        Args:
            began: The begin, by the server's clock or by this machine's clock.
            is_told: Whether it is by the server's clock.
        """
        self.look_back.is_told = is_told
        if self.look_back.began is None:
            self.look_back.began = began

    def _known_at_end(self) -> str | None:
        known = self.look_back.known()
        return None if known.newest is None else known.dumps()

    def _gap(self, gap: Gap | None) -> Gap | None:
        """Return the gap if it has to be recorded: only once, and not on a resume."""
        return None if self.before.checkpoint or self.is_gap_recorded else gap

    def _counted(self) -> IdentityEntry:
        """Return an entry with the counts since the last commit."""
        late = self.look_back.late - self.late
        return IdentityEntry(
            id=self.identity_id,
            events=self.events,
            first=_mark(self.first),
            last=_mark(self.last),
            late=late,
            state="open",
        )

    def _with_old_state(self, said: IdentityEntry) -> IdentityEntry:
        """Return the entry of a read that has not read any row, with the old state."""
        before = self.before
        return attrs.evolve(
            said,
            proof=before.proof if before.has_rows else Proof.NONE,
            checkpoint=before.checkpoint,
            since=before.since,
            began=before.began,
        )

    def committed(self, entry: IdentityEntry) -> None:
        """Reset the counts after a commit.

        Args:
            entry: The identity's entry in the commit.
        """
        self.events, self.first, self.last = 0, None, None
        self.late = self.look_back.late
        self.is_gap_recorded = self.is_gap_recorded or entry.gap is not None


class Pending:
    """Collects the logs that the next commit has to include.

    Args:
        goes_on: Whether later runs add new events to the export.
        at: Converts a time of the event loop's clock to one of the server's clock.

    Attributes:
        ended: The number of collected logs whose read has ended or failed.
    """

    def __init__(self, *, goes_on: bool, at: Callable[[float], datetime]) -> None:
        self._goes_on: Final = goes_on
        self._at: Final = at
        self._logs: dict[str, OpenLog] = {}
        self.ended = 0

    def __bool__(self) -> bool:
        """Return whether there is anything to commit."""
        return bool(self._logs)

    def add(self, log: OpenLog) -> None:
        """Add a log that has new events."""
        self._logs[log.identity_id] = log

    def end(self, log: OpenLog, outcome: IdentityOutcome) -> None:
        """Add a log whose read has ended or failed."""
        log.outcome = outcome
        self._logs[log.identity_id] = log
        self.ended += 1

    def take(
        self, checkpoints: Mapping[str, Checkpoint | None], now: datetime
    ) -> Commit:
        """Return the commit of all collected logs, and start collecting again.

        Args:
            checkpoints: The checkpoint of each identity whose read continues.
            now: The time of the commit.

        Raises:
            CheckpointError: Too many events share one instant to store their ids. The
                collected logs are kept.
        """
        entries: dict[str, IdentityEntry] = {}
        unchanged: list[OpenLog] = []
        for name, log in self._logs.items():
            if log.outcome is None:
                entries[name] = log.entry(checkpoints[name])
                continue
            began = self._at(log.began)
            entry = log.last_entry(log.outcome, began, goes_on=self._goes_on)
            if log.is_unchanged(entry):
                unchanged.append(log)
            else:
                entries[name] = entry
        for name, entry in entries.items():
            self._logs[name].committed(entry)
        self._logs, self.ended = {}, 0
        begins = [log.look_back.began for log in unchanged]
        return Commit(
            at=now,
            identities=tuple(entries.values()),
            unchanged=tuple(log.identity_id for log in unchanged),
            unchanged_as_of=min(filter(None, begins), default=None),
        )


def _mark(event: AuditEvent | None) -> EventMark | None:
    if event is None:
        return None
    return EventMark(id=event.id, created_at=event.created_at)
