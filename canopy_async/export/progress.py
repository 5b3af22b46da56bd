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
        total: The number of identities to export, or None while it is not known.
        done: The number of identities whose logs were read to the end.
        complete: How many of these logs are proven complete.
        failed: The number of identities whose logs could not be read.
        skipped: The number of identities that an earlier run finished. Only an export
            with ``until`` skips them, as nothing can be added to it.
        open: The number of identities whose logs are being read now.
        events: The number of new events that were read.
        late: How many of these events were committed late.
        requests: The number of requests sent, including retries.
        files: The number of final files.
        bytes: The size of these files and of the unfinished one, in bytes.
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
        done: The number of identities whose logs were read to the end.
        complete: How many of these logs are proven complete.
        skipped: The number of identities that an earlier run of an export with
            ``until`` finished.
        new_identities: The number of identities whose logs this run was the first to
            read to the end.
        gone: The number of exported identities that the account no longer lists.
        events: The number of new events that were written.
        late: How many of these events were committed late: their ``created_at`` lies
            before the instant up to which an earlier run had covered their log.
        gaps: The ids of identities of which events may be missing, because the server
            deleted events before this run.
        as_of: The instant up to which this run covered the logs that it read to the
            end, by the server's clock. Every event that was committed by then and not
            yet deleted is in the files. None if no log was read to the end.
        unsettled_from: Set if an export with ``until`` was read soon after ``until``:
            events dated from this instant on may still be committed late, and no run
            of this export looks for them. Else None.
        failures: The error of each identity whose log could not be read, by its id.
            Its events so far are in the files, and the next run resumes there.
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
        """The number of identities whose logs could not be read."""
        return len(self.failures)


@attrs.frozen(kw_only=True)
class ExportResult(RunResult):
    """The result of one run of an export. `read_manifest` returns that of all runs.

    It has the attributes of `RunResult`, and two more.

    Attributes:
        directory: The directory of the files.
        files: The files that this run added.
    """

    directory: Path
    files: tuple[FileEntry, ...]


publish("canopy_async.export", ExportProgress, ExportResult, RunResult)
