"""`SessionStats`: the counters of a session as users see them, and what counts them."""

import attrs

from canopy_async._util.public import publish

__all__ = ["RequestCounters", "SessionStats"]


@attrs.frozen(kw_only=True)
class SessionStats:
    """The counters of a session, and its present limits.

    Attributes:
        requests: Attempts that were sent.
        retries: How many of the attempts were repeats.
        cooldowns: How often the server asked all requests to wait.
        in_flight: Requests in flight now.
        peak_in_flight: The most requests that were in flight at once.
        width: How many may be in flight now; it adapts between 1 and the
            session's ``concurrency``.
        waiting: Requests that wait to be admitted.
        rate: Requests per second that the session keeps to, as the server refused
            more; None if it has refused none.
        outage: Whether the server is away, so that one request at a time probes.
    """

    requests: int = 0
    retries: int = 0
    cooldowns: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    width: int = 0
    waiting: int = 0
    rate: float | None = None
    outage: bool = False


class RequestCounters:
    """The requests of a session, counted as they start and end.

    Attributes:
        sent: Attempts that were sent.
        retries: How many of the attempts were repeats.
        in_flight: Requests in flight now.
        peak: The most requests that were in flight at once.
    """

    def __init__(self) -> None:
        self.sent = 0
        self.retries = 0
        self.in_flight = 0
        self.peak = 0

    def started(self, *, repeated: bool) -> None:
        """Count a request that starts.

        Args:
            repeated: Whether it was sent before.
        """
        self.sent += 1
        self.retries += repeated
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)

    def ended(self) -> None:
        """Count a request that has ended."""
        self.in_flight -= 1


publish("canopy_async", SessionStats)
