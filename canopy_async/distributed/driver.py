"""The export on a Dask cluster, as its user calls it."""

import os
import secrets
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any, Final

import attrs
from distributed import Client

from canopy_async.arguments import check_choice, check_integer
from canopy_async.checkpoint import scope_of
from canopy_async.distributed.destination import open_destination
from canopy_async.distributed.ledger import Ledger, delete_leftovers, recover
from canopy_async.distributed.primitives import lease_patience, leases, let_go
from canopy_async.distributed.running import DistributedProgress, Run
from canopy_async.distributed.storage import LocalStorage, check_url, open_storage
from canopy_async.distributed.tokens import TokenSource
from canopy_async.distributed.work import Job
from canopy_async.errors import CanopyError, ExportError
from canopy_async.export.exporter import new_header
from canopy_async.export.writers import FORMATS
from canopy_async.identity_ids import id_of
from canopy_async.models import Identity
from canopy_async.retry import RetryPolicy
from canopy_async.session import DEFAULT_BASE_URL, CanopySession

__all__ = ["DistributedResult", "export"]

BEAT: Final = 1.0
"""Seconds between looks of a task at what the others do."""

_MAX_FILE_BYTES: Final = 128 * 1024 * 1024


@attrs.frozen(kw_only=True)
class DistributedResult:
    """What one run did; `canopy_async.export.read_manifest` tells of all of them.

    Attributes:
        directory: Where the files are.
        done: Identities that were read to their end.
        complete: How many of these were proven complete.
        skipped: Identities that an earlier run had done.
        events: Events that were added.
        files: How many files were added.
        tasks: How many tasks it took.
        requests: Requests sent, retries included, without those of killed tasks.
        failures: The error of each identity that could not be read. What was
            read of it is in the files, and another run goes on from there.
    """

    directory: str
    done: int
    complete: int
    skipped: int
    events: int
    files: int
    tasks: int
    requests: int
    failures: Mapping[str, CanopyError]

    @property
    def failed(self) -> int:
        """How many identities could not be read."""
        return len(self.failures)


