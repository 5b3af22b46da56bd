"""The logs of many identities into files."""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import attrs

from canopy_async._account.account_query import AccountQuery
from canopy_async._api.identity_ids import IdentityIds
from canopy_async._read.events_query import EventsQuery
from canopy_async._util.arguments import (
    check_callback,
    check_choice,
    check_integer,
    check_seconds,
)
from canopy_async._util.instants import in_utc
from canopy_async._util.plain_files import PRIVATE
from canopy_async._util.public import publish
from canopy_async.export.directory import ExportDirectory
from canopy_async.export.export_run import Run
from canopy_async.export.journal import LIBRARY
from canopy_async.export.log_reader import ReadLimits
from canopy_async.export.manifest_records import Header, scope_of_export
from canopy_async.export.progress import ExportProgress, ExportResult
from canopy_async.export.source import IdentitySource
from canopy_async.export.writers import FORMATS, Format, FormatName
from canopy_async.session import CanopySession

__all__ = [
    "MAX_FILE_BYTES",
    "ExportProgress",
    "ExportResult",
    "check_directory",
    "check_format",
    "check_look_back",
    "checked_limits",
    "export",
    "new_header",
]

MAX_FILE_BYTES: Final = 128 * 1024 * 1024
_MAX_LOOK_BACK: Final = 7 * 86_400.0


async def export(
    session: CanopySession,
    identities: IdentityIds | None,
    directory: str | os.PathLike[str],
    *,
    format: FormatName = "jsonl",
    since: datetime | None = None,
    until: datetime | None = None,
    q: str | None = None,
    look_back: float = 3600.0,
    width: int = 16,
    max_file_bytes: int = MAX_FILE_BYTES,
    commit_every: float = 300.0,
    on_progress: Callable[[ExportProgress], None] | None = None,
    umask: int = PRIVATE,
) -> ExportResult:
    """Write all events of many identities to files in a directory.

    Run it again with the same arguments to continue. A run reads everything that
    earlier runs have not read, even if they were killed; no event is lost or written
    twice. Without ``until``, each run adds the new events of each identity, all events
    of new identities, and late events up to ``look_back`` before the newest one of
    their identity. With ``until``, the export is closed: a run reads only the part
    that earlier runs have left.

    An identity that is named twice is read once. For that, about 200 bytes are kept
    for each identity, and the ids of its look-back; each failure is kept as well.
    Other memory grows with neither identities nor events.

    Args:
        session: The session to read with; its limits apply.
        identities: None for all identities of the account; or ids, or objects with
            an ``id``, as any iterable or async iterable. `CanopySession.identities`
            counts as the account's own list: only then can the manifest say that the
            list itself is proven.
        directory: The directory to write to, which is created if needed. It must be
            empty, or hold this same export.
        format: ``jsonl``, ``jsonl.gz``, ``jsonl.zst``, ``csv``, ``csv-bom`` or
            ``parquet``. A file of ``csv-bom`` begins with a byte order mark, for
            spreadsheets that would guess another encoding than UTF-8.
        since: The earliest ``created_at`` to export, inclusive; aware.
        until: The first ``created_at`` not to export; aware, and not in the future by
            the server's clock, as nothing can be proven of the future.
        q: A search term.
        look_back: The seconds, up to seven days, that an event may be committed late
            and still be found by the next run. The look-back of one identity has at
            most 9 000 events.
        width: The most identities that are read at a time.
        max_file_bytes: The size in bytes at which a file is closed.
        commit_every: The most seconds between two commits; each closes the file.
        on_progress: A plain function, called with the progress.
        umask: The permission bits that new files, and a new directory, must not get. By
            default, nobody but you may read them. An existing directory keeps its mode.

    Returns:
        The result of this run. ``failures`` has the identities that could not be read.

    Raises:
        TypeError: An argument has the wrong type; for an id, while it is read.
        ValueError: An argument is out of bounds; for an id, while it is read. Later, as
            a `FutureRangeError`: ``until`` is in the future.
        ExportError: The directory can't be used, or a package is missing that the
            format needs.
        CanopyError: The token was refused, the session was closed, or
            ``identities`` raised it. Events read until then are committed, as also
            after a cancellation.

    Example:
        >>> result = await export(canopy, None, "out")
        >>> print(result.events, result.as_of, result.failures)
    """
    written_as = check_format(format, FORMATS)
    limits = checked_limits(
        look_back=look_back,
        width=width,
        max_file_bytes=max_file_bytes,
        commit_every=commit_every,
        on_progress=on_progress,
        umask=umask,
    )
    query = EventsQuery(q=q, order="asc", since=since, until=until)
    path = check_directory(directory)
    source = IdentitySource(session, identities)
    written_as.check()
    header = new_header(session, format, query)
    target = ExportDirectory(
        path, header, written_as, max_file_bytes=max_file_bytes, umask=umask
    )
    run = Run(session, source, target, header, limits, on_progress=on_progress)
    return await run.export()


def check_format(name: str, formats: Mapping[str, Format]) -> Format:
    """Return the format of a name.

    Raises:
        TypeError: It is no text.
        ValueError: There is no such format.
    """
    return formats[check_choice("format", name, formats)]


def checked_limits(
    *,
    look_back: float,
    width: int,
    max_file_bytes: int,
    commit_every: float,
    on_progress: object,
    umask: int,
) -> ReadLimits:
    """Return the limits of an export, whose other arguments are right as well.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of bounds.
    """
    check_integer("max_file_bytes", max_file_bytes, minimum=1)
    check_integer("umask", umask, minimum=0, maximum=0o777)
    if on_progress is not None:
        check_callback("on_progress", on_progress)
    return ReadLimits(
        look_back=check_look_back(look_back),
        width=check_integer("width", width, minimum=1),
        max_file_bytes=max_file_bytes,
        commit_every=check_seconds("commit_every", commit_every),
    )


def check_look_back(seconds: float) -> timedelta:
    """Return how long the look-back is.

    Raises:
        TypeError: It is not a number.
        ValueError: It is negative, not finite, or more than seven days.
    """
    is_off = not isinstance(seconds, bool) and seconds == 0
    if not is_off and check_seconds("look_back", seconds) > _MAX_LOOK_BACK:
        raise ValueError(f"look_back must be at most seven days, not {seconds} seconds")
    return timedelta(seconds=seconds)


def check_directory(directory: str | os.PathLike[str]) -> Path:
    """Return where to write.

    Raises:
        TypeError: It is neither text nor a path.
        ValueError: It is empty.
    """
    text = os.fspath(directory)
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError("directory must be a str or a path, not bytes")
    if not text:
        raise ValueError("directory must not be empty")
    return Path(text)


def new_header(
    session: CanopySession, format_name: str, query: EventsQuery | AccountQuery
) -> Header:
    """Return the header of an export that begins now."""
    header = Header(
        account=session.account,
        base_url=session.base_url,
        format=format_name,
        since=query.since and in_utc(query.since),
        until=query.until and in_utc(query.until),
        q=query.q,
        scope="",
        created_at=datetime.now(UTC),
        library=LIBRARY,
    )
    return attrs.evolve(header, scope=scope_of_export(header))


publish("canopy_async.export", export)
