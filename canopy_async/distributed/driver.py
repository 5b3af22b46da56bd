"""The export on a Dask cluster, as its user calls it."""

import os
import secrets
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any, Final

from distributed import Client

from canopy_async._api.identity_ids import id_of
from canopy_async._read.events_query import EventsQuery
from canopy_async._util.arguments import (
    check_callback,
    check_choice,
    check_integer,
    check_seconds,
    check_segment,
)
from canopy_async._util.plain_files import PRIVATE
from canopy_async._util.public import publish
from canopy_async.checkpoint import scope_of
from canopy_async.distributed.cluster_export import ClusterExport
from canopy_async.distributed.cluster_result import (
    DistributedProgress,
    DistributedResult,
)
from canopy_async.distributed.destination import open_destination
from canopy_async.distributed.network import Network
from canopy_async.distributed.packages import check_cluster
from canopy_async.distributed.primitives import lease_patience, leases, let_go
from canopy_async.distributed.storage import LocalStorage, check_url, open_storage
from canopy_async.distributed.token_names import TokenSource
from canopy_async.distributed.uninterrupted import Uninterrupted
from canopy_async.distributed.work import Job
from canopy_async.errors import ExportError
from canopy_async.export.exporter import check_look_back, new_header
from canopy_async.export.writers import FORMATS, FormatName
from canopy_async.models import Identity
from canopy_async.retry import RetryPolicy
from canopy_async.session import DEFAULT_BASE_URL, CanopySession

__all__ = ["export"]

BEAT: Final = 1.0
"""Seconds between looks of a task at what the others do."""

_MAX_FILE_BYTES: Final = 128 * 1024 * 1024


