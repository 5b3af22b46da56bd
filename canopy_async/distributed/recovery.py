"""Recovery of what tasks have read whose driver was killed before it adopted it."""

from collections.abc import Mapping

from canopy_async.distributed.destination import Destination
from canopy_async.distributed.task_records import Record
from canopy_async.errors import ExportError
from canopy_async.export.journal import Journal
from canopy_async.export.names import is_of_task, is_record, stem_of_partial, under_way

__all__ = ["delete_leftovers", "recover"]


def recover(destination: Destination, journal: Journal, scope: str) -> None:
    """Adopt what the tasks of an earlier run have read and its driver has not.

    That becomes a part of the earlier run: it is adopted before the new one begins.

    Args:
        destination: The directory or URL where the tasks have put it; open.
        journal: The journal by its manifest; brought up to date.
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
            or not record.fits(journal.standings)
            or not _has_its_files(record, sizes)
        ):
            storage.delete((name,))
            continue
        destination.adopt(record.commits, record.name)
        for commit in record.commits:
            journal.restore(commit)


def delete_leftovers(destination: Destination) -> None:
    """Delete what attempts have written that nobody adopted."""
    counting = destination.files
    there = destination.storage.sizes()
    destination.storage.delete(
        name
        for name in there
        if is_of_task(name)
        and name not in counting
        # One that was committed, and has not got its final name yet, counts.
        and (stem_of_partial(name) not in counting or stem_of_partial(name) in there)
    )


def _parsed(data: bytes) -> Record | None:
    try:
        return Record.loads(data)
    except ExportError:
        return None


def _has_its_files(record: Record, sizes: Mapping[str, int]) -> bool:
    return all(
        commit.file is None
        or sizes.get(under_way(commit.file.name)) == commit.file.bytes
        for commit in record.commits
    )
