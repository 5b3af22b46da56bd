"""``canopy-async export`` and ``verify`` as a user runs them, in a process."""

import asyncio
import hashlib
import json
import os
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from support.exports import ids_of, read_back, truth
from support.programs import command
from support.waiting import until
from typer.testing import CliRunner

from canopy_async import SessionStats
from canopy_async.cli.app import app
from canopy_async.cli.terminal.progress_bar import Watch
from canopy_async.export import ExportProgress, export, read_manifest
from canopy_async.testing import Faults

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals, ptys")

PATIENCE = 30


@pytest.fixture
def out(tmp_path):
    """Where to export to."""
    return tmp_path / "out"


def environment(server):
    env = {k: v for k, v in os.environ.items() if not k.startswith("CANOPY_")}
    return env | {
        "CANOPY_ACCOUNT": server.account,
        "CANOPY_TOKEN": server.token,
        "CANOPY_BASE_URL": server.base_url,
        "COLUMNS": "200",
        "TERM": "xterm-256color",
    }


@asynccontextmanager
async def started(server, *arguments, stdin=DEVNULL, stderr=PIPE):
    env = environment(server)
    async with (
        asyncio.timeout(PATIENCE),
        command(*arguments, env=env, stdin=stdin, stderr=stderr) as process,
    ):
        yield process


async def finished(server, *arguments, text=None):
    stdin = DEVNULL if text is None else PIPE
    async with started(server, *arguments, stdin=stdin) as process:
        out, err = await process.communicate(text)
    assert server.token.encode() not in out + err
    return process.returncode, out.decode(), err.decode()


async def test_all_identities_are_exported_and_verified(server, out):
    ids = server.seed_identities(4)
    for identity_id in ids[:3]:
        server.seed_events(identity_id, 120)
    done = await finished(server, "export", "--all", "--out", out)
    assert done[0::2] == (0, "")
    summary, covered = done[1].splitlines()
    assert summary.startswith(f"{out}: 360 new events into 1 file (")
    assert summary.endswith("identities: 4 read, 4 proven complete, 0 failed, 4 new")
    assert re.fullmatch(r"Covered as of .*Z, by the server's clock\.", covered)
    assert read_back(out) == truth(server, *ids)
    again = await finished(server, "export", "--all", "--out", out)
    assert "0 new events into 0 files" in again[1]
    assert "4 read, 4 proven complete, 0 failed\n" in again[1]
    server.seed_events(ids[0], 3)
    night = await finished(server, "export", "--all", "--out", out)
    assert "3 new events" in night[1]
    assert read_back(out) == truth(server, *ids)
    verified = invoke("verify", out)
    assert verified.exit_code == 0
    first, scope, covered, digest, last = verified.stdout.splitlines()
    assert first.startswith(f"{out}: 363 events in 2 files by 3 runs; identities: 4")
    assert scope == "Scope: all 4 identities of the account"
    assert covered.startswith("Covered as of: ")
    of_file = hashlib.sha256((out / "_manifest.ndjson").read_bytes()).hexdigest()
    assert digest == f"Digest: {of_file} (13 lines)"
    assert last.startswith("Finished: all that was asked for is there")


async def test_verify_has_three_answers_also_for_machines(server, session, out):
    server.seed_events("idn_1", 5)
    await export(session, ["idn_1"], out)
    whole = json.loads(invoke("verify", out, "--json").stdout)
    assert (whole["status"], whole["events"], whole["left"]) == ("finished", 5, [])
    held = invoke("verify", out, "--digest", whole["digest"])
    assert held.exit_code == 0
    assert "The digest that you gave is that of the manifest." in held.stdout
    await export(session, ["idn_1", "never"], out)
    partly = invoke("verify", out, "--digest", whole["digest"])
    assert partly.exit_code == 3
    assert "is that of its first 5 lines" in partly.stdout
    assert "Identities could not be read: 1 of 2." in partly.stdout
    assert f"To go on: canopy-async export --from IDS.txt --out {out}" in partly.stdout
    damaged = invoke("verify", out, "--digest", "0" * 64)
    assert damaged.exit_code == 1
    assert "Damaged" in damaged.stdout


async def test_an_end_in_the_future_is_wrong_usage_and_leaves_nothing(server, out):
    server.seed_events("idn_1", 5)
    status, said, err = await finished(
        server, "export", "--all", "--out", out, "--until", "2200-01-01"
    )
    assert (status, said) == (2, "")
    assert "--until" in err
    assert "must not be in the future" in err
    assert not out.exists()


