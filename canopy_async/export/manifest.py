"""The manifest of an export: what was asked for, what was written, what is proven.

The file ``_manifest.ndjson`` has one JSON record per line. The first is the header.
Then each run adds a record of its begin, its commits, the list of its identities, and
its end. Lines are only appended, and each contains the hash of the line before it. A
last line that was cut short does not count.
"""

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import attrs

from canopy_async._util.plain_files import open_plain
from canopy_async._util.public import publish
from canopy_async.errors import ExportError
from canopy_async.export.manifest_chain import MANIFEST, OLD_MANIFEST, ManifestReader
from canopy_async.export.manifest_records import (
    Begin,
    Commit,
    End,
    FileEntry,
    Header,
    IdentityEntry,
    IdentityState,
    Listed,
    Record,
)
from canopy_async.export.mirror import Mirror, mirrored

__all__ = [
    "Manifest",
    "ManifestBuilder",
    "RunEntry",
    "iter_commits",
    "opened",
    "read_header",
    "read_manifest",
]

_PathLike = str | os.PathLike[str]


@attrs.frozen(kw_only=True)
class RunEntry:
    """One run of an export.

    Attributes:
        begin: The record of its begin.
        listed: The record of its identities; None if it ended before all of them were
            known.
        end: The record of its end; None if it was killed or is still running.
    """

    begin: Begin
    listed: Listed | None = None
    end: End | None = None


@attrs.frozen(kw_only=True)
class Manifest:
    """A summary of all records of a manifest.

    Attributes:
        header: The header.
        runs: The runs, oldest first; none in a manifest of version 1.
        files: The data files, oldest first.
        identities: The state of each identity by its id, in the order of their first
            commits. Each takes some hundred bytes of memory.
        commits: The number of commits.
        digest: The sha256 of the manifest's complete lines, in hexadecimal.
        is_cut_short: Whether the last line is incomplete, because a process was killed
            while it wrote. That line is not counted.
    """

    header: Header
    runs: tuple[RunEntry, ...] = ()
    files: tuple[FileEntry, ...] = ()
    identities: Mapping[str, IdentityEntry] = attrs.field(
        factory=dict[str, IdentityEntry], repr=False
    )
    commits: int = 0
    digest: str = ""
    is_cut_short: bool = False

    @property
    def events(self) -> int:
        """The number of events in all files."""
        return sum(file.rows for file in self.files)

    @property
    def bytes(self) -> int:
        """The size of all data files in bytes."""
        return sum(file.bytes for file in self.files)

    @property
    def as_of(self) -> datetime | None:
        """The instant up to which the logs of all identities are covered, at least.

        Identities that the account no longer lists don't count. None if no other
        identity is left, or if one log was never read to its end.
        """
        entries = self.identities.values()
        covered = [entry.as_of for entry in entries if entry.state != "gone"]
        known = [at for at in covered if at is not None]
        return min(known) if known and len(known) == len(covered) else None

    def count(self, state: IdentityState) -> int:
        """Return the number of identities in this state."""
        return sum(entry.state == state for entry in self.identities.values())


