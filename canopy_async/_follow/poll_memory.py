"""`PollMemory`: the facts of a log that a follower remembers from poll to poll."""

from datetime import datetime, timedelta

import attrs

from canopy_async._follow.lateness import CountAudit, DeepPollTimer, ServerTime
from canopy_async._util.instants import moved

__all__ = ["PollMemory"]


@attrs.define(eq=False)
class PollMemory:
    """The facts of a log that are remembered from poll to poll, not in checkpoints.

    Attributes:
        deep_polls: When the log is read further back.
        audit: How many events were seen, against how many the server counts.
        time: The time at the server, told by the dates of events.
        covered: When the latest poll began that saw all it looked for, by the server's
            clock; None where that is unknown.
        most: The most events that the server has counted.
        unproven: Polls in a row whose read could not be proven.
        found_more: Whether one of these found ties that one before had passed by.
    """

    deep_polls: DeepPollTimer
    audit: CountAudit = attrs.field(factory=CountAudit)
    time: ServerTime = attrs.field(factory=ServerTime)
    covered: datetime | None = None
    most: int = 0
    unproven: int = 0
    found_more: bool = False

    def note_covered(self, now: datetime | None, *, took: float, count: int) -> None:
        """Note that a read saw all it looked for.

        Args:
            now: The present time by the server's clock, None where unknown.
            took: How many seconds ago the read began.
            count: How many events the server counted.
        """
        self.covered = None if now is None else moved(now, -timedelta(seconds=took))
        self.most = max(self.most, count)

    def note_unproven(self, *, found_more: bool) -> None:
        """Note that a read could not be proven.

        Args:
            found_more: Whether it found ties, beside those that were known.
        """
        self.found_more = self.unproven > 0 and (self.found_more or found_more)
        self.unproven += 1
