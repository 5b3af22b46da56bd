"""Events for a local server, made in steps that leave the loop free."""

import asyncio
from collections.abc import AsyncIterator

from canopy_async.testing import LocalCanopy

__all__ = ["seed_in_steps"]

_STEP = 2_000


async def seed_in_steps(
    server: LocalCanopy, identity_id: str, count: int
) -> AsyncIterator[int]:
    """Give an identity ``count`` more events.

    Yields:
        How many it got, after each step.
    """
    done = 0
    while done < count:
        step = min(_STEP, count - done)
        server.seed_events(identity_id, step)
        done += step
        yield done
        await asyncio.sleep(0)  # signals are seen between steps
