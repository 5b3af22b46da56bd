"""This library, used as its documentation says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from canopy_async import AuditEvent, CanopySession, Stream
from contestants import TAKE, TOKEN, Log


@asynccontextmanager
async def proven(log: Log) -> AsyncIterator[Stream[AuditEvent]]:
    """Read with the proof, which is the default."""
    async with session(log) as canopy:
        yield canopy.events(log.identity, order=log.order, take=TAKE)


@asynccontextmanager
async def plain(log: Log) -> AsyncIterator[Stream[AuditEvent]]:
    """Read each page once, and prove nothing."""
    async with session(log) as canopy:
        yield canopy.events(log.identity, order=log.order, take=TAKE, lossless=False)


@asynccontextmanager
async def proven_list(log: Log) -> AsyncIterator[list[AuditEvent]]:
    """Read with the proof, and keep all."""
    async with session(log) as canopy:
        yield await canopy.events(log.identity, order=log.order, take=TAKE).collect()


def session(log: Log, **options: Any) -> CanopySession:
    """Return a session that reads with so many requests in flight."""
    options.setdefault("concurrency", log.in_flight)
    return CanopySession(log.account, TOKEN, base_url=log.base_url, **options)
