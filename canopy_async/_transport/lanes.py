"""Lanes: each read sends its requests through a lane of its own, by turns."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from canopy_async._api.requests import Endpoint, PageQuery
from canopy_async._api.responses import Response
from canopy_async._transport.turns import ReadQueue, RoundRobin, Ticket
from canopy_async.hooks import Hooks

__all__ = ["Lane", "LaneGroup", "Lanes", "PageRequest", "Sender"]


class PageRequest(NamedTuple):
    """One page of a list.

    Attributes:
        endpoint: Which list.
        query: What is asked of it.
        page: The page's number, from 1.
        take: Rows per page.
        urgent: Whether the reader waits for it now.
        on_sent: Called with the number of each attempt, from 1, as it is sent.
    """

    endpoint: Endpoint[Any]
    query: PageQuery
    page: int
    take: int
    urgent: bool = False
    on_sent: Callable[[int], None] | None = None


class Sender(Protocol):
    """The sender of the requests of all lanes: the transport."""

    @property
    def hooks(self) -> Hooks:
        """The hooks that are told of requests and pages."""
        ...

    def check_open(self) -> None:
        """Raise `SessionClosedError` once it is closed."""
        ...

    def check_loop(self) -> None:
        """Raise `RuntimeError` in another event loop than that of the session."""
        ...

    async def send(self, request: PageRequest, ticket: Ticket) -> Response:
        """Return the answer to one GET, once it is a 200."""
        ...

    def look_again(self) -> None:
        """Admit requests for which there may be room now."""
        ...


class Lanes(Protocol):
    """A source of lanes: the session, or a fan-out."""

    def open_lane(self) -> "Lane":
        """Return a lane for one read."""
        ...


class Lane:
    """The lane of one read: its requests take turns with those of other reads.

    Args:
        sender: Sends them.
        turns: The round in which the read takes its turns.
    """

    def __init__(self, sender: Sender, turns: RoundRobin) -> None:
        self._sender: Final = sender
        self._queue: Final = ReadQueue(turns)

    @property
    def hooks(self) -> Hooks:
        """The hooks that are told of pages."""
        return self._sender.hooks

    def check_open(self) -> None:
        """Raise `SessionClosedError` once the session is closed."""
        self._sender.check_open()

    def check_loop(self) -> None:
        """Raise `RuntimeError` in another event loop than that of the session."""
        self._sender.check_loop()

    async def get(self, request: PageRequest) -> Response:
        """Return the answer to one GET, once it is a 200.

        The answer counts as held ready until `release`.

        Raises:
            CanopyError: The request failed.
        """
        ticket = self._queue.ticket(urgent=request.urgent)
        try:
            response = await self._sender.send(request, ticket)
        except BaseException:
            if ticket.sends:
                self._queue.release()
            raise
        self._queue.hold(len(response.body))
        return response

    def release(self, response: Response) -> None:
        """Count an answer that is not held ready any more."""
        if self._queue.release(len(response.body)):
            self._sender.look_again()


class LaneGroup:
    """The lanes of reads that share one turn beside other reads.

    Args:
        sender: Sends their requests.
        turns: The round in which they take turns among themselves.
    """

    def __init__(self, sender: Sender, turns: RoundRobin) -> None:
        self._sender: Final = sender
        self._turns: Final = turns

    def open_lane(self) -> Lane:
        """Return a lane for one more read of the group."""
        return Lane(self._sender, self._turns)
