"""The rate that a server was seen to allow, learnt from its refusals."""

from collections import deque
from itertools import takewhile
from typing import Final

__all__ = ["Pace"]

_REPEATED: Final = 10.0
"""Seconds within which a second refusal is no longer taken for chance."""

_EVIDENCE: Final = 10
"""Successes without which no rate is learnt."""

_STALE: Final = 2.0
"""After so many seconds without a success, the successes of their last second say
nothing of the limit, which may be counted over more than a second."""

_WINDOWS: Final = (10.0, 120.0)
"""Windows of time in seconds, as limits are set per second or per minute: successes are
counted over the first window that has enough of them."""

_RARE: Final = 100
"""Successes between two refusals from which on the second is taken for chance: a server
behind a gateway may refuse a few requests whatever their rate is."""

_PLATEAU: Final = 30.0
"""Seconds until a learnt rate is tried again."""

_DIP: Final = 0.05
"""The share below the learnt rate at which requests start again."""

_FORGOTTEN: Final = 4.0
"""Plateaus after the first until the learnt rate is forgotten."""


class Pace:
    """Spaces starts, a little below the rate that the server let through.

    A width does not bound a rate: how many requests per second one in flight makes
    depends on how fast answers come. So from the second refusal on, starts are spaced.
    They come back to the rate that succeeded along a cubic, stay about there, and
    rise ever faster if nothing is refused, until the limit is forgotten (as CUBIC
    does it: Ha, Rhee and Xu, 2008).

    Attributes:
        rate: Requests to start per second, as of the latest start; None for any
            number.
    """

    def __init__(self) -> None:
        self.rate: float | None = None
        self._limit = 0.0
        self._refused_at = self._cut_at = float("-inf")
        self._successes_since = 0
        self._next_start = float("-inf")
        self._successes: Final[deque[float]] = deque(maxlen=4096)

    def ready_at(self) -> float:
        """Return the instant from which on the next request may start."""
        return self._next_start

    def started(self, now: float) -> None:
        """Note that a request starts."""
        rate = self._advance(now)
        if rate is not None:
            # A late start is made good by the next one: timers are never early.
            gap = 1.0 / rate
            self._next_start = max(self._next_start, now - gap) + gap

    def succeeded(self, now: float) -> None:
        """Note that a request came through."""
        self._successes.append(now)
        self._successes_since += 1

    def refused(self, now: float) -> None:
        """Note that the server asked for fewer requests."""
        is_chance = self._is_chance(now)
        self._refused_at, self._successes_since = now, 0
        seen = self._seen(now)
        if is_chance or seen is None:
            return
        if self.rate is not None:
            # The rate seen may be low only because few requests were sent.
            seen = min(self.rate, max(seen, self.rate / 2))
        self._limit, self._cut_at = seen, now
        self.rate = self._limit * (1.0 - _DIP)

    def _is_chance(self, now: float) -> bool:
        """Tell whether a refusal says nothing of the rate.

        The very first refusal may be an accident. A later one may be chance, too, if it
        is one in very many, at a rate that the server has allowed before.
        """
        if self.rate is None:
            return now - self._refused_at > _REPEATED
        return self.rate <= self._limit and self._successes_since >= _RARE

    def _advance(self, now: float) -> float | None:
        """Let the rate rise with time, and return it."""
        if self.rate is None:
            return None
        age = (now - self._cut_at) / _PLATEAU - 1.0
        is_over = age > _FORGOTTEN
        self.rate = None if is_over else self._limit * (1.0 + _DIP * age**3)
        return self.rate

    def _seen(self, now: float) -> float | None:
        """Return the rate of the latest successes, None if they were few."""
        if not self._successes:
            return None
        last = self._successes[-1]
        newest = reversed(self._successes)
        if now - last < _STALE:
            second = sum(1 for _ in takewhile(lambda at: at > last - 1.0, newest))
            if second >= _EVIDENCE:
                return second - 1.0  # answers come less evenly than requests went
        for window in _WINDOWS:
            since = [at for at in self._successes if at > now - window]
            if len(since) >= _EVIDENCE:
                return len(since) / (now - since[0])
        return None
