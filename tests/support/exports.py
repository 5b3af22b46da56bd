"""Reading an export's files with other tools than the library's own."""

import csv
import gzip
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import attrs
import zstandard
from pyarrow import parquet

from canopy_async import AuditEvent
from canopy_async.export.writers.csv_ import unguarded

FORMATS = ("jsonl", "jsonl.gz", "jsonl.zst", "csv", "parquet")
FIELDS = [field.name for field in attrs.fields(AuditEvent)]
COLUMNS = ["identity_id", *FIELDS]


def truth(server, *ids):
    """The events of each identity that has some, as `read_back` returns them."""
    logs = {i: [normal(row) for row in server.events(i)] for i in ids}
    return {identity_id: log for identity_id, log in logs.items() if log}


def read_back(directory, *, empty_is_null=False):
    """The rows of all final files by identity, in the order of the files."""
    found = {}
    for path in sorted(Path(directory).glob("events-*")):
        if path.suffix == ".partial":
            continue
        for row in rows_of(path):
            found.setdefault(row.pop("identity_id"), []).append(row)
    if empty_is_null:
        found = {i: [without_empty(row) for row in log] for i, log in found.items()}
    return found


def ids_of(directory):
    """The ids of the events in all final files, by identity."""
    logs = read_back(directory)
    return {i: [row["id"] for row in log] for i, log in logs.items()}


def normal(row):
    """A row of the server with every known field, and the others in ``extra``."""
    known = {name: row.get(name) for name in FIELDS if name != "extra"}
    known["created_at"] = instant(row["created_at"])
    extra = {name: value for name, value in row.items() if name not in known}
    return known | {"extra": extra}


def without_empty(row):
    """A row with null in place of empty text, as it comes back from CSV."""
    return {name: None if value == "" else value for name, value in row.items()}


def rows_of(path):
    """The rows of one file."""
    readers = {
        ".jsonl": lambda: json_lines(path.read_bytes()),
        ".gz": lambda: json_lines(gzip.decompress(path.read_bytes())),
        ".zst": lambda: json_lines(unpacked(path)),
        ".csv": lambda: csv_lines(path),
        ".parquet": lambda: parquet_rows(path),
    }
    return readers[path.suffix]()


def unpacked(path):
    with path.open("rb") as file:
        return zstandard.ZstdDecompressor().stream_reader(file).read()


def json_lines(data):
    lines = data.decode().split("\n")
    assert lines.pop() == ""
    for line in lines:
        row = json.loads(line)
        assert list(row)[:20] == COLUMNS[:-1]
        yield {"identity_id": row.pop("identity_id")} | normal(row)


def csv_lines(path):
    text = path.read_bytes().decode("utf-8-sig")
    for cells in csv.DictReader(io.StringIO(text, newline=""), strict=True):
        assert list(cells) == COLUMNS
        row = {name: unguarded(cell) or None for name, cell in cells.items()}
        row["created_at"] = instant(row["created_at"])
        row["metadata"] = json.loads(row["metadata"])
        row["extra"] = json.loads(row["extra"] or "{}")
        for name in ("customer_visible", "identity_visible"):
            row[name] = {"true": True, "false": False}[row[name]]
        yield row


def parquet_rows(path):
    table = parquet.read_table(path)
    assert table.column_names == COLUMNS
    for row in table.to_pylist():
        row["metadata"] = json.loads(row["metadata"])
        row["extra"] = json.loads(row["extra"] or "{}")
        row["created_at"] = row["created_at"].astimezone(UTC)
        yield row


def instant(text):
    return datetime.fromisoformat(text).astimezone(UTC)
