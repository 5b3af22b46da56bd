"""An export's files, read again and compared with what its manifest says."""

import math
import os
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

import attrs

from canopy_async.errors import ExportError
from canopy_async.export.directory import PARTIAL, is_data_file
from canopy_async.export.files import sha256_of
from canopy_async.export.keys import Key, microseconds, read_keys
from canopy_async.export.manifest import (
    MANIFEST,
    Commit,
    EventMark,
    FileEntry,
    Header,
    iter_commits,
    read_header,
)
from canopy_async.export.mirror import Mirror, mirrored

__all__ = ["MAX_PROBLEMS", "VerifyResult", "verify"]

MAX_PROBLEMS: Final = 100
"""Problems that are put into words; of more there is only the number."""

_Place = tuple[int, str]
"""When an event was, in microseconds since 1970, and its id."""


@attrs.frozen(kw_only=True)
class VerifyResult:
    """What the files of an export were found to be.

    Attributes:
        files: Files that were read.
        events: Events in them.
        done: Identities that were read to their end.
        complete: How many of these were proven complete.
        failed: Identities that could not be read.
        open: Identities that are to be gone on with.
        problems: What is wrong, a sentence each; the first `MAX_PROBLEMS`.
        problem_count: How many there are.
    """

    files: int = 0
    events: int = 0
    done: int = 0
    complete: int = 0
    failed: int = 0
    open: int = 0
    problems: tuple[str, ...] = ()
    problem_count: int = 0

    @property
    def ok(self) -> bool:
        """Whether the files are what the manifest says; it may say of failures."""
        return self.problem_count == 0


def verify(
    directory: str | os.PathLike[str],
    *,
    on_file: Callable[[FileEntry], None] | None = None,
) -> VerifyResult:
    """Read an export's files again, and compare them with its manifest.

    Each file must have its size, its sha256 and its number of rows. Of each
    identity, a file must have as many events as the manifest says, from the
    first to the last that it names, in order, within ``since`` and ``until``,
    and none twice. Equal ids are looked for where they could be: at equal
    ``created_at``. So memory doesn't grow with the events, but by some hundred
    bytes for each identity.

    It sends nothing, changes nothing, and blocks until it is done.

    Args:
        directory: Where an export is, finished or not: a path, or a URL of
            fsspec, whose files are fetched one at a time.
        on_file: Is called with each file that was read.

    Returns:
        What was found; look at ``ok``.

    Raises:
        ExportError: There is no manifest, or it can't be read.

    Example:
        >>> result = verify("out")
        >>> print(result.ok, result.events, result.problems)
    """
    with mirrored(directory) as mirror, mirror.fetched(MANIFEST):
        check = _Check(mirror, read_header(mirror.path))
        for commit in iter_commits(mirror.path):
            with mirror.fetched(commit.file.name if commit.file else None):
                check.add(commit)
            if on_file is not None and commit.file is not None:
                on_file(commit.file)
        return check.result()


@attrs.define
class _Tail:
    """Where the rows of one identity have come to.

    Attributes:
        place: The newest row.
        ids: Those at its instant.
        step: 1 where they go forwards in time, -1 where they go back, 0 where
            that can't be told yet.
    """

    place: _Place
    ids: set[str]
    step: int = 0


@attrs.define
class _Part:
    """The rows of one identity in one file."""

    first: _Place
    last: _Place
    events: int = 0


