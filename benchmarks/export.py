"""The cost of an export in each format, beside a read that writes nothing.

    python benchmarks/export.py
    python benchmarks/export.py --events 200000 --formats jsonl parquet
    python benchmarks/export.py --events 200000 --identities 4000

Each measurement is a process of its own, on one core; the raw server is another one, on
another core where there is one. What is measured begins when all that is needed is
imported. Reads and exports take turns, and a share is the median over these rounds of
how much of the speed of a read is left, by the clock and by CPU. Then the Parquet files
are read with DuckDB and with pandas.

Each format is measured twice. The events of a usual log come over weeks: 2 000 a month.
Those of a busy one come at 2 000 an hour, which is the worst case: the look-back of the
next run, an hour, is then most of each log, and the ids in it go into the manifest.
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

from cores import pin
from measure import running_server

from canopy_async import CanopySession
from canopy_async.export import export, verify
from canopy_async.export.writers import FORMATS as FORMATS_BY_NAME

FORMATS = ("jsonl", "jsonl.gz", "jsonl.zst", "csv", "parquet")
CALM, BUSY = "calm", "idn"
"""What the names of logs begin with whose events come over weeks, or in hours."""
MEGABYTE = 1_000_000
QUERY = """
SELECT action, count(*) AS events, count(DISTINCT identity_id) AS identities
FROM read_parquet('{files}')
WHERE created_at >= TIMESTAMPTZ '2000-01-01' AND severity <> 'info'
GROUP BY action ORDER BY events DESC LIMIT 3
"""


def names(kind: str, identities: int, events: int) -> list[str]:
    """Return ids that the raw server has so many events for, all together."""
    return [f"{kind}_{n}_{events // identities}" for n in range(identities)]


def read(base_url: str, identities: int, events: int) -> dict[str, Any]:
    """Read all and write nothing."""
    return asyncio.run(_timed(_read, base_url, names(CALM, identities, events)))


def write(
    base_url: str,
    identities: int,
    events: int,
    *,
    kind: str,
    written_as: str,
    directory: str,
) -> dict[str, Any]:
    """Export all."""
    FORMATS_BY_NAME[written_as].check()  # which imports what the format needs
    ids = names(kind, identities, events)
    return asyncio.run(_timed(_export, base_url, ids, written_as, directory))


def check(directory: str) -> dict[str, Any]:
    """Verify an export."""
    began = _now()
    found = verify(directory)
    if not found.is_finished:
        raise RuntimeError((found.problems, found.left))
    return _figures(began, found.events)


def with_duckdb(files: str) -> dict[str, Any]:
    """Ask DuckDB a question about Parquet files."""
    import duckdb  # wanted here only

    began = _now()
    ((events,),) = duckdb.read_parquet(files).aggregate("count(*)").fetchall()
    rows = duckdb.sql(QUERY.format(files=files)).fetchall()
    return _figures(began, events) | {"answer": rows}


def with_pandas(files: str) -> dict[str, Any]:
    """Load columns of Parquet files with pandas."""
    import pandas as pd  # wanted here only

    began = _now()
    columns = ["identity_id", "created_at", "action", "outcome"]
    frame = pd.read_parquet(Path(files).parent, columns=columns)
    by_outcome = frame.groupby("outcome", observed=True).size().to_dict()
    types = {name: str(frame[name].dtype) for name in ("created_at", "outcome")}
    return _figures(began, len(frame)) | {"answer": (by_outcome, types)}


async def _timed(work: Any, base_url: str, *arguments: Any) -> dict[str, Any]:
    async with CanopySession("acme", "token", base_url=base_url) as canopy:
        began = _now()
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


def _now() -> tuple[float, float]:
    """Return what the clock says, and the CPU that this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), usage.ru_utime + usage.ru_stime


def _figures(began: tuple[float, float], events: int) -> dict[str, Any]:
    seconds, cpu = (now - then for now, then in zip(_now(), began, strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"events": events, "seconds": seconds, "cpu": cpu, "peak": peak}


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
) -> dict[str, list[dict[str, Any]]]:
    """Read and export by turns, each in a process of its own.

    Returns:
        The figures of the reads, and of the exports of usual and of busy logs. What was
        exported last is in directories of these names.
    """
    figures: dict[str, list[dict[str, Any]]] = {"read": [], CALM: [], BUSY: []}
    for _ in range(rounds):
        figures["read"].append(in_new_process("read", base_url=base_url, **sizes))
        for kind in (CALM, BUSY):
            directory = parent / kind
            shutil.rmtree(directory, ignore_errors=True)
            asked = {
                "kind": kind,
                "written_as": written_as,
                "directory": str(directory),
            }
            done = in_new_process("write", base_url=base_url, **sizes, **asked)
            figures[kind].append(done)
    return figures


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
            figures = rounds_of(
                written_as, base_url, Path(parent), options.rounds, sizes
            )
            reads = figures["read"]
            say("read, write nothing", reads, reads)
            for kind, name in ((CALM, "export"), (BUSY, "busy")):
                size = sum(each.stat().st_size for each in Path(parent, kind).iterdir())
                say(f"{name} {written_as}", figures[kind], reads, size)
            directory = Path(parent, CALM)
            check = in_new_process("check", directory=str(directory))
            say(f"verify {written_as}", [check], reads[:1])
            if written_as == "parquet":
                files = str(directory / "*.parquet")
                for function in ("with_duckdb", "with_pandas"):
                    asked = in_new_process(function, files=files)
                    say(function.replace("_", " "), [asked], reads[:1])
                    print(f"  {asked['answer']}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--call"]:
        name, arguments = sys.argv[2:]
        pin("client")
        print(json.dumps(CALLABLE[name](**json.loads(arguments))))
    else:
        main()
