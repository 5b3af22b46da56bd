"""`PollInputs`: what a poll is given when it begins."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeAlias

import attrs

from canopy_async._follow.follow_checkpoint import Batch, FollowCheckpoint
from canopy_async._follow.lateness import LatenessOptions
from canopy_async._follow.poll_memory import PollMemory
from canopy_async._follow.tail import Tail, open_tail
from canopy_async._read.audit_log import AuditLog
from canopy_async._read.reader import PageReader
from canopy_async._transport.lanes import Lanes
from canopy_async._util.arguments import Order
from canopy_async.models import AuditEvent

__all__ = ["Deliver", "PollInputs", "clock"]

Deliver: TypeAlias = Callable[[Batch], Awaitable[None]]
"""A function that hands a batch out, and returns once the batch was processed."""


@attrs.frozen(eq=False, kw_only=True)
class PollInputs:
    """The log, the checkpoint and the options of one poll.

    Attributes:
        identity_id: The identity.
        log: The log of the identity.
        lanes: The round in which the poll's reads take their turns, None for the
            session's own.
        lateness: How far back the log is read, and which events are held back.
        memory: The facts of the log that are remembered from poll to poll.
        deliver: Hands batches out.
        turn: A lock that all polls share. A poll holds it while the rows of a page wait
            to be handed out.
        now: Returns the time by the server's clock, None where that is unknown.
        began: When the poll began, by `clock`.
        known: The checkpoint that the poll goes on from.
        floor: The earliest date that the poll reads, None for the log's beginning.
        near: The earliest date that the poll would read if it were not deep.
    """

    identity_id: str
    log: AuditLog
    lanes: Lanes | None = None
    lateness: LatenessOptions
    memory: PollMemory
    deliver: Deliver
    turn: asyncio.Lock
    now: Callable[[], datetime | None]
    began: float
    known: FollowCheckpoint
    floor: datetime | None
    near: datetime | None

    @property
    def is_deep(self) -> bool:
        """Whether the poll reads from the checkpoint's floor on."""
        return self.floor == self.known.floor

    @property
    def is_deeper(self) -> bool:
        """Whether the poll is deep, and a poll that is not deep would read less."""
        return self.is_deep and self.near != self.known.floor

    @property
    def took(self) -> float:
        """The seconds since the poll began."""
        return clock() - self.began

    def open(
        self,
        order: Order,
        take: int,
        *,
        floor: datetime | None,
        concurrency: int | None = None,
    ) -> tuple[Tail, PageReader[AuditEvent]]:
        """Return a pass over the log, and the `Tail` that watches its pages.

        Args:
            order: ``asc`` or ``desc``.
            take: Rows per page at most.
            floor: The earliest date that is wanted.
            concurrency: Requests in flight at most, None for the session's own limit.
        """
        return open_tail(
            self.log,
            order,
            floor=floor,
            take=take,
            concurrency=concurrency,
            lanes=self.lanes,
        )


def clock() -> float:
    """Return the time of the running event loop, in seconds.

    Setting the clock of the machine does not change this time.
    """
    return asyncio.get_running_loop().time()
