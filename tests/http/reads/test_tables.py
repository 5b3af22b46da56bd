"""Tables in memory: the schema of the Parquet files, all rows or an error."""

import asyncio
import subprocess
import sys

import pytest
from support.waiting import until

from canopy_async import (
    FanOutError,
    NotFoundError,
    ProtocolError,
    RetryPolicy,
    ServerError,
)
from canopy_async.export import export
from canopy_async.testing import Faults

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

pytestmark = pytest.mark.usefixtures("short_searches")


def rows_of(table):
    """The rows of a table, sorted by identity and id."""
    rows = table.to_pylist()
    return sorted(rows, key=lambda row: (row["identity_id"], row["id"]))


async def test_the_table_of_a_log_is_that_of_its_parquet_file(
    server, session, tmp_path
):
    server.seed_events("idn_1", 250)
    server.add_event("idn_1", metadata={"ü": [1, None]}, new_field="kept")
    result = await export(session, ["idn_1"], tmp_path / "out", format="parquet")
    (file,) = result.files
    written = parquet.read_table(tmp_path / "out" / file.name)

    table = await session.events("idn_1").to_arrow()

    assert table.schema.equals(written.schema.remove_metadata())
    assert rows_of(table) == rows_of(written)


async def test_rows_are_in_the_order_of_the_list(server, session):
    server.seed_events("idn_1", 350)
    table = await session.events("idn_1", order="desc").to_arrow()
    assert table["id"].to_pylist() == server.event_ids("idn_1", order="desc")


async def test_a_log_without_events_is_a_table_without_rows(server, session):
    server.add_identity(id="idn_1")
    table = await session.events("idn_1").to_arrow()
    assert table.num_rows == 0
    assert "identity_id" in table.column_names


async def test_batches_have_no_more_rows_than_asked_for_and_lose_none(server, session):
    server.seed_events("idn_1", 1_234)
    stream = session.events("idn_1", order="asc")
    batches = [batch async for batch in stream.iter_arrow(rows=300)]
    assert all(200 < batch.num_rows <= 300 for batch in batches[:-1])
    ids = [found for batch in batches for found in batch["id"].to_pylist()]
    assert ids == server.event_ids("idn_1", order="asc")


async def test_large_rows_make_batches_of_fewer(server, session, monkeypatch):
    monkeypatch.setattr("canopy_async._tables.arrow.BATCH_BYTES", 50_000)
    monkeypatch.setattr("canopy_async._tables.arrow.PACKED_ROWS", 100)
    server.seed_events("idn_1", 1_000)
    sizes = [batch.num_rows async for batch in session.events("idn_1").iter_arrow()]
    assert sum(sizes) == 1_000
    assert max(sizes) < 500


async def test_batches_of_a_read_that_fails_end_at_the_checkpoint_of_its_error(
    server, connect
):
    server.seed_events("idn_1", 1_000)
    impatient = connect(retry=RetryPolicy(deadline=0.001))
    seen = []

    async def read(session, resume=None):
        stream = session.events("idn_1", order="asc", resume=resume)
        async for batch in stream.iter_arrow():
            seen.extend(batch["id"].to_pylist())

    server.faults = Faults(
        error_rate=1, error_statuses=(500,), only=lambda request: request.page > 3
    )
    with pytest.raises(ServerError) as caught:
        await read(impatient)
    assert 0 < len(seen) < 1_000
    server.faults = Faults()
    await read(connect(), caught.value.checkpoint)
    assert seen == server.event_ids("idn_1", order="asc")


async def test_a_table_of_many_logs_says_whose_each_row_is(server, session):
    for name, size in {"one": 1, "some": 150, "many": 700}.items():
        server.seed_events(name, size)
    table = await session.fan_out(["one", "some", "many"], order="asc").to_arrow()
    found = {}
    for row in table.select(["identity_id", "id"]).to_pylist():
        found.setdefault(row["identity_id"], []).append(row["id"])
    assert found == {
        name: server.event_ids(name, order="asc") for name in ("one", "some", "many")
    }


async def test_a_part_of_many_logs_is_never_returned_as_a_table(server, session):
    server.seed_events("idn_1", 150)
    fan_out = session.fan_out(["idn_1", "nobody"], on_error="collect")
    with pytest.raises(FanOutError) as caught:
        await fan_out.to_arrow()
    assert set(caught.value.failures) == {"nobody"}


async def test_batches_of_many_logs_have_what_could_be_read(server, session):
    server.seed_events("idn_1", 150)
    fan_out = session.fan_out(["nobody", "idn_1"], on_error="collect")
    rows = sum([batch.num_rows async for batch in fan_out.iter_arrow()])
    assert rows == 150
    assert set(fan_out.failures) == {"nobody"}


