"""A server that goes away and comes back: nothing fails, and few requests are sent."""

import asyncio
import random

import attrs
import pytest
from support.outages import AwayServer
from support.samples import event_row, page_body
from support.scripted import answer, simulated
from support.virtual import now, virtual

from canopy_async import (
    CanopySession,
    RateLimitedError,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    TransportError,
)


@attrs.define
class Server(AwayServer):
    """Answers for every identity with so many pages."""

    pages: int = 1

    def page_of(self, call):
        take = int(call.url.query["take"])
        begin = (call.page - 1) * take
        total = self.pages * take
        rows = [event_row(total - n) for n in range(begin, min(begin + take, total))]
        return page_body(
            rows,
            page=call.page,
            take=take,
            item_count=total,
            page_count=self.pages,
            has_next_page=call.page < self.pages,
        )


def session(**options):
    return CanopySession("acme", "t0ken", **options)


@pytest.mark.parametrize("fault", ["refused", "reset", "500", "502", "503"])
@pytest.mark.parametrize("seconds", [0.5, 2, 10, 30, 45])
@virtual
async def test_a_fan_out_of_many_outlasts_an_outage_and_loses_no_identity(
    seconds, fault
):
    random.seed(f"{seconds} {fault}")
    server = Server(away=(1, 1 + seconds), fault=fault)
    with simulated(server):
        async with session() as canopy:
            fan_out = canopy.fan_out(
                (f"idn_{n}" for n in range(500)),
                on_error="collect",
                lossless=False,
                take=2,
            )
            await fan_out.collect()
            assert canopy.stats.outage is False
    assert not fan_out.failures
    assert fan_out.progress.done == 500
    # What was in flight when it began, and the probes.
    assert 0 < server.asked_in_vain <= 8 + 4 + 4 * seconds**0.5


@pytest.mark.parametrize("concurrency", [1, 8, 64])
@pytest.mark.parametrize("seconds", [0.5, 2, 10, 30])
@virtual
async def test_one_read_outlasts_an_outage(seconds, concurrency):
    random.seed(seconds)
    server = Server(away=(0.1, 0.1 + seconds), pages=400)
    with simulated(server):
        async with session(concurrency=concurrency) as canopy:
            events = await canopy.events("idn_1", lossless=False, take=10).collect()
    assert len(events) == 4_000
    assert server.asked_in_vain <= concurrency + 4 + 4 * seconds**0.5


@virtual
async def test_one_request_at_a_time_probes_until_it_is_over():
    in_flight, peak = 0, []

    async def script(_):
        nonlocal in_flight
        in_flight += 1
        peak.append((now(), in_flight))
        await asyncio.sleep(0.3)
        in_flight -= 1
        return 502 if 1 <= now() < 20 else 200

    async def handle(number):
        await asyncio.sleep(number / 20)
        await canopy.page(f"idn_{number}")

    with simulated(script):
        async with session() as canopy:
            await asyncio.gather(*(handle(n) for n in range(200)))
    assert max(count for at, count in peak if 2 < at < 20) == 1
    assert max(count for at, count in peak if at > 20.5) > 1


@pytest.mark.parametrize(
    ("fault", "cls"),
    [("refused", TransportError), ("502", ServerError), ("503", ServerError)],
)
@virtual
async def test_an_impatient_handler_fails_when_its_own_patience_is_over(fault, cls):
    server = Server(away=(0, 1e9), fault=fault)
    ends = []

    async def handle(number):
        await asyncio.sleep(number)
        began = now()
        with pytest.raises(cls) as caught:
            await canopy.page(f"idn_{number}")
        assert caught.value.concerns_all or number < 2
        # The first two met the outage themselves, and are patient from then on.
        ends.append(now() - began if number > 1 else 0)

    with simulated(server):
        async with session(retry=RetryPolicy(deadline=3)) as canopy:
            await asyncio.gather(*(handle(n) for n in range(60)))
            assert canopy.stats.waiting == canopy.stats.in_flight == 0
    assert max(ends) <= 3.001
    assert min(ends) >= 0
    # One probe every few seconds, whatever the number of handlers.
    assert len(server.asked) <= 8 + 63 / 2.5


@virtual
async def test_a_request_that_was_not_sent_says_so_and_what_others_met():
    with simulated(Server(away=(0, 1e9), fault="refused")):
        async with session(retry=RetryPolicy(deadline=3)) as canopy:
            results = await asyncio.gather(
                *(canopy.page(f"idn_{n}") for n in range(50)), return_exceptions=True
            )
    unsent = [error for error in results if not error.attempts]
    assert unsent
    for error in unsent:
        assert isinstance(error, TransportError)
        assert "which was not sent" in str(error)
        assert error.concerns_all


