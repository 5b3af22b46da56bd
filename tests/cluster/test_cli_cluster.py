"""``canopy-async export`` on more processes, as a user runs it."""

import functools
import os
import signal
import sys

import pytest
from support.exports import truth
from support.programs import installed
from support.waiting import STARTING, until
from typer.testing import CliRunner

from canopy_async.cli.app import app
from canopy_async.export import read_manifest, verify
from canopy_async.testing import Faults

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.fixture
def export(server, tmp_path):
    """Runs the command with two workers; its token is no variable of its own."""
    out = tmp_path / "out"
    env = {k: v for k, v in os.environ.items() if not k.startswith("CANOPY_")}
    env |= {"CANOPY_ACCOUNT": server.account, "CANOPY_BASE_URL": server.base_url}
    options = ("--out", out, "--token", server.token, "--workers", "2")
    return functools.partial(installed, "export", *options, env=env)


@pytest.mark.timeout(180)
async def test_two_workers_write_one_export(server, export, tmp_path):
    ids = server.seed_identities(5)
    for identity_id in ids[:4]:
        server.seed_events(identity_id, 120)
    async with export("--all", "--concurrency", "4") as process:
        out, err = (text.decode() for text in await process.communicate())
    assert process.returncode == 0, err
    summary, as_of = out.splitlines()
    assert summary == (
        f"{tmp_path / 'out'}: 480 new events into 4 files by 5 tasks; identities: 5"
        " read, 5 proven complete, 0 failed, 5 new"
    )
    assert as_of.startswith("Covered as of ")
    assert server.token not in out + err
    found = verify(tmp_path / "out")
    assert (found.is_finished, found.events) == (
        True,
        sum(map(len, truth(server, *ids).values())),
    )
    assert len({request.headers["user-agent"] for request in server.requests}) == 1


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_ctrl_c_ends_the_workers_and_keeps_what_is_done(server, export, tmp_path):
    for name in ("a", "b"):
        server.seed_events(name, 50)
    server.faults = Faults(hang_rate=1.0, only=lambda request: request.identity == "b")
    async with export("a", "b", "--concurrency", "2") as process:
        await until(
            lambda: {"a", "b"} <= {r.identity for r in server.requests},
            within=STARTING,
        )
        manifest = tmp_path / "out" / "_manifest.ndjson"
        await until(lambda: b"events-" in manifest.read_bytes())
        process.send_signal(signal.SIGINT)
        out, err = (text.decode() for text in await process.communicate())
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert (
        f"50 events of this run are kept in {tmp_path / 'out'}: run the export again"
        " to go on" in err
    )
    assert server.token not in err
    await until(lambda: server.in_flight == 0)
    manifest = read_manifest(tmp_path / "out")
    assert (manifest.events, manifest.runs[0].end.outcome) == (50, "stopped")
    assert manifest.runs[0].listed.identities == 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ["--workers", "2", "--dask", "tcp://x:1"],
            "--dask: can't be used with --workers",
        ),
        (["--workers", "0"], "--workers"),
        (["--token-from", "env:X"], "--token-from: is for --dask and --workers"),
        (["--out", "s3://bucket/out"], "--out: a URL is for --dask and --workers"),
        (["--token", ""], "--token: is missing"),
    ],
)
def test_what_does_not_go_together_is_wrong_usage(arguments, complaint, tmp_path):
    base = ["export", "a", "--account", "acme", "--token", "t", "--out", str(tmp_path)]
    found = CliRunner().invoke(app, [*base, *arguments], env={"COLUMNS": "200"})
    assert found.exit_code == 2
    assert complaint in found.output
