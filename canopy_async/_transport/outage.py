"""Outages: whether the server is away, judged by the outcomes of requests."""

from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

__all__ = ["Outage"]

E = TypeVar("E")

_READS: Final = 2
"""So many different reads must fail in a row: it is then no fault of one of them."""

_REQUESTS: Final = 3
"""So many different requests must fail in a row, even if all are of one read."""


class Outage(Generic[E]):
    """Failures in a row, with no success in between, and the probes that end them.

    An outage is on once requests of `_READS` different reads have failed in a row,
    or `_REQUESTS` requests of any read. From then on one request at a time probes.

    Args:
        wait: Returns the seconds to wait before a probe, given how many have
            failed in a row.
        patience: Seconds after which another probe is sent although the one before
            has no answer yet.

    Attributes:
        is_on: Whether only probes are sent.
        began: The instant of the first failure in a row.
        last: The outcome of the latest failure, None if there was none.
        is_unreachable: Whether no connection could be made in one of the failures in a
            row.
    """

    def __init__(self, wait: Callable[[int], float], *, patience: float) -> None:
        self._wait: Final = wait
        self._patience: Final = patience
        self._reads: Final[set[Hashable]] = set()
        self._requests: Final[set[Hashable]] = set()
        self.is_unreachable = False
        self._failed_probes = 0
        self._next_probe = float("-inf")
        self._probe: Hashable | None = None
        self._answered_at = float("-inf")
        self.is_on = False
        self.began = 0.0
        self.last: E | None = None

    @property
    def hits_all(self) -> bool:
        """Whether the failures in a row can't be the fault of one read."""
        return self.is_unreachable or len(self._reads) >= _READS

    def lasts_since(self, instant: float) -> bool:
        """Tell whether no request has come through since an instant."""
        return self.last is not None and self._answered_at < instant

    def ready_at(self) -> float:
        """Return the instant from which on a probe may be sent."""
        return self._next_probe

    def probing(self, request: Hashable, now: float) -> None:
        """Note that a request is sent as a probe."""
        self._probe = request
        self._next_probe = now + self._patience

    def left(self, request: Hashable, now: float) -> None:
        """Note that a request has ended; if it was the probe, another may follow."""
        if self.is_on and request is self._probe:
            self._next_probe = now

    def failed(
        self,
        request: Hashable,
        read: Hashable,
        what: E,
        now: float,
        *,
        unreachable: bool,
    ) -> bool:
        """Note a request that got no answer, or a 5xx.

        Args:
            request: The request.
            read: The read that it belongs to.
            what: The outcome of the request.
            now: The present instant.
            unreachable: Whether no connection could be made, which is the fault of
                no single request.

        Returns:
            Whether this began an outage.
        """
        if self.last is None:
            self.began = now
        self.last = what
        self.is_unreachable = self.is_unreachable or unreachable
        _add(self._reads, read, _READS)
        _add(self._requests, request, _REQUESTS)
        if self.is_on:
            if request is self._probe:
                self._failed_probes += 1
                self._schedule(now)
            return False
        if len(self._reads) < _READS and len(self._requests) < _REQUESTS:
            return False
        self.is_on = True
        self._schedule(now)
        return True

    def answered(self, now: float) -> bool:
        """Note that the server answered.

        Returns:
            Whether this ended an outage.
        """
        self._answered_at = now
        if self.last is None:
            return False
        was_on, self.is_on = self.is_on, False
        self.last = self._probe = None
        self.is_unreachable = False
        self._failed_probes = 0
        self._next_probe = float("-inf")
        self._reads.clear()
        self._requests.clear()
        return was_on

    def _schedule(self, now: float) -> None:
        self._next_probe = now + self._wait(self._failed_probes)


def _add(members: set[Hashable], member: Hashable, most: int) -> None:
    """Add a member, unless the set has as many as matter."""
    if len(members) < most:
        members.add(member)
