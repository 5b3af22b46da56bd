"""When a failed request is sent again: a pure decision, and its waits."""

from collections.abc import Callable
from http import HTTPStatus
from itertools import islice
from typing import Final

import attrs

from canopy_async.arguments import check_integer, check_seconds
from canopy_async.errors import ApiError, CanopyError, TransportError

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


def full_jitter(bound: float) -> float:
    """Return a random wait of up to ``bound`` seconds."""
    # Imported where it is needed, as most processes never wait.
    import backoff  # noqa: PLC0415

    return float(backoff.full_jitter(bound))


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often, and after which waits, one GET is sent again.

    Waits grow exponentially with full jitter: a random time up to ``base``,
    twice that, and so on up to ``cap``. A server's ``Retry-After`` is a floor
    under the wait and is never shortened.

    Attributes:
        attempts: How often a request is sent at most; 1 turns retries off.
        base: Seconds of the first wait at most, after a fault.
        throttled_base: The same after a 429 or 503.
        cap: Seconds of any wait at most, unless the server asks for more.
        max_retry_after: Seconds that a server may ask for; above, the error
            is raised at once.
        deadline: Seconds after a request's first attempt past which no
            attempt starts.
        jitter: Maps the upper bound of a wait to the wait.

    Raises:
        TypeError: A number is none, or ``jitter`` can't be called.
        ValueError: ``attempts`` is below 1, or a time is not above 0.
    """

    attempts: int = 4
    base: float = 0.05
    throttled_base: float = 1.0
    cap: float = 20.0
    max_retry_after: float = 60.0
    deadline: float = 300.0
    jitter: Callable[[float], float] = full_jitter

    def __attrs_post_init__(self) -> None:
        """Check each number."""
        check_integer("attempts", self.attempts, minimum=1)
        for name in ("base", "throttled_base", "cap", "max_retry_after", "deadline"):
            check_seconds(name, getattr(self, name))
        if not callable(self.jitter):
            raise TypeError("jitter must be a function of the upper bound")

    def delay_for(self, error: CanopyError, attempt: int) -> float | None:
        """Return how long to wait before the next attempt, or None to give up.

        Args:
            error: What the attempt ended with.
            attempt: Which attempt that was, 1 for the first.

        Returns:
            Seconds, or None where the error is final.
        """
        if attempt >= self.attempts or not _may_pass(error):
            return None
        floor = 0.0
        throttled = False
        if isinstance(error, ApiError):
            floor = error.retry_after or 0.0
            throttled = error.status in COOLDOWN_STATUSES
        if floor > self.max_retry_after:
            return None
        bound = self._bound(self.throttled_base if throttled else self.base, attempt)
        # Jitter goes on top of what the server asked for, so that the waiters
        # do not all come back at the same instant.
        return floor + self.jitter(min(bound, self.base) if floor else bound)

    def _bound(self, base: float, attempt: int) -> float:
        import backoff  # noqa: PLC0415 - see above

        waits = backoff.expo(factor=base, max_value=self.cap)
        next(waits)  # the first value only starts the generator
        return float(next(islice(waits, attempt - 1, None)))


def _may_pass(error: CanopyError) -> bool:
    if isinstance(error, ApiError):
        return error.status in _RETRIED
    return isinstance(error, TransportError) and not error.final
