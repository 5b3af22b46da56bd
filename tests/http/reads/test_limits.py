"""Limits that change while a session works, and cooldowns from outside."""

import asyncio

import pytest
from support.virtual import now, settle, virtual
from support.waiting import until

from canopy_async._transport.gate import Gate
from canopy_async._transport.turns import ReadQueue
from canopy_async.testing import Faults


async def hold(gate, seconds, log):
    ticket = ReadQueue(gate.turns).ticket()
    log.append(await gate.acquire(ticket))
    await asyncio.sleep(seconds)
    gate.release(ticket)


def start(gate, count, log, *, seconds=1):
    return [asyncio.create_task(hold(gate, seconds, log)) for _ in range(count)]


@virtual
async def test_a_lower_ceiling_lets_those_in_flight_go_on_and_then_holds():
    gate, log = Gate(4), []
    tasks = start(gate, 8, log)
    await settle()
    gate.set_ceiling(1)
    assert gate.stats.in_flight == 4
    await asyncio.gather(*tasks)
    assert log == [0, 0, 0, 0, 1, 2, 3, 4]


@virtual
async def test_a_higher_ceiling_admits_those_who_wait_at_once():
    gate, log = Gate(1), []
    tasks = start(gate, 3, log)
    await settle()
    gate.set_ceiling(3)
    await settle()
    assert (gate.stats.in_flight, gate.stats.waiting) == (3, 0)
    await asyncio.gather(*tasks)
    assert now() == 1


@virtual
async def test_a_higher_ceiling_does_not_undo_what_strain_has_taken():
    gate = Gate(8)
    ticket = ReadQueue(gate.turns).ticket()
    gate.strained(await gate.acquire(ticket))
    gate.release(ticket)
    gate.set_ceiling(16)
    assert gate.stats.width == 4
    gate.set_ceiling(2)
    assert gate.stats.width == 2


@virtual
async def test_a_lower_rate_holds_from_the_next_start_on():
    gate, log = Gate(9, max_rate=10), []
    tasks = start(gate, 3, log)
    await settle()
    gate.set_max_rate(2)
    await asyncio.gather(*tasks)
    assert log == [0, 0.5, 1]


@virtual
async def test_a_higher_rate_and_none_at_all_wake_those_who_wait():
    gate, log = Gate(9, max_rate=0.1), []
    tasks = start(gate, 4, log)
    await settle()
    gate.set_max_rate(2)
    await asyncio.sleep(0.6)
    gate.set_max_rate(None)
    await asyncio.gather(*tasks)
    assert log == pytest.approx([0, 0.5, 0.6, 0.6])


async def test_a_session_keeps_to_a_concurrency_that_is_set_later(server, connect):
    server.seed_events("idn_1", 2_000)
    server.faults = Faults(latency=0.002)
    session = connect(concurrency=8)
    session.set_concurrency(2)
    assert len(await session.events("idn_1").collect()) == 2_000
    assert server.peak_in_flight == 2
    session.set_concurrency(8)
    server.faults = Faults(latency=0.1)
    await session.events("idn_1").collect()
    assert server.peak_in_flight == 8


async def test_a_cooldown_from_outside_stops_every_request(server, connect):
    server.seed_events("idn_1", 10)
    session = connect()
    session.cool_down(30)
    reading = asyncio.create_task(session.events("idn_1").collect())
    await until(lambda: session.stats.waiting == 1, "it does not wait")
    assert (server.requests, session.stats.cooldowns) == ([], 1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_limits_that_can_not_be_are_refused(connect):
    session = connect(concurrency=4)
    for wrong, error in [(0, ValueError), (5, ValueError), (2.0, TypeError)]:
        with pytest.raises(error, match="concurrency must be"):
            session.set_concurrency(wrong)
    for wrong, error in [(0, ValueError), ("1", TypeError)]:
        with pytest.raises(error, match="max_rate must be"):
            session.set_max_rate(wrong)
        with pytest.raises(error, match="seconds must be"):
            session.cool_down(wrong)
    session.set_max_rate(None)
