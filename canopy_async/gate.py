"""What all requests of a session share: width, rate, cooldown, retry budget."""

import asyncio
import random
from collections import deque
from itertools import takewhile
from typing import Final

import attrs

__all__ = ["Gate", "SessionStats"]

RETRY_BUDGET: Final = 100.0
"""Retries that may be spent before successes must earn new ones."""

RETRY_EARNED: Final = 0.5
"""Retries that one success earns."""

_COOLDOWN_SPREAD: Final = 0.1

_REPEATED: Final = 10.0
"""Seconds within which a second refusal is no longer taken for chance."""

_EVIDENCE: Final = 10
"""Successes without which no rate is learnt."""

_STALE: Final = 2.0
"""Seconds without a success after which a limit is none per second."""

_PLATEAU: Final = 30.0
"""Seconds until a learnt rate is tried again."""

_DIP: Final = 0.05
"""How far below the learnt rate requests start again."""

_FORGOTTEN: Final = 4.0
"""Plateaus after the first until the learnt rate is forgotten."""


@attrs.frozen(kw_only=True)
class SessionStats:
    """What a session has done, and how wide it runs now.

    Attributes:
        requests: Attempts that were sent.
        retries: How many of them were repeats.
        cooldowns: How often the server's throttling stopped everybody.
        in_flight: Requests in flight now.
        peak_in_flight: The most that ever were.
        width: How many may be in flight now; it adapts between 1 and the
            session's ``concurrency``.
        waiting: Requests that wait to be admitted.
        rate: Requests per second that are kept to because the server refused
            more, None where it has not.
    """

    requests: int = 0
    retries: int = 0
    cooldowns: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    width: int = 0
    waiting: int = 0
    rate: float | None = None


class _Pace:
    """The rate that a server was seen to allow, learnt from its refusals.

    A width can't hold a rate: what one request in flight makes of it depends on
    how fast answers come. From the second refusal on, starts are therefore
    spaced, a little below the rate that succeeded; they come back to it along a
    cubic, stay about there, and rise ever faster if nothing is refused, until
    the limit is forgotten (as CUBIC does it: Ha, Rhee and Xu, 2008).

    Attributes:
        rate: Requests to start per second, as of the latest `advance`; None
            for any number.
    """

    def __init__(self) -> None:
        self.rate: float | None = None
        self._limit = 0.0
        self._refused_at = float("-inf")
        self._successes: Final[deque[float]] = deque(maxlen=4096)

    def succeeded(self, now: float) -> None:
        """Note that a request came through."""
        self._successes.append(now)

    def refused(self, now: float) -> None:
        """Note that the server asked for fewer requests."""
        is_chance = self.rate is None and now - self._refused_at > _REPEATED
        self._refused_at = now
        seen = self._seen(now)
        if is_chance or seen is None:
            return
        if self.rate is not None:
            # What was seen may be low only because little was asked for.
            seen = min(self.rate, max(seen, self.rate / 2))
        self._limit = seen
        self.rate = self._limit * (1.0 - _DIP)

    def advance(self, now: float) -> float | None:
        """Let the rate rise with time, and return it."""
        if self.rate is None:
            return None
        age = (now - self._refused_at) / _PLATEAU - 1.0
        is_over = age > _FORGOTTEN
        self.rate = None if is_over else self._limit * (1.0 + _DIP * age**3)
        return self.rate

    def _seen(self, now: float) -> float | None:
        """Return the rate of the latest successes, None if they were few."""
        if not self._successes:
            return None
        last = self._successes[-1]
        if now - last < _STALE:
            newest = reversed(self._successes)
            second = sum(1 for _ in takewhile(lambda at: at > last - 1.0, newest))
            if second >= _EVIDENCE:
                return second - 1.0  # answers come less evenly than requests went
        before = [at for at in self._successes if at > now - _REPEATED]
        if len(before) < _EVIDENCE:
            return None
        return len(before) / (now - before[0])


