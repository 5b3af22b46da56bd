"""`Handover`: a batch on its way to the reader of a follower."""

import attrs

from canopy_async._follow.follow_checkpoint import Batch, FollowCheckpoint
from canopy_async._follow.poller import Poller

__all__ = ["Handover"]


@attrs.define(eq=False)
class Handover:
    """A batch on its way to the reader.

    Attributes:
        poller: The poller that has made it.
        batch: The batch.
        before: The checkpoint before it.
        handed: How many of its events were handed out.
    """

    poller: Poller
    batch: Batch
    before: FollowCheckpoint
    handed: int = 0

    @property
    def checkpoint(self) -> FollowCheckpoint:
        """The checkpoint after those events that were handed out."""
        if self.handed == len(self.batch.events):
            return self.batch.checkpoint
        return self.before.after(self.batch.events[: self.handed])
