"""The manifest of an export: what was asked for, and what is proven of it.

A directory's ``_manifest.ndjson`` is a header and then, for each run, its begin,
its commits, the identities it was given, and its end: a line of JSON each. Lines
are only ever appended, and each holds the hash of the line before it. A last line
that was cut short does not count.
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
        begin: Its begin.
        listed: The identities that it was given; None where it ended before all
            of them were known.
        end: Its end; None where it was killed, or is not over.
    """

    begin: Begin
    listed: Listed | None = None
    end: End | None = None


@attrs.frozen(kw_only=True)
class Manifest:
    """A whole manifest, added up.

    Attributes:
        header: What the export is of.
        runs: The runs, oldest first; none in a manifest of version 1.
        files: The data files, in their order.
        identities: What is known of each identity, in the order of their first
            commit: some hundred bytes of memory for each.
        commits: How many commits there are.
        digest: The sha256 of the manifest's whole lines, in hexadecimal.
        is_cut_short: Whether a part of a line comes after these: a process was
            killed while it wrote.
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
        """The events of all files."""
        return sum(file.rows for file in self.files)

    @property
    def bytes(self) -> int:
        """The size of all data files."""
        return sum(file.bytes for file in self.files)

    @property
    def as_of(self) -> datetime | None:
        """The instant up to which the logs of all identities are covered, at least.

        Those that the account lists no more don't count. None where there is no
        other, or one whose log was never read to its end.
        """
        entries = self.identities.values()
        covered = [entry.as_of for entry in entries if entry.state != "gone"]
        known = [at for at in covered if at is not None]
        return min(known) if known and len(known) == len(covered) else None

    def count(self, state: IdentityState) -> int:
        """Return how many identities are in this state."""
        return sum(entry.state == state for entry in self.identities.values())


class ManifestBuilder:
    """Adds the records of a manifest up, one after the other.

    Args:
        header: What the export is of.
    """

    def __init__(self, header: Header) -> None:
        self._header = header
        self._runs: list[RunEntry] = []
        self._files: list[FileEntry] = []
        self._identities: dict[str, IdentityEntry] = {}
        self._commits = 0

    def add(self, record: Record) -> None:
        """Go on to the next record.

        Raises:
            ExportError: It can't come here: an end without a begin, say.
        """
        if isinstance(record, Commit):
            self._add_commit(record)
        elif isinstance(record, Begin):
            self._add_begin(record)
        elif isinstance(record, (Listed, End)):
            self._add_to_run(record)

    def result(self, reader: ManifestReader) -> Manifest:
        """Return all that was added up, once the reader is through."""
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
            raise ExportError(f"line {begin.n}: run {begin.run} begins out of turn")
        self._runs.append(RunEntry(begin=begin))

    def _add_to_run(self, record: Listed | End) -> None:
        run = self._runs[-1] if self._runs else None
        if run is None or run.end is not None:
            raise ExportError(f"line {record.n}: no run is under way")
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
    """Return the first line of a directory's manifest.

    Raises:
        ExportError: There is none, or it can't be read.
    """
    with mirrored(directory) as mirror, opened(mirror, directory) as reader:
        return reader.header


def iter_commits(directory: _PathLike) -> Iterator[Commit]:
    """Yield the commits of a directory, oldest first, without keeping any.

    Raises:
        ExportError: While iterating: there is no manifest, or it is damaged.
    """
    with mirrored(directory) as mirror, opened(mirror, directory) as reader:
        for record in reader:
            if isinstance(record, Commit):
                yield record


def read_manifest(directory: _PathLike) -> Manifest:
    """Return what a directory's manifest says, added up.

    It may be read while the export is running.

    Args:
        directory: Where an export is: a path, or a URL of fsspec.

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
    """Open the manifest of a directory, be it of this version or of version 1.

    Args:
        mirror: The directory on this machine.
        directory: The directory as the caller has named it, for errors.

    Raises:
        ExportError: There is none, or it can't be read.
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
