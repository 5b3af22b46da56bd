"""An asyncio program as many are: aiohttp, and dicts or attrs rows by cattrs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import aiohttp
from cattrs.preconf.json import make_converter

from canopy_async import AuditEvent
from canopy_async.models import Page
from contestants import TAKE, TOKEN, Log

T = TypeVar("T")


@asynccontextmanager
async def dicts(log: Log) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """Read page after page until none follows."""
    async with _client() as http:
        yield _rows(http, log)


@asynccontextmanager
async def gathered_dicts(log: Log) -> AsyncIterator[list[dict[str, Any]]]:
    """Read page 1, then all others at once; keep all."""
    async with _client() as http:
        bodies = await _gather(log, partial(_fetch, http, log))
        yield [row for body in bodies for row in body["items"]]


@asynccontextmanager
async def gathered_rows(log: Log) -> AsyncIterator[list[AuditEvent]]:
    """Read page 1, then all others at once; keep all as attrs rows."""
    converter = make_converter()

    async def fetch(page: int) -> Page[AuditEvent]:
        return converter.structure(await _fetch(http, log, page), Page[AuditEvent])

    async with _client() as http:
        pages = await _gather(log, fetch)
        yield [event for page in pages for event in page.items]


def _client() -> aiohttp.ClientSession:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    # A gather waits for connections longer than its default timeout of 5 minutes.
    timeout = aiohttp.ClientTimeout(total=None)
    return aiohttp.ClientSession(headers=headers, timeout=timeout)


async def _gather(log: Log, fetch: Callable[[int], Awaitable[T]]) -> list[T]:
    first = await fetch(1)
    last = -(-log.events // TAKE)
    return [first, *await asyncio.gather(*map(fetch, range(2, last + 1)))]


async def _rows(http: aiohttp.ClientSession, log: Log) -> AsyncIterator[dict[str, Any]]:
    page, more = 1, True
    while more:
        body = await _fetch(http, log, page)
        for row in body["items"]:
            yield row
        page, more = page + 1, body["pagination"]["has_next_page"]


async def _fetch(http: aiohttp.ClientSession, log: Log, page: int) -> dict[str, Any]:
    query = {"page": page, "take": TAKE, "order": log.order}
    async with http.get(log.url, params=query) as response:
        response.raise_for_status()
        return await response.json()
