"""The retry policy: decides, without any I/O, whether to send a request again."""

from collections.abc import Callable
from http import HTTPStatus
from itertools import islice
from typing import Final

import attrs

from canopy_async._util.arguments import check_callback, check_integer, check_seconds
from canopy_async._util.public import publish
from canopy_async.errors import ApiError, CanopyError, TokenError, TransportError

__all__ = ["COOLDOWN_STATUSES", "RetryPolicy", "full_jitter"]

COOLDOWN_STATUSES: Final = frozenset(
    {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
)
"""The statuses with which a server asks all clients to slow down."""

_RETRIED: Final = COOLDOWN_STATUSES | {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.GATEWAY_TIMEOUT,
}

_LEAST_LEFT: Final = 0.001
"""The least seconds until the deadline that are waited for.

A wait until the deadline may end a moment before it, by rounding. Another wait of so
short a time would be no pause at all."""


# Only the wait generators of backoff are used, not its decorators: the decorators call
# asyncio.iscoroutinefunction, which is deprecated since Python 3.14.


def full_jitter(bound: float) -> float:
    """Return a random wait from 0 to ``bound`` seconds."""
    # Imported here to start faster: most processes never wait.
    import backoff

    return float(backoff.full_jitter(bound))


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """The rules for sending a failed request again: after which waits, and how long.

    Waits grow exponentially with full jitter: the first is a random time up to
    ``base``, the second up to twice ``base``, and so on, never above ``cap``. The
    client never waits less than a server's ``Retry-After`` asks for. No attempt starts
    later than ``deadline`` seconds after the first failure.

    Attributes:
        attempts: The most times that a request is sent; 1 turns retries off. With
            None, only ``deadline`` is a limit.
        base: The longest first wait after a fault, in seconds.
        throttled_base: The longest first wait after a 429 or 503, in seconds.
        cap: The longest wait in seconds, unless the server asks for more.
        max_retry_after: The longest ``Retry-After`` to wait for, in seconds. If the
            server asks for more than this or than ``deadline``, requests fail at once,
            and the session sends none for the time that the server asked for.
        deadline: Seconds after a request's first failure in which attempts may start.
            In an outage, a request that was not sent yet waits at most as long.
        jitter: A function that takes the longest wait and returns the wait, in seconds.

    Raises:
        TypeError: A number has a wrong type, or ``jitter`` can't be called.
        ValueError: ``attempts`` is below 1, or a time is not above 0.

    Example:
        >>> patient = RetryPolicy(deadline=600)  # survives an outage of ten minutes
        >>> quick = RetryPolicy(deadline=3)  # for a web request that has to be quick
    """

    attempts: int | None = None
    base: float = 0.25
    throttled_base: float = 1.0
    cap: float = 10.0
    max_retry_after: float = 60.0
    deadline: float = 60.0
    jitter: Callable[[float], float] = full_jitter

    def __attrs_post_init__(self) -> None:
        """Check each number."""
        if self.attempts is not None:
            check_integer("attempts", self.attempts, minimum=1)
        for name in ("base", "throttled_base", "cap", "max_retry_after", "deadline"):
            check_seconds(name, getattr(self, name))
        check_callback("jitter", self.jitter)

    @property
    def longest_pause(self) -> float:
        """The longest ``Retry-After`` that is waited for, in seconds."""
        return min(self.max_retry_after, self.deadline)

    def delay_for(
        self, error: CanopyError, failures: int, *, elapsed: float = 0.0
    ) -> float | None:
        """Return the seconds to wait before the next attempt, or None to give up.

        Args:
            error: The error of the last attempt.
            failures: The number of failed attempts so far, at least 1.
            elapsed: Seconds since the first failure.
        """
        if self.attempts is not None and failures >= self.attempts:
            return None
        left = self.deadline - elapsed
        if left < _LEAST_LEFT or not _is_transient(error):
            return None
        floor = 0.0
        throttled = False
        if isinstance(error, ApiError):
            floor = error.retry_after or 0.0
            throttled = error.status in COOLDOWN_STATUSES
        if floor > min(self.max_retry_after, left):
            return None
        bound = self._bound(self.throttled_base if throttled else self.base, failures)
        # Jitter is added to the Retry-After, so that not all waiting requests are sent
        # at the same instant.
        extra = self.jitter(min(bound, self.base) if floor else bound)
        return max(floor, min(floor + extra, left))

    def probe_wait(self, failed: int) -> float:
        """Return the seconds to wait before the next probe in an outage.

        Args:
            failed: The number of failed probes in this outage.
        """
        return self.jitter(self._bound(self.base, failed + 1))

    def _bound(self, base: float, failures: int) -> float:
        import backoff

        waits = backoff.expo(factor=base, max_value=self.cap)
        next(waits)  # the first value only starts the generator
        return float(next(islice(waits, failures - 1, None)))


def _is_transient(error: CanopyError) -> bool:
    if isinstance(error, ApiError):
        return error.status in _RETRIED
    if isinstance(error, TokenError):
        return not error.invalid
    return isinstance(error, TransportError) and not error.final


publish("canopy_async", RetryPolicy)
