"""New events of one identity or of thousands, exactly once: for bots.

A `Follower` keeps a `Poller` for each identity, whose turns its rota plans. Each
poll reads the tail of a log by the overlap chain, and the watermark knows what of
it was handed out before. A `CheckpointStore` keeps watermarks over restarts.
"""

from canopy_async.follow.discovery import Identities
from canopy_async.follow.follower import Follower
from canopy_async.follow.polling import FollowOptions, Start
from canopy_async.follow.store import CheckpointStore
from canopy_async.follow.watermark import (
    Batch,
    CheckpointSource,
    FirstRunSource,
    FollowCheckpoint,
    FollowOutcome,
    Gap,
    SavedCheckpoint,
)

__all__ = [
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
