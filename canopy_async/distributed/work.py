"""The messages between driver and workers: no token, and no rows."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import attrs

from canopy_async.checkpoint import scope_of
from canopy_async.distributed.network import Network
from canopy_async.distributed.task_records import Record
from canopy_async.distributed.token_names import TokenSource
from canopy_async.errors import CanopyError
from canopy_async.export.manifest_records import Header
from canopy_async.export.standing import Standing
from canopy_async.report import Proof
from canopy_async.retry import RetryPolicy

__all__ = ["Job", "Listing", "Outcome", "Rest", "Work"]


@attrs.frozen(kw_only=True)
class Job:
    """The options that all tasks of a run have in common.

    Attributes:
        run: The run's own name.
        header: The header of the export's manifest.
        token: The source of the token, for each worker.
        url: The directory or URL of the files.
        look_back: How long before its newest event a log is read again.
        concurrency: Requests in flight at most, over all workers.
        max_rate: Requests per second at most, over all workers.
        retry: When requests are sent again.
        timeout: Seconds for one attempt of a request.
        width: Identities that one task reads at a time.
        split_over: Events after which a task is done, and a log is split.
        max_file_bytes: The size at which a file is closed.
        beat: Seconds between looks at what the other tasks do.
        network: How the workers reach the server.
        umask: The permissions that files of this machine are not to have.
    """

    run: str
    header: Header
    token: TokenSource
    url: str
    look_back: timedelta
    concurrency: int
    max_rate: float | None
    retry: RetryPolicy
    timeout: float
    width: int
    split_over: int
    max_file_bytes: int
    beat: float
    network: Network
    umask: int

    @property
    def budget(self) -> str:
        """The name of the requests that the account allows.

        Runs with equal limits share it, so that tasks which a killed
        driver has left behind count as well.
        """
        header = self.header
        of = (header.base_url, header.account, self.concurrency, self.max_rate)
        return f"canopy-async-{scope_of(repr(of))}-requests"

    def name_of(self, what: str) -> str:
        """Return the name that something of this run has on the cluster."""
        return f"canopy-async-{self.run}-{what}"


@attrs.frozen(kw_only=True)
class Work:
    """The work of one task: identities, or a part of a log.

    Attributes:
        number: The task's number in its run, from 1.
        ids: The identities.
        standings: The standings of those identities that were read before.
        begins: The fingerprints of where these stand in the manifest.
        until: Up to when, None for all that the export wants.
        limit: Events of each identity at most, None for no limit.
        follows: Whether it begins where another task's part of the log ends.
    """

    number: int
    ids: tuple[str, ...]
    standings: Mapping[str, Standing] = attrs.field(factory=dict[str, Standing])
    begins: Mapping[str, str] = attrs.field(factory=dict[str, str])
    until: datetime | None = None
    limit: int | None = None
    follows: bool = False

    @property
    def name(self) -> str:
        """The task's name within its run, as in the names of its files."""
        return f"s{self.number:05d}"

    @property
    def is_part(self) -> bool:
        """Whether it is a part of a log that begins or ends within the log."""
        return self.follows or self.until is not None


@attrs.frozen(kw_only=True)
class Rest:
    """The rest of a log of which a task has read enough.

    Attributes:
        standing: Where the first of its parts begins. None where what is left
            begins where the manifest says by then, and can't be split.
        bounds: Instants to split it at, oldest first.
        limit: Events of each part at most, None for no limit.
    """

    standing: Standing | None = None
    bounds: tuple[datetime, ...] = ()
    limit: int | None = None


@attrs.frozen(kw_only=True)
class Outcome:
    """The end of a task.

    Attributes:
        record: The record of the files that it has written.
        done: How many identities were read to where they were to be read.
        failures: The errors of identities that could not be read.
        rests: The rests of giant logs.
        left: Identities that it did not begin, having read enough.
        proof: The weakest proof of those reads that did not fail.
        requests: Requests it sent, retries included.
        server_time: The time at its end by the server's clock.
        fatal: The error that ends the whole run. Only ``record`` may be set beside
            it, for what was read before.
    """

    record: Record | None = None
    done: int = 0
    failures: Mapping[str, CanopyError] = attrs.field(factory=dict[str, CanopyError])
    rests: Mapping[str, Rest] = attrs.field(factory=dict[str, Rest])
    left: tuple[str, ...] = ()
    proof: Proof = Proof.STRICT_KEY
    requests: int = 0
    server_time: datetime | None = None
    fatal: CanopyError | None = None


@attrs.frozen(kw_only=True)
class Listing:
    """The identities of the account, as a worker has listed them.

    Attributes:
        ids: Their ids, in the order of the list.
        complete: Whether that is proven to be the whole list.
        proof: The proof of that.
        counted: How many the server counted.
        server_time: The time then by the server's clock.
    """

    ids: tuple[str, ...]
    complete: bool
    proof: Proof
    counted: int | None
    server_time: datetime | None
