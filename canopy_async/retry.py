"""The retry policy: when a failed request is sent again, a pure decision."""

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
"""Answers by which a server asks everybody to slow down."""

_RETRIED: Final = COOLDOWN_STATUSES | {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.GATEWAY_TIMEOUT,
}


# Only the waits of backoff are used here, never its decorators: these call
# asyncio.iscoroutinefunction, which is deprecated from Python 3.14 on.


def full_jitter(bound: float) -> float:
    """Return a random wait of up to ``bound`` seconds."""
    # Imported where it is needed, as most processes never wait.
    import backoff

    return float(backoff.full_jitter(bound))


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """The rules for sending one GET again: how long, and after which waits.

    Waits grow exponentially with full jitter: a random time up to ``base``,
    twice that, and so on up to ``cap``. A server's ``Retry-After`` is a floor
    under the wait and is never shortened. The last attempt starts ``deadline``
    seconds after the first failure at the latest.

    Attributes:
        attempts: How often a request is sent at most; 1 turns retries off, None
            sets no limit but ``deadline``.
        base: Seconds of the first wait at most, after a fault.
        throttled_base: Seconds of the first wait at most, after a 429 or 503.
        cap: Seconds of any wait at most, unless the server asks for more.
        max_retry_after: Seconds that a server may ask for. If it asks for more, or
            for more than ``deadline``, the session sends nothing for as long as
            was asked, and its requests fail at once.
        deadline: Seconds after a request's first failure past which no attempt
            starts. In an outage, requests that were not sent yet wait for so long.
        jitter: Maps the upper bound of a wait to the wait.

    Raises:
        TypeError: A number is none, or ``jitter`` can't be called.
        ValueError: ``attempts`` is below 1, or a time is not above 0.

    Example:
        >>> patient = RetryPolicy(deadline=600)  # outlasts ten minutes
        >>> quick = RetryPolicy(deadline=3)  # for the handler of a web request
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
        """Seconds of a ``Retry-After`` that are waited for at most."""
        return min(self.max_retry_after, self.deadline)

    def delay_for(
        self, error: CanopyError, failures: int, *, elapsed: float = 0.0
    ) -> float | None:
        """Return how long to wait before the next attempt, or None to give up.

        Args:
            error: What the attempt ended with.
            failures: How many attempts have failed, 1 after the first.
            elapsed: Seconds since the first failure.

        Returns:
            Seconds, or None where the error is final.
        """
        if self.attempts is not None and failures >= self.attempts:
            return None
        left = self.deadline - elapsed
        if left <= 0 or not _may_pass(error):
            return None
        floor = 0.0
        throttled = False
        if isinstance(error, ApiError):
            floor = error.retry_after or 0.0
            throttled = error.status in COOLDOWN_STATUSES
        if floor > min(self.max_retry_after, left):
            return None
        bound = self._bound(self.throttled_base if throttled else self.base, failures)
        # Jitter goes on top of what the server asked for, so that the waiters
        # do not all come back at the same instant.
        extra = self.jitter(min(bound, self.base) if floor else bound)
        return max(floor, min(floor + extra, left))

    def probe_wait(self, failed: int) -> float:
        """Return how long to wait before a probe of an outage.

        Args:
            failed: How many probes of it have failed.
        """
        return self.jitter(self._bound(self.base, failed + 1))

    def _bound(self, base: float, failures: int) -> float:
        import backoff

        waits = backoff.expo(factor=base, max_value=self.cap)
        next(waits)  # the first value only starts the generator
        return float(next(islice(waits, failures - 1, None)))


def _may_pass(error: CanopyError) -> bool:
    if isinstance(error, ApiError):
        return error.status in _RETRIED
    if isinstance(error, TokenError):
        return not error.invalid
    return isinstance(error, TransportError) and not error.final


publish("canopy_async", RetryPolicy)
