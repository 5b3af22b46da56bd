"""What an export costs in each format, beside a read that writes nothing.

    python benchmarks/export.py
    python benchmarks/export.py --events 200000 --formats jsonl parquet

Each measurement is a process of its own; the raw server is another one. Reads and
exports take turns, and a share is the median over these rounds of how much of the
speed of a read is left, by the clock and by CPU. Then the Parquet files are read with
DuckDB and with pandas. Server, reading and writing want a core each: with fewer, they
take turns.
"""

import argparse
import asyncio
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measure import running_server

from canopy_async import CanopySession
from canopy_async.export import export, verify

FORMATS = ("jsonl", "jsonl.gz", "jsonl.zst", "csv", "parquet")
MEGABYTE = 1_000_000
QUERY = """
SELECT action, count(*) AS events, count(DISTINCT identity_id) AS identities
FROM read_parquet('{files}')
WHERE created_at >= TIMESTAMPTZ '2000-01-01' AND severity <> 'info'
GROUP BY action ORDER BY events DESC LIMIT 3
"""


def names(identities: int, events: int) -> list[str]:
    """Return ids that the raw server has so many events for, all together."""
    return [f"idn_{n}_{events // identities}" for n in range(identities)]


def read(base_url: str, identities: int, events: int) -> dict[str, Any]:
    """Read all and write nothing."""
    return asyncio.run(_timed(_read, base_url, names(identities, events)))


def write(
    base_url: str, identities: int, events: int, written_as: str, directory: str
) -> dict[str, Any]:
    """Export all."""
    ids = names(identities, events)
    return asyncio.run(_timed(_export, base_url, ids, written_as, directory))


def check(directory: str) -> dict[str, Any]:
    """Verify an export."""
    began = time.perf_counter()
    found = verify(directory)
    if not found.is_finished:
        raise RuntimeError((found.problems, found.left))
    return _figures(began, found.events)


def with_duckdb(files: str) -> dict[str, Any]:
    """Ask DuckDB a question about Parquet files."""
    import duckdb  # noqa: PLC0415 - wanted here only

    began = time.perf_counter()
    ((events,),) = duckdb.read_parquet(files).aggregate("count(*)").fetchall()
    rows = duckdb.sql(QUERY.format(files=files)).fetchall()
    return _figures(began, events) | {"answer": rows}


def with_pandas(files: str) -> dict[str, Any]:
    """Load columns of Parquet files with pandas."""
    import pandas as pd  # noqa: PLC0415 - wanted here only

    began = time.perf_counter()
    columns = ["identity_id", "created_at", "action", "outcome"]
    frame = pd.read_parquet(Path(files).parent, columns=columns)
    by_outcome = frame.groupby("outcome", observed=True).size().to_dict()
    types = {name: str(frame[name].dtype) for name in ("created_at", "outcome")}
    return _figures(began, len(frame)) | {"answer": (by_outcome, types)}


async def _timed(work: Any, base_url: str, *arguments: Any) -> dict[str, Any]:
    async with CanopySession("acme", "token", base_url=base_url) as canopy:
        began = time.perf_counter()
        events = await work(canopy, *arguments)
        return _figures(began, events)


async def _read(canopy: CanopySession, ids: list[str]) -> int:
    events = 0
    async with canopy.fan_out(ids, order="asc") as fan_out:
        while (batch := await fan_out.next_batch()) is not None:
            events += len(batch.events)
    return events


async def _export(
    canopy: CanopySession, ids: list[str], written_as: str, directory: str
) -> int:
    result = await export(canopy, ids, directory, format=written_as)
    if result.complete != len(ids):
        raise RuntimeError(result.failures)
    return result.events


def _figures(began: float, events: int) -> dict[str, Any]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "events": events,
        "seconds": time.perf_counter() - began,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak": usage.ru_maxrss * 1024,
    }


def in_new_process(function: str, **arguments: Any) -> dict[str, Any]:
    """Call a function of this script, with nothing else in the process."""
    command = [sys.executable, __file__, "--call", function, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{function} {arguments}: {done.stderr}")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


CALLABLE = {
    each.__name__: each for each in (read, write, check, with_duckdb, with_pandas)
}


def share(
    before: list[dict[str, Any]], after: list[dict[str, Any]], what: str
) -> float:
    """Return the median over rounds of how much of a reading's speed is left."""
    pairs = zip(before, after, strict=True)
    return statistics.median(read[what] / export[what] for read, export in pairs)


def say(
    what: str, figures: list[dict[str, Any]], read: list[dict[str, Any]], size: int = 0
) -> None:
    """Print a line of the table, of medians."""
    seconds, cpu, peak = (
        statistics.median(each[name] for each in figures)
        for name in ("seconds", "cpu", "peak")
    )
    shares = [f"{share(read, figures, name):7.2f}" for name in ("seconds", "cpu")]
    print(
        f"{what:<20} {seconds:8.1f} {figures[0]['events'] / seconds:10,.0f} {cpu:7.1f}"
        f" {' '.join(shares)} {peak / MEGABYTE:8.0f} {size / MEGABYTE:9.1f}",
        flush=True,
    )


def rounds_of(
    written_as: str, base_url: str, parent: Path, rounds: int, sizes: dict[str, int]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], Path]:
    """Read and export by turns, each in a process of its own.

    Returns:
        The figures of the reads, of the exports, and where the last of these is.
    """
    reads: list[dict[str, Any]] = []
    exports: list[dict[str, Any]] = []
    directory = parent / written_as
    for _ in range(rounds):
        shutil.rmtree(directory, ignore_errors=True)
        reads.append(in_new_process("read", base_url=base_url, **sizes))
        exports.append(
            in_new_process(
                "write",
                base_url=base_url,
                **sizes,
                written_as=written_as,
                directory=str(directory),
            )
        )
    return reads, exports, directory


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--identities", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--formats", nargs="+", default=FORMATS, choices=FORMATS)
    options = parser.parse_args()
    sizes = {"identities": options.identities, "events": options.events}
    print(f"{'':<20} {'seconds':>8} {'events/s':>10} {'CPU s':>7}", end="")
    print(f" {'share':>7} {'of CPU':>7} {'peak MB':>8} {'files MB':>9}")
    with running_server() as base_url, tempfile.TemporaryDirectory() as parent:
        for written_as in options.formats:
            reads, exports, directory = rounds_of(
                written_as, base_url, Path(parent), options.rounds, sizes
            )
            say("read, write nothing", reads, reads)
            size = sum(path.stat().st_size for path in directory.glob("events-*"))
            say(f"export {written_as}", exports, reads, size)
            check = in_new_process("check", directory=str(directory))
            say(f"verify {written_as}", [check], reads[:1])
            if written_as == "parquet":
                files = str(directory / "*.parquet")
                for function in ("with_duckdb", "with_pandas"):
                    figures = in_new_process(function, files=files)
                    say(function.replace("_", " "), [figures], reads[:1])
                    print(f"  {figures['answer']}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--call"]:
        name, arguments = sys.argv[2:]
        print(json.dumps(CALLABLE[name](**json.loads(arguments))))
    else:
        main()
