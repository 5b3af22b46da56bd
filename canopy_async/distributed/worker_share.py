"""A worker's share of the requests that the account allows.

All of it is held in Dask's own primitives on the scheduler, and so survives any
worker. A `Semaphore` has a lease for each request that may be in flight, over all
workers. Each lease stands for its part of ``max_rate`` as well, so that neither
sum is ever exceeded, whoever holds how many. A killed worker's leases time out.

A `Variable` says what a fair share of the leases is: whoever holds more than that
gives some back, and whoever holds less takes what is free. It is less while a task
waits for its first lease, which it says by a lease of a semaphore of its own kind.
Another variable tells of the latest cooldown.
"""

import asyncio
import secrets
import time
from contextlib import suppress
from math import inf
from typing import Any, Final, Self

from canopy_async.distributed.primitives import (
    lease_timeout,
    leases,
    let_go,
    variable,
    worker_client,
)
from canopy_async.distributed.work import Job
from canopy_async.hooks import CooldownStarted, HookRecord
from canopy_async.session import CanopySession

__all__ = ["COOLDOWN", "SHARE", "Budget", "RunIsOverError", "waiting"]

SHARE: Final = "share"
COOLDOWN: Final = "cooldown"

_MANY: Final = 1_000_000
"""Tasks that may wait at once: any number."""

STALE: Final = 0.75
"""The part of their time-out after which leases are no longer relied on, if for so
long nothing was heard from the scheduler."""

_PATIENCE: Final = 5.0
"""Seconds to wait for a variable, which is there as long as the run is."""

_ALIKE: Final = 0.05
"""Seconds by which cooldowns may differ without one being the longer."""


class RunIsOverError(Exception):
    """The driver has no use for this task any more, or for any task of the run."""


class LeasesLostError(Exception):
    """The scheduler was out of reach for so long that others may hold the leases."""


def waiting(job: Job, client: Any = None) -> Any:
    """Return the semaphore of which each task that has no lease yet holds one.

    Args:
        job: The options of the run.
        client: The cluster; None in a task's own thread.
    """
    return leases(f"{job.budget}-waiting", _MANY, client)


class Budget:
    """The share of one task in the requests of all, renegotiated at each beat.

    To be made, entered and left in the task's own thread.

    Args:
        job: The options of the run.
        number: The task's number.
    """

    def __init__(self, job: Job, number: int) -> None:
        client = worker_client()
        self._job: Final = job
        self._number: Final = number
        self._leases: Final = leases(job.budget, job.concurrency)
        self._waiting: Final = waiting(job)
        self._share: Final = variable(job.name_of(SHARE), client)
        self._cooldown: Final = variable(job.name_of(COOLDOWN), client)
        timeout = lease_timeout()
        self._patience: Final = inf if timeout is None else STALE * timeout
        self._reached_at = time.monotonic()
        self._held = 0
        self._fair = 1
        self._seen: str | None = None
        self._is_first_look = True
        self._asked_until = 0.0
        self._own_until = 0.0
        self._asked = 0.0
        self._wake: Final = asyncio.Event()

    def __enter__(self) -> Self:
        """Wait for a lease, and take a fair share.

        Raises:
            RunIsOverError: The run has ended meanwhile.
        """
        try:
            self._look()
            if not self._leases.acquire(timeout=0):
                self._wait()
            self._held = 1
            self._take_up()
            self._share_cooldowns()
        except BaseException:
            self.__exit__()
            raise
        self._reached_at = time.monotonic()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Give all leases back."""
        self._release(self._held)
        let_go(self._leases)
        let_go(self._waiting)

    @property
    def requests(self) -> int:
        """Requests that may be in flight now."""
        return min(self._held, self._fair)

    @property
    def rate(self) -> float | None:
        """Requests that may be started per second."""
        if self._job.max_rate is None:
            return None
        return self._job.max_rate * self.requests / self._job.concurrency

    @property
    def pause(self) -> float:
        """Seconds to wait before the first request.

        Who held these leases before may have sent one just now.
        """
        return 0.0 if self.rate is None else 1.0 / self.rate

    def hear(self, record: HookRecord) -> None:
        """Tell the others of a cooldown; a hook of the session."""
        if isinstance(record, CooldownStarted):
            self._own_until = time.monotonic() + record.seconds
            self._wake.set()

    def limit(self, session: CanopySession) -> None:
        """Limit a session to the share of its task."""
        session.set_concurrency(self.requests)
        session.set_max_rate(self.rate)
        if self._asked > 0:
            session.cool_down(self._asked)
            self._asked = 0.0

    async def keep(self, session: CanopySession) -> None:
        """Share with the other tasks until cancelled.

        Raises:
            RunIsOverError: The run has ended.
            LeasesLostError: The leases may have timed out.
        """
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._job.beat):
                    await self._wake.wait()
            self._wake.clear()
            self._check_leases()
            with suppress(OSError):  # the scheduler is out of reach
                await asyncio.to_thread(self._exchange)
                self._reached_at = time.monotonic()
            self.limit(session)
            # What is in flight beyond the share is not given back before it ends.
            spare = self._held - max(self._fair, session.stats.in_flight)
            if spare > 0:
                await asyncio.to_thread(self._release, spare)

    def _exchange(self) -> None:
        self._look()
        self._take_up()
        self._share_cooldowns()

    def _check_leases(self) -> None:
        """Raise where they may have timed out: others count on them then.

        It is so as well where this process stood still for long.
        """
        if time.monotonic() - self._reached_at > self._patience:
            raise LeasesLostError("the scheduler was out of reach for too long")

    def _wait(self) -> None:
        """Wait for the first lease, and let the others know of it."""
        self._waiting.acquire()
        try:
            while not self._leases.acquire(timeout=self._job.beat):
                self._look()
        finally:
            self._waiting.release()

    def _look(self) -> None:
        """Learn what a fair share is."""
        try:
            share: dict[str, Any] = self._share.get(timeout=_PATIENCE)
        except TimeoutError:
            raise RunIsOverError from None
        if not share["each"] or self._number in share["dropped"]:
            raise RunIsOverError
        self._fair = int(share["each"])

    def _take_up(self) -> None:
        while self._held < self._fair and self._leases.acquire(timeout=0):
            self._held += 1

    def _share_cooldowns(self) -> None:
        """Obey the latest cooldown, or say that the own one lasts longer."""
        shown: dict[str, Any] | None = self._cooldown.get(timeout=_PATIENCE)
        now = time.monotonic()
        if shown is not None and shown["id"] != self._seen:
            self._seen = shown["id"]
            seconds = float(shown["seconds"])
            if self._is_first_look:  # it may have begun long ago
                past = max(0.0, time.time() - float(shown["at"]))
                seconds = max(0.0, seconds - past)
            self._asked = seconds
            self._asked_until = now + seconds
        self._is_first_look = False
        left = self._own_until - now
        if left > 0 and self._own_until > self._asked_until + _ALIKE:
            self._seen, self._asked_until = secrets.token_hex(4), self._own_until
            self._cooldown.set({"id": self._seen, "seconds": left, "at": time.time()})

    def _release(self, count: int) -> None:
        for _ in range(count):
            self._held -= 1
            self._leases.release()
