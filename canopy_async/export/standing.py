"""The standing of each identity of an export, by its manifest."""

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
    """The standing of one identity.

    Attributes:
        state: What became of its last read.
        proof: What its rows rest on, the weakest of all.
        as_of: How far its log is covered; None where it was never read to its end.
        known: What its look-back knows, as text.
        checkpoint: Where to go on, as text; None where its look-back says it.
        since: The ``since`` of the read that is gone on with.
        began: When that read began, by the server's clock; None where the next
            one is a read of its own.
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
        """Return where the identity stands after a commit."""
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
        """Whether rows of it may be in the files, which ``proof`` speaks of."""
        return bool(self.known or self.checkpoint or self.as_of)

    @property
    def fingerprint(self) -> str:
        """A hash of all of it."""
        said = msgspec.json.encode(self)
        return hashlib.sha256(said).hexdigest()[:_FINGERPRINT]

    def failed(self, identity_id: str, error: BaseException) -> IdentityEntry:
        """Return what is said of the identity where nothing could be read of it."""
        return attrs.evolve(
            self.gone(identity_id),
            state="failed",
            complete=False,
            as_of=None,
            error=Failure.of(error),
        )

    def gone(self, identity_id: str) -> IdentityEntry:
        """Return what is said of the identity once the account lists it no more."""
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
        """Return what all rows rest on, those of one more read included."""
        return weakest((self.proof, proof)) if self.has_rows else proof


NEW: Final = Standing()
"""The standing of an identity that was not read before."""


_NONE: Final[Mapping[str, Standing]] = {}


class Standings(Mapping[str, Standing]):
    """The standings of all identities, as the manifest has them by now.

    Args:
        known: Those that are known already.
    """

    def __init__(self, known: Mapping[str, Standing] = _NONE) -> None:
        self._standings: Final[dict[str, Standing]] = dict(known)

    def __getitem__(self, identity_id: str) -> Standing:
        """Return where an identity stands.

        Raises:
            KeyError: It was not read before.
        """
        return self._standings[identity_id]

    def __iter__(self) -> Iterator[str]:
        """Yield the ids, in the order of their first commit."""
        return iter(self._standings)

    def __len__(self) -> int:
        """Return how many identities were read before."""
        return len(self._standings)

    def of(self, identity_id: str) -> Standing:
        """Return where an identity stands, also one that was not read before."""
        return self._standings.get(identity_id, NEW)

    def add(self, commit: Commit) -> None:
        """Take note of a commit."""
        for entry in commit.identities:
            self._standings[entry.id] = self.of(entry.id).after(entry)
        for name in commit.unchanged:
            self._standings[name] = attrs.evolve(
                self.of(name), as_of=commit.unchanged_as_of
            )
