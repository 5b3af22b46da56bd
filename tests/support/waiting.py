"""Waiting for a condition, without guessing how long it takes."""

import asyncio

PATIENCE = 30.0
"""Seconds after which a condition is taken never to come true."""

STARTING = 120.0
"""Seconds of patience where other processes have to start first."""


async def until(fact, otherwise="it never came true", *, within=PATIENCE):
    """Wait until ``fact()`` is true; fail with ``otherwise`` after so many seconds."""
    loop = asyncio.get_running_loop()
    limit = loop.time() + within
    while not fact():
        if loop.time() > limit:
            raise AssertionError(otherwise)
        await asyncio.sleep(0.001)
