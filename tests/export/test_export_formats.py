"""The formats: read back with other tools, they hold what the server served."""

import csv
import json
import subprocess
import sys
from datetime import UTC, datetime

import attrs
import pyarrow as pa
import pytest
from pyarrow import parquet
from support.exports import (
    COLUMNS,
    FORMATS,
    ids_of,
    instant,
    read_back,
    truth,
    without_empty,
)
from support.samples import full_row, page_body
from support.scripted import simulated

from canopy_async import (
    AuditEvent,
    CanopySession,
    ExportError,
    IdentityBatch,
    Outcome,
)
from canopy_async._tables.columns import FIELDS, columns_of
from canopy_async._util.instants import parse_instant
from canopy_async.export import export, verify
from canopy_async.export.data_keys import microseconds, read_keys
from canopy_async.export.data_rows import read_batches
from canopy_async.export.writers import FORMATS as WRITERS
from canopy_async.export.writers.csv_ import guarded, unguarded
from canopy_async.export.writers.parquet import ParquetWriter

WHO = 'idn "1", ünï/=2'
NASTY = (
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r\n=1",
    "'=1",
    "'plain",
    'say "hi", twice\r\n',
    "line\u2028separator, \u0085, \x00, \x1b[31m",
    "עברית \U0001f600 e\u0301",
    " padded ",
    "NULL",
    "",
)


@pytest.fixture
def out(tmp_path):
    """Where to export to."""
    return tmp_path / "out"


def seed_nasty(server):
    """A log with all that may go wrong in a file."""
    rows = [
        {"actor_label": text, "resource_label": text, "action": text or "a"}
        for text in NASTY
    ]
    rows += [
        {"metadata": {}},
        {"metadata": {"=1": NASTY, "deep": [[{"n": 1.5e300}]], "big": 2**60}},
        {"metadata": {"big": 10**30, "t": True, "none": None, "extra": {}}},
        {"actor_label": None, "category": None, "actor_id": ..., "category_": 1},
        {"new_field": [1, {"x": "=1"}], "extra": {"extra": {}}, "other": None},
        {"outcome": "partial", "severity": "=danger", "category": "wölfe,"},
        {"created_at": "2026-11-01T10:00:00.123456+02:00"},
        {"created_at": "2026-11-01T08:00:01Z"},
        {"created_at": "2026-11-01T08:00:01.5-00:30"},
        {"customer_visible": False, "identity_visible": True},
    ]
    server.add_events(WHO, rows)
    server.seed_events("plain", 250)
    return (WHO, "plain")


@pytest.mark.parametrize("name", FORMATS)
async def test_every_format_read_back_is_what_the_server_served(
    server, session, out, name
):
    ids = seed_nasty(server)
    await export(session, ids, out, format=name, max_file_bytes=60_000)
    expected = truth(server, *ids)
    if name == "csv":
        expected = {i: [without_empty(r) for r in log] for i, log in expected.items()}
    assert read_back(out) == expected
    assert verify(out).problems == ()


@pytest.mark.parametrize("name", FORMATS)
async def test_a_file_that_was_gone_on_with_is_read_like_any_other(
    server, session, out, name
):
    server.seed_events("a", 120)
    await export(session, ["a"], out, format=name)
    server.seed_events("b", 120)
    await export(session, ["a", "b"], out, format=name)
    assert read_back(out, empty_is_null=True) == truth(server, "a", "b")
    suffixes = {path.name.partition(".")[2] for path in out.glob("events-*")}
    assert suffixes == {name}


def test_every_field_of_an_event_is_a_column_in_its_place():
    event = attrs.evolve(an_event(1), **{n: n for n in FIELDS}, extra={"x": 1})
    columns = columns_of([IdentityBatch("whose", [event])])
    expected = {"identity_id": "whose"} | {n: n for n in FIELDS} | {"extra": {"x": 1}}
    assert list(columns) == COLUMNS
    assert {name: column[0] for name, column in columns.items()} == expected
    sink = Collected()
    noon = "2026-04-20T12:00:00.000000Z"
    plain = attrs.evolve(event, extra={}, created_at=instant(noon))
    expected["created_at"] = noon
    page = WRITERS["jsonl"].encode(IdentityBatch("whose", [plain]))
    WRITERS["jsonl"].open(sink, 1).write([page])
    del expected["extra"]
    assert list(json.loads(sink.data).items()) == list(expected.items())


