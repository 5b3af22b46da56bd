"""Expiries: the requests that wait in an outage, by the end of their patience."""

from heapq import heappop, heappush
from typing import Final

from canopy_async._transport.turns import Ticket

__all__ = ["NEVER", "Expiries"]

NEVER: Final = float("inf")
"""The instant of what does not happen."""


class Expiries:
    """The instants at which requests that wait give up.

    Args:
        patience: Seconds that a request waits, from its first trouble.

    Attributes:
        patience: Seconds that a request waits, from its first trouble.
    """

    def __init__(self, patience: float) -> None:
        self.patience: Final = patience
        self._entries: Final[list[tuple[float, int, Ticket]]] = []
        self._added = 0

    def add(self, ticket: Ticket, since: float) -> None:
        """Let a request that waits give up when its patience is over.

        Args:
            ticket: Of the request.
            since: When its trouble began.
        """
        self._added += 1
        heappush(self._entries, (since + self.patience, self._added, ticket))

    def next(self) -> float:
        """Return the first instant at which a request gives up, or `NEVER`."""
        while self._entries and self._entries[0][2].waiter is None:
            heappop(self._entries)
        return self._entries[0][0] if self._entries else NEVER

    def pop_due(self, now: float) -> Ticket | None:
        """Take out a request whose patience is over, None where there is no such."""
        return heappop(self._entries)[2] if self.next() <= now else None

    def clear(self) -> None:
        """Let no request give up."""
        self._entries.clear()