def export(
    client: Client,
    identities: Iterable[str | Identity] | None,
    directory: str | os.PathLike[str],
    *,
    account: str,
    token: str | Callable[[], Any] = "env:CANOPY_TOKEN",  # noqa: S107 - its name
    base_url: str = DEFAULT_BASE_URL,
    format: FormatName = "jsonl",
    since: datetime | None = None,
    until: datetime | None = None,
    q: str | None = None,
    look_back: float = 3600.0,
    concurrency: int = 32,
    max_rate: float | None = None,
    retry: RetryPolicy = RetryPolicy(),
    timeout: float = 60.0,
    proxy: str | None = None,
    ca_file: str | os.PathLike[str] | None = None,
    allow_http: bool = False,
    width: int = 16,
    shard_size: int | None = None,
    split_over: int = 200_000,
    max_file_bytes: int = _MAX_FILE_BYTES,
    umask: int = PRIVATE,
    retries: int = 3,
    wait_for_workers: float = 10.0,
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

    Run it again with the same arguments, and it goes on, as
    `canopy_async.export.export` does, and with the same files: without ``until``,
    each run adds what has come since the run before, and what was committed late; a
    run may also go on with what one process has written, and one process with what
    a cluster has. Tasks whose worker was killed, or that were run twice, a killed
    driver: none of these loses an event or brings one twice.

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
            the account. They are kept in memory, some hundred bytes each, and with
            them the ids of their look-back.
        directory: A path that all workers see, or a URL of fsspec, such as
            ``s3://bucket/out``, whose objects are written whole. Workers find
            its credentials themselves.
        account: The account's slug.
        token: Where each worker gets the token from, never the token itself:
            ``env:NAME``, an environment variable of the workers; or a function
            that can be imported there, async or not, itself or by its name
            ``module:function``. It is asked again when the server says 401.
        base_url: Where the API is; https, or http on loopback.
        format: ``jsonl``, ``jsonl.gz``, ``jsonl.zst``, ``csv``, ``csv-bom`` or
            ``parquet``, as `canopy_async.export.export` has them.
        since: The earliest ``created_at`` that is wanted, inclusive; aware.
        until: The first that is not wanted; aware, and not in the future by the
            server's clock: nothing can be proven of what is to come.
        q: Search term.
        look_back: Seconds that an event may be committed late and still be found by
            the next run; up to seven days. At most 9 000 events of one identity
            are looked back on.
        concurrency: Requests in flight at most, over all workers. Where it is
            less than the threads of all workers, some of them wait.
        max_rate: Requests started per second at most, over all workers.
        retry: How often and when a failed request is sent again.
        timeout: Seconds for one attempt of a request.
        proxy: The URL of an HTTP proxy for all workers, without credentials; or
            ``env:NAME``, a variable of the workers that has the URL, as they may
            need it with credentials.
        ca_file: A PEM file of this machine, whose authorities are the only ones that
            the workers trust; by default, what the system of each trusts.
        allow_http: Allow http on other hosts than this machine: the token is then
            sent unencrypted.
        width: Identities that a task reads at a time at most.
        shard_size: Identities of a task at most; by default four tasks a
            thread, and 256 at most.
        split_over: Events after which a task begins no other identity, and
            after which the rest of a log is split.
        max_file_bytes: The size at which a file is closed and another begun.
        umask: The permissions that files in a directory, and one that is made, are not
            to have: by default, nobody but you may read them. A directory that is
            there keeps its own mode, and a URL has no permissions.
        retries: How often Dask runs a task again that raised.
        wait_for_workers: Seconds in which a worker has to be there.
        on_progress: A plain function, called whenever a task has ended, and each
            second.

    Returns:
        What this run did. Where some identities could not be read, it says so.

    Raises:
        TypeError: An argument has the wrong type, an id included.
        ValueError: An argument is out of bounds, an id included; once an answer
            has told the server's time, also where ``until`` is in the future.
        ExportError: The directory can't be used, there is no worker, a package is
            missing on one of them, on the scheduler or here, or there is no token
            on a worker. What was read until then is kept, and so it is below.
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
    network = Network.of(proxy=proxy, ca_file=ca_file, allow_http=allow_http)
    session = CanopySession(
        account,
        "unused",
        base_url=base_url,
        allow_http=allow_http,
        concurrency=concurrency,
        max_rate=max_rate,
        retry=retry,
        timeout=timeout,
    )
    query = EventsQuery(q=q, order="asc", since=since, until=until)
    if shard_size is not None:
        check_integer("shard_size", shard_size, minimum=1)
    check_integer("umask", umask, minimum=0, maximum=0o777)
    check_integer("retries", retries, minimum=0)
    if on_progress is not None:
        check_callback("on_progress", on_progress)
    check_seconds("wait_for_workers", wait_for_workers)
    job = Job(
        run=secrets.token_hex(4),
        header=new_header(session, format, query),
        token=source,
        url=check_url(directory),
        look_back=check_look_back(look_back),
        concurrency=concurrency,
        max_rate=None if max_rate is None else float(max_rate),
        retry=retry,
        timeout=timeout,
        width=check_integer("width", width, minimum=1),
        split_over=check_integer("split_over", split_over, minimum=1),
        max_file_bytes=check_integer("max_file_bytes", max_file_bytes, minimum=1),
        beat=BEAT,
        network=network,
        umask=umask,
    )
    wanted = None if identities is None else _distinct(identities)
    written_as.check()
    storage = open_storage(job.url, umask=job.umask)
    check_cluster(client, job, wait_for_workers=wait_for_workers)
    with ExitStack() as stack:
        if not isinstance(storage, LocalStorage):  # whose manifest has a lock
            stack.enter_context(_locked(client, job.url))
        thread = Uninterrupted()
        stack.callback(thread.close)
        destination = open_destination(storage, job.header)
        stack.callback(thread.do, destination.close)
        exporting = ClusterExport(client, job, destination, thread, wanted)
        exporting.open()
        run = exporting.run(retries=retries, on_progress=on_progress)
        stack.callback(run.close)
        return exporting.export(run, shard_size=shard_size)


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
        ValueError: There are none, or one can't be an id.
    """
    if isinstance(identities, (str, bytes)) or not isinstance(identities, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            f"identities must be an iterable of ids, not {type(identities).__name__}"
        )
    ids = list(dict.fromkeys(map(id_of, identities)))
    if not ids:
        raise ValueError("identities must name at least one identity")
    for identity_id in ids:
        check_segment("identity_id", identity_id)
    return ids


@contextmanager
def _locked(client: Any, url: str) -> Generator[None]:
    """Keep other runs on this cluster from writing to this place.

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


publish("canopy_async.distributed", export)