async def test_checkpoints_between_two_batches_are_after_the_rows_yielded(
    server, session
):
    ids = [f"idn_{n}" for n in range(5)]
    for identity_id in ids:
        server.seed_events(identity_id, 430)
    seen = {identity_id: [] for identity_id in ids}

    def note(batch):
        for row in batch.select(["identity_id", "id"]).to_pylist():
            seen[row["identity_id"]].append(row["id"])

    async with session.fan_out(ids, order="asc", width=2) as fan_out:
        async for batch in fan_out.iter_arrow(rows=250):
            note(batch)
            if sum(map(len, seen.values())) > 900:
                break
        places = fan_out.checkpoints
    finished = {i for i in ids if seen[i] and i not in places}
    left = [i for i in ids if i not in finished]
    async with session.fan_out(left, order="asc", resume=places) as fan_out:
        async for batch in fan_out.iter_arrow():
            note(batch)
    assert seen == {i: server.event_ids(i, order="asc") for i in ids}


async def test_rows_that_were_read_before_an_error_are_yielded_first(server, session):
    server.seed_events("idn_1", 300)
    batches = session.fan_out(["idn_1", "no one"], width=1).iter_arrow()
    seen = (await anext(batches)).column("id").to_pylist()
    with pytest.raises(NotFoundError):
        await anext(batches)
    assert sorted(seen) == sorted(server.event_ids("idn_1"))


async def test_checkpoints_are_refused_while_rows_are_held(server, session):
    server.seed_events("idn_1", 300)
    server.seed_events("idn_2", 300)
    asked = asyncio.Event()

    async def ids():
        yield "idn_1"
        yield "idn_2"
        asked.set()
        await asyncio.Event().wait()

    fan_out = session.fan_out(ids())

    async def read():
        async for _ in fan_out.iter_arrow():
            pytest.fail("there is no whole batch")

    reading = asyncio.create_task(read())
    await asked.wait()
    await until(lambda: fan_out.progress.events >= 300)
    with pytest.raises(RuntimeError, match="between two batches"):
        _ = fan_out.checkpoints
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    with pytest.raises(RuntimeError, match="between two batches"):
        _ = fan_out.checkpoints


async def test_a_fan_out_with_on_end_has_a_table_and_no_batches(server, session):
    server.seed_events("idn_1", 10)
    ended = []
    fan_out = session.fan_out(["idn_1"], on_end=ended.append)
    with pytest.raises(ValueError, match="on_end"):
        fan_out.iter_arrow()
    assert (await fan_out.to_arrow()).num_rows == 10
    assert [end.identity_id for end in ended] == ["idn_1"]


async def test_what_cannot_be_a_table_is_refused_at_the_call(server, session):
    with pytest.raises(TypeError, match="an identity's events"):
        session.identities().iter_arrow()
    with pytest.raises(ValueError, match="rows must be"):
        session.events("idn_1").iter_arrow(rows=99)
    with pytest.raises(ValueError, match="rows must be"):
        session.fan_out(["idn_1"]).iter_arrow(rows=99)
    assert not server.requests


async def test_a_row_that_breaks_the_contract_is_an_error(server, session):
    server.seed_events("idn_1", 20)
    server.add_event("idn_1", customer_visible="false")
    with pytest.raises(ProtocolError):
        await session.events("idn_1").to_arrow()


async def test_without_pyarrow_the_error_names_the_extra(server, session, monkeypatch):
    from canopy_async._tables.arrow import import_arrow  # its cache

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    import_arrow.cache_clear()
    for refused in (
        session.events("idn_1").iter_arrow,
        session.fan_out(["idn_1"]).iter_arrow,
    ):
        with pytest.raises(ModuleNotFoundError, match="extra 'arrow'"):
            refused()
    with pytest.raises(ModuleNotFoundError, match="extra 'arrow'"):
        await session.events("idn_1").to_arrow()
    with pytest.raises(ModuleNotFoundError, match="extra 'arrow'"):
        await session.fan_out(["idn_1"]).to_arrow()
    assert not server.requests
    monkeypatch.undo()
    import_arrow.cache_clear()


def test_importing_the_session_imports_no_pyarrow():
    code = (
        "import sys, canopy_async.session, canopy_async._fanout.fanout;"
        "sys.exit('pyarrow' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False)
    assert ended.returncode == 0


async def test_pandas_polars_and_duckdb_take_the_table(server, session):
    duckdb = pytest.importorskip("duckdb")
    pytest.importorskip("pandas")
    polars = pytest.importorskip("polars")
    for n in range(3):
        server.seed_events(f"idn_{n}", 200)
    events = await session.fan_out([f"idn_{n}" for n in range(3)]).to_arrow()
    counted = dict(
        duckdb.sql("SELECT outcome, count(*) FROM events GROUP BY 1").fetchall()
    )
    assert sum(counted.values()) == 600
    assert events.to_pandas()["outcome"].value_counts().to_dict() == counted
    lengths = polars.from_arrow(events).group_by("outcome").len().rows()
    assert {str(outcome): n for outcome, n in lengths} == counted
