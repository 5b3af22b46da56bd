"""Turns: the order in which requests that wait are admitted.

Whoever shares a session takes turns, one request at a time: a read, a fan-out, a
single call. The turn of a fan-out goes to one of its identities, by turns among
them. Within a read, the page that its reader waits for goes first, then the others
in the order of the list. A retry keeps the rank that its request had.

Nothing here does I/O or looks at a clock.
"""

import asyncio
from collections import deque
from heapq import heappop, heappush
from typing import Final, TypeAlias

__all__ = ["ReadQueue", "RoundRobin", "Ticket"]

_Rank: TypeAlias = tuple[int, int]
_Entry: TypeAlias = "tuple[_Rank, int, Ticket, asyncio.Future[float] | None]"


class Ticket:
    """One request of a read, and all of its retries.

    Attributes:
        queue: The read's queue.
        urgent: Whether the reader waits for it.
        rank: Its rank in the queue; the lowest goes first.
        waiter: Is set to the instant of admission; None while it does not wait.
        sends: How often it was admitted.
        queued_at: Since when it waits.
        troubled_since: When it first failed or began to wait in an outage; None
            where it did neither.
    """

    __slots__ = (
        "queue",
        "queued_at",
        "rank",
        "sends",
        "troubled_since",
        "urgent",
        "waiter",
    )

    def __init__(self, queue: "ReadQueue", rank: _Rank, *, urgent: bool) -> None:
        self.queue: Final = queue
        self.rank: Final = rank
        self.urgent: Final = urgent
        self.waiter: asyncio.Future[float] | None = None
        self.sends = 0
        self.queued_at = 0.0
        self.troubled_since: float | None = None


class RoundRobin:
    """Members that take turns: queues of reads, and other rounds.

    Args:
        parent: The round that this one is a member of; None for the outermost.
        max_ready: Bytes of answers that the reads in this round hold ready
            together, about. Once there are so many, a read may only send what its
            reader waits for, or one request if it holds nothing. None sets no bound.
    """

    def __init__(
        self, parent: "RoundRobin | None" = None, *, max_ready: int | None = None
    ) -> None:
        self._parent: Final = parent
        self._max_ready: Final = max_ready
        self._ready_bytes = 0
        self._members: Final[deque[RoundRobin | ReadQueue]] = deque()

    @property
    def is_full(self) -> bool:
        """Whether the reads in this round hold as much ready as they may."""
        return self._max_ready is not None and self._ready_bytes >= self._max_ready

    @property
    def waits(self) -> bool:
        """Whether a member waits for its turn."""
        return bool(self._members)

    def enlist(self, member: "RoundRobin | ReadQueue") -> None:
        """Let a member, which was not waiting, have its turn after the others."""
        self._members.append(member)
        if len(self._members) == 1 and self._parent is not None:
            self._parent.enlist(self)

    def pop(self) -> Ticket | None:
        """Take the request whose turn it is out of its queue.

        Returns:
            None where no request waits that may be sent.
        """
        blocked: list[RoundRobin | ReadQueue] = []
        found: Ticket | None = None
        while self._members and found is None:
            member = self._members.popleft()
            found = member.pop()
            if member.waits:
                (blocked if found is None else self._members).append(member)
        self._members.extendleft(reversed(blocked))
        return found

    def hold(self, size: int) -> None:
        """Count the bytes of an answer that is held ready."""
        self._ready_bytes += size

    def release(self, size: int) -> bool:
        """Count that an answer is held no longer.

        Returns:
            Whether this made room for requests that had none.
        """
        was_full = self.is_full
        self._ready_bytes -= size
        return was_full and not self.is_full


class ReadQueue:
    """The requests of one read, or of one call.

    Args:
        turns: The round in which the read takes its turns.
    """

    def __init__(self, turns: RoundRobin) -> None:
        self._turns: Final = turns
        self._waiting: Final[list[_Entry]] = []
        self._numbered = 0
        self._enlisted = False
        self._held = 0

    @property
    def waits(self) -> bool:
        """Whether a request waits for its turn."""
        return self._enlisted

    def ticket(self, *, urgent: bool = False) -> Ticket:
        """Return the ticket of a new request.

        Args:
            urgent: Whether the reader waits for this request. Of two such, the
                later one goes first: the reader asks for a page because it waits
                for that page now.
        """
        number = self._next_number()
        rank = (0, -number) if urgent else (1, number)
        return Ticket(self, rank, urgent=urgent)

    def _next_number(self) -> int:
        self._numbered += 1
        return self._numbered

    def push(self, ticket: Ticket) -> None:
        """Let a request wait for its turn; its ``waiter`` was set."""
        entry = (ticket.rank, self._next_number(), ticket, ticket.waiter)
        heappush(self._waiting, entry)
        if not self._enlisted:
            self._enlisted = True
            self._turns.enlist(self)

    def pop(self) -> Ticket | None:
        """Take out the first request, None where it may not be sent."""
        self._forget_withdrawn()
        found: Ticket | None = None
        if self._waiting and self.admits(self._waiting[0][2]):
            found = heappop(self._waiting)[2]
            self._forget_withdrawn()
        self._enlisted = bool(self._waiting)
        return found

    def admits(self, ticket: Ticket) -> bool:
        """Tell whether the bound of bytes held ready lets a request be sent."""
        is_bound = not (ticket.urgent or ticket.sends)
        return not (is_bound and self._held and self._turns.is_full)

    def admitted(self, ticket: Ticket) -> None:
        """Count a request that is sent; it is held until `release`."""
        ticket.sends += 1
        if ticket.sends == 1:
            self._held += 1

    def hold(self, size: int) -> None:
        """Count the bytes of an answer that is held ready from now on."""
        self._turns.hold(size)

    def release(self, size: int = 0) -> bool:
        """Count that a request has failed, or that its answer is held no longer.

        Returns:
            Whether this made room for requests that had none.
        """
        self._held -= 1
        return self._turns.release(size)

    def _forget_withdrawn(self) -> None:
        while self._waiting:
            _, _, ticket, waiter = self._waiting[0]
            if ticket.waiter is waiter:
                return
            heappop(self._waiting)
