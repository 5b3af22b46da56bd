"""Where to begin with each identity: its checkpoint, ``start``, or its first event."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from canopy_async._follow.checkpoint_source import (
    CheckpointSource,
    FirstRunSource,
    SavedCheckpoint,
)
from canopy_async._follow.follow_checkpoint import FollowCheckpoint
from canopy_async._follow.options import BEGINNING, Start
from canopy_async.errors import CheckpointError

__all__ = ["Beginnings"]


class Beginnings:
    """Knows where each identity begins.

    An identity with a checkpoint goes on from the checkpoint. An identity without one
    begins at ``start`` if it was there on the first run. If it appeared later, while a
    follower ran or while none did, it begins with its first event.

    The first run lasts until the identities were listed once. A `FirstRunSource`
    remembers that, together with the identities that had no checkpoint then. For any
    other source, it is the first run if the source has no identities; if it has some,
    each identity that it does not have appeared later. An identity that a mapping has
    with None was there on the first run.

    Args:
        checkpoints: A mapping from identity ids to checkpoints, an object with
            ``load``, or None.
        start: Where identities begin that were there on the first run.

    Raises:
        TypeError: ``checkpoints`` is something else.
    """

    def __init__(self, checkpoints: Any, start: Start) -> None:
        is_mapping = isinstance(checkpoints, Mapping)
        if not (is_mapping or checkpoints is None or hasattr(checkpoints, "load")):
            raise TypeError("checkpoints must map identity ids, or have load()")
        self._source: Final[CheckpointSource | None] = (
            None if is_mapping else checkpoints
        )
        self._saved: Mapping[str, SavedCheckpoint] = checkpoints if is_mapping else {}
        self._start: Final = start
        self._kept: Final[dict[str, FollowCheckpoint | None]] = {}
        self._is_first_run = True
        self._of_first_run: frozenset[str] = frozenset()

    async def load(self) -> None:
        """Read the source of checkpoints, if there is one.

        Raises:
            CheckpointError: The source can't be read.
        """
        if self._source is not None:
            self._saved = await self._source.load()
        self._is_first_run = not self._saved
        if isinstance(self._source, FirstRunSource):
            listed = await self._source.load_first_run()
            self._is_first_run = listed is None
            self._of_first_run = frozenset() if listed is None else listed

    async def listed(self, identity_ids: Iterable[str]) -> None:
        """Note all the identities that are there on this run."""
        if not self._is_first_run:
            return
        self._is_first_run = False
        self._of_first_run = frozenset(identity_ids)
        if isinstance(self._source, FirstRunSource):
            at_start = () if self._start == BEGINNING else self._of_first_run
            await self._source.save_first_run(at_start)

    def keep(self, identity_id: str, checkpoint: FollowCheckpoint | None) -> None:
        """Keep the checkpoint of a removed identity, in case it is added again."""
        self._kept[identity_id] = checkpoint

    def start_of(self, identity_id: str) -> Start:
        """Return where an identity begins if it has no checkpoint."""
        is_known = identity_id in self._kept or identity_id in self._saved
        if is_known or self._is_first_run or identity_id in self._of_first_run:
            return self._start
        return BEGINNING

    def checkpoint_of(self, identity_id: str, scope: str) -> FollowCheckpoint | None:
        """Return the checkpoint of an identity, None where there is none.

        Args:
            identity_id: The identity.
            scope: The hash of the identity's log.

        Raises:
            CheckpointError: The checkpoint is damaged, or of another log.
        """
        saved: SavedCheckpoint = self._kept.get(identity_id)
        if saved is None:
            saved = self._saved.get(identity_id)
        if saved is None:
            return None
        if not isinstance(saved, FollowCheckpoint):
            saved = FollowCheckpoint.loads(saved)
        if saved.scope != scope:
            raise CheckpointError(
                f"the checkpoint of {identity_id!r} is of another log: server,"
                " account, identity and q must be the same"
            )
        return saved
