"""The sources of checkpoints, from which a follower goes on after a restart."""

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeAlias, runtime_checkable

from canopy_async._follow.follow_checkpoint import FollowCheckpoint

__all__ = ["CheckpointSource", "FirstRunSource", "SavedCheckpoint"]

SavedCheckpoint: TypeAlias = FollowCheckpoint | str | None
"""A checkpoint, or its text; None for an identity that was there on the first run, and
has no checkpoint yet."""


class CheckpointSource(Protocol):
    """A source of checkpoints to begin from, such as a `CheckpointStore`."""

    async def load(self) -> Mapping[str, FollowCheckpoint]:
        """Return the checkpoint of each identity that has one."""
        ...


@runtime_checkable
class FirstRunSource(CheckpointSource, Protocol):
    """A `CheckpointSource` that also remembers the first run.

    Identities that are there on the first run begin at ``start``. An identity that
    appears later begins with its first event. The first run may end before each
    identity has a checkpoint, so the source remembers which identities were there.
    """

    async def load_first_run(self) -> frozenset[str] | None:
        """Return the identities of the first run that have no checkpoint.

        Returns:
            The ids, None while the first run goes on and has not listed all identities.
        """
        ...

    async def save_first_run(self, identity_ids: Iterable[str]) -> None:
        """Save that these identities were there on the first run, and no others."""
        ...
