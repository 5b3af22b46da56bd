"""What is left without the library: aiohttp, a window of pages, its decoder.

Nothing is retried, limited, checked or proven. It shows what all of that costs.
It receives in pieces of a page as the library does, which is no merit of either.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

import aiohttp
import msgspec

from canopy_async import AuditEvent
from canopy_async.models import Page
from contestants import TAKE, TOKEN, Log

_RECEIVE = 96 * 1024


class _Connector(aiohttp.TCPConnector):
    async def _create_connection(self, *args: Any, **kwargs: Any) -> Any:
        protocol = await super()._create_connection(*args, **kwargs)
        protocol.transport.max_size = _RECEIVE
        return protocol


@asynccontextmanager
async def pages(log: Log) -> AsyncIterator[AsyncIterator[Sequence[AuditEvent]]]:
    """Read pages 1 to P, so many at a time, in order."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept-Encoding": "identity"}
    async with aiohttp.ClientSession(connector=_Connector(), headers=headers) as http:
        yield _pages(http, log)


async def _pages(
    http: aiohttp.ClientSession, log: Log
) -> AsyncIterator[Sequence[AuditEvent]]:
    decode = msgspec.json.Decoder(Page[AuditEvent]).decode

    async def fetch(page: int) -> bytes:
        url = f"{log.url}?page={page}&take={TAKE}&order={log.order}"
        async with http.get(url) as response:
            response.raise_for_status()
            return await response.read()

    first = decode(await fetch(1))
    numbers = iter(range(2, first.pagination.page_count + 1))
    window = deque(
        asyncio.create_task(fetch(number)) for number in islice(numbers, log.in_flight)
    )
    yield first.items
    while window:
        body = await window.popleft()
        number = next(numbers, None)
        if number is not None:
            window.append(asyncio.create_task(fetch(number)))
        yield decode(body).items