class _Check:
    """Goes through the commits of one export, oldest first."""

    def __init__(self, mirror: Mirror, header: Header) -> None:
        self._mirror: Final = mirror
        self._format: Final = header.format
        self._since: Final = _bound(header.since, otherwise=-math.inf)
        self._until: Final = _bound(header.until, otherwise=math.inf)
        self._tails: dict[str, _Tail] = {}
        self._states: dict[str, str] = {}
        self._known: set[str] = set()
        self._complete = 0
        self._events = 0
        self._problems: list[str] = []
        self._problem_count = 0

    def add(self, commit: Commit) -> None:
        """Compare a commit with its file."""
        parts: dict[str, _Part] | None = {}
        if commit.file is not None:
            self._known.add(commit.file.name)
            parts = self._parts(commit.file)
        for entry in commit.identities:
            if self._states.get(entry.id) == "done":
                self._complain(f"{entry.id!r} goes on after it was done")
            self._states[entry.id] = entry.state
            self._complete += entry.complete
            if entry.state == "done":
                self._tails.pop(entry.id, None)
            if parts is not None:
                said = (entry.events, _place(entry.first), _place(entry.last))
                self._compare(commit, entry.id, parts.pop(entry.id, None), said)
        for name in parts or ():
            self._complain(f"{_named(commit)} has rows of {name!r}, unannounced")

    def result(self) -> VerifyResult:
        """Return what was found."""
        for name in self._mirror.names():
            if is_data_file(name) and name not in self._known:
                self._complain(f"{name} is not in the manifest")
        states = list(self._states.values())
        return VerifyResult(
            files=len(self._known),
            events=self._events,
            done=states.count("done"),
            complete=self._complete,
            failed=states.count("failed"),
            open=states.count("open"),
            problems=tuple(self._problems),
            problem_count=self._problem_count,
        )

    def _parts(self, file: FileEntry) -> dict[str, _Part] | None:
        """Read a file; return its rows by identity, None where it can't be."""
        path = self._mirror.path / file.name
        if not path.exists():  # committed, and killed before it was renamed
            path = path.with_name(file.name + PARTIAL)
        try:
            if path.stat().st_size != file.bytes or sha256_of(path) != file.sha256:
                self._complain(f"{file.name} is not what was written: sha256 differs")
                return None
            parts = self._sorted_out(file.name, read_keys(path, self._format))
        except ExportError as error:
            self._complain(str(error))
            return None
        except OSError as error:
            self._complain(f"{file.name} can't be read: {error.strerror}")
            return None
        rows = sum(part.events for part in parts.values())
        self._events += rows
        if rows != file.rows:
            self._complain(f"{file.name} has {rows} rows, and not {file.rows}")
        return parts

    def _sorted_out(self, name: str, keys: Iterable[Key]) -> dict[str, _Part]:
        parts: dict[str, _Part] = {}
        for identity_id, at, event_id in keys:
            place = (at, event_id)
            part = parts.get(identity_id)
            if part is None:
                part = parts[identity_id] = _Part(place, place)
            part.last = place
            part.events += 1
            fault = self._step(identity_id, place)
            if fault:
                self._complain(f"{name}: {event_id!r} of {identity_id!r} {fault}")
        return parts

    def _step(self, identity_id: str, place: _Place) -> str | None:
        """Go on to the next row of an identity; return what is wrong with it."""
        at, event_id = place
        if not self._since <= at < self._until:
            return "is not within since and until"
        tail = self._tails.get(identity_id)
        if tail is None:
            self._tails[identity_id] = _Tail(place, {event_id})
            return None
        before, tail.place = tail.place[0], place
        if at == before:
            if event_id in tail.ids:
                return "is there twice"
            tail.ids.add(event_id)
            return None
        tail.ids = {event_id}
        step = 1 if at > before else -1
        if tail.step == -step:
            return "is out of order"
        tail.step = step
        return None

    def _compare(
        self,
        commit: Commit,
        identity_id: str,
        part: _Part | None,
        said: tuple[int, _Place | None, _Place | None],
    ) -> None:
        found = (part.events, part.first, part.last) if part else (0, None, None)
        if found == said:
            return
        what = "number of events" if found[0] != said[0] else "first or last event"
        self._complain(
            f"{_named(commit)}: the {what} of {identity_id!r} is another one than"
            " the manifest says"
        )

    def _complain(self, problem: str) -> None:
        self._problem_count += 1
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append(problem)


def _bound(instant: datetime | None, *, otherwise: float) -> float:
    """Return an end of the range as rows have it; without one, none is outside."""
    return otherwise if instant is None else microseconds(instant)


def _place(mark: EventMark | None) -> _Place | None:
    if mark is None:
        return None
    return microseconds(mark.created_at), mark.id


def _named(commit: Commit) -> str:
    return f"commit {commit.n}" if commit.file is None else commit.file.name
