"""Writing a run: the file with all of its tables, and the table of the pages."""

import os
import platform
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from sizes import Sizes
from tables import Table, number

HERE = Path(__file__).parent
RESULTS = HERE / "results.md"
DOCS = HERE.parent / "docs"
PLOT = DOCS / "scaling.svg"
PAGE = DOCS / "benchmarks.md"

_PACKAGES = (
    "canopy-async",
    "aiohttp",
    "attrs",
    "cattrs",
    "msgspec",
    "requests",
    "httpx",
    "pydantic",
    "openapi-python-client",
)
_METHOD = """\
A raw server sends pages of 100 events, 19 fields and {width} bytes each, from a
process on a core of its own; each contestant reads them in a new process on another
core. Contestants take turns, in another order each round; figures are medians over
{rounds} rounds, and ratios medians of the ratios within a round, with the least and
the greatest in brackets. Seconds are those of the read alone, without imports, but
with opening the session and its connections. Events are counted by the same loop for
all: `async for` over events, or over pages and then their events where there is no
library (bare aiohttp and raw sockets). The slow ones stream {peers} events instead of
{events}; a rate does not depend on it. Peak memory is that of the process,
interpreter and imports included. Bare aiohttp has no retries, no limits, no checks
and no proof. Raw sockets trust one server's spelling of HTTP, too. Both have the
library's own decoder, which finds unknown fields in each row; with msgspec alone, bare
aiohttp is what one would write without the library."""
_NOTES = {
    "Where the time goes": """\
Medians, with the times of decoding and of the proof taken around their calls. All else
is aiohttp, asyncio and the kernel, and what the library does to keep pages in order. An
ideal schedule leaves each request the latency divided by the requests in flight: where
even raw sockets and decoding take longer, one core can't keep to it, whoever reads.""",
    "What a read costs more than with bare aiohttp": """\
The ratios say what is left of bare aiohttp's speed with all lines down to there.
Windows have to overlap for any proof: a seam without a row on both sides of it proves
nothing, and pages begin at multiples of their length. The proof is to see each id and
key once, to compare them, and to plan the next window, in Python. Where there are many
identities, the last line holds what it takes to begin and to end each read, to hand
over events from task to task, and to look for garbage among all that is open.""",
}
_BY_HAND = re.compile(r"<!-- export -->\n.*?<!-- /export -->", re.DOTALL)
_MARKED = re.compile(r"(<!-- speed -->\n).*?(<!-- /speed -->)", re.DOTALL)


def write_results(tables: Sequence[Table], sizes: Sizes, row: int) -> None:
    """Write all tables, with the machine and the method.

    Args:
        tables: What was measured.
        sizes: How much was.
        row: The bytes of an event.
    """
    method = _METHOD.format(
        width=row,
        rounds=sizes.rounds,
        peers=number(sizes.peer_events),
        events=number(sizes.events),
    )
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    parts = [
        "# Benchmarks",
        "Written by `nox -s benchmarks`.",
        *(str(part) for table in tables for part in _with_notes(table)),
        f"![How cost grows](../docs/{PLOT.name})",
        f"## Method\n\n{method}",
        f"## Machine\n\n{machine()}; {versions}.",
    ]
    parts += _kept()
    RESULTS.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _kept() -> list[str]:
    """Return what is written in the results of what `export.py` has printed."""
    if not RESULTS.exists():
        return []
    return _BY_HAND.findall(RESULTS.read_text(encoding="utf-8"))


def _with_notes(table: Table) -> Sequence[str | Table]:
    note = _NOTES.get(table.title)
    return (f"## {table.title}", table, *([note] if note else []))


def write_page(table: Table) -> None:
    """Replace the table between the two marks in the documentation's page.

    Raises:
        ValueError: The marks are not there.
    """
    text = PAGE.read_text(encoding="utf-8")
    text, found = _MARKED.subn(lambda marks: f"{marks[1]}{table}\n{marks[2]}", text)
    if not found:
        raise ValueError(f"{PAGE.name} has no place marked for the table")
    PAGE.write_text(text, encoding="utf-8")


def machine() -> str:
    """Return what this ran on."""
    return (
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()},"
        f" {platform.python_implementation()} {platform.python_version()}"
    )


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    if sys.platform == "linux" and described.exists():
        found = re.search(r"model name\s*: (.+)", described.read_text("utf-8"))
        if found:
            return found[1]
    return platform.processor() or platform.machine()
