"""Pending rows: handed out and not committed yet, identity by identity."""

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
"""What proves each row of a read before the read is at its end."""


@attrs.define(eq=False, kw_only=True)
class OpenLog:
    """One identity while its log is read.

    Attributes:
        identity_id: Whose log it is.
        before: Where it stood when the read began.
        since: The ``since`` of the read.
        began: When the read began, by the loop's clock.
        look_back: What is new in it, and what the next read has to know.
        events: How many new events there are since the last commit.
        first: The first of these.
        last: The last of these.
        late: How many late events were committed.
        is_gap_told: Whether a commit has said that events may be missing.
        left: Why another read is to go on with the log: ``limit``, so many events
            were read, ``until``, it was read to an instant before its end; None
            where it was read to its end.
        outcome: How the read ended, None while it goes on.
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
    is_gap_told: bool = False
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
        """Return the log of an identity whose read is to begin.

        Args:
            identity_id: Whose log it is.
            before: Where it stands.
            since: The earliest instant that the export wants.
            began: The loop's clock.
            span: How long the look-back is.
            scope: The hash of the export.

        Raises:
            CheckpointError: What is known of it can't be read.
        """
        known = None
        if before.known is not None:
            known = FollowCheckpoint.loads(before.known)
        if before.began is not None:  # a read that is gone on with
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
        """Return the new ones of some events, and take note of them.

        Args:
            events: Rows that follow each other in the log.
        """
        new = self.look_back.take(events)
        if new:
            self.events += len(new)
            self.first = self.first or new[0]
            self.last = new[-1]
        return new

    def entry(self, checkpoint: Checkpoint | None) -> IdentityEntry:
        """Return what a commit says of the identity while its read goes on.

        Raises:
            CheckpointError: Too many events share one instant to be named.
        """
        said = self._counted()
        if checkpoint is None or checkpoint.key is None:
            return self._as_before(said)
        proof = checkpoint.proof if checkpoint.proof in _PROVEN_SO_FAR else Proof.NONE
        said = attrs.evolve(said, proof=self.before.proof_with(proof))
        if checkpoint.order == "asc":
            # It is gone on with from its look-back: behind the place where a read
            # stopped, events may be committed late.
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
        """Return what a commit says of the identity once its read has ended.

        Args:
            outcome: How it ended.
            began: When the read began, by the server's clock.
            goes_on: Whether another run is to add what comes then.

        Raises:
            CheckpointError: Too many events share one instant to be named.
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
        said_proof = proof if is_complete else Proof.NONE
        if self.left == "limit":
            return attrs.evolve(self.entry(outcome.checkpoint), proof=said_proof)
        if self.left == "until":
            return attrs.evolve(
                self._counted(), proof=said_proof, known=self._known_at_end()
            )
        return attrs.evolve(
            self._counted(),
            state="done",
            complete=self.is_proven_by(outcome),
            proof=said_proof,
            as_of=self.look_back.began,
            counted=None if report is None else report.expected,
            known=self._known_at_end() if goes_on else None,
            gap=self._gap(self.look_back.gap),
        )

    def is_proven_by(self, outcome: IdentityOutcome) -> bool:
        """Tell whether all of the log is proven, by a read and by those before it."""
        report = outcome.report
        if outcome.error is not None or report is None or not report.complete:
            return False
        return self.before.proof_with(report.proof) is not Proof.NONE

    def is_unchanged(self, entry: IdentityEntry) -> bool:
        """Tell whether a last entry says nothing but that the log was read again."""
        return (
            self.before.state == entry.state == "done"
            and entry.complete == (self.before.proof is not Proof.NONE)
            and entry.proof is self.before.proof
            and not entry.events
            and entry.gap is None
            and entry.known == self.before.known
        )

    def note_begin(self, began: datetime, *, is_told: bool) -> None:
        """Take note of when the read began.

        Args:
            began: When, by the server's clock, or by this machine's.
            is_told: Whether it is the server's.
        """
        self.look_back.is_told = is_told
        if self.look_back.began is None:
            self.look_back.began = began

    def _known_at_end(self) -> str | None:
        known = self.look_back.known()
        return None if known.newest is None else known.dumps()

    def _gap(self, gap: Gap | None) -> Gap | None:
        """Return a gap that is to be said: once, and by a read that looks back."""
        return None if self.before.checkpoint or self.is_gap_told else gap

    def _counted(self) -> IdentityEntry:
        """Return an entry with what was counted since the last commit."""
        late = self.look_back.late - self.late
        return IdentityEntry(
            id=self.identity_id,
            events=self.events,
            first=_mark(self.first),
            last=_mark(self.last),
            late=late,
            state="open",
        )

    def _as_before(self, said: IdentityEntry) -> IdentityEntry:
        """Return an entry of a read that has not come to any row."""
        before = self.before
        return attrs.evolve(
            said,
            proof=before.proof if before.has_rows else Proof.NONE,
            checkpoint=before.checkpoint,
            since=before.since,
            began=before.began,
        )

    def committed(self, entry: IdentityEntry) -> None:
        """Begin to count anew, after a commit.

        Args:
            entry: What it says of the identity.
        """
        self.events, self.first, self.last = 0, None, None
        self.late = self.look_back.late
        self.is_gap_told = self.is_gap_told or entry.gap is not None


class Pending:
    """Collects what the next commit says of the identities it touches.

    Args:
        goes_on: Whether another run is to add what comes then.
        at: Turns an instant of the loop's clock into one of the server's.

    Attributes:
        ended: How many of the identities were read to their end, or failed.
    """

    def __init__(self, *, goes_on: bool, at: Callable[[float], datetime]) -> None:
        self._goes_on: Final = goes_on
        self._at: Final = at
        self._logs: dict[str, OpenLog] = {}
        self.ended = 0

    def __bool__(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._logs)

    def add(self, log: OpenLog) -> None:
        """Take note of a log that has new events."""
        self._logs[log.identity_id] = log

    def end(self, log: OpenLog, outcome: IdentityOutcome) -> None:
        """Take note that a log was read to its end, or failed."""
        log.outcome = outcome
        self._logs[log.identity_id] = log
        self.ended += 1

    def take(
        self, checkpoints: Mapping[str, Checkpoint | None], now: datetime
    ) -> Commit:
        """Return what there is to commit, and begin anew.

        Args:
            checkpoints: Of those identities that are open.
            now: The time.

        Raises:
            CheckpointError: A place can't be written down; all is kept.
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