async def test_a_fresh_edge_of_a_range_is_told(server, session, out):
    server.seed_events("idn_1", 5)
    await session.page("idn_1")
    until = session.server_time - timedelta(minutes=5)
    done = await finished(
        server, "export", "--all", "--out", out, "--until", until.isoformat()
    )
    assert done[0::2] == (0, "")
    assert "may still be committed late" in done[1]


async def test_the_options_reach_the_export(server, out):
    server.seed_events("idn_1", 600)
    rows = server.events("idn_1")
    status, _, err = await finished(
        *(server, "export", "idn_1", "--out", out, "--format", "csv"),
        *("--since", rows[100]["created_at"], "--until", "2026-11-01"),
        *("--q", "auth", "--concurrency", "2", "--max-rate", "500"),
        *("--max-file-bytes", "60000"),
    )
    assert (status, err) == (0, "")
    header = read_manifest(out).header
    assert header.since == datetime.fromisoformat(rows[100]["created_at"])
    assert header.until == datetime(2026, 11, 1, tzinfo=UTC)
    assert (header.q, header.format) == ("auth", "csv")
    assert 0 < read_manifest(out).events < 500
    assert server.peak_in_flight <= 2


@pytest.mark.parametrize("how", ["file", "stdin"])
async def test_ids_come_from_a_file_or_from_standard_input(server, out, tmp_path, how):
    for identity_id in ("idn 1", "ünï", "idn_3"):
        server.seed_events(identity_id, 5)
    lines = "\ufeffidn 1\r\n\n  ünï  \nidn 1\n".encode()
    path = tmp_path / "ids.txt"
    path.write_bytes(lines)
    where = path if how == "file" else "-"
    text = None if how == "file" else lines
    done = await finished(server, "export", "--from", where, "--out", out, text=text)
    assert done[0::2] == (0, "")
    assert read_back(out) == truth(server, "idn 1", "ünï")


async def test_failures_are_listed_at_the_end_and_a_rerun_does_the_rest(server, out):
    server.seed_events("idn_1", 5)
    status, said, err = await finished(
        server, "export", "idn_1", "later", "never", "--out", out
    )
    assert status == 3
    assert "identities: 1 read, 1 proven complete, 2 failed, 1 new" in said
    assert "canopy-async: later: 404 [identity.not_found]" in err
    assert "canopy-async: never: 404" in err
    assert err.splitlines()[-1] == (
        "canopy-async: 2 identities could not be read: run it again to go on with"
        " what is left"
    )
    assert len(err.splitlines()) == 3
    server.seed_events("later", 7)
    status, said, err = await finished(server, "export", "idn_1", "later", "--out", out)
    assert (status, err) == (0, "")
    assert "identities: 2 read, 2 proven complete, 0 failed, 1 new\n" in said
    assert read_back(out) == truth(server, "idn_1", "later")


def hangs(request):
    return request.page > 4 and not request.finished


async def test_ctrl_c_commits_what_was_read_and_ends_quietly(server, out):
    server.seed_events("idn_1", 900)
    server.faults = Faults(hang_rate=1, only=lambda request: request.page > 4)
    arguments = ("export", "idn_1", "--out", out, "--concurrency", "2")
    async with started(server, *arguments) as process:
        # Where both that may be in flight hang, all before them were read.
        await until(lambda: sum(hangs(request) for request in server.requests) == 2)
        process.send_signal(signal.SIGINT)
        said, err = await process.communicate()
    assert (process.returncode, said, err.count(b"\n")) == (130, b"", 1)
    assert b"events of this run are kept in" in err
    assert sum(map(len, ids_of(out).values())) == read_manifest(out).events > 0
    server.faults = Faults()
    assert (await finished(server, "export", "idn_1", "--out", out))[0] == 0
    assert read_back(out) == truth(server, "idn_1")


async def test_a_refused_token_is_status_1(server, out):
    server.revoke_token(server.token)
    status, said, err = await finished(server, "export", "idn_1", "--out", out)
    assert (status, said, err.count("\n")) == (1, "", 3)
    assert "401" in err.splitlines()[-1]
    assert f"0 events of this run are kept in {out}" in err


async def test_a_terminal_gets_a_bar_that_is_gone_at_the_end(server, out):
    ids = server.seed_identities(40)
    for identity_id in ids:
        server.seed_events(identity_id, 2)
    server.faults = Faults(latency=0.2)
    terminal, its_end = os.openpty()
    async with started(
        server, "export", "--all", "--out", out, stderr=its_end
    ) as process:
        os.close(its_end)
        reading = asyncio.create_task(asyncio.to_thread(read_terminal, terminal))
        said, _ = await process.communicate()
        shown = await reading
    os.close(terminal)
    assert process.returncode == 0
    assert b"80 new events into 1 file" in said
    for part in (
        " of 40 identities, ",
        "events, ",
        "requests/s, ",
        "0 failed, ",
        "left",
    ):
        assert part in shown
    assert shown.endswith("\x1b[2K")


