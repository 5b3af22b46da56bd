"""Followers of simulated logs with late events, and the batches that they return."""

import asyncio

from latesim import OPTIONS, Log, Written

from canopy_async import CanopySession
from support.scripted import simulated
from support.virtual import now


def names(batches):
    return [event.id for _, batch in batches for event in batch.events]


def came_at(batches):
    return {event.id: at for at, batch in batches for event in batch.events}


def late(batches):
    return {name for _, batch in batches for name in batch.late}


def suspected(batches):
    return [batch.late_suspected for _, batch in batches if batch.late_suspected]


def spread(begin, end, count, prefix="old"):
    """Events at equal distances in time, each committed without delay."""
    step = (end - begin) / count
    return [Written(begin + n * step, 0.0, f"{prefix}_{n}") for n in range(count)]


async def follow(written, seconds, *, count=None, **options):
    """Follow a log for some virtual seconds.

    Args:
        written: The log, or its events.
        seconds: The virtual seconds.
        count: Maps the true number of events to the count that the server tells.
        **options: Options of the follower.

    Returns:
        The batches, each after the time when it came, and the requests.
    """
    log = written if isinstance(written, Log) else Log(written)
    if count is not None:
        true = log.count
        log.count = lambda: count(true())
    batches = []
    with simulated(log.answer) as calls:
        async with CanopySession("acme", "token") as canopy:
            follower = canopy.follow("idn_1", **(OPTIONS | options))
            try:
                async with asyncio.timeout(seconds):
                    async for batch in follower:
                        batches.append((now(), batch))  # till then
            except TimeoutError:
                pass
    return batches, calls
