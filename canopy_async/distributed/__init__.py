"""Exports on a Dask cluster: more processes, one budget, the same files."""

from importlib import import_module

try:
    import_module("distributed")
except ModuleNotFoundError:
    raise ModuleNotFoundError(
        "canopy_async.distributed needs the package distributed: install this library"
        " with its extra 'dask'",
        name="distributed",
    ) from None

from canopy_async.distributed.clients import connected, local_cluster
from canopy_async.distributed.cluster_result import (
    DistributedProgress,
    DistributedResult,
)
from canopy_async.distributed.driver import export

__all__ = [
    "DistributedProgress",
    "DistributedResult",
    "connected",
    "export",
    "local_cluster",
]
