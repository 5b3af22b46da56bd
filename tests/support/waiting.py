"""Waiting for a condition, without guessing how long it takes."""

import asyncio


async def until(fact, otherwise="it never came true", *, patience=30):
    """Wait until ``fact()`` is true; fail with ``otherwise`` after ``patience`` s."""
    loop = asyncio.get_running_loop()
    limit = loop.time() + patience
    while not fact():
        if loop.time() > limit:
            raise AssertionError(otherwise)
        await asyncio.sleep(0.001)
