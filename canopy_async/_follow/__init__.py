"""New events of one identity or of thousands, exactly once: for bots.

A `Follower` has a `Poller` for each identity, and a `Schedule` that gives the pollers
their turns. A poll reads the newest part of a log by the overlap chain
(`canopy_async._walk`). The identity's `FollowCheckpoint` tells which of the events are
new. A `CheckpointStore` keeps checkpoints over restarts.

**The words.**

- *Date*: an event's ``created_at``.
- *Known*: said of an event whose id is in the checkpoint, because it was handed out.
- *Floor*: the earliest date that a poll reads. The floor of a checkpoint is the
  earliest date from which on the checkpoint has the ids of all events handed out.
- *Ahead*: said of an event that is dated in the future, by the server's clock.
- *Front*: the date around which new events come. It is close to the dates of the events
  that were seen last, and not simply the newest date, as an event may be ahead.
- *Late*: said of an event that is committed after events with newer dates.
- *Deep poll*: a poll that reads from the checkpoint's floor on, to find events that are
  very late. Most polls read from ``overlap`` before the front on.
- *Settled*: said of an event that is so old that no event with an older date is
  expected. With ``settle``, other events are *held back* until then.
- *Backlog*: the events that have come while nobody followed, or before the first poll.
- *Gap*: events may be missing, because the server deleted them before they were read.
- *Witness*: a known event that is still in the log, which shows that there is no gap.

**Where to begin.** `follower` hands the batches to the user. `poller` decides how far
back to read, `poll` reads newest first, and `backlog` oldest first. `follow_checkpoint`
is what is remembered of a log; `coverage` has the rules for that, which an export goes
by, too. `listing` finds the identities, `poller_source` makes their pollers, and
`follow_failures` logs what fails.
"""

from canopy_async._follow.account_follower import AccountFollower
from canopy_async._follow.checkpoint_source import (
    CheckpointSource,
    FirstRunSource,
    SavedCheckpoint,
)
from canopy_async._follow.checkpoint_store import CheckpointStore
from canopy_async._follow.coverage import Gap
from canopy_async._follow.discovery import Identities
from canopy_async._follow.follow_checkpoint import Batch, FollowCheckpoint
from canopy_async._follow.follow_outcome import FollowOutcome
from canopy_async._follow.follower import Follower
from canopy_async._follow.options import FollowOptions, Start

__all__ = [
    "AccountFollower",
    "Batch",
    "CheckpointSource",
    "CheckpointStore",
    "FirstRunSource",
    "FollowCheckpoint",
    "FollowOptions",
    "FollowOutcome",
    "Follower",
    "Gap",
    "Identities",
    "SavedCheckpoint",
    "Start",
]
