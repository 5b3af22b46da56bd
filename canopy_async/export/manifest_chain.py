"""The chain of a manifest's lines, which reveals changes.

Each line contains its number and the sha256 of the line before it. This reveals a line
that was edited, removed, inserted, repeated or moved. It does not reveal that lines
are missing at the end. To detect that, keep the manifest's digest somewhere else.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

import attrs
import msgspec

from canopy_async.errors import ExportError
from canopy_async.export.manifest_records import (
    HEAD,
    VERSION,
    Begin,
    Commit,
    End,
    Header,
    Listed,
    Record,
    load_line,
)

__all__ = ["MANIFEST", "MAX_LINE", "OLD_MANIFEST", "Chain", "ManifestReader"]

MANIFEST: Final = "_manifest.ndjson"
"""The file name of a manifest. Programs that read tables skip names with a ``_``."""

OLD_MANIFEST: Final = "manifest.jsonl"
"""The file name of a manifest of version 1, whose lines are not linked."""

OLD_VERSION: Final = 1

MAX_LINE: Final = 256 * 1024 * 1024
"""The longest line of a manifest, in bytes."""

_Linked: TypeAlias = Begin | Listed | Commit | End


class Chain:
    """The state of a manifest's chain after some lines.

    Attributes:
        lines: The number of lines.
        last: The sha256 of the last line; empty if there is none.
    """

    def __init__(self) -> None:
        self.lines = 0
        self.last = ""
        self._all: Final = hashlib.sha256()

    @property
    def digest(self) -> str:
        """The sha256 of all lines together, which is the sha256 of the file."""
        return self._all.hexdigest()

    def link(self, record: Record) -> Record:
        """Return a record with the number and previous hash of the next line."""
        return attrs.evolve(record, n=self.lines + 1, prev=self.last)

    def add(self, line: bytes) -> None:
        """Add the next line."""
        self.lines += 1
        self.last = hashlib.sha256(line).hexdigest()
        self._all.update(line)

    def check(self, record: Record) -> None:
        """Check that a record is linked to the last line.

        Raises:
            ExportError: It has another number, or is linked to another line.
        """
        if record.n != self.lines + 1:
            raise ExportError(f"it says that it is line {record.n}")
        if record.prev != self.last:
            raise ExportError("the line before it is not the one that it was linked to")


class ManifestReader:
    """Reads a manifest record by record, and checks that its lines are linked.

    Args:
        file: The manifest's file, at its start.
        path: The path of the manifest, for error messages.

    Attributes:
        header: The first record.
        chain: The chain of the lines read so far.
        offset: The offset in bytes at which the last complete line ends.
        is_cut_short: Whether the file ends with an incomplete line, because a process
            was killed while it wrote. Only known once all records were read.
        is_through: Whether all records were read.

    Raises:
        ExportError: At the call: the file is no manifest, or has an unknown version.
            While iterating: a line is damaged, or not linked to the line before it.
    """

    def __init__(self, file: BinaryIO, path: Path | str) -> None:
        self._file: Final = file
        self._path: Final = path
        self.chain: Final = Chain()
        self.is_cut_short = False
        self.is_through = False
        line = file.readline(MAX_LINE)
        self.header: Final = self._header(line)
        self.chain.add(line)
        self.offset = len(line)

    def __iter__(self) -> Iterator[_Linked]:
        """Yield the records after the header."""
        while (line := self._file.readline(MAX_LINE)).endswith(b"\n"):
            yield self._linked(line)
        if line and not _may_be_cut_record(line):
            where = f"{self._path}: line {self.chain.lines + 1}"
            raise ExportError(f"{where}: not the beginning of a record")
        self.is_cut_short = bool(line)
        self.is_through = True

    def _header(self, line: bytes) -> Header:
        if not line.endswith(b"\n"):
            raise ExportError(f"{self._path}: not the manifest of an export")
        try:
            version = msgspec.json.decode(line, type=_Version).version
        except _UNREADABLE:
            version = None
        if version not in {OLD_VERSION, VERSION, None}:
            raise ExportError(
                f"{self._path}: a manifest of version {version} is unknown"
            )
        try:
            record = load_line(line)
            self.chain.check(record)
        except ExportError:
            record = None
        if not isinstance(record, Header):
            raise ExportError(f"{self._path}: not the manifest of an export")
        return record

    def _linked(self, line: bytes) -> _Linked:
        try:
            record = self._checked(load_line(line))
        except ExportError as error:
            where = f"{self._path}: line {self.chain.lines + 1}"
            raise ExportError(f"{where}: {error}") from None
        self.chain.add(line)
        self.offset += len(line)
        return record

    def _checked(self, record: Record) -> _Linked:
        """Check that a record belongs here, and return it."""
        if isinstance(record, Header):
            raise ExportError("a header in the middle")
        if self.header.version != OLD_VERSION:
            self.chain.check(record)
            return record
        # Version 1 had only commits, and numbered them from 1, without the header.
        if not isinstance(record, Commit) or record.n != self.chain.lines:
            raise ExportError(f"commit {record.n} instead of {self.chain.lines}")
        return attrs.evolve(record, n=self.chain.lines + 1)


def _may_be_cut_record(line: bytes) -> bool:
    """Tell whether an incomplete last line may be left by a killed process.

    After a power failure, the line's end or all of it may be zero bytes.
    """
    if len(line) >= MAX_LINE:
        return False
    written = line.rstrip(b"\0")
    if not (written.startswith(HEAD) or HEAD.startswith(written)):
        return False
    if not written.endswith(b"}"):
        return True
    try:
        load_line(written)
    except ExportError:
        # A part of a record may end with a brace. Valid JSON is no part of a record.
        return not _is_json(written)
    return True


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except _UNREADABLE:
        return False
    return True


class _Version(msgspec.Struct, tag_field="kind", tag="header"):
    version: int


_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
