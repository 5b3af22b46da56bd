"""A read without the library: aiohttp, a window of pages, the library's decoder.

Nothing is retried, limited, checked or proven, so that it shows what that costs.
It receives in pieces of a page as the library does, which is no merit of either.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, cast

import aiohttp
import msgspec

from canopy_async import AuditEvent
from canopy_async._api.decoding import codec_of
from canopy_async.models import Page
from contestants import TAKE, TOKEN, Log

_RECEIVE = 96 * 1024


class _Connector(aiohttp.TCPConnector):
    async def _create_connection(self, *args: Any, **kwargs: Any) -> Any:
        protocol = await super()._create_connection(*args, **kwargs)
        protocol.transport.max_size = _RECEIVE
        return protocol


Decode = Callable[[bytes], Page[AuditEvent]]


def decode(body: bytes) -> Page[AuditEvent]:
    """Decode a page as the library does, with its check of each row's fields."""
    return cast("Page[AuditEvent]", codec_of(AuditEvent).decode(body))


@asynccontextmanager
async def pages(log: Log) -> AsyncIterator[AsyncIterator[Sequence[AuditEvent]]]:
    """Read pages 1 to P, so many at a time, in order."""
    async with _session() as http:
        yield _pages(http, log, decode)


@asynccontextmanager
async def by_msgspec(log: Log) -> AsyncIterator[AsyncIterator[Sequence[AuditEvent]]]:
    """Do so with msgspec as it is."""
    async with _session() as http:
        yield _pages(http, log, msgspec.json.Decoder(Page[AuditEvent]).decode)


async def fan_out(logs: Sequence[Log], in_flight: int) -> int:
    """Read all pages of many logs, so many at a time; return the number of events."""
    todo = iter(logs)

    async def work(http: aiohttp.ClientSession) -> int:
        seen = 0
        for log in todo:
            page, pages = 1, 1
            while page <= pages:
                answer = decode(await _fetch(http, log, page))
                pages, page = answer.pagination.page_count, page + 1
                for _ in answer.items:
                    seen += 1
                del answer  # before the next one takes more memory
        return seen

    async with _session() as http:
        return sum(await asyncio.gather(*(work(http) for _ in range(in_flight))))


def _session() -> aiohttp.ClientSession:
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept-Encoding": "identity"}
    return aiohttp.ClientSession(connector=_Connector(), headers=headers)


async def _fetch(http: aiohttp.ClientSession, log: Log, page: int) -> bytes:
    url = f"{log.url}?page={page}&take={TAKE}&order={log.order}"
    async with http.get(url) as response:
        response.raise_for_status()
        return await response.read()


async def _pages(
    http: aiohttp.ClientSession, log: Log, decode: Decode
) -> AsyncIterator[Sequence[AuditEvent]]:
    first = decode(await _fetch(http, log, 1))
    numbers = iter(range(2, first.pagination.page_count + 1))
    window = deque(
        asyncio.create_task(_fetch(http, log, number))
        for number in islice(numbers, log.in_flight)
    )
    yield first.items
    while window:
        body = await window.popleft()
        number = next(numbers, None)
        if number is not None:
            window.append(asyncio.create_task(_fetch(http, log, number)))
        yield decode(body).items
