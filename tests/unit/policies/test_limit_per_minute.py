"""A limit of some requests a minute, of which no header tells: it is learnt."""

import asyncio
import random
from collections import deque

import attrs
import pytest
from support.samples import page_body
from support.scripted import simulated
from support.virtual import now, virtual

from canopy_async import CanopySession

LATENCY = 0.05


@attrs.define
class Sliding:
    """So many requests in any minute."""

    limit: int
    served: deque = attrs.field(factory=deque)

    def admits(self):
        while self.served and self.served[0] <= now() - 60:
            self.served.popleft()
        if len(self.served) >= self.limit:
            return False
        self.served.append(now())
        return True


@attrs.define
class Fixed:
    """So many requests in each minute of the clock."""

    limit: int
    minute: int = -1
    count: int = 0

    def admits(self):
        if int(now() // 60) != self.minute:
            self.minute, self.count = int(now() // 60), 0
        self.count += 1
        return self.count <= self.limit


@pytest.mark.parametrize("window", [Sliding, Fixed])
@pytest.mark.parametrize(("limit", "begins"), [(60, 0), (60, 20), (60, 55), (300, 20)])
@virtual
async def test_a_limit_per_minute_without_a_header_is_learnt(window, limit, begins):
    random.seed(f"{limit} {begins}")
    await asyncio.sleep(begins)
    limiter, refused = window(limit), []

    async def script(_):
        await asyncio.sleep(LATENCY)
        if limiter.admits():
            return page_body([])
        refused.append(now())
        return 429

    with simulated(script):
        async with CanopySession("acme", "t0ken") as canopy:
            fan_out = canopy.fan_out(
                (f"idn_{n}" for n in range(5 * limit)), on_error="collect"
            )
            await fan_out.collect()
    assert not fan_out.failures
    assert fan_out.progress.done == 5 * limit
    minutes = (now() - begins) / 60
    assert minutes <= 8
    # Five minutes' worth of requests; refused are some 10 to 20 a minute, not 8 at
    # each attempt of a wide session.
    assert len(refused) <= 20 * minutes
