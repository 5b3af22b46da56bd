"""Exports from a server that goes away and comes back: nothing is lost."""

import asyncio
import random

import pytest
from support.exports import ids_of
from support.outages import ServerOfLogs
from support.scripted import simulated
from support.virtual import now, virtual

from canopy_async import (
    CanopySession,
    RateLimitedError,
    RetryPolicy,
    ServerError,
    TransportError,
)
from canopy_async.export import Status, export, read_manifest, verify

NAMES = [f"idn_{number}" for number in range(60)]
EVENTS = 250


def server_of_sixty(**options):
    server = ServerOfLogs(**options)
    for name in NAMES:
        server.add(name, EVENTS)
    return server


def session(**options):
    return CanopySession("acme", "t0ken", **options)


def in_a_row(seconds):
    """How many requests an outage may cost: those in flight, and the probes."""
    return 8 + 4 + 4 * seconds**0.5


@pytest.mark.parametrize("fault", ["refused", "reset", "503"])
@pytest.mark.parametrize("seconds", [2, 30])
@virtual
async def test_an_export_outlasts_an_outage_and_has_each_event_once(
    tmp_path, seconds, fault
):
    random.seed(f"{seconds} {fault}")
    server = server_of_sixty(away=(0.2, 0.2 + seconds), fault=fault)
    with simulated(server) as calls:
        async with session() as canopy:
            result = await export(canopy, NAMES, tmp_path / "out")
    assert (result.complete, result.failures) == (60, {})
    assert ids_of(tmp_path / "out") == server.ids()
    assert verify(tmp_path / "out").status is Status.FINISHED
    assert server.asked_in_vain <= in_a_row(seconds)
    # It was away in the middle.
    assert len([call for call in calls if call.at < 0.2]) > 40
    assert len([call for call in calls if call.at > seconds]) > 40


@pytest.mark.parametrize(
    ("fault", "cls"), [("refused", TransportError), ("502", ServerError)]
)
@virtual
async def test_an_outage_that_outlasts_the_patience_ends_an_export_as_one_error(
    tmp_path, fault, cls
):
    out = tmp_path / "out"
    server = server_of_sixty(away=(0.2, 1e9), fault=fault)
    with simulated(server):
        async with session(retry=RetryPolicy(deadline=1)) as canopy:
            with pytest.raises(cls) as caught:
                await export(canopy, NAMES, out)
    assert caught.value.concerns_all
    assert "run the export again to go on" in "".join(caught.value.__notes__)
    assert 1.2 <= now() < 3
    assert server.asked_in_vain <= in_a_row(2)
    await check_that_the_rest_is_left_and_a_rerun_reads_it(server, out)


@pytest.mark.parametrize("status", [429, 503])
@virtual
async def test_a_long_retry_after_ends_an_export_and_says_when_to_come_back(
    tmp_path, status
):
    out = tmp_path / "out"
    server = server_of_sixty(away=(0.2, 90.2), fault=f"{status}+")
    with simulated(server):
        async with session() as canopy:
            with pytest.raises(RateLimitedError, match="retry after 90 s") as caught:
                await export(canopy, NAMES, out)
            assert (caught.value.concerns_all, caught.value.status) == (True, status)
            assert caught.value.retry_after == 90
            assert server.asked_in_vain <= 8
            # A run within that time sends nothing, and says how long it still is.
            asked = len(server.asked)
            await asyncio.sleep(60)
            with pytest.raises(
                RateLimitedError, match=r"retry after 30.* s: "
            ) as refused:
                await export(canopy, NAMES, out)
            assert refused.value.attempts == 0
            assert len(server.asked) == asked
    await check_that_the_rest_is_left_and_a_rerun_reads_it(server, out)


async def check_that_the_rest_is_left_and_a_rerun_reads_it(server, out):
    broken = verify(out)
    assert (broken.status, broken.problems) == (Status.UNFINISHED, ())
    manifest = read_manifest(out)
    assert {run.end.outcome for run in manifest.runs} == {"failed"}
    done, failed = manifest.count("done"), manifest.count("failed")
    assert (0 < done < 60, failed) == (True, 0)
    server.away = (0.0, 0.0)
    with simulated(server) as calls:
        async with session() as canopy:
            result = await export(canopy, NAMES, out)
    assert (result.failures, result.complete) == ({}, 60)
    assert ids_of(out) == server.ids()
    assert verify(out).status is Status.FINISHED
    # What was read before is not read from its begin again.
    assert len(calls) < len(NAMES) * 4 - done
