"""The progress of an export, and the result of a run."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import attrs

from canopy_async._util.public import publish
from canopy_async.errors import CanopyError
from canopy_async.export.manifest_records import FileEntry

__all__ = ["ExportProgress", "ExportResult", "RunResult"]


@attrs.frozen(kw_only=True)
class ExportProgress:
    """The progress of a run of an export.

    Attributes:
        total: Identities that there are; None where that is not known yet.
        done: Identities that were read to their end.
        complete: How many of these were proven complete.
        failed: Identities that could not be read.
        skipped: Identities that an earlier run had done, of an export with
            ``until``: nothing can come after that.
        open: Identities that are being read now.
        events: New events that were read.
        late: How many of these were committed late.
        requests: Requests sent, retries included.
        files: Files that are final.
        bytes: Their size, and that of the one under way.
    """

    total: int | None = None
    done: int = 0
    complete: int = 0
    failed: int = 0
    skipped: int = 0
    open: int = 0
    events: int = 0
    late: int = 0
    requests: int = 0
    files: int = 0
    bytes: int = 0


@attrs.frozen(kw_only=True)
class RunResult:
    """The result of one run of an export, in one process or on a cluster.

    Attributes:
        run: The number of the run, from 1.
        done: Identities that were read to their end.
        complete: How many of these were proven complete.
        skipped: Identities that an earlier run had done, of an export with
            ``until``.
        new_identities: Identities that no run before has read to their end.
        gone: Identities that the account lists no more.
        events: New events that were written.
        late: How many of these were committed late: they are dated before the
            instant up to which an earlier run had covered their log.
        gaps: Identities of which events may be missing, because the server had
            deleted them before this run.
        as_of: How far the logs are covered that the run read to the end: whatever
            had been committed by then and was still there is in the files. By the
            server's clock. None where the run read none.
        unsettled_from: In an export with ``until`` that was read soon after that:
            events dated from here on may still be committed late, and no run of
            this export looks for them. None where ``until`` is older than the
            look-back, or is not set.
        failures: The error of each identity that could not be read. What was
            read of it is in the files, and another run goes on from there.
    """

    run: int
    done: int
    complete: int
    skipped: int
    new_identities: int
    gone: int
    events: int
    late: int
    gaps: tuple[str, ...]
    as_of: datetime | None
    unsettled_from: datetime | None
    failures: Mapping[str, CanopyError]

    @property
    def failed(self) -> int:
        """The number of identities that could not be read."""
        return len(self.failures)


@attrs.frozen(kw_only=True)
class ExportResult(RunResult):
    """The result of one run of an export; `read_manifest` tells of all runs.

    It has all that `RunResult` has, and:

    Attributes:
        directory: Where the files are.
        files: The files that were added.
    """

    directory: Path
    files: tuple[FileEntry, ...]


publish("canopy_async.export", ExportProgress, ExportResult, RunResult)
