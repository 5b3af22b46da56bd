"""Export of the account's own log to files."""

import os
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

import attrs

from canopy_async._account.account_log import account_key
from canopy_async._account.account_query import AccountQuery
from canopy_async._util.plain_files import PRIVATE
from canopy_async._util.public import publish
from canopy_async.export.account_source import AccountSource, filters_of
from canopy_async.export.directory import ExportDirectory
from canopy_async.export.export_run import Run
from canopy_async.export.exporter import (
    MAX_FILE_BYTES,
    check_directory,
    check_format,
    checked_limits,
    new_header,
)
from canopy_async.export.manifest_records import Header, scope_of_export
from canopy_async.export.progress import ExportProgress, ExportResult
from canopy_async.export.writers import LOG_FORMATS, FormatName
from canopy_async.session import CanopySession

__all__ = ["export_log"]


async def export_log(
    session: CanopySession,
    directory: str | os.PathLike[str],
    *,
    format: FormatName = "jsonl",
    since: datetime | None = None,
    until: datetime | None = None,
    action: str | Iterable[str] = (),
    category: str | None = None,
    severity: str | None = None,
    outcome: str | None = None,
    actor_id: str | None = None,
    actor_type: str | None = None,
    resource_type: str | None = None,
    resource_id: str | None = None,
    correlation_id: str | None = None,
    application_id: str | None = None,
    environment_id: str | None = None,
    q: str | None = None,
    look_back: float = 3600.0,
    max_file_bytes: int = MAX_FILE_BYTES,
    commit_every: float = 300.0,
    on_progress: Callable[[ExportProgress], None] | None = None,
    umask: int = PRIVATE,
) -> ExportResult:
    """Write all events of the account's own log to files in a directory.

    Each request may add one row to that log. The account's log is separate from the
    logs of identities, which `export` writes. The files and the manifest are like those
    of `export`, and `verify` and reports read them. Rows have null as ``identity_id``,
    and the oldest event comes first. The manifest has one entry, named ``account:`` and
    the account's slug. The proof is ``cursor``, which relies on the server's order by
    time.

    Run it again with the same arguments to continue. A run reads everything that
    earlier runs have not read, even if they were killed; no event is lost or written
    twice. Without ``until``, each run adds the new events, and late ones up to
    ``look_back`` before the newest event. An event that is dated more than a day ahead
    is read by a later run. With ``until``, the export is closed: a run reads only the
    part that earlier runs have left.

    The log is read in parts of its time, with as many requests at a time as the session
    allows. Memory does not grow with the log: it holds two parts, each with some
    thousand events for each request that may be in flight, but at most 32 000, and the
    ids of the look-back.

    Args:
        session: The session to read with; its limits apply.
        directory: The directory to write to, which is created if needed. It must be
            empty, or hold this same export, and not one of identities.
        format: The format of the files, as for `export`.
        since: The earliest ``created_at`` to export, inclusive; aware.
        until: The first ``created_at`` not to export; aware, and not in the future by
            the server's clock, as nothing can be proven of the future.
        action: One or several actions, any of which may match; all by default.
        category: A `Category`, also one that this library does not know.
        severity: A `Severity`; it matches exactly, without those above it.
        outcome: An `Outcome`.
        actor_id: The id of the actor.
        actor_type: The type of the actor.
        resource_type: The type of the resource.
        resource_id: The id of the resource.
        correlation_id: The id that the events of one request share.
        application_id: The id of the application.
        environment_id: The id of the environment.
        q: A search term.
        look_back: The seconds, up to seven days, that an event may be committed late
            and still be found by the next run. The look-back has at most 9 000 events.
        max_file_bytes: The size in bytes at which a file is closed.
        commit_every: The most seconds between two commits; each closes the file.
        on_progress: A plain function, called with the progress. The log counts as one
            identity.
        umask: The permission bits that new files, and a new directory, must not get. By
            default, nobody but you may read them.

    Returns:
        The result of this run. If the log could not be read to its end or not be
        proven, ``failures`` has the error.

    Raises:
        TypeError: At the call: an argument has the wrong type.
        ValueError: At the call: an argument is out of bounds. Later, as a
            `FutureRangeError`: ``until`` is in the future.
        ExportError: The directory can't be used, or a package is missing that the
            format needs.
        NotFoundError: The account has no such log.
        ForbiddenError: The token may not read it.
        CanopyError: The token was refused, the server could not be reached, or the
            session was closed. Events read until then are committed, as also after a
            cancellation.

    Example:
        >>> result = await export_log(canopy, "out", severity="critical")
        >>> print(result.events, result.as_of)
    """
    written_as = check_format(format, LOG_FORMATS)
    limits = checked_limits(
        look_back=look_back,
        width=1,
        max_file_bytes=max_file_bytes,
        commit_every=commit_every,
        on_progress=on_progress,
        umask=umask,
    )
    query = AccountQuery(
        since=since,
        until=until,
        action=action,
        category=category,
        severity=severity,
        outcome=outcome,
        actor_id=actor_id,
        actor_type=actor_type,
        resource_type=resource_type,
        resource_id=resource_id,
        correlation_id=correlation_id,
        application_id=application_id,
        environment_id=environment_id,
        q=q,
    )
    path = check_directory(directory)
    source = AccountSource(account_key(session.account))
    written_as.check()
    header = _new_header(session, format, query)
    target = ExportDirectory(
        path, header, written_as, max_file_bytes=max_file_bytes, umask=umask
    )
    run = Run(session, source, target, header, limits, on_progress=on_progress)
    return await run.export()


_OWN_FIELDS: Final = frozenset(("since", "until", "q"))
"""The options that have their own fields in a header."""


def _new_header(
    session: CanopySession, format_name: str, query: AccountQuery
) -> Header:
    """Return the header of a new export."""
    filters = {k: v for k, v in query.named.items() if k not in _OWN_FIELDS}
    header = attrs.evolve(
        new_header(session, format_name, query),
        source="account-log",
        filters=filters_of(filters),
    )
    return attrs.evolve(header, scope=scope_of_export(header))


publish("canopy_async.export", export_log)
