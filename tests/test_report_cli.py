"""``canopy-async report`` as a user runs it: the console script, in a process."""

import asyncio
import os
import sys
import sysconfig
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import pytest

from canopy_async.export import export

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX paths")

SCRIPT = Path(sysconfig.get_path("scripts")) / "canopy-async"
PATIENCE = 30


async def run(*arguments, cwd):
    env = {k: v for k, v in os.environ.items() if not k.startswith("CANOPY_")}
    async with asyncio.timeout(PATIENCE):
        process = await asyncio.create_subprocess_exec(
            SCRIPT,
            *("report", *arguments),
            cwd=cwd,
            env=env | {"COLUMNS": "120"},
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
        )
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
async def exported(server, session, tmp_path):
    """Where an export is, in the directory ``out``."""
    server.seed_events("idn_1", 1_200)
    await export(session, ["idn_1"], tmp_path / "out")
    return tmp_path


async def test_a_report_is_written_and_said_to_be(exported):
    status, out, err = await run("out", cwd=exported)
    assert (status, err) == (0, "")
    assert out.startswith("report.html: 1.")
    assert out.endswith(" MB, events: 1,200, identities: 1, proven complete\n")
    assert (exported / "report.html").read_text().startswith("<!doctype html>")


async def test_it_is_written_where_asked_and_as_asked(server, session, tmp_path):
    server.seed_events("idn_1", 50)
    await export(session, ["idn_1", "idn_gone"], tmp_path / "out")
    arguments = ("out", "--out", "other.html", "--latest", "5", "--top", "3")
    status, out, err = await run(*arguments, cwd=tmp_path)
    assert (status, err) == (0, "")
    assert "not all of it proven complete: see the report" in out
    page = (tmp_path / "other.html").read_text()
    assert "The latest 5 of 50 events." in page
    assert "The first 3 of " in page


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("nowhere",), 1, "canopy-async: nowhere/manifest.jsonl: No such file"),
        (("out", "--out", "no/report.html"), 1, "canopy-async: no: No such file"),
        (("out", "--out", "out/manifest.jsonl"), 2, "--out"),
        (("out", "--latest", "0"), 2, "--latest"),
    ],
)
async def test_what_can_not_be_done_is_said(exported, arguments, status, said):
    before = sorted(exported.rglob("*"))
    ended, out, err = await run(*arguments, cwd=exported)
    assert (ended, out) == (status, "")
    assert said in err
    assert sorted(exported.rglob("*")) == before
