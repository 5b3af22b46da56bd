"""The parts of one giant log, which count only one after the other."""

from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from canopy_async._follow.follow_checkpoint import FollowCheckpoint
from canopy_async.distributed.task_records import Record
from canopy_async.distributed.work import Outcome, Work
from canopy_async.errors import CheckpointError
from canopy_async.export.look_back import joined
from canopy_async.export.manifest_records import Commit, IdentityEntry
from canopy_async.report import Proof, weakest

__all__ = ["LogParts"]


class LogParts:
    """The parts of what is left of a log, in the order of time.

    A manifest can only say how far a log was read from its beginning. So a part
    is adopted once all parts before it were; where one fails, the log stands
    there, and those after it are dropped.

    All parts belong to one read of the log, which began when the first of its
    tasks did: each part counts what is late from there, and its own look-back
    begins before its own newest event. So what the log's look-back knows is what
    the look-backs of the parts know together, from where the last of them begins.

    Args:
        parts: The tasks of the parts.
        entry: The manifest's latest entry of the log, where it was left.
    """

    def __init__(self, parts: Sequence[Work], entry: IdentityEntry) -> None:
        self._parts: Final = list(parts)
        self._ended: Final[dict[int, Outcome]] = {}
        self._known = FollowCheckpoint(scope="")
        if entry.known is not None:
            self._known = FollowCheckpoint.loads(entry.known)
        self._proof = entry.proof
        self._has_failed = False

    @property
    def has_failed(self) -> bool:
        """Whether a part that was adopted, or was to be, could not be read."""
        return self._has_failed

    def end(self, part: Work, outcome: Outcome) -> None:
        """Note the outcome of a part."""
        self._ended[part.number] = outcome

    def split(self, part: Work, parts: Sequence[Work]) -> None:
        """Put what is left of a part right after it."""
        at = self._parts.index(part) + 1
        self._parts[at:at] = parts

    def drop(self) -> tuple[Work, ...]:
        """Give up what has not been adopted yet, and return it."""
        dropped = tuple(self._parts)
        self._parts.clear()
        return dropped

    def ready(self) -> Iterator[Outcome]:
        """Yield what counts by now, its record as the manifest is to say it.

        Raises:
            CheckpointError: While iterating: so many events share one instant that
                what is known can't be written down in the middle of it. Nothing
                more is yielded then.
        """
        while self._parts and self._parts[0].number in self._ended:
            if self._has_failed:
                return
            outcome = self._ended.pop(self._parts.pop(0).number)
            self._has_failed = bool(outcome.failures)
            record = outcome.record
            if record is not None:
                outcome = attrs.evolve(outcome, record=self._joined(outcome, record))
            yield outcome
            self._proof = weakest((self._proof, outcome.proof))

    def _joined(self, outcome: Outcome, record: Record) -> Record:
        """Return a record that also stands for the parts before it."""
        commits = [self._with_parts_before(commit) for commit in record.commits]
        # At its end, nothing is left of a part; before that, events may be left
        # beside those that are known, and their number must not hide them.
        for commit in commits if outcome.rests else commits[:-1]:
            if any(map(_passes_by, commit.identities)):
                self._has_failed = True
                raise CheckpointError("too many events share one instant to be named")
        return attrs.evolve(record, commits=tuple(commits))

    def _with_parts_before(self, commit: Commit) -> Commit:
        said = tuple(map(self._said, commit.identities))
        return attrs.evolve(commit, identities=said)

    def _said(self, entry: IdentityEntry) -> IdentityEntry:
        # What a part of a log is gone on with is no place of the whole log, and
        # whether there is a gap was found out before the log was split.
        entry = attrs.evolve(entry, checkpoint=None, since=None, began=None, gap=None)
        if entry.known is not None:
            self._known = joined(self._known, FollowCheckpoint.loads(entry.known))
        if entry.state == "done":
            return self._last(entry)
        if entry.known is None:  # no row was read yet
            return attrs.evolve(entry, proof=self._proof)
        return attrs.evolve(
            entry,
            proof=weakest((self._proof, entry.proof)),
            known=self._known.dumps(),
        )

    def _last(self, entry: IdentityEntry) -> IdentityEntry:
        """Return what is said of the whole log at its end."""
        proof = weakest((self._proof, entry.proof))
        complete = entry.complete and proof is not Proof.NONE
        known = self._known.dumps() if entry.known is not None else None
        return attrs.evolve(entry, proof=proof, complete=complete, known=known)


def _passes_by(entry: IdentityEntry) -> bool:
    """Tell whether a read that goes on begins behind the newest event."""
    if entry.known is None:
        return False
    known = FollowCheckpoint.loads(entry.known)
    newest, floor = known.newest, known.floor
    return newest is not None and floor is not None and floor > newest
