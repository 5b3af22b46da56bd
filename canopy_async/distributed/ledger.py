"""What a manifest says of each identity, and which records fit to that."""

from collections.abc import Mapping, Sequence
from typing import Final

from canopy_async.distributed.destination import Destination
from canopy_async.distributed.records import Record, is_record, is_shard_file
from canopy_async.errors import ExportError
from canopy_async.export.manifest import IdentityEntry

__all__ = ["Ledger", "delete_leftovers", "recover"]


class Ledger:
    """Where each identity stands, by what was adopted.

    Attributes:
        done: Those that are done.
        begun: Where to go on with the others, None for the start.
    """

    def __init__(self) -> None:
        self.done: Final[set[str]] = set()
        self.begun: Final[dict[str, str | None]] = {}

    def add(self, entries: Sequence[IdentityEntry]) -> None:
        """Take note of a commit."""
        for entry in entries:
            if entry.state == "done":
                self.done.add(entry.id)
                self.begun.pop(entry.id, None)
            else:
                self.begun[entry.id] = entry.checkpoint

    def fits(self, record: Record) -> bool:
        """Tell whether a record begins where all of its identities stand.

        One that doesn't is that of an attempt that another one has overtaken:
        its rows would be there twice.
        """
        names = {entry.id for commit in record.commits for entry in commit.identities}
        return not record.follows and all(
            name not in self.done and self.begun.get(name) == record.begins.get(name)
            for name in names
        )


def recover(destination: Destination, ledger: Ledger, scope: str) -> None:
    """Adopt what the tasks of an earlier run have read and its driver has not.

    Args:
        destination: Where they have put it; open.
        ledger: What its manifest says; brought up to date.
        scope: The hash of the export.

    Raises:
        ExportError: The manifest could not be written.
    """
    storage = destination.storage
    sizes = storage.sizes()
    for name in sorted(filter(is_record, sizes)):
        record = _parsed(storage.read(name))
        if (
            record is None
            or record.scope != scope
            or not ledger.fits(record)
            or not _has_its_files(record, sizes)
        ):
            storage.delete((name,))
            continue
        destination.adopt(record)
        for commit in record.commits:
            ledger.add(commit.identities)


def delete_leftovers(destination: Destination) -> None:
    """Delete what attempts have written that nobody adopted."""
    counting = {file.name for file in destination.files()}
    destination.storage.delete(
        name
        for name in destination.storage.sizes()
        if is_shard_file(name) and name not in counting
    )


def _parsed(data: bytes) -> Record | None:
    try:
        return Record.loads(data)
    except ExportError:
        return None


def _has_its_files(record: Record, sizes: Mapping[str, int]) -> bool:
    return all(
        commit.file is None or sizes.get(commit.file.name) == commit.file.bytes
        for commit in record.commits
    )
