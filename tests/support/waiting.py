"""Waiting for a condition, without guessing how long it takes."""

import asyncio


async def until(fact, otherwise="it never came true"):
    """Wait until ``fact()`` is true; fail with ``otherwise`` after 30 seconds."""
    loop = asyncio.get_running_loop()
    limit = loop.time() + 30
    while not fact():
        if loop.time() > limit:
            raise AssertionError(otherwise)
        await asyncio.sleep(0.001)
