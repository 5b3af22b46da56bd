"""The token is in nothing that a cluster leaves behind, nor in other processes."""

import asyncio
import os
import sys
from contextlib import asynccontextmanager

import psutil
import pytest
from aiohttp import web
from support.programs import installed
from support.samples import event_row, page_body
from support.waiting import until

from canopy_async.export import read_manifest

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="environments of other processes"
)

TOKEN = "abC-dE_f.g-h_i.j~k0123456789"
PART = "f.g-h_i.j"


@asynccontextmanager
async def echoing_server():
    """A server that refuses one identity with the token, and keeps one waiting."""
    goes_on = asyncio.Event()
    asked = []

    async def handle(request):
        said = request.headers["Authorization"]
        identity = request.path.split("/")[-2]
        asked.append((identity, said))
        if identity == "refused":
            error = {"message": said, "code": said, "details": [said]}
            headers = {"X-Request-Id": said}
            return web.json_response({"error": error}, status=404, headers=headers)
        if identity == "waiting":
            await goes_on.wait()
        body = page_body([event_row(1)])
        return web.Response(body=body, content_type="application/json")

    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked, goes_on
    finally:
        await runner.cleanup()


def environments(process):
    """The environment and the command line of each process that it has started."""
    for child in psutil.Process(process.pid).children(recursive=True):
        yield f"{child.environ()} {child.cmdline()}"


@pytest.mark.slow
async def test_the_token_is_only_in_the_memory_of_the_workers(tmp_path):
    places = {name: tmp_path / name for name in ("out", "tmp", "here", "home")}
    for name in ("tmp", "here", "home"):
        places[name].mkdir()
    env = {k: v for k, v in os.environ.items() if not k.startswith("CANOPY_")}
    env |= {"TMPDIR": str(places["tmp"]), "HOME": str(places["home"])}
    env |= {"DASK_LOGGING__DISTRIBUTED": "debug"}
    async with echoing_server() as (url, asked, goes_on):
        env |= {"CANOPY_ACCOUNT": "acme", "CANOPY_TOKEN": TOKEN, "CANOPY_BASE_URL": url}
        async with installed(
            *("export", "read", "refused", "waiting"),
            *("--out", places["out"], "--workers", "2"),
            cwd=places["here"],
            env=env,
        ) as process:
            reading = asyncio.create_task(process.communicate())
            await until(lambda: len(asked) >= 3 or reading.done())
            seen = list(environments(process))
            before = list(found_in(tmp_path))
            goes_on.set()
            out, err = await reading
    assert process.returncode == 3, err
    assert {said for _, said in asked} == {f"Bearer {TOKEN}"}
    # The two workers at least, and what Dask starts beside them.
    assert len(seen) >= 2
    assert not [text for text in seen if PART in text]
    assert before == list(found_in(tmp_path)) == []
    assert PART.encode() not in out + err
    assert b"distributed.worker" in err, "nothing was logged"
    failure = read_manifest(places["out"]).identities["refused"].error
    assert "<redacted>" in failure.message


def found_in(directory):
    """The files below a directory that hold the token, or most of it."""
    for path in directory.rglob("*"):
        if path.is_file() and PART.encode() in path.read_bytes():
            yield path
