"""The parts of one giant log, which count only one after the other."""

from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from canopy_async.checkpoint import Checkpoint
from canopy_async.distributed.records import Record
from canopy_async.distributed.work import Outcome, Work
from canopy_async.export.manifest import IdentityEntry
from canopy_async.report import Proof, weakest

__all__ = ["LogParts"]


class LogParts:
    """The parts of what is left of a log, in the order of time.

    A manifest can only say how far a log was read from its beginning. So a part
    is adopted once all parts before it were; where one fails, the log stands
    there, and those after it are dropped.

    Args:
        parts: What was split up.
        place: The checkpoint that the first of them begins at.
    """

    def __init__(self, parts: Sequence[Work], place: str) -> None:
        self._parts: Final = list(parts)
        self._ended: Final[dict[int, Outcome]] = {}
        self._place = place
        self._proof = Checkpoint.loads(place).proof
        self._has_failed = False

    @property
    def has_failed(self) -> bool:
        """Whether a part that was adopted, or was to be, could not be read."""
        return self._has_failed

    def end(self, part: Work, outcome: Outcome) -> None:
        """Take note of what was read of a part."""
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

    def ready(self) -> Iterator[Record]:
        """Yield what may be adopted by now, as the manifest is to say it."""
        while self._parts and self._parts[0].number in self._ended:
            if self._has_failed:
                return
            outcome = self._ended.pop(self._parts.pop(0).number)
            self._has_failed = bool(outcome.failures)
            if outcome.record is not None:
                yield self._joined(outcome.record)
            self._proof = weakest((self._proof, outcome.proof))

    def _joined(self, record: Record) -> Record:
        """Return a record that also stands for the parts before it."""
        commits = [
            attrs.evolve(commit, identities=tuple(map(self._said, commit.identities)))
            for commit in record.commits
        ]
        return attrs.evolve(record, commits=tuple(commits))

    def _said(self, entry: IdentityEntry) -> IdentityEntry:
        proof = weakest((self._proof, entry.proof))
        if entry.state == "done":
            complete = entry.complete and proof is not Proof.NONE
            return attrs.evolve(entry, proof=proof, complete=complete)
        if entry.checkpoint is not None:
            place = Checkpoint.loads(entry.checkpoint)
            weaker = weakest((self._proof, place.proof))
            self._place = attrs.evolve(place, proof=weaker).dumps()
        return attrs.evolve(entry, proof=proof, checkpoint=self._place)