class ManifestBuilder:
    """Builds a `Manifest` from its records.

    Args:
        header: The header of the manifest.
    """

    def __init__(self, header: Header) -> None:
        self._header = header
        self._runs: list[RunEntry] = []
        self._files: list[FileEntry] = []
        self._identities: dict[str, IdentityEntry] = {}
        self._commits = 0

    def add(self, record: Record) -> None:
        """Add the next record.

        Raises:
            ExportError: The record can't come here, such as an end without a begin.
        """
        if isinstance(record, Commit):
            self._add_commit(record)
        elif isinstance(record, Begin):
            self._add_begin(record)
        elif isinstance(record, (Listed, End)):
            self._add_to_run(record)

    def result(self, reader: ManifestReader) -> Manifest:
        """Return the manifest, after all records of ``reader`` were added."""
        return Manifest(
            header=self._header,
            runs=tuple(self._runs),
            files=tuple(self._files),
            identities=self._identities,
            commits=self._commits,
            digest=reader.chain.digest,
            is_cut_short=reader.is_cut_short,
        )

    def _add_begin(self, begin: Begin) -> None:
        if begin.run != len(self._runs) + 1:
            raise ExportError(
                f"line {begin.n}: run {begin.run} begins, but run"
                f" {len(self._runs) + 1} is the next"
            )
        self._runs.append(RunEntry(begin=begin))

    def _add_to_run(self, record: Listed | End) -> None:
        run = self._runs[-1] if self._runs else None
        if run is None or run.end is not None:
            raise ExportError(f"line {record.n}: no run is open")
        if isinstance(record, End):
            self._runs[-1] = attrs.evolve(run, end=record)
        else:
            self._runs[-1] = attrs.evolve(run, listed=record)

    def _add_commit(self, commit: Commit) -> None:
        self._commits += 1
        if commit.file is not None:
            self._files.append(commit.file)
        for entry in commit.identities:
            earlier = self._identities.get(entry.id)
            self._identities[entry.id] = (
                entry if earlier is None else earlier.followed_by(entry)
            )
        for name in commit.unchanged:
            earlier = self._identities.get(name)
            if earlier is None or earlier.state != "done":
                raise ExportError(f"line {commit.n}: {name!r} was not done before")
            self._identities[name] = attrs.evolve(earlier, as_of=commit.unchanged_as_of)


def read_header(directory: _PathLike) -> Header:
    """Return the header of an export's manifest.

    Args:
        directory: The directory of the export: a path, or a URL of fsspec.

    Raises:
        ExportError: There is no manifest, or it can't be read.
    """
    with mirrored(directory) as mirror, opened(mirror, directory) as reader:
        return reader.header


def iter_commits(directory: _PathLike) -> Iterator[Commit]:
    """Yield the commits of an export, oldest first, in constant memory.

    Args:
        directory: The directory of the export: a path, or a URL of fsspec.

    Raises:
        ExportError: While iterating: there is no manifest, or it is damaged.
    """
    with mirrored(directory) as mirror, opened(mirror, directory) as reader:
        for record in reader:
            if isinstance(record, Commit):
                yield record


def read_manifest(directory: _PathLike) -> Manifest:
    """Read the manifest of an export, and return its summary.

    This also works while the export is running.

    Args:
        directory: The directory of the export: a path, or a URL of fsspec.

    Raises:
        ExportError: There is no manifest, or it is damaged.

    Example:
        >>> manifest = read_manifest("out")
        >>> print(manifest.events, manifest.count("failed"), manifest.as_of)
    """
    with mirrored(directory) as mirror, opened(mirror, directory) as reader:
        builder = ManifestBuilder(reader.header)
        for record in reader:
            builder.add(record)
        return builder.result(reader)


@contextmanager
def opened(mirror: Mirror, directory: _PathLike) -> Generator[ManifestReader]:
    """Open the manifest of a directory, of the current format version or of version 1.

    Args:
        mirror: The local copy of the directory.
        directory: The directory as the caller named it, for error messages.

    Raises:
        ExportError: There is no manifest, or it can't be read.
    """
    with mirror.fetched(MANIFEST), mirror.fetched(OLD_MANIFEST):
        path = mirror.path / MANIFEST
        old = mirror.path / OLD_MANIFEST
        if not path.exists() and old.exists():
            path = old
        named = f"{os.fspath(directory).rstrip('/')}/{path.name}"
        try:
            file = open_plain(path)
        except OSError as error:
            raise ExportError(f"{named}: {error.strerror}") from None
        with file:
            yield ManifestReader(file, named)


publish(
    "canopy_async.export", Manifest, RunEntry, iter_commits, read_header, read_manifest
)
