"""New events of one identity or of thousands, exactly once: for bots.

A `Follower` keeps a `Poller` for each identity, whose turns its rota plans. Each
poll reads the tail of a log by the overlap chain, and the watermark knows what of
it was handed out before. A `CheckpointStore` keeps watermarks over restarts.
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
from canopy_async._follow.follow_checkpoint import (
    Batch,
    FollowCheckpoint,
    FollowOutcome,
)
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
