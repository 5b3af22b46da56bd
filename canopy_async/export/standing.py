"""The state of each identity of an export, as recorded in its manifest."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

import attrs
import msgspec

from canopy_async.export.manifest_records import (
    Commit,
    Failure,
    IdentityEntry,
    IdentityState,
)
from canopy_async.report import Proof, weakest

__all__ = ["NEW", "Standing", "Standings"]

_FINGERPRINT: Final = 16


@attrs.frozen(kw_only=True)
class Standing:
    """The state of one identity after the commits so far.

    Attributes:
        state: The state of its log after the last read.
        proof: The weakest proof of its rows in the files.
        as_of: The instant up to which its log is covered; None if the log was never
            read to its end.
        known: The known events of its look-back, as text of a `FollowCheckpoint`.
        checkpoint: The checkpoint to resume from, as text; None if the next read
            starts at the look-back.
        since: The ``since`` of the read to resume.
        began: The begin of the read to resume, by the server's clock; None if there is
            no such read.
        counted: The most events that the server has counted in its log; None where it
            has said nothing.
    """

    state: IdentityState = "open"
    proof: Proof = Proof.STRICT_KEY
    as_of: datetime | None = None
    known: str | None = None
    checkpoint: str | None = None
    since: datetime | None = None
    began: datetime | None = None
    counted: int | None = None

    def after(self, entry: IdentityEntry) -> "Standing":
        """Return the state of the identity after a further commit."""
        has_rows = entry.events or entry.as_of or self.has_rows
        return Standing(
            state=entry.state,
            proof=entry.proof if has_rows else Proof.STRICT_KEY,
            as_of=entry.as_of or self.as_of,
            known=entry.known or self.known,
            checkpoint=entry.checkpoint,
            since=entry.since,
            began=entry.began,
            counted=max(filter(None, (self.counted, entry.counted)), default=None),
        )

    @property
    def has_rows(self) -> bool:
        """Whether the files may have rows of the identity; ``proof`` is about these."""
        return bool(self.known or self.checkpoint or self.as_of)

    @property
    def fingerprint(self) -> str:
        """A hash of all attributes."""
        encoded = msgspec.json.encode(self)
        return hashlib.sha256(encoded).hexdigest()[:_FINGERPRINT]

    def failed(self, identity_id: str, error: BaseException) -> IdentityEntry:
        """Return the entry of an identity whose log could not be read at all."""
        return attrs.evolve(
            self.gone(identity_id),
            state="failed",
            complete=False,
            as_of=None,
            error=Failure.of(error),
        )

    def gone(self, identity_id: str) -> IdentityEntry:
        """Return the entry of an identity that the account no longer lists."""
        return IdentityEntry(
            id=identity_id,
            events=0,
            state="gone",
            complete=self.state == "done" and self.proof is not Proof.NONE,
            proof=self.proof if self.has_rows else Proof.NONE,
            as_of=self.as_of,
            checkpoint=self.checkpoint,
            since=self.since,
            began=self.began,
        )

    def proof_with(self, proof: Proof) -> Proof:
        """Return the weakest proof of all rows, including those of one more read."""
        return weakest((self.proof, proof)) if self.has_rows else proof


NEW: Final = Standing()
"""The state of an identity that was never read."""


_NONE: Final[Mapping[str, Standing]] = {}


class Standings(Mapping[str, Standing]):
    """The states of all identities after the commits so far, by id.

    Args:
        known: States to start with.
    """

    def __init__(self, known: Mapping[str, Standing] = _NONE) -> None:
        self._standings: Final[dict[str, Standing]] = dict(known)

    def __getitem__(self, identity_id: str) -> Standing:
        """Return the state of an identity.

        Raises:
            KeyError: The identity was never read.
        """
        return self._standings[identity_id]

    def __iter__(self) -> Iterator[str]:
        """Yield the ids, in the order of their first commit."""
        return iter(self._standings)

    def __len__(self) -> int:
        """Return the number of identities that were read before."""
        return len(self._standings)

    def of(self, identity_id: str) -> Standing:
        """Return the state of an identity; `NEW` if it was never read."""
        return self._standings.get(identity_id, NEW)

    def add(self, commit: Commit) -> None:
        """Update the states with a commit."""
        for entry in commit.identities:
            self._standings[entry.id] = self.of(entry.id).after(entry)
        for name in commit.unchanged:
            self._standings[name] = attrs.evolve(
                self.of(name), as_of=commit.unchanged_as_of
            )