def export(
    client: Client,
    identities: Iterable[str | Identity] | None,
    directory: str | os.PathLike[str],
    *,
    account: str,
    token: str | Callable[[], Any] = "env:CANOPY_TOKEN",  # noqa: S107 - its name
    base_url: str = DEFAULT_BASE_URL,
    format: str = "jsonl",  # noqa: A002 - what it is called everywhere
    since: datetime | None = None,
    until: datetime | None = None,
    q: str | None = None,
    concurrency: int = 32,
    max_rate: float | None = None,
    retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
    timeout: float = 60.0,
    width: int = 16,
    shard_size: int | None = None,
    split_over: int = 200_000,
    max_file_bytes: int = _MAX_FILE_BYTES,
    retries: int = 3,
    on_progress: Callable[[DistributedProgress], None] | None = None,
) -> DistributedResult:
    """Write every event of these identities into files, on a Dask cluster.

    The identities are dealt out to tasks. Each reads with a session of its own,
    writes on its worker, puts its files where they belong, and returns their
    manifest, never rows. The result is an export like any other, with one
    manifest, which `canopy_async.export.verify` understands.

    A log of more than ``split_over`` events is split at instants, and its parts
    are read side by side. An event lies in exactly one part, ``since`` being
    inclusive and ``until`` exclusive, and each part is proven at both bounds, so
    nothing is lost or doubled at a seam, however the log moves meanwhile.

    Run again with the same arguments, it does only what is left: tasks whose
    worker was killed, or that were run twice, a killed driver, nothing of it
    loses an event or brings one twice. What was read by a task that did not end
    is read again.

    ``concurrency`` and ``max_rate`` hold over all workers, and a cooldown that
    the server asks one worker for is kept by all. Runs on one cluster with the
    same account and limits share one budget. What a killed worker had of it comes
    back after Dask's ``distributed.scheduler.locks.lease-timeout``, 30 s.

    It blocks until all is done; Ctrl-C ends the tasks as well.

    Args:
        client: A synchronous client of the cluster. Its workers need this
            library, the packages of the format, and ``directory``; its scheduler
            needs this library.
        identities: Ids, or objects with an ``id``; None for all identities of
            the account. They are kept in memory, some hundred bytes each.
        directory: A path that all workers see, or a URL of fsspec, such as
            ``s3://bucket/out``, whose objects are written whole. Workers find
            its credentials themselves.
        account: The account's slug.
        token: Where each worker gets the token from, never the token itself:
            ``env:NAME``, an environment variable of the workers; or a function
            that can be imported there, async or not, itself or by its name
            ``module:function``. It is asked again when the server says 401.
        base_url: Where the API is; https, or http on loopback.
        format: ``jsonl``, ``jsonl.gz``, ``jsonl.zst``, ``csv`` or ``parquet``.
        since: The earliest ``created_at`` that is wanted, inclusive; aware.
        until: The first that is not wanted; aware.
        q: Search term.
        concurrency: Requests in flight at most, over all workers. Where it is
            less than the threads of all workers, some of them wait.
        max_rate: Requests started per second at most, over all workers.
        retry: How often and when a failed request is sent again.
        timeout: Seconds for one attempt of a request.
        width: Identities that a task reads at a time at most.
        shard_size: Identities of a task at most; by default four tasks a
            thread, and 256 at most.
        split_over: Events after which a task begins no other identity, and
            after which the rest of a log is split.
        max_file_bytes: The size at which a file is closed and another begun.
        retries: How often Dask runs a task again that raised.
        on_progress: Is called whenever a task has ended, and each second.

    Returns:
        What this run did. Where some identities could not be read, it says so.

    Raises:
        TypeError: An argument has the wrong type, an id included.
        ValueError: An argument is out of bounds.
        ExportError: The directory can't be used, a package is missing, or there
            is no token on a worker.
        CanopyError: The token was refused, or the identities can't be listed.
        OSError: The scheduler is out of reach.

    Example:
        >>> with Client("tcp://scheduler:8786") as client:
        ...     result = export(client, None, "s3://bucket/out", account="acme")
        >>> print(result.events, result.failures)
    """
    _check_client(client)
    source = TokenSource.of(token)
    del token  # a traceback shows this frame's locals
    written_as = FORMATS[check_choice("format", format, FORMATS)]
    session = CanopySession(
        account,
        "unused",
        base_url=base_url,
        concurrency=concurrency,
        max_rate=max_rate,
        retry=retry,
        timeout=timeout,
    )
    session.events("any", q=q, since=since, until=until)  # which checks them
    if shard_size is not None:
        check_integer("shard_size", shard_size, minimum=1)
    check_integer("retries", retries, minimum=0)
    header = new_header(
        session.account, session.base_url, format, since=since, until=until, q=q
    )
    job = Job(
        run=secrets.token_hex(4),
        account=session.account,
        base_url=session.base_url,
        token=source,
        url=check_url(directory),
        scope=header.scope,
        format=format,
        since=header.since,
        until=header.until,
        q=q,
        concurrency=concurrency,
        max_rate=None if max_rate is None else float(max_rate),
        retry=retry,
        timeout=timeout,
        width=check_integer("width", width, minimum=1),
        split_over=check_integer("split_over", split_over, minimum=1),
        max_file_bytes=check_integer("max_file_bytes", max_file_bytes, minimum=1),
        beat=BEAT,
    )
    wanted = None if identities is None else _distinct(identities)
    written_as.check()
    storage = open_storage(job.url)
    with ExitStack() as stack:
        if not isinstance(storage, LocalStorage):  # whose manifest has a lock
            stack.enter_context(_locked(client, job.url))
        destination = open_destination(storage, header)
        stack.callback(destination.close)
        ledger = Ledger()
        destination.open(ledger.add)
        recover(destination, ledger, header.scope)
        run = Run(client, job, retries=retries, on_progress=on_progress)
        stack.callback(run.close)
        run.open()
        if wanted is None:
            wanted = _distinct(run.list_identities())
        left = [name for name in wanted if name not in ledger.done]
        run.export(
            destination,
            left,
            begun=ledger.begun,
            skipped=len(wanted) - len(left),
            shard_size=shard_size,
        )
        delete_leftovers(destination)
    return DistributedResult(
        directory=job.url,
        done=run.progress.done,
        complete=run.progress.complete,
        skipped=run.progress.skipped,
        events=run.progress.events,
        files=run.progress.files,
        tasks=run.progress.tasks,
        requests=run.progress.requests,
        failures=run.failures,
    )


def _check_client(client: Any) -> None:
    if not isinstance(client, Client):
        raise TypeError(
            f"client must be a distributed.Client, not {type(client).__name__}"
        )
    if client.asynchronous:
        raise TypeError(
            "client must be synchronous: make it without asynchronous=True, and call"
            " this in a thread where an event loop runs"
        )


def _distinct(identities: Iterable[str | Identity]) -> list[str]:
    """Return the ids, each once, in their order.

    Raises:
        TypeError: It is no iterable, or of something else.
    """
    if isinstance(identities, (str, bytes)) or not isinstance(identities, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            f"identities must be an iterable of ids, not {type(identities).__name__}"
        )
    return list(dict.fromkeys(map(id_of, identities)))


@contextmanager
def _locked(client: Any, url: str) -> Generator[None]:
    """Keep other runs on this cluster from writing to the same place.

    Raises:
        ExportError: One does.
    """
    lease = leases(f"canopy-async-{scope_of(url)}", 1, client)
    until = time.monotonic() + lease_patience()
    try:
        # Little by little: what a driver asks for that is killed is still granted.
        while not lease.acquire(timeout=BEAT):
            if time.monotonic() >= until:
                raise ExportError(f"{url} is in use: another export writes to it")
        try:
            yield
        finally:
            lease.release()
    finally:
        let_go(lease)
