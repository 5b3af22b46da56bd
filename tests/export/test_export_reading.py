"""Files of an export, read back in batches: the same rows from every format."""

import gzip
import json
import tracemalloc
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from support.exports import FORMATS
from support.samples import event_row

from canopy_async import ExportError
from canopy_async.export import export, read_manifest
from canopy_async.export.batches import COLUMNS, HOUR, Row, as_datetime
from canopy_async.export.data_rows import read_batches

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NASTY = ("=1+1", "'=1", "'plain", "\t@x", 'say "hi",\r\nagain', "\x00\x1b\u202e", "é😀")
MOMENTS = (
    "1969-12-31T23:30:00.000001Z",
    "1970-01-01T00:00:00Z",
    "2026-03-01T10:59:59.999999Z",
    "2026-03-01T12:00:00+01:00",
    "2026-03-01T11:30:00.5Z",
)


@pytest.fixture
def out(tmp_path):
    """Where to export to."""
    return tmp_path / "out"


@pytest.fixture(params=FORMATS)
def name(request):
    """The name of each format."""
    return request.param


def seed(server):
    """A log of instants and texts that are easily misread."""
    server.add_events("idn_1", [{"created_at": moment} for moment in MOMENTS])
    server.add_events(
        "idn_1",
        [
            {
                "created_at": f"2026-04-0{day}T00:00:00Z",
                "action": text,
                "actor_label": text,
                "actor_id": None,
                "category": None,
                "resource_type": ...,
                "outcome": "partial",
            }
            for day, text in enumerate(NASTY, 1)
        ],
    )
    server.seed_events("idn_2", 300)


def rows_served(server, *identity_ids):
    """What the server served, as rows."""
    return [
        Row(
            *(
                (datetime.fromisoformat(event["created_at"]) - EPOCH)
                // timedelta(microseconds=1)
                if name == "created_at"
                else identity_id
                if name == "identity_id"
                else event.get(name)
                for name in COLUMNS
            )
        )
        for identity_id in identity_ids
        for event in server.events(identity_id)
    ]


def batches_of(directory):
    for file in read_manifest(directory).files:
        yield from read_batches(directory / file.name)


async def test_rows_of_every_format_are_what_the_server_served(
    server, session, out, name
):
    seed(server)
    ids = ("idn_1", "idn_2")
    await export(session, ids, out, format=name, max_file_bytes=20_000)
    rows = [row for batch in batches_of(out) for row in batch.rows()]
    by_id = sorted(rows, key=lambda row: (row.identity_id, row.created_at, row.id))
    expected = rows_served(server, *ids)
    assert by_id == sorted(
        expected, key=lambda row: (row.identity_id, row.created_at, row.id)
    )
    assert sum(len(batch) for batch in batches_of(out)) == len(expected)


async def test_counts_of_every_format_are_those_of_its_rows(server, session, out, name):
    seed(server)
    await export(session, ["idn_1", "idn_2"], out, format=name)
    rows = rows_served(server, "idn_1", "idn_2")
    (batch,) = batches_of(out)
    names = ("actor_type", "actor_id", "category", "outcome")
    assert dict(batch.counts(*names)) == Counter(
        tuple(getattr(row, name) for name in names) for row in rows
    )
    assert dict(batch.counts(HOUR, "severity")) == Counter(
        ((as_datetime(row.created_at) - EPOCH) // timedelta(hours=1), row.severity)
        for row in rows
    )
    instants = [row.created_at for row in rows]
    assert batch.span() == (min(instants), max(instants))


async def test_the_latest_of_every_format_are_those_of_its_rows(
    server, session, out, name
):
    seed(server)
    await export(session, ["idn_1", "idn_2"], out, format=name)
    rows = rows_served(server, "idn_1", "idn_2")
    (batch,) = batches_of(out)
    instants = sorted((row.created_at for row in rows), reverse=True)

    def latest(most, after=None):
        found = batch.latest(most, after=after)
        assert {row.id for row in found} <= {row.id for row in rows}
        return sorted((row.created_at for row in found), reverse=True)

    assert latest(10) == instants[:10]
    assert latest(1_000) == instants
    assert latest(1_000, after=instants[4]) == instants[:4]
    assert latest(2, after=instants[4]) == instants[:2]
    assert latest(5, after=instants[0]) == []


async def test_an_export_without_events_has_no_batches(server, session, out, name):
    server.add_identity(id="idn_1")
    await export(session, ["idn_1"], out, format=name)
    assert list(batches_of(out)) == []


async def test_a_file_that_was_cut_short_is_damaged(server, session, out, name):
    server.seed_events("idn_1", 200)
    await export(session, ["idn_1"], out, format=name)
    (path,) = out.glob("events-*")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2 + 7])
    with pytest.raises(ExportError, match=rf"{path.name} is damaged") as caught:
        sum(len(batch) for batch in read_batches(path))
    assert "203.0.113" not in str(caught.value)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_of_something_else_is_damaged(tmp_path, suffix):
    path = tmp_path / f"events-00001.{suffix}"
    path.write_bytes(b"these are my notes\n")
    with pytest.raises(ExportError, match="is damaged"):
        list(read_batches(path))


def test_a_missing_file_and_an_unknown_suffix_are_told_apart(tmp_path):
    with pytest.raises(ExportError, match=r"gone\.csv is missing"):
        list(read_batches(tmp_path / "gone.csv"))
    with pytest.raises(ExportError, match=r"notes\.txt has no suffix"):
        list(read_batches(tmp_path / "notes.txt"))


def test_a_file_that_can_not_be_read_is_no_damaged_one(tmp_path):
    (tmp_path / "events-00001.jsonl").mkdir()
    with pytest.raises(IsADirectoryError):
        list(read_batches(tmp_path / "events-00001.jsonl"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("created_at", "2026-01-01T00:00:00"),
        ("created_at", "yesterday"),
        ("action", 5),
        ("outcome", ...),
    ],
)
def test_a_line_that_is_no_event_is_named_without_its_content(tmp_path, field, value):
    row = event_row(identity_id="idn_1", actor_label="secret", **{field: value})
    path = tmp_path / "events-00001.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(ExportError, match=rf"is damaged: .*{field}") as caught:
        list(read_batches(path))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("outcome", "result"), "no column outcome"),
        (lambda text: text.replace("Z", ""), "without an offset"),
        (lambda text: text + "one,two\n", "too many or too few cells"),
    ],
)
async def test_a_wrong_table_is_said_to_be(server, session, out, change, said):
    server.add_event("idn_1", actor_label="a", action="b", metadata={})
    await export(session, ["idn_1"], out, format="csv")
    (path,) = out.glob("events-*")
    path.write_text(change(path.read_text()))
    with pytest.raises(ExportError, match=said):
        list(read_batches(path))


@pytest.mark.parametrize("opened", [open, gzip.open])
def test_memory_does_not_grow_with_the_file(tmp_path, opened):
    row = event_row(identity_id="idn_1", metadata={"text": "x" * 8_000})
    line = json.dumps(row).encode() + b"\n"
    path = tmp_path / f"events.jsonl{'.gz' if opened is gzip.open else ''}"
    with opened(path, "wb") as file:
        for _ in range(40):
            file.write(line * 100)
    tracemalloc.start()
    try:
        assert sum(len(batch) for batch in read_batches(path)) == 4_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000 < 4_000 * len(line)
