"""Files that others have made, and who may read the files that are made here."""

import asyncio
import json
import logging
import os
import pickle
import sqlite3
import stat
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest
from support.programs import command
from support.samples import event_row, page_body
from support.scripted import answer, simulated

from canopy_async import (
    CanopySession,
    CheckpointError,
    CheckpointStore,
    ExportError,
    LoggingHook,
)
from canopy_async._util.plain_files import create, open_plain, replace_whole
from canopy_async.export import (
    export,
    manifest_chain,
    read_manifest,
    verify,
    write_report,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")

MANIFEST = "_manifest.ndjson"
PATIENCE = 20


@pytest.fixture
async def out(server, session, tmp_path):
    """An export of two identities."""
    for name in ("idn_1", "idn_2"):
        server.add_identity(id=name)
        server.seed_events(name, 40)
    await export(session, None, tmp_path / "out")
    return tmp_path / "out"


def modes(directory):
    return {stat.S_IMODE(path.lstat().st_mode) for path in directory.iterdir()}


async def in_time(work):
    """Do blocking work, which must not hang."""
    done = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def run():
        try:
            result = work(), None
        except Exception as error:  # noqa: BLE001 - handed over
            result = None, error
        loop.call_soon_threadsafe(lambda: done.done() or done.set_result(result))

    threading.Thread(target=run, daemon=True).start()
    async with asyncio.timeout(PATIENCE):
        result, error = await done
    if error is not None:
        raise error
    return result


def replace_by(path, kind):
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(path.parent / "nowhere")


KINDS = ("fifo", "device", "directory", "dangling")


@pytest.mark.parametrize("kind", KINDS)
async def test_no_odd_data_file_hangs_verify_or_a_report(out, kind):
    replace_by(out / "events-00001.jsonl", kind)
    found = await in_time(lambda: verify(out))
    assert not found.ok
    assert any("events-00001.jsonl" in problem for problem in found.problems)
    report = out.parent / "report.html"
    await in_time(lambda: write_report(out, report))
    assert report.exists()


@pytest.mark.parametrize("kind", ["fifo", "device", "directory"])
async def test_no_odd_file_of_hashes_hangs_verify(out, kind):
    replace_by(out / "_SHA256SUMS", kind)
    with pytest.raises(ExportError, match=r"_SHA256SUMS: (not a plain|Is a dir)"):
        await in_time(lambda: verify(out))


@pytest.mark.parametrize("kind", KINDS)
async def test_no_odd_manifest_hangs_anything(out, session, kind):
    replace_by(out / MANIFEST, kind)
    for work in (
        lambda: verify(out),
        lambda: read_manifest(out),
        lambda: write_report(out, out.parent / "report.html"),
    ):
        with pytest.raises(ExportError):
            await in_time(work)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(ExportError):
            await export(session, None, out)
    assert not (out / "nowhere").exists()


@pytest.mark.parametrize("kind", KINDS)
async def test_an_export_does_not_go_on_over_an_odd_file(out, session, kind):
    replace_by(out / "events-00001.jsonl", kind)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(ExportError, match="events-00001"):
            await export(session, None, out)


async def test_a_file_is_checked_by_its_descriptor(tmp_path, monkeypatch):
    plain, fifo = tmp_path / "plain", tmp_path / "fifo"
    plain.write_bytes(b"x")
    os.mkfifo(fifo)
    # Swapped between the look and the opening.
    real = Path.stat
    monkeypatch.setattr(Path, "stat", lambda _path, **o: real(plain, **o))
    with pytest.raises(OSError, match="not a plain file"):
        await in_time(lambda: open_plain(fifo))


async def test_a_report_follows_no_link_that_could_be_guessed(out):
    page, victim = out.parent / "report.html", out.parent / "victim"
    victim.write_text("precious")
    for name in ("report.html.partial", "_report.html.partial"):
        (out.parent / name).symlink_to(victim)
    page.symlink_to(victim)
    write_report(out, page)
    assert victim.read_text() == "precious"
    assert not page.is_symlink()
    assert "<html" in page.read_text()


def test_a_new_file_is_made_where_nothing_is(tmp_path):
    (tmp_path / "there").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("there", "link"):
        with pytest.raises(FileExistsError):
            create(tmp_path / name)
    assert not (tmp_path / "nowhere").exists()


def test_a_file_that_cant_be_written_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "page"
    path.write_bytes(b"before")

    def fail(_fd):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        replace_whole(path, b"after")
    assert [found.name for found in tmp_path.iterdir()] == ["page"]
    assert path.read_bytes() == b"before"


@pytest.fixture
def open_umask():
    """A process that lets everybody read what it makes."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
@pytest.mark.parametrize("name", ["jsonl", "csv", "parquet"])
async def test_nobody_else_may_read_what_is_made(server, session, tmp_path, name):
    server.seed_events("idn_1", 10)
    out, page = tmp_path / "out", tmp_path / "report.html"
    await export(session, ["idn_1"], out, format=name)
    await export(session, ["idn_1"], out, format=name)
    write_report(out, page)
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert modes(out) == {0o600}
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    async with CheckpointStore(tmp_path / "bot.db") as store:
        async for batch in session.follow(["idn_1"], until_caught_up=True):
            await store.save(batch)
        made = {path.name for path in tmp_path.iterdir() if "bot.db" in path.name}
        for found in made:
            assert stat.S_IMODE((tmp_path / found).stat().st_mode) == 0o600


@pytest.mark.usefixtures("open_umask")
async def test_the_caller_may_let_a_group_read(server, session, tmp_path):
    server.seed_events("idn_1", 10)
    out, page = tmp_path / "out", tmp_path / "report.html"
    await export(session, ["idn_1"], out, umask=0o027)
    write_report(out, page, umask=0o022)
    assert stat.S_IMODE(out.stat().st_mode) == 0o750
    assert modes(out) == {0o640}
    assert stat.S_IMODE(page.stat().st_mode) == 0o644


async def test_a_directory_that_is_there_keeps_its_mode(server, session, tmp_path):
    server.seed_events("idn_1", 10)
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o755)
    await export(session, ["idn_1"], out)
    assert stat.S_IMODE(out.stat().st_mode) == 0o755
    assert modes(out) == {0o600}


@pytest.mark.usefixtures("open_umask")
async def test_a_checkpoint_file_that_others_are_to_read_is_made_so(
    session, server, tmp_path
):
    server.add_identity(id="idn_1")
    path, command_path = tmp_path / "bot.db", tmp_path / "command.db"
    async with CheckpointStore(path, umask=0o027) as store:
        async for batch in session.follow("idn_1", until_caught_up=True):
            await store.save(batch)
    env = {"CANOPY_ACCOUNT": server.account, "CANOPY_TOKEN": server.token}
    env |= {"CANOPY_BASE_URL": server.base_url}
    options = ("--checkpoint", command_path, "--umask", "022", "--until-caught-up")
    async with command("follow", "idn_1", *options, env=env) as process:
        assert await process.communicate() == (b"", b"")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert stat.S_IMODE(command_path.stat().st_mode) == 0o644
    async with CheckpointStore(path):  # one that is there keeps its mode
        assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("umask", [-1, 0o1000, "022", True])
async def test_a_umask_that_is_none_is_refused(session, tmp_path, umask):
    with pytest.raises((TypeError, ValueError), match="umask must be"):
        CheckpointStore(tmp_path / "bot.db", umask=umask)
    with pytest.raises((TypeError, ValueError), match="umask must be"):
        await export(session, ["idn_1"], tmp_path / "out", umask=umask)
    assert not (tmp_path / "out").exists()


LAST_LINES = {
    "cut short": (b'{"kind":"commit","n":9,"pr', True),
    "cut within its head": (b'{"ki', True),
    "zeros": (b"\0" * 100, True),
    "cut and then zeros": (b'{"kind":"comm' + b"\0" * 50, True),
    "cut at a brace": (b'{"kind":"commit","file":{"name":"x"}', True),
    "no record": (b"hello", False),
    "a whole object that is no record": (b'{"kind":"commit","n":"x"}', False),
    "a whole line that is no record": (b'{"kind":"commit","n":"x"}\n', False),
    "an unknown record": (b'{"kind":"magic"}\n', False),
}


@pytest.mark.parametrize(("line", "is_fine"), LAST_LINES.values(), ids=LAST_LINES)
async def test_a_last_line_that_is_cut_short_is_no_damage_and_an_invalid_one_is(
    out, line, is_fine
):
    with (out / MANIFEST).open("ab") as file:
        file.write(line)
    found = verify(out)
    damage = [problem for problem in found.problems if MANIFEST in problem]
    assert bool(damage) is not is_fine
    if is_fine:
        assert read_manifest(out).is_cut_short
    else:
        with pytest.raises(ExportError):
            read_manifest(out)


async def test_a_line_without_an_end_is_read_no_further_than_a_line_may_be(
    out, monkeypatch
):
    most = 8 * 1024 * 1024
    monkeypatch.setattr(manifest_chain, "MAX_LINE", most)
    with (out / MANIFEST).open("r+b") as file:
        file.seek(0, os.SEEK_END)
        file.write(b'{"kind":"commit')
        file.truncate(file.tell() + 64 * most)  # sparse: it takes no room
    tracemalloc.start()
    try:
        found = await in_time(lambda: verify(out))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * most
    assert not found.ok
    assert any("not the beginning of a record" in it for it in found.problems)


@pytest.mark.parametrize("kind", ["fifo", "device", "directory", "dangling"])
async def test_no_odd_file_of_checkpoints_hangs_a_store(tmp_path, kind):
    path = tmp_path / "bot.db"
    path.touch()
    replace_by(path, kind)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(CheckpointError):
            await CheckpointStore(path).__aenter__()
    assert not (tmp_path / "nowhere").exists()


async def test_a_view_without_an_end_is_no_store(tmp_path):
    path = tmp_path / "bot.db"
    async with CheckpointStore(path):
        pass
    database = sqlite3.connect(path)
    database.executescript(
        "DROP TABLE checkpoints;"
        "CREATE VIEW checkpoints AS WITH RECURSIVE n(x) AS (VALUES (1) UNION ALL"
        " SELECT x + 1 FROM n) SELECT x AS identity_id, x AS checkpoint FROM n"
    )
    database.close()
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(CheckpointError, match="not a store of checkpoints"):
            async with CheckpointStore(path) as store:
                await store.load()


TOKEN = "abC/dE+f=g.h-i_j~k/0123456789"


def echoing(call):
    """Two identities; the log of the second answers with the token, escaped."""
    if call.url.path.endswith("/identities"):
        return page_body([{"id": "idn_1"}, {"id": "idn_2"}, {"id": ".."}])
    if "idn_1" in call.url.path:
        return page_body([event_row(1)])
    said = call.headers["Authorization"]
    body = json.dumps({"error": {"message": said, "code": said, "details": [said]}})
    escaped = body.replace("/", "\\/").replace("+", "\\u002b")
    return answer(404, escaped.encode(), {"X-Request-Id": said})


def scanned(directory):
    """The files below a directory that hold the token, or most of it."""
    parts = (TOKEN.encode(), b"g.h-i_j~k")
    return [
        path
        for path in directory.rglob("*")
        if path.is_file() and any(part in path.read_bytes() for part in parts)
    ]


async def test_the_token_is_in_nothing_that_an_export_leaves_behind(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    out = tmp_path / "out"
    with simulated(echoing) as calls:
        async with CanopySession("acme", TOKEN, hooks=[LoggingHook()]) as canopy:
            for _ in range(2):
                result = await export(canopy, None, out)
                assert result.failures.keys() == {"idn_2", ".."}
                (tmp_path / "error").write_bytes(pickle.dumps(result.failures))
            async with CheckpointStore(tmp_path / "bot.db") as store:
                follower = canopy.follow(["idn_1", "idn_2"], until_caught_up=True)
                async for batch in follower:
                    await store.save(batch)
            assert TOKEN not in repr(follower.failures)
    assert calls[0].token == TOKEN
    write_report(out, tmp_path / "report.html")
    (tmp_path / "verified").write_text(repr(verify(out)))
    assert "<redacted>" in (out / MANIFEST).read_text()
    assert scanned(tmp_path) == []
    for part in (TOKEN, "g.h-i_j~k"):
        assert part not in caplog.text


def test_the_scan_finds_a_token(tmp_path):
    (tmp_path / "there").write_text(f"x{TOKEN}")
    assert scanned(tmp_path) == [tmp_path / "there"]
