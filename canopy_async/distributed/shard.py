"""The tasks: what Dask runs on a worker."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar

import attrs

from canopy_async._util.tasks import cancel_and_wait
from canopy_async.distributed.part_reader import Reading
from canopy_async.distributed.primitives import worker_directory
from canopy_async.distributed.storage import open_storage
from canopy_async.distributed.task_records import Record
from canopy_async.distributed.work import Job, Listing, Outcome, Work
from canopy_async.distributed.worker_share import Budget, RunIsOverError
from canopy_async.errors import (
    CanopyError,
    CheckpointError,
    ExportError,
    FutureRangeError,
    SessionClosedError,
)
from canopy_async.export.manifest_records import Commit
from canopy_async.export.names import task_file_name, under_way
from canopy_async.session import CanopySession

__all__ = ["list_identities", "run_shard"]

T = TypeVar("T")


class _NotSetUpError(Exception):
    """The worker has no token, or no proxy, which no other attempt changes."""

    def __init__(self, error: CanopyError) -> None:
        super().__init__(error)
        self.error: Final = error


def run_shard(job: Job, work: Work) -> Outcome:
    """Read what a task is to read, and put it away.

    It may be run again at any time, and twice at once: each attempt has names of
    its own, and only one of them is adopted.

    Args:
        job: The options of the run.
        work: The work of the task.

    Returns:
        What was read, or what ends the whole run.

    Raises:
        ExportError: The files could not be written: worth another attempt.
    """
    try:
        try:
            return _read_shard(job, work)
        except CheckpointError:
            # More events share one instant than a checkpoint can name, so that the
            # log can't be left there: it has to be read in one go.
            return _read_in_one_go(job, work)
    except RunIsOverError:
        return Outcome(fatal=ExportError("the run is over"))
    except _NotSetUpError as ended:
        return Outcome(fatal=ended.error)
    except FutureRangeError as error:
        return Outcome(fatal=error)


def list_identities(job: Job) -> Listing | CanopyError:
    """Return the ids of all identities of the account, or why there are none."""

    async def read(session: CanopySession) -> Listing:
        async with session.identities().open() as run:
            ids = tuple([identity.id async for identity in run])
            report = run.report
        return Listing(
            ids=ids,
            complete=report.complete,
            proof=report.proof,
            counted=report.expected,
            server_time=session.server_time,
        )

    try:
        with Budget(job, 0) as budget:
            return asyncio.run(_with_session(job, budget, read))
    except _NotSetUpError as ended:
        return ended.error
    except CanopyError as error:
        return error


def _read_in_one_go(job: Job, work: Work) -> Outcome:
    try:
        return _read_shard(job, attrs.evolve(work, limit=None))
    except CheckpointError:
        if len(work.ids) == 1:
            raise
        # One of them failed at such an instant; the others are not to suffer.
        return Outcome(left=work.ids)


def _read_shard(job: Job, work: Work) -> Outcome:
    with TemporaryDirectory(prefix="canopy-", dir=worker_directory()) as scratch:
        reading = Reading(job, work, Path(scratch) / "part")
        fatal: CanopyError | None = None
        try:
            with Budget(job, work.number) as budget:
                asyncio.run(_with_session(job, budget, reading.read))
        except CanopyError as error:
            if not _ends_the_run(error):
                raise
            fatal = error
        if fatal is None:
            return attrs.evolve(reading.outcome(), record=_put_away(job, work, reading))
        # A part of a log only counts as a whole.
        record = None if work.is_part else _put_away(job, work, reading)
        return Outcome(fatal=fatal, record=record)


def _ends_the_run(error: CanopyError) -> bool:
    """Tell whether an error is that of every task: an outage, a refused token."""
    # What has closed this task's session is no matter of the others.
    return error.concerns_all and not isinstance(error, SessionClosedError)


async def _with_session(
    job: Job, budget: Budget, read: Callable[[CanopySession], Awaitable[T]]
) -> T:
    """Read with a session of this task's own, within the budget.

    Raises:
        RunIsOverError: The driver has ended the run.
        CanopyError: It could not be read.
    """
    try:
        options = job.network.session_options()
        provider = await job.token.open()
    except ExportError as error:
        raise _NotSetUpError(error) from None
    session = CanopySession(
        job.header.account,
        provider,
        base_url=job.header.base_url,
        concurrency=job.concurrency,
        retry=job.retry,
        timeout=job.timeout,
        hooks=(budget.hear,),
        **options,
    )

    async def begin() -> T:
        await asyncio.sleep(budget.pause)
        return await read(session)

    async with session:
        budget.limit(session)
        reading = asyncio.create_task(begin())
        keeping = asyncio.create_task(budget.keep(session))
        try:
            await asyncio.wait((reading, keeping), return_when=asyncio.FIRST_COMPLETED)
            if keeping.done() and not reading.done():
                await keeping  # which raises
            return await reading
        finally:
            await cancel_and_wait((reading, keeping))


def _put_away(job: Job, work: Work, reading: Reading) -> Record | None:
    """Put the files where they belong, and the record of them last.

    Raises:
        ExportError: It could not be done.
    """
    storage = open_storage(job.url, umask=job.umask)
    attempt = secrets.token_hex(4)
    commits: list[Commit] = []
    try:
        for commit in reading.commits():
            file = commit.file
            if file is not None:
                name = task_file_name(work.name, attempt, file.name)
                storage.put_file(under_way(name), reading.directory / file.name)
                file = attrs.evolve(file, name=name)
            commits.append(attrs.evolve(commit, file=file))
        record = Record(
            scope=job.header.scope,
            task=work.name,
            attempt=attempt,
            begins=work.begins,
            follows=work.follows,
            commits=tuple(commits),
        )
        if commits:
            storage.put(record.name, record.dumps())
    except CanopyError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a filesystem raises
        # Theirs may not survive being sent to the driver.
        raise ExportError(f"{job.url}: {type(error).__name__}: {error}") from None
    return record if commits else None
