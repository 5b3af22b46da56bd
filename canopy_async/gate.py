"""What all requests of a session share: width, rate, cooldown, retry budget."""

import asyncio
import random
from collections import deque
from typing import Final

import attrs

__all__ = ["Gate", "SessionStats"]

RETRY_BUDGET: Final = 100.0
"""Retries that may be spent before successes must earn new ones."""

RETRY_EARNED: Final = 0.5
"""Retries that one success earns."""

_COOLDOWN_SPREAD: Final = 0.1


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
    """

    requests: int = 0
    retries: int = 0
    cooldowns: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    width: int = 0
    waiting: int = 0


class Gate:
    """Admits requests, first come first served.

    A request is admitted when fewer than ``width`` are in flight, no cooldown
    runs, and ``max_rate`` allows. The width grows by about one a round trip
    while all is well and is halved when the server shows strain, once for all
    requests that were in flight together (additive increase, multiplicative
    decrease: Chiu and Jain, 1989).

    Time is the running loop's.

    Args:
        concurrency: Requests in flight at most.
        max_rate: Requests started per second at most; None for no limit.
            Starts are spaced evenly, so that it holds over any second.
    """

    def __init__(self, concurrency: int, *, max_rate: float | None = None) -> None:
        self._ceiling: Final = concurrency
        self._spacing: Final = 0.0 if max_rate is None else 1.0 / max_rate
        self._width = float(concurrency)
        self._in_flight = 0
        self._urgent: deque[asyncio.Future[float]] = deque()
        self._waiters: deque[asyncio.Future[float]] = deque()
        self._not_before = float("-inf")
        self._next_start = float("-inf")
        self._last_cut = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
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
        )

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
        if self._queue() is not None:
            asyncio.get_running_loop().call_soon(self._pump)

    def succeeded(self) -> None:
        """Widen a little, and earn a part of a retry."""
        self._width = min(self._ceiling, self._width + 1.0 / self._width)
        self._budget = min(RETRY_BUDGET, self._budget + RETRY_EARNED)

    def strained(self, started: float) -> None:
        """Halve the width, unless that was done since ``started``."""
        if started < self._last_cut:
            return
        self._last_cut = asyncio.get_running_loop().time()
        self._width = max(1.0, self._width / 2)

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

    def _may_start(self, now: float) -> bool:
        return (
            self._in_flight < int(self._width)
            and now >= self._not_before
            and now >= self._next_start
        )

    def _start(self, now: float) -> float:
        self._in_flight += 1
        self._requests += 1
        self._peak = max(self._peak, self._in_flight)
        self._next_start = now + self._spacing
        return now

    def _pump(self) -> None:
        """Admit whom the rules allow, and wake up when time allows more."""
        while (queue := self._queue()) is not None:
            if self._in_flight >= int(self._width):
                break
            loop = asyncio.get_running_loop()
            now = loop.time()
            ready = max(self._not_before, self._next_start)
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
