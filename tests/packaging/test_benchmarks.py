"""The benchmarks: a tiny round of them runs, and nobody wins by reading less."""

import os
import re
from pathlib import Path

import pytest
from support.programs import script

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "run.py"
WITHOUT_EXTRA = ("proven", "plain", "bare", "ceiling", "aiohttp", "gathered-cattrs")

pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="run without them")


async def run(*arguments):
    """Runs the benchmarks; returns their exit status and what they printed."""
    async with script(SCRIPT, *arguments, env=os.environ) as process:
        out, err = await process.communicate()
    return process.returncode, (out + err).decode()


async def test_each_contestant_sees_every_event_in_order():
    status, output = await run("--check", "--contestants", *WITHOUT_EXTRA)
    assert (status, output) == (
        0,
        f"{len(WITHOUT_EXTRA)} contestants, missed by: none\n",
    )


@pytest.mark.slow
async def test_a_round_has_a_line_for_each_contestant_and_compares_them():
    contestants = ("proven", "bare", "ceiling")
    size = ("--rounds", "1", "--events", "300")
    status, output = await run("--only", "stream", *size, "--contestants", *contestants)
    assert status == 0, output
    rows = re.findall(r"^\| (.+?) +\| +300 \|", output, re.MULTILINE)
    assert sorted(rows) == [
        "bare aiohttp, same decoder",
        "canopy_async",
        "raw sockets, same decoder",
    ]
    assert re.findall(r"^events/s, proven read ÷ (.+):", output, re.MULTILINE) == [
        "bare aiohttp"
    ]
