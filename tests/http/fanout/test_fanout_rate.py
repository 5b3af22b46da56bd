"""A server that refuses by rate: the gate learns how much it allows."""

import asyncio
import math
import random
from collections import Counter

import attrs
import pytest
from support.virtual import now, virtual

from canopy_async._transport.gate import Gate
from canopy_async._transport.turns import ReadQueue
from canopy_async.testing import Faults
from canopy_async.testing.request_log import SlidingWindow

LATENCY = 0.02
ATTEMPTS = 4


@attrs.define
class Crowd:
    """Requests that many tasks send to a server with a limit, through one gate."""

    gate: Gate
    limit: float
    says_when: bool
    window: SlidingWindow = attrs.field(factory=SlidingWindow)
    dice: random.Random = attrs.field(factory=lambda: random.Random(7))
    counts: Counter = attrs.field(factory=Counter)

    async def send(self, requests, *, tasks=40):
        """Send so many requests; return how many came through per second."""
        began, todo = now(), iter(range(requests))

        async def work():
            for _ in todo:
                await self._get()

        await asyncio.gather(*(work() for _ in range(tasks)))
        return requests / (now() - began)

    async def _get(self):
        ticket = ReadQueue(self.gate.turns).ticket()
        for attempt in range(ATTEMPTS):
            started = await self.gate.acquire(ticket)
            wait = self.window.wait(self.limit, now())
            await asyncio.sleep(LATENCY * self.dice.uniform(0.9, 1.3))
            self.gate.release(ticket)
            if wait <= 0:
                self.counts["served"] += 1
                self.gate.succeeded()
                return
            self.counts["refused"] += 1
            self.gate.strained(started, refused=True)
            backoff = self.dice.uniform(0, 2**attempt)
            self.gate.cool_down(max(1, math.ceil(wait)) if self.says_when else backoff)
        self.counts["failed"] += 1


@pytest.mark.parametrize("says_when", [True, False])
@pytest.mark.parametrize("limit", [20, 50, 200])
@virtual
async def test_it_runs_close_to_the_limit_with_few_refusals_and_loses_nothing(
    limit, says_when
):
    crowd = Crowd(Gate(16), limit, says_when)
    requests = 60 * limit
    assert await crowd.send(requests) > 0.8 * limit
    assert crowd.counts["refused"] < 40
    assert crowd.counts["failed"] == 0
    assert crowd.counts["served"] == requests
    assert crowd.gate.stats.rate == pytest.approx(limit, rel=0.25)
    assert crowd.gate.stats.width > 1


@virtual
async def test_one_refusal_may_be_chance_and_limits_no_rate():
    crowd = Crowd(Gate(16), limit=math.inf, says_when=False)
    crowd.window.wait = lambda *_: 0.0
    await crowd.send(1_000)
    crowd.gate.strained(now(), refused=True)
    await asyncio.sleep(60)
    crowd.gate.strained(now(), refused=True)
    assert crowd.gate.stats.rate is None


@virtual
async def test_refusals_of_a_few_requests_limit_no_rate():
    gate = Gate(16)
    for _ in range(5):
        gate.succeeded()
        gate.strained(now(), refused=True)
        await asyncio.sleep(0.1)
    assert gate.stats.rate is None


@virtual
async def test_strain_that_is_no_refusal_limits_no_rate():
    crowd = Crowd(Gate(16), limit=math.inf, says_when=False)
    crowd.window.wait = lambda *_: 0.0
    for _ in range(3):
        await crowd.send(100)
        crowd.gate.strained(now())
    assert crowd.gate.stats.rate is None


@virtual
async def test_a_limit_that_is_lifted_is_forgotten_in_some_minutes():
    crowd = Crowd(Gate(16), 50, says_when=True)
    await crowd.send(500)
    assert crowd.gate.stats.rate is not None
    crowd.limit = 10_000
    assert await crowd.send(20_000) > 50
    assert crowd.gate.stats.rate is None
    assert await crowd.send(1_000) > 500


@virtual
async def test_a_limit_that_is_lowered_is_learnt_again():
    crowd = Crowd(Gate(16), 100, says_when=True)
    await crowd.send(2_000)
    crowd.limit = 30
    await crowd.send(300)
    assert await crowd.send(1_000) > 0.75 * 30
    assert crowd.counts["failed"] == 0


async def test_a_limited_server_is_read_whole(server, connect):
    ids = server.seed_identities(150)
    server.faults = Faults(rate_limit=100, latency=0.005, retry_after="seconds")
    session = connect(concurrency=8)
    fan_out = session.fan_out(ids, width=24)
    assert await fan_out.collect() == []
    statuses = Counter(request.status for request in server.requests)
    assert fan_out.progress.complete == statuses[200] == len(ids)
    assert session.stats.cooldowns > 0
    assert session.stats.requests == statuses.total()
