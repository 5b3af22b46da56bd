"""Readers of tables take the directory of an export as it is, finished or under way."""

import asyncio
from datetime import UTC, datetime

import pytest
from support.exports import ids_of
from support.waiting import until

from canopy_async.export import export

NAMES = {"a": 150, "b": 90}


@pytest.fixture(params=["finished", "under way", "stopped"])
async def directory(request, server, connect, tmp_path):
    """Makes an export of a format, at whose end its rows are asked for.

    One that is under way has a committed file, and another that is being written.
    """
    exporting = []

    async def make(written_as):
        out = tmp_path / "out"
        for name, count in NAMES.items():
            server.seed_events(name, count)
        session = connect()
        if request.param == "finished":
            await export(session, None, out, format=written_as)
            server.seed_events("a", 20)
            await export(session, None, out, format=written_as)
            return out
        server.fail_next(kind="hang", only=lambda r: r.identity == "b" and r.page == 1)
        running = asyncio.create_task(
            export(session, ["a", "b"], out, format=written_as, commit_every=0.05)
        )
        exporting.append(running)
        suffix = "csv" if written_as == "csv-bom" else written_as
        await until((out / f"events-00001.{suffix}").exists)
        if request.param == "under way":
            # What the next commit would add, in the midst of a row.
            (out / f"_events-00002.{suffix}.partial").write_bytes(b'{"identity_id":"b')
            return out
        await stopped(running)
        exporting.clear()
        return out

    yield make
    for running in exporting:
        await stopped(running)


async def stopped(running):
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def committed(directory):
    """The ids of all events in final files, sorted."""
    ids = sorted(i for log in ids_of(directory).values() for i in log)
    is_finished = (directory / "_SHA256SUMS").exists()
    assert len(ids) == 260 if is_finished else 0 < len(ids) <= 240
    assert (directory / "_manifest.ndjson").exists()
    return ids


@pytest.mark.parametrize("written_as", ["jsonl", "jsonl.gz", "csv", "parquet"])
async def test_duckdb(directory, written_as):
    duckdb = pytest.importorskip("duckdb")
    out = await directory(written_as)
    rows = duckdb.sql(f"SELECT id, created_at FROM '{out}/*.{written_as}'").fetchall()  # noqa: S608 - our own names
    assert sorted(row[0] for row in rows) == committed(out)
    first = min(row[1] for row in rows)
    assert isinstance(first, datetime)


@pytest.mark.parametrize("written_as", ["jsonl", "jsonl.gz", "csv", "csv-bom"])
async def test_pandas_reads_files(directory, written_as):
    pandas = pytest.importorskip("pandas")
    out = await directory(written_as)
    parts = []
    for path in sorted(out.glob("events-*")):
        if written_as.startswith("csv"):
            parts.append(pandas.read_csv(path))
        else:
            parts.append(pandas.read_json(path, lines=True))
    table = pandas.concat(parts)
    assert list(table.columns)[:2] == ["identity_id", "id"]
    assert sorted(table["id"]) == committed(out)


async def test_pandas_reads_a_directory_of_parquet(directory):
    pandas = pytest.importorskip("pandas")
    out = await directory("parquet")
    table = pandas.read_parquet(out)
    assert sorted(table["id"]) == committed(out)
    assert table["created_at"].min() == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("written_as", ["jsonl", "csv", "parquet"])
async def test_pyarrow_reads_a_directory(directory, written_as):
    dataset = pytest.importorskip("pyarrow.dataset")
    out = await directory(written_as)
    kind = {"jsonl": "json"}.get(written_as, written_as)
    table = dataset.dataset(out, format=kind).to_table(columns=["id"])
    assert sorted(table["id"].to_pylist()) == committed(out)


@pytest.mark.parametrize("written_as", ["jsonl", "csv", "parquet"])
async def test_polars(directory, written_as):
    polars = pytest.importorskip("polars")
    out = await directory(written_as)
    read = {
        "jsonl": polars.scan_ndjson,
        "csv": polars.scan_csv,
        "parquet": polars.scan_parquet,
    }[written_as]
    table = read(f"{out}/*.{written_as}").select("id", "created_at").collect()
    assert sorted(table["id"]) == committed(out)
