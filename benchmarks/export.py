"""What an export costs in each format, beside a read that writes nothing.

    python benchmarks/export.py
    python benchmarks/export.py --events 200000 --formats jsonl parquet

Each measurement is a process of its own; the raw server is another one. Then the
Parquet files are read with DuckDB and with pandas. Server, reading and writing
want a core each: with fewer, they take turns.
"""

import argparse
import asyncio
import json
import resource
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
    if not found.ok:
        raise RuntimeError(found.problems)
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
    # By name: in the directory there is the manifest as well.
    paths = sorted(map(str, Path(files).parent.glob("*.parquet")))
    frame = pd.read_parquet(paths, columns=columns)
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


def say(what: str, figures: dict[str, Any], *, size: int = 0, baseline: float) -> None:
    """Print a line of the table."""
    rate = figures["events"] / figures["seconds"]
    print(
        f"{what:<20} {figures['seconds']:8.1f} {rate:10,.0f} {rate / baseline:7.2f}"
        f" {figures['cpu']:7.1f} {figures['peak'] / MEGABYTE:8.0f}"
        f" {size / MEGABYTE if size else 0:9.1f}",
        flush=True,
    )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--identities", type=int, default=100)
    parser.add_argument("--formats", nargs="+", default=FORMATS, choices=FORMATS)
    options = parser.parse_args()
    sizes = {"identities": options.identities, "events": options.events}
    heads = ("seconds", "events/s", "÷ read", "CPU s", "peak MB", "files MB")
    print(f"{'':<20} {heads[0]:>8} {heads[1]:>10} {heads[2]:>7} {heads[3]:>7}", end="")
    print(f" {heads[4]:>8} {heads[5]:>9}")
    with running_server() as base_url, tempfile.TemporaryDirectory() as parent:
        found = in_new_process("read", base_url=base_url, **sizes)
        baseline = found["events"] / found["seconds"]
        say("read, write nothing", found, baseline=baseline)
        for written_as in options.formats:
            directory = Path(parent) / written_as
            figures = in_new_process(
                "write",
                base_url=base_url,
                **sizes,
                written_as=written_as,
                directory=str(directory),
            )
            size = sum(path.stat().st_size for path in directory.glob("events-*"))
            say(f"export {written_as}", figures, size=size, baseline=baseline)
            figures = in_new_process("check", directory=str(directory))
            say(f"verify {written_as}", figures, baseline=baseline)
            if written_as == "parquet":
                files = str(directory / "*.parquet")
                for function in ("with_duckdb", "with_pandas"):
                    figures = in_new_process(function, files=files)
                    say(function.replace("_", " "), figures, baseline=baseline)
                    print(f"  {figures['answer']}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--call"]:
        name, arguments = sys.argv[2:]
        print(json.dumps(CALLABLE[name](**json.loads(arguments))))
    else:
        main()
