"""Clusters that lack a worker or a package: said before anything is done."""

import os
import sys
import sysconfig
import time
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, Popen

import fsspec
import pytest
from distributed import Client, LocalCluster
from fsspec.implementations.memory import MemoryFileSystem
from support.clusters import hide, local_client, show

from canopy_async import ExportError
from canopy_async.distributed import clients, export, local_cluster

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX paths")


@pytest.fixture(scope="module")
def client():
    with local_client(processes=True) as made:
        yield made


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@contextmanager
def missing(client, package):
    """Let a package be missing on one worker, whose address is given."""
    one = min(client.scheduler_info()["workers"])
    client.run(hide, package, workers=[one])
    try:
        yield one
    finally:
        client.run(show, package, workers=[one])


@pytest.mark.parametrize(
    ("package", "format_name"),
    [("canopy_async", "jsonl"), ("pyarrow", "parquet"), ("zstandard", "jsonl.zst")],
)
def test_a_package_that_a_worker_lacks_is_named_with_the_worker(
    client, out, package, format_name
):
    with (
        missing(client, package) as worker,
        pytest.raises(ExportError, match="a package is missing") as error,
    ):
        export(client, ["a"], out, account="acme", format=format_name)
    assert package in str(error.value)
    assert f"on the worker {worker}" in str(error.value)
    assert not out.exists()


def test_a_filesystem_that_the_workers_lack_is_named(client):
    """It is known here, as where its package is installed here only."""
    fsspec.register_implementation("elsewhere", MemoryFileSystem, clobber=True)
    with pytest.raises(ExportError, match="missing on the worker") as error:
        export(client, ["a"], "elsewhere://bucket/out", account="acme")
    assert "elsewhere" in str(error.value)


def test_that_no_worker_is_there_is_said_within_seconds(out):
    with (
        LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        began = time.monotonic()
        with pytest.raises(ExportError, match="no worker has come") as error:
            export(client, ["a"], out, account="acme", wait_for_workers=0.2)
        assert time.monotonic() - began < 5
        assert f"{client.scheduler.address} within 0.2 s" in str(error.value)
    assert not out.exists()


def test_a_scheduler_that_lacks_this_library_is_named(out, tmp_path):
    """It and its worker are processes of their own."""
    without = tmp_path / "without"
    without.mkdir()
    (without / "sitecustomize.py").write_text(
        "import sys\nsys.modules['canopy_async'] = None\n"
    )
    address_file = tmp_path / "scheduler.json"
    env = os.environ | {"PYTHONPATH": str(without)}
    with (
        dask("scheduler", address_file, "--port", "0", env=env),
        dask("worker", address_file, "--no-nanny", cwd=tmp_path),
        Client(scheduler_file=str(address_file), timeout=30) as client,
    ):
        with pytest.raises(ExportError, match="missing on the scheduler") as error:
            export(client, ["a"], out, account="acme", wait_for_workers=30)
        assert client.scheduler.address in str(error.value)
        assert "canopy_async" in str(error.value)
    assert not out.exists()


@contextmanager
def dask(what, address_file, *arguments, **options):
    """Run a part of a cluster as a process of its own, until the end of the block."""
    process = Popen(  # one of Dask's own
        [
            Path(sysconfig.get_path("scripts")) / "dask",
            *(what, "--scheduler-file", address_file),
            *("--host", "127.0.0.1", "--no-dashboard", *arguments),
        ],
        stdout=DEVNULL,
        stderr=DEVNULL,
        **options,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


async def tell(progress):
    """An async function, which a callback can't be."""


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"identities": []}, ValueError, "identities must name at least one"),
        ({"identities": iter(())}, ValueError, "identities must name at least one"),
        ({"identities": ["a", ".."]}, ValueError, "identity_id must not be empty"),
        ({"identities": [7]}, TypeError, "an identity must be a str or have an id"),
        ({"directory": ""}, ValueError, "directory must not be empty"),
        ({"look_back": -1}, ValueError, "look_back must be"),
        ({"look_back": 8 * 86_400}, ValueError, "look_back must be at most seven days"),
        ({"wait_for_workers": 0}, ValueError, "wait_for_workers must be a finite"),
        ({"wait_for_workers": "9"}, TypeError, "wait_for_workers must be a number"),
        ({"on_progress": tell}, TypeError, "on_progress .* not an async one"),
        ({"on_progress": 3}, TypeError, "on_progress must be a plain function"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_done(
    client, out, options, error, words
):
    arguments = {"identities": ["a"], "directory": out, "account": "acme"} | options
    identities, directory = arguments.pop("identities"), arguments.pop("directory")
    with pytest.raises(error, match=words):
        export(client, identities, directory, **arguments)
    assert not out.exists()


# --- who may have code run in a cluster of this machine


@pytest.mark.timeout(180)  # it waits for another process to import all packages
def test_a_cluster_of_this_machine_lets_no_one_in_without_its_credentials():
    with local_cluster(1) as client:
        address = client.scheduler.address
        assert address.startswith("tls://")
        workers = client.scheduler_info()["workers"]
        assert all(worker.startswith("tls://") for worker in workers)
        for other in (address, address.replace("tls://", "tcp://")):
            with pytest.raises((OSError, TypeError)):
                Client(other, timeout=0.5)
        assert client.submit(os.getpid).result() != os.getpid()


def test_without_cryptography_it_says_so(monkeypatch):
    def temporary():
        raise ImportError("requires `cryptography`")

    monkeypatch.setattr(clients.Security, "temporary", temporary)
    with (
        pytest.raises(ExportError, match="needs the package cryptography"),
        local_cluster(1),
    ):
        pass
