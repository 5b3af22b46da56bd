"""``canopy-async report``, mostly in this process."""

import asyncio
import os
import sys

import pytest
from support.programs import command
from typer.testing import CliRunner

from canopy_async.cli.app import app
from canopy_async.export import export

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX paths")

PATIENCE = 30


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the command in this process, in the test's directory."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(
        app, ["report", *arguments], env={"TERMINAL_WIDTH": "120"}
    )


@pytest.fixture
async def exported(server, session, tmp_path):
    """Where an export is, in the directory ``out``."""
    server.seed_events("idn_1", 1_200)
    await export(session, ["idn_1"], tmp_path / "out")
    return tmp_path


async def test_a_report_is_written_and_said_to_be(exported, run):
    ended = run("out")
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert ended.stdout.startswith("report.html: 1.")
    assert ended.stdout.endswith(
        " MB, events: 1,200, identities: 1, finished and proven complete\n"
    )
    assert (exported / "report.html").read_text().startswith("<!doctype html>")


async def test_it_is_written_where_asked_and_as_asked(server, session, tmp_path, run):
    server.seed_events("idn_1", 50)
    await export(session, ["idn_1", "idn_gone"], tmp_path / "out")
    ended = run("out", "--out", "other.html", "--latest", "5", "--top", "3")
    assert (ended.exit_code, ended.stderr) == (3, "")
    assert "unfinished: the report says what is missing" in ended.stdout
    page = (tmp_path / "other.html").read_text()
    assert "The latest 5 of 50 events, none of them before" in page
    assert "The first 3 of " in page


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("out", "--out", "no/report.html"), 1, "canopy-async: no: No such file"),
        (("out", "--out", "out/_manifest.ndjson"), 2, "--out"),
        (("out", "--latest", "0"), 2, "--latest"),
    ],
)
async def test_what_can_not_be_done_is_said(exported, run, arguments, status, said):
    before = sorted(exported.rglob("*"))
    ended = run(*arguments)
    assert (ended.exit_code, ended.stdout) == (status, "")
    assert said in ended.stderr
    assert sorted(exported.rglob("*")) == before


async def test_it_is_one_line_and_status_1_of_a_process_too(tmp_path):
    async with (
        asyncio.timeout(PATIENCE),
        command("report", "nowhere", cwd=tmp_path, env=os.environ) as process,
    ):
        out, err = await process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert err == b"canopy-async: nowhere/_manifest.ndjson: No such file or directory\n"
    assert list(tmp_path.iterdir()) == []
