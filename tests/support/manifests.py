"""Manifests written by tests: with linked lines, or of version 1."""

import json
from pathlib import Path

import attrs
import msgspec

from canopy_async.export.manifest_chain import Chain, ManifestReader
from canopy_async.export.manifest_records import Commit, Header, dump_line, load_line

MANIFEST = "_manifest.ndjson"
OLD_MANIFEST = "manifest.jsonl"
SUMS = "_SHA256SUMS"


def lines_of(directory):
    """The lines of a manifest, each with its line feed."""
    return (Path(directory) / MANIFEST).read_bytes().splitlines(keepends=True)


def records_of(directory):
    """The records of a manifest, including the header."""
    return [load_line(line) for line in lines_of(directory)]


def linked(records):
    """The content of a manifest of these records, numbered and linked."""
    chain, lines = Chain(), []
    for record in records:
        lines.append(dump_line(chain.link(record)))
        chain.add(lines[-1])
    return b"".join(lines)


def write_manifest(directory, records):
    """Write a manifest of these records, and delete ``_SHA256SUMS``."""
    (Path(directory) / MANIFEST).write_bytes(linked(records))
    (Path(directory) / SUMS).unlink(missing_ok=True)


def read_linked(path):
    """All records of a manifest, read with the checks of the reader."""
    with Path(path).open("rb") as file:
        reader = ManifestReader(file, path)
        return [reader.header, *reader]


OF_VERSION_1 = {
    "header": (
        *("version", "account", "base_url", "format", "order", "since", "until", "q"),
        *("scope", "created_at", "library"),
    ),
    "commit": ("n", "file", "identities"),
}
IDENTITY_OF_VERSION_1 = (
    *("id", "events", "first", "last", "state", "complete", "proof", "checkpoint"),
    "error",
)


def as_version_1(directory, checkpoints=None):
    """Convert an export to the files that the library wrote at manifest version 1.

    Version 1 had only a header and commits, numbered from 1, and fewer fields of each
    identity. The name of an unfinished file ended with ``.partial`` but did not begin
    with ``_``.

    Args:
        directory: An export of one run, finished or stopped.
        checkpoints: The checkpoints of open and failed identities by id, as text.
            Version 1 stored them for reads of any order.
    """
    directory = Path(directory)
    lines, number = [], 0
    for record in records_of(directory):
        if isinstance(record, Header):
            said = attrs.evolve(record, version=1)
            lines.append(_picked(said, "header"))
        elif isinstance(record, Commit):
            number += 1
            line = _picked(attrs.evolve(record, n=number), "commit")
            line["identities"] = [
                _of_identity(entry, checkpoints or {}) for entry in line["identities"]
            ]
            lines.append(line)
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    (directory / OLD_MANIFEST).write_text(text)
    (directory / MANIFEST).unlink()
    (directory / SUMS).unlink(missing_ok=True)
    for path in directory.glob("_events-*.partial"):
        path.rename(path.with_name(path.name.removeprefix("_")))


def _picked(record, kind):
    plain = msgspec.to_builtins(record)
    return {"kind": kind} | {name: plain[name] for name in OF_VERSION_1[kind]}


def _of_identity(entry, checkpoints):
    old = {name: entry[name] for name in IDENTITY_OF_VERSION_1}
    if old["state"] in {"open", "failed"}:
        text = checkpoints.get(old["id"], old["checkpoint"])
        old["checkpoint"] = text and _of_checkpoint(text)
    return old


def _of_checkpoint(text):
    """A checkpoint with a scope of version 1, which is no longer accepted."""
    return json.dumps(json.loads(text) | {"v": 1, "scope": "0123456789abcdef"})
