"""The sources of checkpoints: where a follower finds what it has seen before."""

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeAlias, runtime_checkable

from canopy_async._follow.follow_checkpoint import FollowCheckpoint

__all__ = ["CheckpointSource", "FirstRunSource", "SavedCheckpoint"]

SavedCheckpoint: TypeAlias = FollowCheckpoint | str | None
"""A checkpoint, or its text; None for an identity that was there and has none."""


class CheckpointSource(Protocol):
    """A source of checkpoints to begin from, such as a `CheckpointStore`."""

    async def load(self) -> Mapping[str, FollowCheckpoint]:
        """Return the checkpoint of each identity that has one."""
        ...


@runtime_checkable
class FirstRunSource(CheckpointSource, Protocol):
    """A `CheckpointSource` that also remembers the first run.

    On the first run ``start`` decides where identities begin; one that appears later
    begins at its beginning. So it must be known which identities were there on
    the first run and have no checkpoint yet, since it may have ended before they had.
    """

    async def load_first_run(self) -> frozenset[str] | None:
        """Return the identities of the first run that have no checkpoint.

        Returns:
            None while the first run goes on: it has not listed them all.
        """
        ...

    async def save_first_run(self, identity_ids: Iterable[str]) -> None:
        """Save that these were there on the first run, and no others."""
        ...
