"""`PollInputs`: all that a poll is given when it begins."""

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
"""Hands a batch out, and returns once it was processed."""


@attrs.frozen(eq=False, kw_only=True)
class PollInputs:
    """All that a poll is given.

    Attributes:
        identity_id: The identity.
        log: The log of the identity.
        lanes: The round in which its reads take their turns, None for the session's.
        lateness: How far back the log is read, and which events are held back.
        memory: The facts of the log that are remembered from poll to poll.
        deliver: Hands batches out.
        turn: A lock that is held while the rows of a page wait to be handed out.
        now: Returns the time by the server's clock, None where that is unknown.
        began: When the poll began, by `clock`.
        known: The checkpoint that the poll goes on from.
        floor: The earliest date that the poll reads, None for the log's beginning.
        near: The earliest date that a poll reads which is not deep.
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
        """Whether the poll reads back to where its checkpoint begins."""
        return self.floor == self.known.floor

    @property
    def is_deeper(self) -> bool:
        """Whether the poll is a deep one, and reads further back than others."""
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
    """Return the running loop's time: seconds that go on whatever is set."""
    return asyncio.get_running_loop().time()
