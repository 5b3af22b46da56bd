"""Turns: how many reads share the requests of one session fairly."""

import asyncio
from collections import deque
from typing import Any, Final

from canopy_async.transport import PageRequest, Transport
from canopy_async.wire import Response

__all__ = ["Lane", "Pacer"]

READY_BYTES: Final = 16 * 1024 * 1024
"""Bytes of answers that all identities together hold ready, about."""


class Pacer:
    """Shares the session's requests between lanes, and bounds what is ready.

    Each lane that wants to send has its turn, so that a log of many pages, which
    asks for many at once, gets no more than its share while others want some.
    Once `READY_BYTES` are held, a lane may only ask for what it waits for.

    Args:
        most: Requests that are let through at once; those beyond what the gate
            admits wait there, so that it never runs dry.
    """

    def __init__(self, most: int) -> None:
        self._most: Final = most
        self._inside = 0
        self._ready_bytes = 0
        self._turns: deque[Lane] = deque()

    def admits(self, lane: "Lane") -> bool:
        """Tell whether a lane may send a request now."""
        return self._inside < self._most and (
            self._ready_bytes < READY_BYTES or not lane.asked
        )

    def enter(self, lane: "Lane") -> None:
        """Count a request that is sent."""
        self._inside += 1
        lane.asked += 1

    def queue(self, lane: "Lane") -> asyncio.Future[None]:
        """Return what is set, and the request counted, when it may be sent."""
        if not lane.waiters:
            self._turns.append(lane)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lane.waiters.append(waiter)
        return waiter

    def leave(self, lane: "Lane", response: Response | None) -> None:
        """Count the end of a request; its answer is ready until let go of."""
        self._inside -= 1
        if response is None:
            lane.asked -= 1
        else:
            self._ready_bytes += len(response.body)
        self.grant()

    def grant(self) -> None:
        """Give each lane that waits its turn, as far as there is room."""
        blocked: list[Lane] = []
        while self._turns and self._inside < self._most:
            lane = self._turns.popleft()
            while lane.waiters and lane.waiters[0].done():  # cancelled
                lane.waiters.popleft()
            if not lane.waiters:
                continue
            if not self.admits(lane):
                blocked.append(lane)
                continue
            self.enter(lane)
            lane.waiters.popleft().set_result(None)
            if lane.waiters:
                self._turns.append(lane)
        self._turns.extendleft(reversed(blocked))

    def let_go(self, lane: "Lane", response: Response) -> None:
        """Count that an answer is no longer held ready."""
        self._ready_bytes -= len(response.body)
        lane.asked -= 1


class Lane:
    """The session's transport, as one identity's run sees it.

    Attributes:
        asked: Requests that are under way or whose answer is held ready.
        waiters: Requests that wait for their turn.
    """

    def __init__(self, pacer: Pacer, transport: Transport) -> None:
        self.asked = 0
        self.waiters: Final[deque[asyncio.Future[None]]] = deque()
        self._pacer: Final = pacer
        self._transport: Final = transport

    def __getattr__(self, name: str) -> Any:
        """Return what the transport has."""
        return getattr(self._transport, name)

    async def get(self, request: PageRequest) -> Response:
        """Wait for this request's turn, then return its answer."""
        await self._enter(urgent=request.urgent)
        try:
            response = await self._transport.get(request)
        except BaseException:
            self._pacer.leave(self, None)
            raise
        self._pacer.leave(self, response)
        return response

    def let_go(self, response: Response) -> None:
        """Count that an answer is no longer held ready."""
        self._pacer.let_go(self, response)

    async def _enter(self, *, urgent: bool) -> None:
        if urgent or (not self.waiters and self._pacer.admits(self)):
            self._pacer.enter(self)
            return
        waiter = self._pacer.queue(self)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._pacer.leave(self, None)
            raise