@pytest.mark.parametrize("name", FORMATS)
def test_what_a_writer_is_given_at_once_or_in_parts_is_the_same(name):
    batches = [
        IdentityBatch(f"idn_{n % 3}", [an_event(n), an_event(n + 1000)])
        for n in range(50)
    ]
    whole, parts = Collected(), Collected()
    for sink, chunks in ((whole, [batches]), (parts, [[b] for b in batches])):
        writer = WRITERS[name].open(sink, 1 << 20)
        for chunk in chunks:
            pages = [WRITERS[name].encode(page) for page in chunk]
            writer.write([WRITERS[name].pack(pages)])
        writer.close()
    if name == "parquet":
        tables = [parquet.read_table(pa.BufferReader(s.data)) for s in (whole, parts)]
        assert tables[0].to_pylist() == tables[1].to_pylist()
    elif name in {"jsonl", "csv"}:
        assert whole.data == parts.data


def written_as_one_piece(batches, max_bytes):
    """The plain way to write Parquet: each column of a row group is made one piece."""

    class PlainWriter(ParquetWriter):
        def _write_group(self):
            table = pa.Table.from_batches(self._waiting).combine_chunks()
            self._waiting, self._rows, self._bytes = [], 0, 0
            table = table.cast(self._schema)
            self._file.write_table(table, row_group_size=table.num_rows)

    return written_by(PlainWriter, batches, max_bytes)


def written_by(writer, batches, max_bytes):
    """The file that a writer of Parquet makes of record batches."""
    sink = Collected()
    opened = writer(sink, max_bytes)
    for batch in batches:
        opened.write([batch])
    opened.close()
    return sink.data


def test_a_row_group_of_many_pieces_is_written_as_one_of_one_piece():
    made = WRITERS["parquet"]
    batches = [
        made.pack([made.encode(IdentityBatch(f"idn_{n % 7}", events))])
        for n, events in enumerate(
            [an_event(1_000 * page + n) for n in range(1_000)] for page in range(9)
        )
    ]
    file = written_by(ParquetWriter, batches, 300_000)
    assert file == written_as_one_piece(batches, 300_000)
    read = parquet.ParquetFile(pa.BufferReader(file))
    assert read.metadata.num_row_groups > 1
    assert read.metadata.num_rows == 9_000


class Collected:
    """A sink in memory."""

    closed = False

    def __init__(self):
        self.data = b""

    def write(self, data):
        self.data += bytes(data)
        return len(data)

    def flush(self):
        pass


def an_event(number):
    return AuditEvent(
        id=f"evt_{number}",
        actor_type="user",
        action="role.created",
        metadata={"n": number},
        created_at=datetime.fromtimestamp(number, UTC),
        outcome=Outcome("success" if number % 2 else f"odd_{number % 5}"),
        severity="info",
        customer_visible=True,
        identity_visible=False,
    )


async def test_a_line_of_json_is_the_event_as_served_after_its_identity(
    server, session, out
):
    row = server.add_event("one", shiny="new", tags=[1, 2])
    await export(session, ["one"], out)
    (line,) = (out / "events-00001.jsonl").read_text().splitlines()
    found = json.loads(line)
    assert list(found) == [*COLUMNS[:-1], "shiny", "tags"]
    assert found.pop("identity_id") == "one"
    assert instant(found.pop("created_at")) == instant(row.pop("created_at"))
    assert found == dict.fromkeys(found) | row


async def test_an_unknown_field_never_hides_whose_log_a_row_is_from(
    server, session, out
):
    server.add_event("one", identity_id="someone else", _identity_id="third")
    await export(session, ["one"], out)
    (line,) = (out / "events-00001.jsonl").read_text().splitlines()
    found = json.loads(line, object_pairs_hook=list)
    names = [name for name, _ in found]
    assert len(names) == len(set(names))
    found = dict(found)
    assert found["identity_id"] == "one"
    assert {"someone else", "third"} <= {
        value for name, value in found.items() if name.endswith("_identity_id")
    }


