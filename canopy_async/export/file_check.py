"""Checking the data files of an export against its manifest, one after the other."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

import attrs

from canopy_async._follow.follow_checkpoint import FollowCheckpoint
from canopy_async.errors import ExportError
from canopy_async.export.data_keys import Key, microseconds
from canopy_async.export.files import sha256_of
from canopy_async.export.manifest_records import (
    Begin,
    Commit,
    EventMark,
    FileEntry,
    Header,
    IdentityEntry,
    Record,
)
from canopy_async.export.names import partial_names
from canopy_async.export.standing import Standing, Standings

__all__ = ["MAX_PROBLEMS", "FileCheck", "Problems", "path_of"]

MAX_PROBLEMS: Final = 100
"""The most problems that are described; further ones are only counted."""

_RowKey = tuple[int, str]
"""The ``created_at`` of an event, in microseconds since 1970, and its id."""


class Problems:
    """The problems of an export, a sentence each.

    Attributes:
        sentences: The first `MAX_PROBLEMS` problems.
        count: The number of problems.
    """

    def __init__(self) -> None:
        self.sentences: Final[list[str]] = []
        self.count = 0

    def add(self, sentence: str) -> None:
        """Add a problem."""
        self.count += 1
        if len(self.sentences) < MAX_PROBLEMS:
            self.sentences.append(sentence)


@attrs.define(eq=False)
class _LogCheck:
    """The state of checking the rows of one identity that one run read.

    Attributes:
        known: The events of the look-back that were known when the run began.
        covered: The instant up to which earlier runs covered the log, in microseconds.
        last: The last row that was checked.
        ids: The ids of the rows with the ``created_at`` of that row.
        step: 1 if the rows go forwards in time, -1 if they go backwards, 0 if that is
            not known yet.
        late: The number of rows since the last commit that are dated before
            ``covered``.
    """

    known: FollowCheckpoint | None
    covered: int | None
    last: _RowKey | None = None
    ids: set[str] = attrs.field(factory=set[str])
    step: int = 0
    late: int = 0

    @classmethod
    def of(cls, standing: Standing) -> "_LogCheck":
        """Return the state before the first row, after earlier runs."""
        known = standing.known and FollowCheckpoint.loads(standing.known)
        return cls(known=known or None, covered=_microseconds(standing.as_of))

    def check_row(self, at: int, event_id: str) -> str | None:
        """Check the next row; return its fault in words, or None.

        Args:
            at: The row's ``created_at``, in microseconds.
            event_id: The row's id.
        """
        if self.known is not None and event_id in self.known.ids:
            return "is there twice"
        if self.covered is not None and at < self.covered:
            self.late += 1
        last, self.last = self.last, (at, event_id)
        if last is None:
            self.ids = {event_id}
            return None
        before = last[0]
        if at == before:
            if event_id in self.ids:
                return "is there twice"
            self.ids.add(event_id)
            return None
        self.ids = {event_id}
        step = 1 if at > before else -1
        if self.step == -step:
            return "is out of order"
        self.step = step
        return None


@attrs.define(eq=False)
class _Part:
    """The first and last row of one identity in one file, and their number."""

    first: _RowKey
    last: _RowKey
    events: int = 0


class FileCheck:
    """A check of an export's data files against its manifest, record by record.

    Each file must have the size, the sha256 and the number of rows that the manifest
    says. It must have the number of events of each identity that the manifest says,
    from the first to the last that it names, in the order of time, within ``since``
    and ``until``, and no event twice. Duplicate ids are searched where they are
    possible: among rows of equal ``created_at``, and in the look-back of the run
    before.

    Args:
        header: The header of the manifest.
        problems: The problems that are found are added here.

    Attributes:
        files: The names of the files in the manifest's records so far.
        events: The number of events found in these files.
    """

    def __init__(self, header: Header, problems: Problems) -> None:
        self._since: Final = _microseconds(header.since)
        self._until: Final = _microseconds(header.until)
        self._log_key: Final = header.log_key
        self._problems: Final = problems
        self._standings: Final = Standings()
        self._checks: dict[str, _LogCheck] = {}
        self._done: set[str] = set()
        self.files: Final[set[str]] = set()
        self.events = 0

    def add(self, record: Record, keys: Iterable[Key] | None = None) -> None:
        """Check the next record.

        Args:
            record: The record.
            keys: The keys of the rows of the record's file. None if the record has no
                file, or if the file is not as written. Iterating may raise
                `ExportError`.
        """
        if isinstance(record, Begin):
            # In a new run, a read with a look-back starts again from there; a read
            # with a checkpoint continues after its last row.
            self._checks = {
                name: check
                for name, check in self._checks.items()
                if self._standings.of(name).known is None
            }
            self._done.clear()
        elif isinstance(record, Commit):
            self._add_commit(record, keys)

    def is_as_written(self, directory: Path, file: FileEntry) -> bool:
        """Tell whether a file has the size and hash in the manifest.

        If not, add a problem.
        """
        path = path_of(directory, file.name)
        try:
            is_same = (
                path.stat().st_size == file.bytes and sha256_of(path) == file.sha256
            )
        except OSError as error:
            self._problems.add(f"{file.name} can't be read: {error.strerror}")
            return False
        if not is_same:
            self._problems.add(f"{file.name} is not what was written: sha256 differs")
        return is_same

    def _add_commit(self, commit: Commit, keys: Iterable[Key] | None) -> None:
        parts: dict[str, _Part] | None = {}
        if commit.file is not None:
            self.files.add(commit.file.name)
            parts = None if keys is None else self._parts(commit.file, keys)
        for entry in commit.identities:
            if parts is not None:
                self._compare(commit, entry, parts.pop(entry.id, None))
            if entry.id in self._done and entry.events:
                self._problems.add(f"{entry.id!r} has more events after it was done")
            if entry.state == "done":
                self._checks.pop(entry.id, None)
                self._done.add(entry.id)
        for name in parts or ():
            self._problems.add(
                f"{_named(commit)} has rows of {name!r} that the manifest does not name"
            )
        self._standings.add(commit)

    def _parts(self, file: FileEntry, keys: Iterable[Key]) -> dict[str, _Part] | None:
        """Check the rows of a file.

        Returns:
            The rows of each identity, or None if the file can't be read.
        """
        try:
            parts = self._split(file.name, keys)
        except ExportError as error:
            self._problems.add(str(error))
            return None
        except OSError as error:
            self._problems.add(f"{file.name} can't be read: {error.strerror}")
            return None
        rows = sum(part.events for part in parts.values())
        self.events += rows
        if rows != file.rows:
            self._problems.add(f"{file.name} has {rows} rows, and not {file.rows}")
        return parts

    def _split(self, name: str, keys: Iterable[Key]) -> dict[str, _Part]:
        parts: dict[str, _Part] = {}
        for whose, at, event_id in keys:
            identity_id = whose or self._log_key or ""
            row_key = (at, event_id)
            part = parts.get(identity_id)
            if part is None:
                part = parts[identity_id] = _Part(row_key, row_key)
            part.last = row_key
            part.events += 1
            fault = self._fault(identity_id, at, event_id)
            if fault:
                self._problems.add(f"{name}: {event_id!r} of {identity_id!r} {fault}")
        return parts

    def _fault(self, identity_id: str, at: int, event_id: str) -> str | None:
        """Check the next row of an identity; return its fault in words, or None."""
        if (self._since is not None and at < self._since) or (
            self._until is not None and at >= self._until
        ):
            return "is not within since and until"
        check = self._checks.get(identity_id)
        if check is None:
            check = _LogCheck.of(self._standings.of(identity_id))
            self._checks[identity_id] = check
        return check.check_row(at, event_id)

    def _compare(
        self, commit: Commit, entry: IdentityEntry, part: _Part | None
    ) -> None:
        expected = (entry.events, _row_key(entry.first), _row_key(entry.last))
        found = (part.events, part.first, part.last) if part else (0, None, None)
        if found != expected:
            what = (
                "number of events" if found[0] != expected[0] else "first or last event"
            )
            self._problems.add(_difference(what, commit, entry))
            return
        check = self._checks.get(entry.id)
        late, found_late = entry.late, 0
        if check is not None:
            found_late, check.late = check.late, 0
        if late != found_late:
            self._problems.add(_difference("number of late events", commit, entry))


def path_of(directory: Path, name: str) -> Path:
    """Return the path of a committed file, which may not have its final name yet."""
    path = directory / name
    if path.exists():
        return path
    for partial in map(directory.joinpath, partial_names(name)):
        if partial.exists():
            return partial
    return path


def _microseconds(instant: datetime | None) -> int | None:
    return None if instant is None else microseconds(instant)


def _row_key(mark: EventMark | None) -> _RowKey | None:
    return None if mark is None else (microseconds(mark.created_at), mark.id)


def _difference(what: str, commit: Commit, entry: IdentityEntry) -> str:
    return f"{_named(commit)}: the {what} of {entry.id!r} differs from the manifest"


def _named(commit: Commit) -> str:
    return f"line {commit.n}" if commit.file is None else commit.file.name