def read_terminal(fd):
    shown = b""
    while True:
        try:
            data = os.read(fd, 65_536)
        except OSError:  # what Linux says when the other end was closed
            return shown.decode()
        if not data:
            return shown.decode()
        shown += data


def invoke(*arguments):
    env = {
        "CANOPY_ACCOUNT": "acme",
        "CANOPY_TOKEN": "tok-secret",
        "CANOPY_BASE_URL": "http://127.0.0.1:9",
        "TERMINAL_WIDTH": "300",
    }
    return CliRunner().invoke(app, [str(a) for a in arguments], env=env)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--out", "{out}"], "IDENTITY: name some, or pass --from FILE, or --all"),
        (["a", "--all", "--out", "{out}"], "IDENTITY: name some, or pass --from"),
        (["a", "--from", "f", "--out", "{out}"], "IDENTITY: name some, or pass"),
        (["a"], "--out"),
        (["a", "--out", "{out}", "--format", "xml"], "--format: must be one of 'csv'"),
        (["a", "--out", "{out}", "--since", "now"], "--since: must be a date or an"),
        (["a", "--out", "{out}", "--until", "12"], "--until: must be a date or an"),
        (
            ["a", "--out", "{out}", "--since", "2026-02-01", "--until", "2026-01-01"],
            "--since: must be before until",
        ),
        (["a", "--out", "{out}", "--concurrency", "0"], "--concurrency: must be 1"),
        (["a", "--out", "{out}", "--max-rate", "0"], "--max-rate: must be a finite"),
        (["a", "--out", "{out}", "--max-file-bytes", "0"], "--max-file-bytes: must"),
        (["..", "--out", "{out}"], "IDENTITY: id must not be empty, '.' or '..'"),
        (["a", "--out", ""], "--out: must not be empty"),
        (["--from", "/dev/null", "--out", "{out}"], "--from: /dev/null names no ident"),
        (["--from", "{out}.txt", "--out", "{out}"], "--from: can't be read: No such"),
    ],
)
def test_a_bad_argument_is_wrong_usage_of_its_flag(out, arguments, said):
    result = invoke("export", *(a.format(out=out) for a in arguments))
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output
    assert not out.exists()


def test_a_file_that_is_no_text_is_wrong_usage(out, tmp_path):
    (tmp_path / "ids").write_bytes(b"\xff\xfe\x00")
    result = invoke("export", "--from", tmp_path / "ids", "--out", out)
    assert result.exit_code == 2
    assert "--from: is not UTF-8 text" in result.output


async def test_verify_names_what_is_wrong_and_is_status_1(server, session, out):
    server.seed_events("idn_1", 5)
    await export(session, ["idn_1"], out)
    path = out / "events-00001.jsonl"
    path.write_bytes(path.read_bytes()[:-10])
    result = invoke("verify", out)
    assert result.exit_code == 1
    assert result.stderr == (
        "canopy-async: events-00001.jsonl is not what was written: sha256 differs\n"
    )
    assert "The files are" not in result.stdout


def test_a_directory_that_holds_no_export_is_status_1(tmp_path):
    result = invoke("verify", tmp_path)
    assert result.exit_code == 1
    assert "_manifest.ndjson: No such file or directory" in result.output


def test_what_is_shown_follows_from_what_was_told():
    now = 100.0
    session = SimpleNamespace(stats=SessionStats(width=8))
    watch = Watch(session, clock=lambda: now)
    before = watch.snapshot()
    assert (before.ended, before.total, before.rate) == (0, None, 0.0)
    assert str(before) == "0 events, 0 identities, 0 failed, 0 requests/s, ? left"
    told = {"total": 50, "done": 8, "failed": 2, "skipped": 10, "events": 1_234}
    watch.take(ExportProgress(**told))
    session.stats = SessionStats(width=6, requests=300)
    now = 105.0
    shown = watch.snapshot()
    assert (shown.ended, shown.failed, shown.rate) == (20, 2, 60.0)
    assert shown.left == pytest.approx(15.0)  # 10 in 5 seconds, 30 to go
    assert str(shown) == (
        "1,234 events, 20 of 50 identities, 2 failed, 60 requests/s, 0:00:15 left"
    )
    now = 130.0  # the rate is that of the last seconds
    watch.snapshot()
    now = 135.0
    session.stats = SessionStats(width=6, requests=350)
    assert watch.snapshot().rate == pytest.approx(10.0)
