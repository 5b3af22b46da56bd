"""`FollowOutcome`: how an identity ended that was followed until it was caught up."""

import attrs

from canopy_async._follow.follow_checkpoint import FollowCheckpoint
from canopy_async._util.public import publish
from canopy_async.errors import CanopyError
from canopy_async.report import ReadReport

__all__ = ["FollowOutcome"]


@attrs.frozen(kw_only=True)
class FollowOutcome:
    """The end of an identity that was followed with ``until_caught_up``.

    Attributes:
        identity_id: The identity.
        report: The report of its last poll, None where it failed before.
        error: Why it failed, None where it was polled to its end.
        checkpoint: Its checkpoint, None where nothing is known of it.
    """

    identity_id: str
    report: ReadReport | None = None
    error: CanopyError | None = None
    checkpoint: FollowCheckpoint | None = attrs.field(default=None, repr=False)


publish("canopy_async", FollowOutcome)