class Gate:
    """Admits requests, first come first served.

    A request is admitted when fewer than ``width`` are in flight, no cooldown
    runs, and ``max_rate`` allows. The width grows by about one a round trip
    while all is well and is halved when the server shows strain, once for all
    requests that were in flight together (additive increase, multiplicative
    decrease: Chiu and Jain, 1989). Where the server refuses requests by their
    rate, the gate learns that rate too.

    Time is the running loop's.

    Args:
        concurrency: Requests in flight at most.
        max_rate: Requests started per second at most; None for no limit.
            Starts are spaced evenly, so that it holds over any second.
    """

    def __init__(self, concurrency: int, *, max_rate: float | None = None) -> None:
        self._ceiling = concurrency
        self._spacing = _spacing_of(max_rate)
        self._width = float(concurrency)
        self._in_flight = 0
        self._urgent: deque[asyncio.Future[float]] = deque()
        self._waiters: deque[asyncio.Future[float]] = deque()
        self._not_before = float("-inf")
        self._next_start = float("-inf")
        self._last_cut = float("-inf")
        self._pace: Final = _Pace()
        self._next_paced = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._will_pump = False
        self._budget = RETRY_BUDGET
        self._requests = 0
        self._retries = 0
        self._cooldowns = 0
        self._peak = 0

    @property
    def stats(self) -> SessionStats:
        """What happened so far."""
        return SessionStats(
            requests=self._requests,
            retries=self._retries,
            cooldowns=self._cooldowns,
            in_flight=self._in_flight,
            peak_in_flight=self._peak,
            width=int(self._width),
            waiting=sum(
                not waiter.done()
                for queue in (self._urgent, self._waiters)
                for waiter in queue
            ),
            rate=self._pace.rate,
        )

    def set_ceiling(self, concurrency: int) -> None:
        """Let so many requests be in flight at most from now on.

        Those that are in flight go on, so more may be until they have ended.
        """
        is_open = self._width >= self._ceiling
        self._ceiling = concurrency
        self._width = float(concurrency) if is_open else min(self._width, concurrency)
        self._limits_changed()

    def set_max_rate(self, max_rate: float | None) -> None:
        """Start so many requests per second at most from now on."""
        spacing = _spacing_of(max_rate)
        self._next_start += spacing - self._spacing
        self._spacing = spacing
        self._limits_changed()

    async def acquire(self, *, urgent: bool = False) -> float:
        """Wait to be admitted.

        Every return must be followed by one `release`.

        Args:
            urgent: Go before those that are not: for a retry, or for a page
                that others wait behind.

        Returns:
            The instant of admission, to be given to `strained`.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        if not self._urgent and not self._waiters and self._may_start(now):
            return self._start(now)
        waiter: asyncio.Future[float] = loop.create_future()
        (self._urgent if urgent else self._waiters).append(waiter)
        self._pump()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release()
            else:
                waiter.cancel()
                self._pump()
            raise

    def release(self) -> None:
        """Say that an admitted request has ended, however it did.

        Others are admitted in the loop's next turn, when the gate has heard what
        came of this one: nobody slips through before a cooldown.
        """
        self._in_flight -= 1
        if (self._urgent or self._waiters) and not self._will_pump:
            self._will_pump = True
            asyncio.get_running_loop().call_soon(self._pump_now)

    def succeeded(self) -> None:
        """Widen a little, and earn a part of a retry."""
        self._pace.succeeded(asyncio.get_running_loop().time())
        if self._width < self._ceiling:
            self._width = min(self._ceiling, self._width + 1.0 / self._width)
        if self._budget < RETRY_BUDGET:
            self._budget = min(RETRY_BUDGET, self._budget + RETRY_EARNED)

    def strained(self, started: float, *, refused: bool = False) -> None:
        """Halve the width, unless that was done since ``started``.

        Args:
            started: When the request was admitted that shows the strain.
            refused: Whether the server said that there are too many requests.
        """
        if started < self._last_cut:
            return
        self._last_cut = asyncio.get_running_loop().time()
        self._width = max(1.0, self._width / 2)
        if refused:
            self._pace.refused(self._last_cut)

    def cool_down(self, seconds: float) -> bool:
        """Admit nobody for ``seconds``, and a random bit longer.

        Returns:
            Whether this began a cooldown or made one longer.
        """
        now = asyncio.get_running_loop().time()
        # The bit keeps many processes from coming back at the same instant.
        spread = 1.0 + random.uniform(0.0, _COOLDOWN_SPREAD)  # noqa: S311
        until = now + seconds * spread
        if now + seconds <= self._not_before:
            return False
        if self._not_before <= now:
            self._cooldowns += 1
        self._not_before = until
        return True

    def spend_retry(self) -> bool:
        """Take one retry from the shared budget, or say that it is empty."""
        if self._budget < 1.0:
            return False
        self._budget -= 1.0
        self._retries += 1
        return True

    def _limits_changed(self) -> None:
        """Look again at whoever waits."""
        if self._queue() is not None:
            self._pump()

    def _may_start(self, now: float) -> bool:
        return self._in_flight < int(self._width) and now >= self._ready_at()

    def _ready_at(self) -> float:
        return max(self._not_before, self._next_start, self._next_paced)

    def _start(self, now: float) -> float:
        self._in_flight += 1
        self._requests += 1
        self._peak = max(self._peak, self._in_flight)
        self._next_start = now + self._spacing
        if self._pace.rate is not None:
            self._keep_pace(now)
        return now

    def _keep_pace(self, now: float) -> None:
        rate = self._pace.advance(now)
        if rate is not None:
            # A late start is made good by the next one: timers are never early.
            gap = 1.0 / rate
            self._next_paced = max(self._next_paced, now - gap) + gap

    def _pump_now(self) -> None:
        self._will_pump = False
        self._pump()

    def _pump(self) -> None:
        """Admit whom the rules allow, and wake up when time allows more."""
        while (queue := self._queue()) is not None:
            if self._in_flight >= int(self._width):
                break
            loop = asyncio.get_running_loop()
            now = loop.time()
            ready = self._ready_at()
            if now < ready:
                self._wake_at(loop, ready)
                return
            queue.popleft().set_result(self._start(now))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _queue(self) -> deque[asyncio.Future[float]] | None:
        """Return the queue whose head is next, or None where nobody waits."""
        for queue in (self._urgent, self._waiters):
            while queue and queue[0].done():  # cancelled
                queue.popleft()
            if queue:
                return queue
        return None

    def _wake_at(self, loop: asyncio.AbstractEventLoop, instant: float) -> None:
        if self._timer is not None:
            if self._timer.when() == instant:
                return
            self._timer.cancel()
        self._timer = loop.call_at(instant, self._woken)

    def _woken(self) -> None:
        self._timer = None
        self._pump()


def _spacing_of(max_rate: float | None) -> float:
    return 0.0 if max_rate is None else 1.0 / max_rate
