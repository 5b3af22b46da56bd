"""The manifest of an export: what each file holds, and what is proven of it.

A directory's ``manifest.jsonl`` is a header and then one line for each commit.
Lines are only ever appended. A last line that was cut short does not count.
"""

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO, Final, Literal, TypeAlias

import attrs
import msgspec

from canopy_async.checkpoint import scope_of
from canopy_async.errors import ExportError
from canopy_async.export.mirror import mirrored
from canopy_async.instants import in_utc
from canopy_async.models import AwareDatetime
from canopy_async.report import Proof

__all__ = [
    "FILE_NAME",
    "MANIFEST",
    "Commit",
    "EventMark",
    "Failure",
    "FileEntry",
    "Header",
    "IdentityEntry",
    "IdentityState",
    "Manifest",
    "dump_line",
    "iter_commits",
    "read_header",
    "read_manifest",
    "scan",
    "scope_of_export",
]

MANIFEST: Final = "manifest.jsonl"
VERSION: Final = 1

IdentityState: TypeAlias = Literal["open", "done", "failed"]
_PathLike: TypeAlias = str | os.PathLike[str]
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]

FILE_NAME: Final = r"^events-(s[0-9]{5,9}-[0-9a-f]{8}-)?[0-9]{5}\.[a-z.]+$"
"""Those of a cluster name the shard and the attempt as well."""


class _Version(msgspec.Struct, tag_field="kind", tag="header"):
    version: int


@attrs.frozen(kw_only=True)
class Header:
    """What an export is of; the first line of its manifest.

    Attributes:
        version: The version of the manifest's format.
        account: The account's slug.
        base_url: Where the API is.
        format: What the data files are written in.
        order: The order of the events of one identity.
        since: The earliest ``created_at`` that is wanted, inclusive, or None.
        until: The first that is not wanted, or None.
        q: The search term, or None.
        scope: A hash of all of these; what `canopy_async.export.export` may go
            on with has the same.
        created_at: When the export began.
        library: What wrote it, with its version.
    """

    kind: Literal["header"] = "header"
    version: int = VERSION
    account: str
    base_url: str
    format: str
    order: Literal["asc"] = "asc"
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    q: str | None = None
    scope: str
    created_at: AwareDatetime
    library: str


@attrs.frozen(kw_only=True)
class EventMark:
    """Which event, and when it happened."""

    id: str
    created_at: AwareDatetime


@attrs.frozen(kw_only=True)
class Failure:
    """Why an identity could not be read: the error's class and its text."""

    type: str
    message: str


@attrs.frozen(kw_only=True)
class FileEntry:
    """A data file: its name, rows, size in bytes, and sha256 in hexadecimal."""

    name: Annotated[str, msgspec.Meta(pattern=FILE_NAME)]
    rows: _Count
    bytes: _Count
    sha256: str


@attrs.frozen(kw_only=True)
class IdentityEntry:
    """What is known of one identity: by one commit, or by all of them.

    Attributes:
        id: The identity.
        events: How many of its events: those of the commit, or all.
        first: The first of these, None where there are none.
        last: The last of these.
        state: ``done``: read to its end. ``failed``: it could not be read, or
            not be proven. ``open``: to be gone on with.
        complete: Whether its log was read to the end, and ``proof`` holds.
        proof: What stands behind its rows.
        checkpoint: Where to go on, unless it is done; None for the start.
        error: Why it failed.
    """

    id: str
    events: _Count
    first: EventMark | None = None
    last: EventMark | None = None
    state: IdentityState
    complete: bool = False
    proof: Proof = Proof.NONE
    checkpoint: str | None = None
    error: Failure | None = None

    def followed_by(self, later: "IdentityEntry") -> "IdentityEntry":
        """Return what both entries together say, ``later`` being the newer one."""
        return attrs.evolve(
            later,
            events=self.events + later.events,
            first=self.first or later.first,
            last=later.last or self.last,
        )


@attrs.frozen(kw_only=True)
class Commit:
    """What became final together; a line of the manifest.

    Attributes:
        n: The commit's number, from 1.
        file: The data file that it added, None where there were no rows.
        identities: Those that were touched since the commit before.
    """

    kind: Literal["commit"] = "commit"
    n: int
    file: FileEntry | None = None
    identities: tuple[IdentityEntry, ...] = ()