@virtual
async def test_a_server_that_takes_connections_and_never_answers_is_probed_on():
    server = Server(away=(1, 40), fault="hang")
    with simulated(server):
        async with session(timeout=15) as canopy:

            async def handle(number):
                await asyncio.sleep(number / 10)
                await canopy.page(f"idn_{number}")

            await asyncio.gather(*(handle(n) for n in range(300)))
    assert server.served == 300
    assert now() < 60


@virtual
async def test_timeouts_are_an_outage_that_ends_with_its_own_error():
    server = Server(away=(0, 1e9), fault="hang")
    with simulated(server):
        async with session(timeout=5, retry=RetryPolicy(deadline=20)) as canopy:
            results = await asyncio.gather(
                *(canopy.page(f"idn_{n}") for n in range(20)), return_exceptions=True
            )
    assert {type(result) for result in results} == {RequestTimeoutError}
    assert now() <= 5 + 20 + 10 + 5


@virtual
async def test_one_identity_that_always_answers_500_is_no_outage():
    def script(call):
        return 500 if "/bad/" in call.url.path else 200

    with simulated(script):
        async with session() as canopy:
            ids = [*(f"idn_{n}" for n in range(20)), "bad"]
            ids += [f"late_{n}" for n in range(2_000)]
            fan_out = canopy.fan_out(ids, on_error="collect", lossless=False)
            seen = [identity_id async for identity_id, _ in fan_out]
    assert list(fan_out.failures) == ["bad"]
    assert isinstance(fan_out.failures["bad"], ServerError)
    assert not fan_out.failures["bad"].concerns_all
    assert len(seen) == 2_020


@virtual
async def test_an_outage_that_outlasts_the_patience_ends_a_fan_out_as_one_error():
    server = Server(away=(1, 1e9))
    with simulated(server):
        async with session(retry=RetryPolicy(deadline=10)) as canopy:
            fan_out = canopy.fan_out(
                (f"idn_{n}" for n in range(800)),
                on_error="collect",
                lossless=False,
                take=2,
            )
            with pytest.raises(TransportError) as caught:
                await fan_out.collect()
    assert caught.value.concerns_all
    assert fan_out.failures == {}
    assert fan_out.progress.failed == 0
    assert 0 < fan_out.progress.done < 800
    # Those that were begun are to be gone on with.
    assert 0 < len(fan_out.checkpoints) <= 16
    assert 11 <= now() < 13


@virtual
async def test_a_long_retry_after_keeps_the_session_quiet_for_as_long_as_asked():
    asked = []

    def script(_):
        asked.append(now())
        if now() < 90:
            return answer(503, b"", {"Retry-After": str(90 - int(now()))})
        return 200

    with simulated(script):
        async with session() as canopy:
            fan_out = canopy.fan_out(
                (f"idn_{n}" for n in range(400)), on_error="collect"
            )
            with pytest.raises(RateLimitedError) as caught:
                await fan_out.collect()
            assert (caught.value.status, caught.value.retry_after) == (503, 90)
            assert caught.value.concerns_all
            assert not fan_out.failures
            before = len(asked)
            assert before <= 8
            for _ in range(8):
                await asyncio.sleep(10)
                with pytest.raises(RateLimitedError) as refused:
                    await canopy.page("idn_1")
                assert refused.value.attempts == 0
                assert refused.value.retry_after == pytest.approx(90 - now())
                assert refused.value.concerns_all
            assert len(asked) == before
            await asyncio.sleep(90 - now() + 0.001)
            await canopy.page("idn_1")


@pytest.mark.parametrize("seconds", [30, 90, 600])
@virtual
async def test_requests_that_wait_fail_at_once_when_quiet_is_asked_for(seconds):
    async def script(_):
        await asyncio.sleep(0.1)
        return answer(429, b"", {"Retry-After": str(seconds)})

    with simulated(script) as calls:
        async with session(concurrency=2, retry=RetryPolicy(deadline=25)) as canopy:
            results = await asyncio.gather(
                *(canopy.page(f"idn_{n}") for n in range(50)), return_exceptions=True
            )
    assert {type(result) for result in results} == {RateLimitedError}
    assert len(calls) == 2
    assert now() == pytest.approx(0.1)


@virtual
async def test_a_retry_after_of_half_a_minute_is_waited_for():
    def script(_):
        return answer(429, b"", {"Retry-After": "30"}) if now() < 30 else 200

    with simulated(script) as calls:
        async with session() as canopy:
            fan_out = canopy.fan_out([f"idn_{n}" for n in range(50)], lossless=False)
            assert len(await fan_out.collect()) == 50
    assert len([call for call in calls if call.at < 30]) <= 8
