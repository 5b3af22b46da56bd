"""`Followed`: the identities of a follower: waiting, polled, removed or finished."""

import asyncio
from typing import Final

from canopy_async._follow.follow_checkpoint import FollowCheckpoint
from canopy_async._follow.options import Start
from canopy_async._follow.poller import Poller

__all__ = ["Followed"]


class Followed:
    """The identities of a follower.

    Attributes:
        waiting: The identities that are not polled yet, each with its ``start``.
        pollers: The identities that are polled, each with its poller.
        removed: The identities that were removed; if a listing finds one of them again,
            it is not polled.
        finished: The identities whose logs were read to their end, each with its
            checkpoint, or None where that is not kept.
    """

    def __init__(self) -> None:
        self.waiting: Final[dict[str, Start | None]] = {}
        self.pollers: Final[dict[str, Poller]] = {}
        self.removed: Final[set[str]] = set()
        self.finished: Final[dict[str, FollowCheckpoint | None]] = {}
        self._left: Final = asyncio.Event()

    def __contains__(self, identity_id: str) -> bool:
        """Tell whether an identity is followed, or was until it was caught up."""
        return (
            identity_id in self.pollers
            or identity_id in self.waiting
            or identity_id in self.finished
        )

    @property
    def ids(self) -> tuple[str, ...]:
        """The identities that are polled, and those that are waiting."""
        return (*self.pollers, *self.waiting)

    @property
    def is_empty(self) -> bool:
        """Whether no identity is polled, and none is waiting."""
        return not self.pollers and not self.waiting

    @property
    def checkpoints(self) -> dict[str, FollowCheckpoint]:
        """The checkpoints of those polled to their end, if kept, and of the others."""
        known = {name: at for name, at in self.finished.items() if at is not None}
        for identity_id, poller in self.pollers.items():
            if poller.checkpoint is not None:
                known[identity_id] = poller.checkpoint
        return known

    def has(self, poller: Poller) -> bool:
        """Tell whether a poller is still the present poller of its identity."""
        return self.pollers.get(poller.identity_id) is poller

    def remove(self, identity_id: str) -> Poller | None:
        """Follow an identity no longer; return its poller, None where it had none."""
        self.removed.add(identity_id)
        self.waiting.pop(identity_id, None)
        poller = self.pollers.pop(identity_id, None)
        self._left.set()
        return poller

    def finish(self, identity_id: str, kept: FollowCheckpoint | None) -> None:
        """Note that an identity was polled to its end, or failed for good.

        Args:
            identity_id: The identity.
            kept: Its checkpoint, None to keep none.
        """
        del self.pollers[identity_id]
        self.finished[identity_id] = kept
        self._left.set()

    async def wait_for_fewer(self, most: int) -> None:
        """Wait until fewer than ``most`` identities are polled."""
        while len(self.pollers) >= most:
            self._left.clear()
            await self._left.wait()
