"""The report of an export: its directory in, one page out."""

import errno
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import attrs

from canopy_async._util.arguments import check_instant, check_integer
from canopy_async._util.plain_files import PRIVATE, replace_whole
from canopy_async._util.public import publish
from canopy_async.export.data_keys import Key
from canopy_async.export.data_rows import read_batches
from canopy_async.export.file_check import path_of
from canopy_async.export.manifest_chain import MANIFEST, OLD_MANIFEST
from canopy_async.export.manifest_records import FileEntry
from canopy_async.export.mirror import Mirror, mirrored
from canopy_async.export.names import is_data_file, stem_of_partial
from canopy_async.export.report.completeness import completeness_of
from canopy_async.export.report.html import Page
from canopy_async.export.report.summary import SummaryBuilder
from canopy_async.export.sums import SUMS
from canopy_async.export.verdict import Status
from canopy_async.export.verify import KeyReader, check_export

__all__ = ["WrittenReport", "write_report"]

_MOST_LATEST: Final = 200_000
_MOST_RANKED: Final = 100


@attrs.frozen(kw_only=True)
class WrittenReport:
    """A report that was written.

    Attributes:
        path: Where it is.
        events: How many events it is about.
        identities: How many identities it is about.
        status: What `canopy_async.export.verify` says of the export.
        size: Its size in bytes.
    """

    path: Path
    events: int
    identities: int
    status: Status
    size: int


def write_report(
    directory: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    latest: int = _MOST_LATEST,
    top: int = 10,
    now: datetime | None = None,
    umask: int = PRIVATE,
) -> WrittenReport:
    """Write a report of an export: one HTML page that loads nothing.

    It begins with a cover: what it is of, and what is proven. Then it shows events over
    time, each identity, changes of privileges, who and what is most active, failures
    and denials with what came after them, and a table of all events, or of the latest
    where they are more than ``latest``. All that
    `canopy_async.export.verify` checks is checked on the way: the page says what is
    unfinished, failed, unproven or damaged, and leaves out the events of files that
    are not what was written. It holds labels and
    ids of actors and resources, since they are what it is about, and never
    ``metadata``. Treat it as you treat the log.

    Events are read once, in memory that does not grow with their number beyond
    ``latest``.
    Where an event loop runs, call it in a thread:
    ``await asyncio.to_thread(write_report, ...)``. It needs the extra ``report``.

    Args:
        directory: Where an export is, a path or a URL of fsspec; one that is being
            written is read as far as it was committed.
        path: Where to write the page. A file that is there is replaced, at once
            and only when all went well.
        latest: How many of the latest events the table has, 1 to 200 000.
        top: How many actors and actions are ranked, 1 to 100.
        now: When the report is made; None is now.
        umask: The permissions that the page is not to have: by default, nobody
            but you may read it.

    Returns:
        What was written.

    Raises:
        TypeError: At the call, an argument is of the wrong type.
        ValueError: At the call, an argument is out of bounds, or ``path`` is a
            file of the export.
        ExportError: The directory holds no export, or an extra is not installed.
        OSError: The page can't be written.

    Example:
        >>> written = write_report("export", "report.html")
        >>> print(written.events, written.status)
    """
    check_integer("latest", latest, minimum=1, maximum=_MOST_LATEST)
    check_integer("top", top, minimum=1, maximum=_MOST_RANKED)
    check_integer("umask", umask, minimum=0, maximum=0o777)
    made_at = datetime.now(UTC) if now is None else check_instant("now", now)
    path = Path(path)
    with mirrored(directory) as mirror:
        _check_apart(mirror.path, path)
        _check_place(path)
        page = Page()
        builder = SummaryBuilder(latest=latest)
        checked = check_export(mirror, directory, _counted_in(builder))
    summary = builder.result(top)
    completeness = completeness_of(checked)
    text = page.render(
        checked.manifest, summary, completeness, top=top, made_at=made_at
    )
    replace_whole(path, text, umask=umask)
    return WrittenReport(
        path=path,
        events=summary.events,
        identities=len(checked.manifest.identities),
        status=checked.verdict.status,
        size=len(text),
    )


def _check_apart(directory: Path, path: Path) -> None:
    """Refuse to write over the export itself, or over what it writes next."""
    name = stem_of_partial(path.name) or path.name
    if path.parent.resolve() == directory.resolve() and (
        name in {MANIFEST, OLD_MANIFEST, SUMS} or is_data_file(name)
    ):
        raise ValueError(f"path must not be a file of the export: {path.name}")


def _counted_in(builder: SummaryBuilder) -> KeyReader:
    """Return what reads files for a check, and counts their rows on the way."""

    def read(mirror: Mirror, file: FileEntry, _format: str) -> Iterator[Key]:
        for batch in read_batches(path_of(mirror.path, file.name)):
            builder.add(batch)
            yield from batch.keys()

    return read


def _check_place(path: Path) -> None:
    """Refuse before the work is done what would be refused after it."""
    if not path.parent.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent)
        )
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))


publish("canopy_async.export", WrittenReport, write_report)