async def test_no_cell_is_a_formula_and_each_can_be_had_back(server, session, out):
    seed_nasty(server)
    await export(session, [WHO, "plain"], out, format="csv")
    path = out / "events-00001.csv"
    text = path.read_bytes().decode()
    assert text.startswith(",".join(COLUMNS) + "\r\n")
    assert text.endswith("\r\n")
    for row in read_cells(path):
        for name, cell in row.items():
            assert cell[:1] not in set("=+-@\t\r\n"), (name, cell)


def read_cells(path):
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, strict=True)


@pytest.mark.parametrize("text", [*NASTY, "''=1", "'", "''", "a=1", "'\t", "\n"])
def test_a_guard_is_taken_off_to_the_letter(text):
    assert unguarded(guarded(text)) == text
    assert guarded(text)[:1] not in set("=+-@\t\r\n")


@pytest.mark.parametrize("text", ["plain", "O'Hara", "'t Hooft", "a-b", "1+1", ""])
def test_what_is_no_formula_has_no_guard(text):
    assert guarded(text) == text


async def test_instants_in_csv_are_all_alike(server, session, out):
    seed_nasty(server)
    await export(session, [WHO], out, format="csv")
    cells = [row["created_at"] for row in read_cells(out / "events-00001.csv")]
    assert {len(cell) for cell in cells} == {len("2026-01-01T00:00:00.000000Z")}
    assert "2026-11-01T08:00:00.123456Z" in cells
    assert all(cell.endswith("Z") for cell in cells)


