"""Waiting for a fact, without guessing how long it takes."""

import asyncio


async def until(fact, otherwise="it never came true"):
    """Give way to the loop until ``fact()``; fail after half a minute without it."""
    loop = asyncio.get_running_loop()
    limit = loop.time() + 30
    while not fact():
        if loop.time() > limit:
            raise AssertionError(otherwise)
        await asyncio.sleep(0.001)
