"""New events of one identity or of thousands, exactly once: for bots.

A `Follower` has a `Poller` for each identity, and a `Schedule` gives them their turns.
Each poll reads the end of a log by the overlap chain, and a `FollowCheckpoint` tells
which of its events are new. A `CheckpointStore` keeps checkpoints over restarts.

To read the code: `coverage` has the rules that an export goes by as well,
`follow_checkpoint` what is kept of a log. `poll` reads a log newest first, `backlog`
oldest first, and `poller` decides which. `listing` finds the identities, and
`poller_source` makes their pollers. `follow_failures` logs what fails, and `follower`
hands the batches out.
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
