"""`PollTimer`: how long to wait between two polls of a log."""

from typing import Final

from canopy_async._follow.options import Pace
from canopy_async._follow.poll_inputs import clock
from canopy_async.errors import CanopyError, NotFoundError

__all__ = ["PollTimer"]

_GONE_SHARE: Final = 0.1
_GONE_EVERY: Final = 3600.0


class PollTimer:
    """The waits between the polls of one log.

    A log that gets no events is polled less and less often, and so is one that fails.

    Args:
        pace: How often it is polled.
    """

    def __init__(self, pace: Pace) -> None:
        self._pace: Final = pace
        self._interval = 0.0
        self._failures = 0
        self._gone_since: float | None = None

    def succeeded(self, *, is_busy: bool) -> float:
        """Return how many seconds to wait after a poll that succeeded.

        Args:
            is_busy: Whether events have come, or may have.
        """
        self._failures = 0
        self._gone_since = None
        if is_busy or not self._interval:
            self._interval = self._pace.every
        else:
            self._interval = self._pace.after_idle(self._interval)
        return self._pace.spread(self._interval)

    def failed(self, error: CanopyError) -> float:
        """Return how many seconds to wait after a poll that failed.

        An identity that the server does not know is polled less and less often: each
        wait is a tenth of the time since it was first missing, and an hour at most.
        """
        self._failures += 1
        # More failures make no longer waits, and the power of two would overflow.
        wait = self._pace.after_failures(min(self._failures, 30))
        if not isinstance(error, NotFoundError):
            self._gone_since = None
        elif self._gone_since is None:
            self._gone_since = clock()
        else:
            gone = clock() - self._gone_since
            wait = max(wait, min(_GONE_SHARE * gone, _GONE_EVERY))
        retry_after: float = getattr(error, "retry_after", None) or 0.0
        return self._pace.spread(max(wait, retry_after))
