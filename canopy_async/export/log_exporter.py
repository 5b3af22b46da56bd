"""The account's own log into files."""

import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

import attrs

from canopy_async._account.account_log import account_key
from canopy_async._account.account_query import AccountQuery
from canopy_async._util.instants import in_utc
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
)
from canopy_async.export.journal import LIBRARY
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
    """Write every event of the account's own log into files of a directory.

    Each request may write one row into that log. It is one log, and not those of the
    identities: `export` writes these. The files are those of `export`, with null for
    ``identity_id`` in each row, the oldest event first; so are the manifest, which has
    one entry, ``account:`` and the account's slug, and what `verify` and a report make
    of it. What is proven rests on the server's order by time: ``proof`` is ``cursor``.

    Run it again with the same arguments, and it goes on: it reads what an earlier run
    has left, whatever ended that run, a kill included; no event is lost, and none is
    there twice. Without ``until``, each run adds what has come since the run before,
    and what was committed late, up to ``look_back`` before the newest event. An event
    that is dated more than a day ahead is read by a run when it no longer is. With
    ``until``, the export is closed: a run reads only what earlier runs have left.

    The log is read a part of its time after the other, with as many requests at a time
    as the session allows. Memory does not grow with the log: it holds two parts, which
    have some thousand events for each request that may be in flight, 32 000 at most,
    and the ids of the look-back.

    Args:
        session: What to read with; its limits hold.
        directory: Where to write; made where there is none. It must be empty, or hold
            this same export: one of identities is refused.
        format: As for `export`.
        since: The earliest ``created_at`` that is wanted, inclusive; aware.
        until: The first that is not wanted; aware, and not in the future by the
            server's clock: nothing can be proven of what is to come.
        action: An action or several, any of which may match; all by default.
        category: A `Category`, also one that this library does not know.
        severity: A `Severity`, exactly: not those above it.
        outcome: An `Outcome`.
        actor_id: The id of the actor.
        actor_type: The type of the actor.
        resource_type: The type of the resource.
        resource_id: The id of the resource.
        correlation_id: The id that the events of one request share.
        application_id: The application.
        environment_id: The environment.
        q: Search term.
        look_back: Seconds that an event may be committed late and still be found by the
            next run; up to seven days. At most 9 000 events are looked back on.
        max_file_bytes: The size at which a file is closed and another begun.
        commit_every: Seconds after which what was read is made final at the latest,
            which closes the file as well.
        on_progress: A plain function, called whenever there is progress to tell of. The
            log counts as one identity does.
        umask: The permissions that files, and a directory that is made, are not to
            have: by default, nobody but you may read them.

    Returns:
        What this run did. Where the log could not be read to its end, or not be proven,
        ``failures`` says so.

    Raises:
        TypeError: At the call: an argument has the wrong type.
        ValueError: At the call: an argument is out of bounds. Later, as a
            `FutureRangeError`: ``until`` is in the future.
        ExportError: The directory can't be used, or a package is missing that the
            format needs.
        NotFoundError: The account has no such log.
        ForbiddenError: The token may not read it.
        CanopyError: The token was refused, the server could not be reached, or the
            session was closed. What was read until then is committed, as it is when
            this is cancelled.

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
"""What has fields of its own in a header."""


def _new_header(
    session: CanopySession, format_name: str, query: AccountQuery
) -> Header:
    """Return the header of an export that begins now."""
    filters = {n: it for n, it in query.named.items() if n not in _OWN_FIELDS}
    header = Header(
        account=session.account,
        base_url=session.base_url,
        format=format_name,
        since=query.since and in_utc(query.since),
        until=query.until and in_utc(query.until),
        q=query.q,
        source="account-log",
        filters=filters_of(filters),
        scope="",
        created_at=datetime.now(UTC),
        library=LIBRARY,
    )
    return attrs.evolve(header, scope=scope_of_export(header))


publish("canopy_async.export", export_log)
