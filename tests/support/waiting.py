"""Waiting for a fact, without guessing how long it takes."""

import asyncio


async def until(fact, otherwise="it never came true", *, patience=30):
    """Give way to the loop until ``fact()``; fail after ``patience`` seconds."""
    loop = asyncio.get_running_loop()
    limit = loop.time() + patience
    while not fact():
        if loop.time() > limit:
            raise AssertionError(otherwise)
        await asyncio.sleep(0.001)
