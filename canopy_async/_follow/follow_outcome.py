"""`FollowOutcome`: how following one identity ended, with ``until_caught_up``."""

import attrs

from canopy_async._follow.follow_checkpoint import FollowCheckpoint
from canopy_async._util.public import publish
from canopy_async.errors import CanopyError
from canopy_async.report import ReadReport

__all__ = ["FollowOutcome"]


@attrs.frozen(kw_only=True)
class FollowOutcome:
    """The end of following one identity, with ``until_caught_up``.

    Attributes:
        identity_id: The identity.
        report: The report of the last poll, None where that poll failed.
        error: The error of the poll that failed, None where the log was read to its
            end.
        checkpoint: The checkpoint after the events that were handed out, None where
            there is none.
    """

    identity_id: str
    report: ReadReport | None = None
    error: CanopyError | None = None
    checkpoint: FollowCheckpoint | None = attrs.field(default=None, repr=False)


publish("canopy_async", FollowOutcome)
