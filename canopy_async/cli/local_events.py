"""Events for a local server, created in steps that let the event loop run."""

import asyncio
from collections.abc import AsyncIterator

from canopy_async.testing import LocalCanopy

__all__ = ["seed_in_steps"]

_STEP = 2_000


async def seed_in_steps(
    server: LocalCanopy, identity_id: str, count: int
) -> AsyncIterator[int]:
    """Add ``count`` events to an identity's log.

    Yields:
        The number of events added so far, after each step.
    """
    done = 0
    while done < count:
        step = min(_STEP, count - done)
        server.seed_events(identity_id, step)
        done += step
        yield done
        await asyncio.sleep(0)  # lets the loop handle signals
