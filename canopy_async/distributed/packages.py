"""The packages that a cluster needs for an export, looked for before it begins."""

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from canopy_async.distributed.storage import open_storage
from canopy_async.distributed.work import Job
from canopy_async.errors import ExportError
from canopy_async.export.writers import FORMATS

__all__ = ["check_cluster", "fault_of_worker"]

LIBRARY = "canopy_async"


def check_cluster(client: Any, job: Job, *, wait_for_workers: float) -> None:
    """Find out whether the cluster can run a job at all.

    Args:
        client: The cluster.
        job: The options of the run.
        wait_for_workers: Seconds in which a worker has to be there.

    Raises:
        ExportError: There is no worker, or a package is missing on one of them or
            on the scheduler.
    """
    address = client.scheduler.address
    try:
        client.wait_for_workers(1, timeout=wait_for_workers)
    except TimeoutError:
        raise ExportError(
            f"no worker has come to the scheduler {address} within"
            f" {wait_for_workers:g} s"
        ) from None
    # It is sent as code, since what is looked for can't be needed to look for it.
    missing = _code_that_finds_missing()
    fault = client.run_on_scheduler(missing, (LIBRARY,))
    if fault is not None:
        raise ExportError(f"a package is missing on the scheduler {address}: {fault}")
    _refuse(client.run(missing, (LIBRARY,), on_error="return"))
    _refuse(client.run(fault_of_worker, job, on_error="return"))


def fault_of_worker(job: Job) -> str | None:
    """Return what a worker lacks, None where it has all; runs there."""
    try:
        FORMATS[job.header.format].check()
        open_storage(job.url, umask=job.umask)
    except ExportError as error:
        return str(error)
    return None


def _code_that_finds_missing() -> Any:
    """Return a function that needs no package where it runs: it is sent by value."""

    def missing(names: Iterable[str]) -> str | None:
        for name in names:
            try:
                import_module(name)
            except ImportError as error:
                return f"{type(error).__name__}: {error}"
        return None

    return missing


def _refuse(answers: dict[str, Any]) -> None:
    """Refuse a cluster of which a worker lacks something."""
    for address, fault in answers.items():
        if isinstance(fault, str):
            raise ExportError(f"a package is missing on the worker {address}: {fault}")