async def test_instants_in_json_lines_are_all_alike(server, session, out):
    seed_nasty(server)
    await export(session, [WHO], out)
    lines = (out / "events-00001.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    texts = [json.loads(line)["created_at"] for line in lines]
    assert {len(text) for text in texts} == {len("2026-01-01T00:00:00.000000Z")}
    assert "2026-11-01T08:00:00.123456Z" in texts
    assert sorted(texts) == sorted(texts, key=instant)


ENDS = {
    "0001-01-01T00:00:00+02:00": "0001-01-01T00:00:00.000000+02:00",
    "0001-01-01T00:00:00Z": "0001-01-01T00:00:00.000000Z",
    "2016-12-31T23:59:60Z": "2017-01-01T00:00:00.000000Z",
    "2026-04-20T12:00:00.999999999Z": "2026-04-20T12:00:00.999999Z",
    "9999-12-31T23:59:59.999999Z": "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59-02:00": "9999-12-31T23:59:59.000000-02:00",
}
"""Instants as a server sends them, oldest first, and as text has them."""


@pytest.mark.parametrize("name", FORMATS)
async def test_instants_at_the_ends_of_the_calendar_are_written_and_found_again(
    out, name
):
    rows = [full_row(n, created_at=text) for n, text in enumerate(ENDS)]
    body = page_body(rows, item_count=len(rows))
    with simulated(lambda _: body):
        async with CanopySession("acme", "t0ken") as canopy:
            await export(canopy, ["one"], out, format=name)
    assert verify(out).problems == ()
    path = out / f"events-00001.{name}"
    expected = [
        ("one", microseconds(parse_instant(text)), f"evt_{n}")
        for n, text in enumerate(ENDS)
    ]
    assert list(read_keys(path, name)) == expected
    read = [row for batch in read_batches(path) for row in batch.rows()]
    assert [(row.identity_id, row.created_at, row.id) for row in read] == expected
    if name == "jsonl":
        lines = path.read_text(encoding="utf-8").splitlines()
        texts = [json.loads(line)["created_at"] for line in lines]
    elif name == "csv":
        texts = [cells["created_at"] for cells in read_cells(path)]
    else:
        return
    assert texts == list(ENDS.values())


async def test_a_byte_order_mark_is_written_on_request_and_read_again(
    server, session, out
):
    server.add_identity(id="ünï")
    server.seed_events("ünï", 40)
    await export(session, ["ünï"], out / "marked", format="csv-bom")
    await export(session, ["ünï"], out / "plain", format="csv")
    marked, plain = (
        (out / name / "events-00001.csv").read_bytes() for name in ("marked", "plain")
    )
    assert marked == b"\xef\xbb\xbf" + plain
    assert verify(out / "marked").is_finished
    again = await export(session, ["ünï"], out / "marked", format="csv-bom")
    assert again.events == 0


async def test_the_columns_of_parquet_are_typed(server, session, out):
    seed_nasty(server)
    await export(session, [WHO], out, format="parquet")
    schema = parquet.read_schema(out / "events-00001.parquet")
    assert schema.names == COLUMNS
    assert schema.names[1:] == [field.name for field in attrs.fields(AuditEvent)]
    assert schema.field("created_at").type == pa.timestamp("us", tz="UTC")
    text = pa.string()
    for name in ("actor_type", "outcome", "category", "severity"):
        assert schema.field(name).type == pa.dictionary(pa.int32(), text)
    for name in ("customer_visible", "identity_visible"):
        assert schema.field(name).type == pa.bool_()
    for name in ("identity_id", "id", "metadata", "extra", "actor_label"):
        assert schema.field(name).type == text
    required = {field.name for field in schema if not field.nullable}
    assert required == {"identity_id", *required_fields()}


def required_fields():
    fields = attrs.fields(AuditEvent)
    return {field.name for field in fields if field.default is attrs.NOTHING}


async def test_the_schema_does_not_depend_on_the_rows(server, session, out):
    server.seed_events("full", 50)
    bare = dict.fromkeys(
        ("category", "actor_label", "resource_label", "resource_id", "actor_id")
    )
    server.add_event("bare", **bare)
    schemas = []
    for identity_id in ("full", "bare"):
        directory = out / identity_id
        out.mkdir(exist_ok=True)
        await export(session, [identity_id], directory, format="parquet")
        schemas.append(parquet.read_schema(directory / "events-00001.parquet"))
    assert schemas[0].equals(schemas[1], check_metadata=True)


async def test_row_groups_have_their_size(server, session, out, monkeypatch):
    monkeypatch.setattr("canopy_async.export.writers.parquet.ROW_GROUP_ROWS", 500)
    monkeypatch.setattr("canopy_async.export.chunk_writer._LEAST_ROW_BYTES", 10_000)
    server.seed_events("a", 1_300)
    await export(session, ["a"], out, format="parquet", max_file_bytes=1_000_000)
    metadata = parquet.read_metadata(out / "events-00001.parquet")
    groups = [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
    assert sum(groups) == 1_300
    assert all(500 <= rows < 700 for rows in groups[:-1])


async def test_row_groups_are_no_larger_than_a_file_should_be(server, session, out):
    server.seed_events("a", 4_000)
    result = await export(session, ["a"], out, format="parquet", max_file_bytes=100_000)
    assert len(result.files) > 1
    assert read_back(out) == truth(server, "a")


async def test_frozen_rows_of_several_files_are_one_log(server, session, out):
    server.seed_events("a", 2_500)
    result = await export(session, ["a"], out, format="csv", max_file_bytes=1)
    assert len(result.files) > 1
    assert ids_of(out)["a"] == server.event_ids("a")


@pytest.mark.parametrize(
    ("name", "module"), [("parquet", "pyarrow"), ("jsonl.zst", "zstandard")]
)
async def test_a_missing_package_is_named_before_anything_is_done(
    session, out, monkeypatch, name, module
):
    monkeypatch.setitem(sys.modules, module, None)
    extra = {"pyarrow": "parquet", "zstandard": "zstd"}[module]
    with pytest.raises(ExportError, match=f"this library with its extra '{extra}'"):
        await export(session, ["one"], out, format=name)
    assert not out.exists()


def test_importing_it_loads_neither_pyarrow_nor_zstandard():
    code = (
        "import sys, canopy_async.export;"
        "print({'pyarrow', 'zstandard', 'rich', 'typer'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