@attrs.frozen(kw_only=True)
class Manifest:
    """A whole manifest, added up.

    Attributes:
        header: What the export is of.
        files: The data files, in their order.
        identities: What is known of each identity, in the order of their first
            commit: some hundred bytes of memory for each.
        commits: How many commits there are.
    """

    header: Header
    files: tuple[FileEntry, ...] = ()
    identities: Mapping[str, IdentityEntry] = attrs.field(
        factory=dict[str, IdentityEntry], repr=False
    )
    commits: int = 0

    @property
    def events(self) -> int:
        """The events of all files."""
        return sum(file.rows for file in self.files)

    @property
    def bytes(self) -> int:
        """The size of all data files."""
        return sum(file.bytes for file in self.files)

    def count(self, state: IdentityState) -> int:
        """Return how many identities are in this state."""
        return sum(entry.state == state for entry in self.identities.values())


def scope_of_export(header: Header) -> str:
    """Return the hash of what an export is of, whatever ``header.scope`` is."""
    bounds = (header.since, header.until)
    instants = [None if at is None else in_utc(at) for at in bounds]
    of = (header.base_url, header.account, header.format, header.order, header.q)
    return scope_of(repr((of, instants)))


def dump_line(record: Header | Commit) -> bytes:
    """Return a record as a line of the manifest."""
    # In the order of the class, for those who read it by eye.
    names = [field.name for field in attrs.fields(type(record))]
    return msgspec.json.encode({name: getattr(record, name) for name in names}) + b"\n"


def read_header(directory: _PathLike) -> Header:
    """Return the first line of a directory's manifest.

    Raises:
        ExportError: There is none, or it can't be read.
    """
    with _opened(directory) as (file, path):
        return scan(file, path)[0]


def iter_commits(directory: _PathLike) -> Iterator[Commit]:
    """Yield the commits of a directory, oldest first, without keeping any.

    Raises:
        ExportError: While iterating: there is no manifest, or it is damaged.
    """
    with _opened(directory) as (file, path):
        _, commits = scan(file, path)
        for commit, _ in commits:
            yield commit


def read_manifest(directory: _PathLike) -> Manifest:
    """Return what a directory's manifest says, added up.

    It may be read while the export is running.

    Args:
        directory: Where an export is: a path, or a URL of fsspec.

    Raises:
        ExportError: There is no manifest, or it is damaged.

    Example:
        >>> manifest = read_manifest("out")
        >>> print(manifest.events, manifest.count("failed"))
    """
    header = read_header(directory)
    files: list[FileEntry] = []
    identities: dict[str, IdentityEntry] = {}
    count = 0
    for commit in iter_commits(directory):
        count += 1
        if commit.file is not None:
            files.append(commit.file)
        for entry in commit.identities:
            earlier = identities.get(entry.id)
            identities[entry.id] = (
                entry if earlier is None else earlier.followed_by(entry)
            )
    return Manifest(
        header=header, files=tuple(files), identities=identities, commits=count
    )


def scan(
    file: BinaryIO, path: Path | str
) -> tuple[Header, Iterator[tuple[Commit, int]]]:
    """Return the header of an open manifest, and its commits.

    Args:
        file: The manifest, at its start.
        path: Where it is, named in errors.

    Returns:
        The header, and an iterator over each commit and the offset at which its
        line ends: what comes after the last of them does not count.

    Raises:
        ExportError: At the call: there is no header. While iterating: a line
            that is not the last one is damaged.
    """
    line = file.readline()
    if not line.endswith(b"\n"):
        raise ExportError(f"{path}: not the manifest of an export")
    try:
        version = msgspec.json.decode(line, type=_Version).version
        if version != VERSION:
            raise ExportError(f"{path}: a manifest of version {version} is unknown")
        header = msgspec.json.decode(line, type=Header)
    except _UNREADABLE:
        raise ExportError(f"{path}: not the manifest of an export") from None
    return header, _commits(file, path)


def _commits(file: BinaryIO, path: Path | str) -> Iterator[tuple[Commit, int]]:
    number = 0
    while (line := file.readline()).endswith(b"\n"):
        number += 1
        try:
            commit = _COMMIT.decode(line)
        except _UNREADABLE as error:
            if file.read(1):
                raise ExportError(f"{path}: line {number + 1}: {error}") from None
            return
        if commit.n != number:
            raise ExportError(
                f"{path}: line {number + 1}: commit {commit.n} instead of {number}"
            )
        yield commit, file.tell()


@contextmanager
def _opened(directory: _PathLike) -> Generator[tuple[BinaryIO, str]]:
    """Open a manifest, and say where it is, for errors."""
    with mirrored(directory) as mirror, mirror.fetched(MANIFEST):
        path = mirror.path / MANIFEST
        named = f"{os.fspath(directory).rstrip('/')}/{MANIFEST}"
        try:
            file = path.open("rb")
        except OSError as error:
            raise ExportError(f"{named}: {error.strerror}") from None
        with file:
            yield file, named


_COMMIT: Final = msgspec.json.Decoder(Commit)
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
