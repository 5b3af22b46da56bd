"""What was handed out and is not committed yet, identity by identity."""

from collections.abc import Mapping

import attrs

from canopy_async.checkpoint import Checkpoint
from canopy_async.export.manifest import EventMark, Failure, IdentityEntry
from canopy_async.identity_events import IdentityBatch, IdentityOutcome
from canopy_async.models import AuditEvent
from canopy_async.report import Proof

__all__ = ["Pending"]


@attrs.define
class _Part:
    """The events of one identity since the last commit, and how it ended."""

    events: int = 0
    first: AuditEvent | None = None
    last: AuditEvent | None = None
    outcome: IdentityOutcome | None = None


class Pending:
    """Collects what the next commit says of the identities it touches.

    Attributes:
        ended: How many of these were read to their end, or failed.
    """

    def __init__(self) -> None:
        self._parts: dict[str, _Part] = {}
        self.ended = 0

    def __bool__(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._parts)

    def add(self, batch: IdentityBatch) -> None:
        """Note events that were handed out."""
        part = self._part(batch.identity_id)
        part.events += len(batch.events)
        if part.first is None:
            part.first = batch.events[0]
        part.last = batch.events[-1]

    def end(self, outcome: IdentityOutcome) -> None:
        """Note that an identity was read to its end, or failed."""
        self._part(outcome.identity_id).outcome = outcome
        self.ended += 1

    def take(
        self,
        checkpoints: Mapping[str, Checkpoint | None],
        before: Mapping[str, str | None],
    ) -> list[IdentityEntry]:
        """Return what there is to commit, and begin anew.

        Args:
            checkpoints: Of those identities that are open.
            before: What the read of each began with, where that was not the start.

        Raises:
            CheckpointError: A checkpoint can't be written down; all is kept.
        """
        entries = [
            _open(name, part, checkpoints[name])
            if part.outcome is None
            else _ended(part, part.outcome, before.get(name))
            for name, part in self._parts.items()
        ]
        self._parts = {}
        self.ended = 0
        return entries

    def _part(self, identity_id: str) -> _Part:
        part = self._parts.get(identity_id)
        if part is None:
            part = self._parts[identity_id] = _Part()
        return part


def _open(name: str, part: _Part, checkpoint: Checkpoint | None) -> IdentityEntry:
    return IdentityEntry(
        id=name,
        events=part.events,
        first=_mark(part.first),
        last=_mark(part.last),
        state="open",
        proof=Proof.NONE if checkpoint is None else checkpoint.proof,
        checkpoint=None if checkpoint is None else checkpoint.dumps(),
    )


def _ended(part: _Part, outcome: IdentityOutcome, before: str | None) -> IdentityEntry:
    error, report, checkpoint = outcome.error, outcome.report, outcome.checkpoint
    made = IdentityEntry(
        id=outcome.identity_id,
        events=part.events,
        first=_mark(part.first),
        last=_mark(part.last),
        state="done",
        complete=report is not None and report.complete,
        proof=Proof.NONE if report is None else report.proof,
    )
    if error is None:
        return made
    has_rows = checkpoint is not None and checkpoint.key is not None
    return attrs.evolve(
        made,
        state="failed",
        complete=False,
        proof=made.proof if has_rows else Proof.NONE,
        # A read that could not even begin knows of no place.
        checkpoint=before if checkpoint is None else checkpoint.dumps(),
        error=Failure(type=type(error).__name__, message=str(error)),
    )


def _mark(event: AuditEvent | None) -> EventMark | None:
    if event is None:
        return None
    return EventMark(id=event.id, created_at=event.created_at)
