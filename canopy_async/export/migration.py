"""Migration of a manifest from version 1 to the current version.

Version 1 did not store the ids of the look-back. They are read from the data files. It
did not store either which identities were asked for; that stays unknown.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final, Literal

import attrs
import msgspec

from canopy_async._follow.follow_checkpoint import FollowCheckpoint
from canopy_async.checkpoint import Checkpoint, scope_of_read
from canopy_async.errors import ExportError
from canopy_async.export.data_keys import Key, read_keys
from canopy_async.export.look_back import LookBack
from canopy_async.export.manifest_chain import Chain, ManifestReader
from canopy_async.export.manifest_records import (
    Commit,
    Header,
    IdentityEntry,
    dump_line,
)
from canopy_async.models import AwareDatetime
from canopy_async.report import Proof

__all__ = ["LOOK_BACK", "migrate"]

LOOK_BACK: Final = timedelta(hours=1)
"""The look-back for a manifest of version 1, which had none."""

_ENTRIES: Final = 10_000
"""The most identities in one line."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@attrs.frozen
class _Row:
    id: str
    created_at: datetime


def migrate(
    path_of: Callable[[str], Path], reader: ManifestReader, wanted: Header
) -> bytes:
    """Convert a manifest of version 1 to the current version, and return its content.

    Args:
        path_of: Returns the path of a data file by its name. It is called once for
            each file, after the file before was read.
        reader: The reader of the manifest of version 1.
        wanted: The header of the current version for this export.

    Raises:
        ExportError: The manifest or a data file is damaged.
        OSError: A data file can't be read.
    """
    old = reader.header
    header = attrs.evolve(wanted, created_at=old.created_at, library=old.library)
    chain, lines = Chain(), list[bytes]()

    def append(record: Header | Commit) -> None:
        line = dump_line(chain.link(record))
        chain.add(line)
        lines.append(line)

    append(header)
    entries: dict[str, IdentityEntry] = {}
    files: list[str] = []
    for commit in reader:
        if not isinstance(commit, Commit):  # never so: version 1 has only commits
            continue
        append(commit)
        if commit.file is not None:
            files.append(commit.file.name)
        for entry in commit.identities:
            entries[entry.id] = entry
    known = _LookBacks(old, entries)
    for name in files:
        known.read(path_of(name))
    final = [known.entry(entry) for entry in entries.values()]
    for at in range(0, len(final), _ENTRIES):
        append(Commit(identities=tuple(final[at : at + _ENTRIES])))
    return b"".join(lines)


class _LookBacks:
    """The look-back of each identity, built from the rows of the data files."""

    def __init__(self, header: Header, entries: dict[str, IdentityEntry]) -> None:
        self._header: Final = header
        self._logs: Final = {
            name: LookBack("", LOOK_BACK, began=header.created_at) for name in entries
        }

    def read(self, path: Path) -> None:
        """Add the rows of a data file."""
        for name, rows in _by_identity(read_keys(path, self._header.format)):
            if name in self._logs:
                self._logs[name].take(rows)

    def entry(self, entry: IdentityEntry) -> IdentityEntry:
        """Return the identity's new entry; its events are not counted a second time."""
        log = self._logs[entry.id]
        uncounted = attrs.evolve(entry, events=0, first=None, last=None)
        if entry.state == "done":
            return attrs.evolve(uncounted, known=_dumps(log.known()))
        place = None
        if entry.checkpoint is not None:
            place = _converted_checkpoint(entry.checkpoint, entry.id, self._header)
        if place is None or place.order == "asc":
            known = _dumps(log.known_so_far())
            return attrs.evolve(uncounted, checkpoint=None, known=known)
        # A read in any other order continues from its checkpoint.
        return attrs.evolve(
            uncounted,
            checkpoint=place.dumps(),
            known=_dumps(log.all_known()),
            since=self._header.since,
            began=self._header.created_at,
        )


class _OldCheckpoint(msgspec.Struct):
    """The format that checkpoints had when manifests were of version 1."""

    order: Literal["asc", "desc"] | None
    key: AwareDatetime | None
    ids: frozenset[str]
    position: int
    delivered: int
    proof: Proof


def _converted_checkpoint(text: str, identity_id: str, header: Header) -> Checkpoint:
    """Convert an old checkpoint to the current format: only its scope changes.

    Raises:
        ExportError: The checkpoint is damaged.
    """
    try:
        old = msgspec.json.decode(text, type=_OldCheckpoint)
    except msgspec.MsgspecError as error:
        raise ExportError(f"the checkpoint of {identity_id!r}: {error}") from None
    return Checkpoint(
        scope=scope_of_read(
            base_url=header.base_url,
            account=header.account,
            identity=identity_id,
            **header.query.named,
        ),
        order=old.order,
        key=old.key,
        ids=old.ids,
        position=old.position,
        delivered=old.delivered,
        proof=old.proof,
    )


def _by_identity(keys: Iterator[Key]) -> Iterator[tuple[str, list[_Row]]]:
    for name, group in groupby(keys, key=itemgetter(0)):
        rows = [
            _Row(event_id, _EPOCH + timedelta(microseconds=at))
            for _, at, event_id in group
        ]
        yield name, rows


def _dumps(known: FollowCheckpoint) -> str | None:
    return None if known.newest is None else known.dumps()
