"""The server's clock, as the driver knows it: from what tasks tell at their end."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

__all__ = ["DriverClock"]


class DriverClock:
    """The server's clock, as far as a task has told it; else that of the machine.

    What a task tells has taken a while to come here. So of all that was told, what
    puts the clock forward most is nearest to the truth.

    Args:
        monotonic: Seconds that only go forward.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._zero: datetime | None = None

    def note(self, server_time: datetime | None) -> None:
        """Learn what time it was, at the latest a moment ago."""
        if server_time is None:
            return
        zero = server_time - timedelta(seconds=self._monotonic())
        self._zero = zero if self._zero is None else max(self._zero, zero)

    def now(self) -> datetime:
        """Return what time it is."""
        return self.told_at(self._monotonic()) or datetime.now(UTC)

    def told_at(self, seconds: float) -> datetime | None:
        """Return what time it was by the server's clock; None where nobody told."""
        return None if self._zero is None else self._zero + timedelta(seconds=seconds)
