"""`PollMemory`: the facts of a log that a follower remembers from poll to poll."""

from datetime import datetime, timedelta

import attrs

from canopy_async._follow.lateness import CountAudit, DeepPollTimer, ServerTime
from canopy_async._util.instants import moved

__all__ = ["PollMemory"]


@attrs.define(eq=False)
class PollMemory:
    """The facts of a log that are remembered from poll to poll, but not over restarts.

    Attributes:
        deep_polls: The timer of deep polls.
        audit: The audit of the server's counts.
        time: A lower bound of the server's time, told by the dates of events.
        covered: When the latest poll began that saw all events from its floor on, by
            the server's clock; None where that is unknown.
        most: The most events that the server has counted.
        unproven: How many polls in a row could not be proven.
        found_more: Whether one of these polls found tied events that the polls before
            it had missed.
    """

    deep_polls: DeepPollTimer
    audit: CountAudit = attrs.field(factory=CountAudit)
    time: ServerTime = attrs.field(factory=ServerTime)
    covered: datetime | None = None
    most: int = 0
    unproven: int = 0
    found_more: bool = False

    def note_covered(self, now: datetime | None, *, took: float, count: int) -> None:
        """Note that a poll saw all events from its floor on.

        Args:
            now: The present time by the server's clock, None where unknown.
            took: How many seconds ago the poll began.
            count: How many events the server counted.
        """
        self.covered = None if now is None else moved(now, -timedelta(seconds=took))
        self.most = max(self.most, count)

    def note_unproven(self, *, found_more: bool) -> None:
        """Note that a poll could not be proven.

        Args:
            found_more: Whether it found events that are tied with known ones.
        """
        self.found_more = self.unproven > 0 and (self.found_more or found_more)
        self.unproven += 1
