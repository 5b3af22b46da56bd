"""A worker's share of the requests that the account allows.

All of it is held in Dask's own primitives on the scheduler, and so survives any
worker. A `Semaphore` has a lease for each request that may be in flight, over all
workers. Each lease stands for its part of ``max_rate`` as well, so that neither
sum is ever exceeded, whoever holds how many. A killed worker's leases time out.

A `Variable` says how many tasks share the leases: whoever holds more than a fair
share gives some back, and whoever holds less takes what is free. Another one
tells of the latest cooldown.
"""

import asyncio
import secrets
import time
from contextlib import suppress
from typing import Any, Final, Self

from canopy_async.distributed.primitives import leases, variable, worker_client
from canopy_async.distributed.work import Job
from canopy_async.hooks import CooldownStarted, HookRecord
from canopy_async.session import CanopySession

__all__ = ["COOLDOWN", "TASKS", "Budget", "RunIsOverError"]

TASKS: Final = "tasks"
COOLDOWN: Final = "cooldown"

_PATIENCE: Final = 5.0
"""Seconds to wait for a variable, which is there as long as the run is."""

_ALIKE: Final = 0.05
"""Seconds by which cooldowns may differ without one being the longer."""


class RunIsOverError(Exception):
    """The driver has ended the run: nobody waits for this task any more."""


class Budget:
    """What one task may send, renegotiated at each beat.

    To be made, entered and left in the task's own thread.

    Args:
        job: What is run.
    """

    def __init__(self, job: Job) -> None:
        client = worker_client()
        self._job: Final = job
        self._leases: Final = leases(job.budget, job.concurrency)
        self._tasks: Final = variable(job.name_of(TASKS), client)
        self._cooldown: Final = variable(job.name_of(COOLDOWN), client)
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
            while not self._leases.acquire(timeout=self._job.beat):
                self._look()
            self._held = 1
            self._take_up()
            self._share_cooldowns()
        except BaseException:
            self._release(self._held)
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Give all leases back."""
        self._release(self._held)

    @property
    def requests(self) -> int:
        """How many requests may be in flight now."""
        return min(self._held, self._fair)

    @property
    def rate(self) -> float | None:
        """How many may be started per second."""
        if self._job.max_rate is None:
            return None
        return self._job.max_rate * self.requests / self._job.concurrency

    def hear(self, record: HookRecord) -> None:
        """Tell the others of a cooldown; a hook of the session."""
        if isinstance(record, CooldownStarted):
            self._own_until = time.monotonic() + record.seconds
            self._wake.set()

    def limit(self, session: CanopySession) -> None:
        """Let a session send what it may, and no more."""
        session.set_concurrency(self.requests)
        session.set_max_rate(self.rate)
        if self._asked > 0:
            session.cool_down(self._asked)
            self._asked = 0.0

    async def keep(self, session: CanopySession) -> None:
        """Share with the other tasks until cancelled.

        Raises:
            RunIsOverError: The run has ended.
        """
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._job.beat):
                    await self._wake.wait()
            self._wake.clear()
            with suppress(OSError):  # the scheduler is out of reach
                await asyncio.to_thread(self._exchange)
            self.limit(session)
            # What is in flight beyond the share is not given back before it ends.
            spare = self._held - max(self._fair, session.stats.in_flight)
            if spare > 0:
                await asyncio.to_thread(self._release, spare)

    def _exchange(self) -> None:
        self._look()
        self._take_up()
        self._share_cooldowns()

    def _look(self) -> None:
        """Learn how many tasks there are to share with."""
        try:
            tasks: int = self._tasks.get(timeout=_PATIENCE)
        except TimeoutError:
            raise RunIsOverError from None
        if not tasks:
            raise RunIsOverError
        self._fair = max(1, -(-self._job.concurrency // tasks))

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
