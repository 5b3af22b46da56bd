"""Local Dask clusters for tests, and functions that run on them."""

import os
import signal
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module

import dask
import psutil
from distributed import Client, LocalCluster

from canopy_async.distributed.shard import run_shard
from canopy_async.export import read_manifest
from canopy_async.testing import LocalCanopy
from support.exports import rows_of
from support.programs import prepared

TOKEN_VARIABLE = "CANOPY_TEST_TOKEN"
_HIDDEN = {}
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def local_server():
    """A local server with a fixed clock, so that its token is always the same one."""
    return LocalCanopy(clock=lambda: NOON)


@contextmanager
def local_client(*, processes, lease_timeout="2s"):
    """A Dask client with two workers, which have the server's token as a variable."""
    os.environ[TOKEN_VARIABLE] = token = local_server().token
    if processes:
        prepared()
    locks = "distributed.scheduler.locks"
    config = {
        "distributed.worker.multiprocessing-method": "forkserver",
        "distributed.worker.profile.enabled": False,
        "distributed.admin.tick.interval": "1s",
        f"distributed.nanny.environ.{TOKEN_VARIABLE}": token,
        f"{locks}.lease-timeout": lease_timeout,
        f"{locks}.lease-validation-interval": "100ms",
    }
    try:
        with (
            dask.config.set(config),
            LocalCluster(
                n_workers=2,
                threads_per_worker=1,
                processes=processes,
                dashboard_address="127.0.0.1:0",
            ) as cluster,
            Client(cluster) as client,
        ):
            # Import it now, so that tests with time limits don't wait for it.
            client.run(import_module, run_shard.__module__)
            yield client
    finally:
        del os.environ[TOKEN_VARIABLE]


def run_shard_twice(job, work):
    """A task that runs again after it has stored its result."""
    run_shard(job, work)
    return run_shard(job, work)


def token_of_environment():
    """A user's function that returns the token."""
    return os.environ[TOKEN_VARIABLE]


async def async_token_of_environment():
    """A user's async function that returns the token."""
    return os.environ[TOKEN_VARIABLE]


def broken_token():
    """A user's function that fails, with a secret in the error's message."""
    raise RuntimeError("the vault says: s3cr3t")


def token_that_expires():
    """A user's function that returns one token, and then fails as `broken_token`."""
    if os.environ.pop(TOKEN_VARIABLE, None):
        return "expired"
    return broken_token()


def kill_the_worker_of(client, request):
    """Kill the worker process that sent a request, like a crash."""
    for pid in client.run(os.getpid).values():
        connections = psutil.Process(pid).net_connections()
        if any(found.laddr.port == request.connection for found in connections):
            os.kill(pid, signal.SIGKILL)
            return
    raise AssertionError("no worker has sent it")


def hide(package):
    """Make a package impossible to import in the current process."""
    _HIDDEN[package] = sys.modules.get(package)
    sys.modules[package] = None


def show(package):
    """Undo `hide`."""
    del sys.modules[package]
    if _HIDDEN[package] is not None:
        sys.modules[package] = _HIDDEN[package]


def exported(directory):
    """The rows of all files in the manifest, by identity, in the manifest's order."""
    found = {}
    for file in read_manifest(directory).files:
        for row in rows_of(directory / file.name):
            found.setdefault(row.pop("identity_id"), []).append(row)
    return found
