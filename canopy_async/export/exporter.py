"""The logs of many identities into files."""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import attrs

from canopy_async.arguments import check_choice, check_integer, check_seconds
from canopy_async.export.directory import ExportDirectory
from canopy_async.export.manifest import Header, scope_of_export
from canopy_async.export.run import ExportProgress, ExportResult, Run
from canopy_async.export.writers import FORMATS
from canopy_async.identity_events import IdentityOutcome
from canopy_async.identity_ids import IdentityIds, check_ids
from canopy_async.instants import in_utc
from canopy_async.session import CanopySession
from canopy_async.version import __version__

__all__ = ["ExportProgress", "ExportResult", "export", "export_slice", "new_header"]

_MAX_FILE_BYTES: Final = 128 * 1024 * 1024
_NEVER: Final = 1e9


async def export(
    session: CanopySession,
    identities: IdentityIds,
    directory: str | os.PathLike[str],
    *,
    format: str = "jsonl",  # noqa: A002 - what it is called everywhere
    since: datetime | None = None,
    until: datetime | None = None,
    q: str | None = None,
    width: int = 16,
    max_file_bytes: int = _MAX_FILE_BYTES,
    commit_every: float = 300.0,
    on_progress: Callable[[ExportProgress], None] | None = None,
) -> ExportResult:
    """Write every event of these identities into files of a directory.

    Run again with the same arguments, it does only what is left: whatever ended
    the run before, a kill included, no event is lost and none is there twice.
    An identity that an earlier run had done is not read again, also where it
    has got new events since.

    An identity that is named twice is read once. To know, each id is kept:
    some 150 bytes for each that is named, and for each that was done before.
    Each failure is kept. Other memory grows with neither identities nor events.

    Args:
        session: What to read with; its limits hold.
        identities: Ids, or objects with an ``id`` such as those of
            `CanopySession.identities`: any iterable or async iterable.
        directory: Where to write; made where there is none. It must be empty,
            or hold this same export.
        format: ``jsonl``, ``jsonl.gz``, ``jsonl.zst``, ``csv`` or ``parquet``.
        since: The earliest ``created_at`` that is wanted, inclusive; aware.
        until: The first that is not wanted; aware.
        q: Search term.
        width: Identities read at a time at most.
        max_file_bytes: The size at which a file is closed and another begun.
        commit_every: Seconds after which what was read is made final at the
            latest, which closes the file as well.
        on_progress: Is called whenever there is progress to tell of.

    Returns:
        What this run did. Where some identities could not be read, it says so.

    Raises:
        TypeError: An argument has the wrong type, an id while it is read.
        ValueError: An argument is out of bounds, an id while it is read.
        ExportError: The directory can't be used, or a package is missing that
            the format needs.
        CanopyError: The token was refused, the session was closed, or
            ``identities`` raised it. What was read until then is committed, as
            it is when this is cancelled.

    Example:
        >>> result = await export(canopy, canopy.identities(), "out")
        >>> print(result.events, result.failures)
    """
    check_ids(identities)
    written_as = FORMATS[check_choice("format", format, FORMATS)]
    check_integer("width", width, minimum=1)
    check_integer("max_file_bytes", max_file_bytes, minimum=1)
    check_seconds("commit_every", commit_every)
    session.events("any", q=q, since=since, until=until)  # which checks them
    written_as.check()
    header = new_header(
        session.account, session.base_url, format, since=since, until=until, q=q
    )
    run = Run(
        ExportDirectory(
            Path(directory), header, written_as, max_file_bytes=max_file_bytes
        ),
        max_file_bytes=max_file_bytes,
        commit_every=commit_every,
        on_progress=on_progress,
    )
    return await run.export(session, identities, header, width=width)


async def export_slice(
    session: CanopySession,
    identities: IdentityIds,
    directory: Path,
    header: Header,
    *,
    width: int,
    max_file_bytes: int,
    resume: Mapping[str, str],
    limit: int | None,
    on_end: Callable[[IdentityOutcome], None],
    on_progress: Callable[[ExportProgress], None],
) -> ExportResult:
    """Write a part of an export, for whoever puts the parts together.

    Args:
        session: What to read with.
        identities: Ids.
        directory: Where to write; nothing may be there.
        header: What is read.
        width: Identities read at a time at most.
        max_file_bytes: The size at which a file is closed and another begun.
        resume: Where to begin, for identities that were begun before.
        limit: Events of each identity at most. One that has as many counts as
            done here, whatever comes after them.
        on_end: Is told how the read of each identity ended.
        on_progress: Is called whenever there is progress to tell of.

    Raises:
        ExportError: The directory can't be used, or a package is missing that
            the format needs.
        CanopyError: The token was refused.
    """
    written_as = FORMATS[header.format]
    written_as.check()
    run = Run(
        ExportDirectory(directory, header, written_as, max_file_bytes=max_file_bytes),
        max_file_bytes=max_file_bytes,
        commit_every=_NEVER,
        on_progress=on_progress,
        resume=resume,
        on_end=on_end,
    )
    return await run.export(session, identities, header, width=width, limit=limit)


def new_header(
    account: str,
    base_url: str,
    format_name: str,
    *,
    since: datetime | None,
    until: datetime | None,
    q: str | None,
) -> Header:
    """Return the header of an export that begins now."""
    header = Header(
        account=account,
        base_url=base_url,
        format=format_name,
        since=since and in_utc(since),
        until=until and in_utc(until),
        q=q,
        scope="",
        created_at=datetime.now(UTC),
        library=f"canopy-async {__version__}",
    )
    return attrs.evolve(header, scope=scope_of_export(header))
