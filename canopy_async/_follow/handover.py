"""`Handover`: a batch on its way to the reader of a follower."""

import attrs

from canopy_async._follow.follow_checkpoint import Batch, FollowCheckpoint
from canopy_async._follow.poller import Poller

__all__ = ["Handover"]


@attrs.define(eq=False)
class Handover:
    """A batch on its way to the reader.

    Attributes:
        poller: The poller that has made the batch.
        batch: The batch.
        before: The checkpoint before the batch.
        handed: How many events of the batch were handed out.
    """

    poller: Poller
    batch: Batch
    before: FollowCheckpoint
    handed: int = 0

    @property
    def checkpoint(self) -> FollowCheckpoint:
        """The checkpoint after the events of the batch that were handed out."""
        if self.handed == len(self.batch.events):
            return self.batch.checkpoint
        return self.before.after(self.batch.events[: self.handed])
