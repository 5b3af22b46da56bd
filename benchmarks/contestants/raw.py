"""The ceiling: bytes off the socket by hand, into the same decoder.

It trusts the server in everything, down to the spelling of its headers: each
connection receives into one buffer, from which each page is copied once. What
Python and the decoder cost is all that is left.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import urlsplit

from canopy_async import AuditEvent
from contestants import TAKE, TOKEN, Log, bare

_BUFFER = 256 * 1024
_LENGTH = b"Content-Length: "


class _Connection(asyncio.BufferedProtocol):
    """One keep-alive connection with one request on it at a time."""

    def __init__(self) -> None:
        self._buffer = memoryview(bytearray(_BUFFER))
        self._received = self._start = self._end = 0
        self._answer: asyncio.Future[memoryview] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the server hung up"))

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return self._buffer[self._received :]

    def buffer_updated(self, nbytes: int) -> None:
        self._received += nbytes
        if not self._end:
            self._read_head()
        if self._end and self._received >= self._end and self._answer is not None:
            self._answer.set_result(self._buffer[self._start : self._end])

    def _read_head(self) -> None:
        head = bytes(self._buffer[: min(self._received, 512)])
        if (end := head.find(b"\r\n\r\n")) < 0:
            return
        at = head.index(_LENGTH) + len(_LENGTH)
        self._start = end + 4
        self._end = self._start + int(head[at : head.index(b"\r\n", at)])

    def send(self, request: bytes) -> asyncio.Future[memoryview]:
        """Send a request; its answer is there until the next one is sent."""
        self._received = self._start = self._end = 0
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        self._transport.close()


@asynccontextmanager
async def pages(log: Log) -> AsyncIterator[AsyncIterator[Sequence[AuditEvent]]]:
    """Read and decode pages 1 to P, so many at a time, in order."""
    async with _connections(log.base_url, log.in_flight) as connections:
        yield _pages(log, connections, lambda body: bare.decode(bytes(body)).items)


@asynccontextmanager
async def bodies(log: Log) -> AsyncIterator[AsyncIterator[Sequence[None]]]:
    """Receive the pages and look at none: the floor, and the server's ceiling."""
    async with _connections(log.base_url, log.in_flight) as connections:
        # Counted in place of the events that are not decoded.
        yield _pages(log, connections, lambda _: range(TAKE))


async def fan_out(logs: Sequence[Log], in_flight: int) -> int:
    """Read all pages of many logs, so many at a time; return the number of events."""
    todo = iter(logs)

    async def work(connection: _Connection) -> int:
        seen = 0
        for log in todo:
            before, after = _request(log)
            page, pages = 1, 1
            while page <= pages:
                body = await connection.send(b"%b%d%b" % (before, page, after))
                answer = bare.decode(bytes(body))
                pages, page = answer.pagination.page_count, page + 1
                for _ in answer.items:
                    seen += 1
                del answer  # before the next one takes more memory
        return seen

    async with _connections(logs[0].base_url, in_flight) as connections:
        return sum(await asyncio.gather(*map(work, connections)))


@asynccontextmanager
async def _connections(base_url: str, count: int) -> AsyncIterator[list[_Connection]]:
    loop, parts = asyncio.get_running_loop(), urlsplit(base_url)
    connections = []
    try:
        for _ in range(count):
            _, connection = await loop.create_connection(
                _Connection, parts.hostname, parts.port
            )
            connections.append(connection)
        yield connections
    finally:
        for connection in connections:
            connection.close()


def _request(log: Log) -> tuple[bytes, bytes]:
    """Return what a request for a page is before the page's number, and after."""
    parts = urlsplit(log.url)
    return (
        f"GET {parts.path}?take={TAKE}&order={log.order}&page=".encode(),
        f" HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Authorization: Bearer {TOKEN}\r\n\r\n".encode(),
    )


async def _pages(
    log: Log,
    connections: list[_Connection],
    take: Callable[[memoryview], Any],
) -> AsyncIterator[Any]:
    before, after = _request(log)
    last = -(-log.events // TAKE)
    wide = len(connections)

    def send(page: int) -> asyncio.Future[memoryview]:
        return connections[page % wide].send(b"%b%d%b" % (before, page, after))

    answers = [send(page) for page in range(1, min(wide, last) + 1)]
    for page in range(1, last + 1):
        body = await answers[(page - 1) % wide]
        yield take(body)
        if page + wide <= last:
            answers[(page - 1) % wide] = send(page + wide)
