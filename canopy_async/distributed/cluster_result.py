"""The progress and the result of a run on a cluster."""

import attrs

from canopy_async._util.public import publish
from canopy_async.export.progress import RunResult

__all__ = ["DistributedProgress", "DistributedResult"]


@attrs.frozen(kw_only=True)
class DistributedProgress:
    """The progress of a run on a cluster.

    Attributes:
        tasks: Tasks there are, as far as is known: giant logs make more.
        tasks_done: How many of them have ended.
        done: Identities that were read to their end.
        complete: How many of these were proven complete.
        failed: Identities that could not be read.
        skipped: Identities that an earlier run had done, of an export with
            ``until``: nothing can come after that.
        events: New events that are in files that count.
        late: How many of these were committed late.
        files: These files.
        bytes: Their size.
        requests: Requests sent by tasks that have ended, retries included.
    """

    tasks: int = 0
    tasks_done: int = 0
    done: int = 0
    complete: int = 0
    failed: int = 0
    skipped: int = 0
    events: int = 0
    late: int = 0
    files: int = 0
    bytes: int = 0
    requests: int = 0


@attrs.frozen(kw_only=True)
class DistributedResult(RunResult):
    """The result of one run; `canopy_async.export.read_manifest` tells of all runs.

    It has all that `canopy_async.export.RunResult` has, and:

    Attributes:
        directory: The directory or URL of the files.
        files: How many files were added.
        tasks: How many tasks it took.
        requests: Requests sent, retries included, without those of killed tasks.
    """

    directory: str
    files: int
    tasks: int
    requests: int


publish("canopy_async.distributed", DistributedProgress, DistributedResult)
