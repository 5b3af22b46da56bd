"""The benchmarks: a tiny round of them runs, and nobody wins by reading less."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "run.py"
WITHOUT_EXTRA = ("proven", "plain", "bare", "ceiling", "aiohttp", "gathered-cattrs")

pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="run without them")


def run(*arguments):
    """Runs the benchmarks; returns their exit status and what they printed."""
    done = subprocess.run(  # noqa: S603 - a script of our own
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_each_contestant_sees_every_event_in_order():
    status, output = run("--check", "--contestants", *WITHOUT_EXTRA)
    assert (status, output) == (
        0,
        f"{len(WITHOUT_EXTRA)} contestants, missed by: none\n",
    )


def test_a_round_has_a_line_for_each_contestant_and_compares_them():
    contestants = ("proven", "bare", "ceiling")
    size = ("--rounds", "1", "--events", "300")
    status, output = run("--only", "stream", *size, "--contestants", *contestants)
    assert status == 0, output
    rows = re.findall(r"^\| (.+?) +\| +300 \|", output, re.MULTILINE)
    assert sorted(rows) == [
        "bare aiohttp, same decoder",
        "canopy_async",
        "raw sockets, same decoder",
    ]
    assert re.findall(r"^events/s, proven read ÷ (.+):", output, re.MULTILINE) == [
        "bare aiohttp",
        "raw sockets",
    ]
