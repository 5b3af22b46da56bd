"""Followers that are read one batch at a time, and poll almost without a pause."""

import asyncio

from support.waiting import until

FAST = {"every": 0.01, "idle_every": 0.02}


def ids(batch):
    return [event.id for event in batch.events]


class Reader:
    """Reads a follower one batch at a time."""

    def __init__(self, follower):
        self.follower = follower
        self._batches = aiter(follower)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc_info):
        await self._batches.aclose()

    async def next(self):
        async with asyncio.timeout(20):
            return await anext(self._batches)

    async def nothing(self, server, requests=6):
        """Check that no batch comes during further requests; the reader ends then."""
        limit = len(server.requests) + requests
        coming = asyncio.ensure_future(anext(self._batches))
        await until(lambda: coming.done() or len(server.requests) > limit)
        assert not coming.done()
        coming.cancel()
        await asyncio.wait([coming])
