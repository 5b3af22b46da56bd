"""Whenever an export ends, its next run loses nothing and doubles nothing."""

import asyncio
import errno
import json
import re
import sys
import threading

import attrs
import pytest
from exportsim import kill_again_and_again
from support.disks import Disk, Step, after_kill, after_power_loss, restore
from support.exports import ids_of, read_back, truth
from support.waiting import until

from canopy_async import ExportError
from canopy_async.export import (
    Status,
    export,
    iter_commits,
    read_manifest,
    verify,
)
from canopy_async.testing import Faults

IDS = ("a", "b", "empty", "gone")
MANIFEST = "_manifest.ndjson"


@pytest.fixture
def out(tmp_path):
    """Where to export to."""
    return tmp_path / "out"


@pytest.fixture
def logs(server, chunks_of):
    """Logs that make a few files of a few chunks each."""
    chunks_of(50)
    server.seed_events("a", 190)
    server.seed_events("b", 90)
    server.add_identity(id="empty")
    return server


def files_of(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def whole_events(files):
    """The data files among these, or among those of a directory."""
    files = files if isinstance(files, dict) else files_of(files)
    return {name: data for name, data in files.items() if name.startswith("events-")}


def is_done(directory, identity_id):
    """Whether the manifest says so; the export that writes it goes on."""
    try:
        entry = read_manifest(directory).identities.get(identity_id)
    except ExportError:
        return False
    return entry is not None and entry.state == "done"


async def export_small(session, out):
    return await export(session, IDS, out, width=2, max_file_bytes=50_000)


async def assert_goes_on(server, session, out):
    await export_small(session, out)
    assert ids_of(out) == {i: server.event_ids(i) for i in ("a", "b")}
    found = verify(out)
    assert found.problems == ()
    assert (found.events, found.complete, found.failed, found.open) == (280, 3, 1, 0)
    assert found.status is Status.UNFINISHED  # as one is gone
    assert not list(out.glob("*.partial"))


@pytest.fixture
async def steps(logs, session, out):
    """All that an export does to its directory."""
    disk = Disk(out)
    with disk.watching():
        await export_small(session, out)
    assert files_of(out) == after_kill(disk.steps)  # nothing got past it
    assert len(list(iter_commits(out))) > 1
    logs.reset_requests()
    return disk.steps


def each_instant(steps):
    """The steps up to each instant; where one writes, also half of it."""
    for n, step in enumerate(steps):
        yield steps[:n]
        if step.what == "write":
            half = step.data[: len(step.data) // 2]
            yield [*steps[:n], attrs.evolve(step, data=half)]


async def test_killed_at_any_instant_it_goes_on(logs, session, steps, tmp_path):
    for n, done in enumerate(each_instant(steps)):
        directory = tmp_path / f"killed_{n}"
        restore(directory, after_kill(done))
        await assert_goes_on(logs, session, directory)


@pytest.mark.parametrize("keeps_names", [True, False])
async def test_the_power_may_go_at_any_instant(
    logs, session, steps, tmp_path, keeps_names
):
    seen = []
    for n in range(len(steps)):
        files = after_power_loss(steps[:n], keeps_names=keeps_names)
        if files in seen:
            continue
        seen.append(files)
        directory = tmp_path / f"off_{n}"
        restore(directory, files)
        await assert_goes_on(logs, session, directory)
    assert len(seen) > 4


async def test_what_is_final_is_in_the_manifest_at_any_instant(steps, tmp_path):
    for n, done in enumerate(each_instant(steps)):
        files = after_kill(done)
        if b"\n" not in files.get(MANIFEST, b""):
            continue
        directory = tmp_path / f"killed_{n}"
        restore(directory, files)
        assert verify(directory).problems == ()


async def test_a_rerun_that_is_killed_at_any_instant_goes_on_too(
    logs, session, steps, tmp_path
):
    # Killed between the line of the manifest and the name of the file.
    (cut, *_) = (n for n, step in enumerate(steps) if step.what == "rename")
    first = tmp_path / "first"
    restore(first, after_kill(steps[:cut]))
    (first / "_events-00009.jsonl.partial").write_bytes(b"left over")
    with (first / MANIFEST).open("ab") as manifest:
        manifest.write(b'{"kind":"commit","n":4,"pr')
    before = [
        step
        for name, data in files_of(first).items()
        for step in (
            Step("create", name),
            Step("write", name, data),
            Step("sync", name),
            Step("sync", ""),
        )
    ]
    disk = Disk(first)
    with disk.watching():
        await export_small(session, first)
    for n in range(len(disk.steps)):
        directory = tmp_path / f"killed_{n}"
        restore(directory, after_kill([*before, *disk.steps[:n]]))
        await assert_goes_on(logs, session, directory)


@pytest.mark.parametrize("keeps_names", [True, False])
async def test_a_rerun_of_what_is_finished_may_end_at_any_instant_too(
    logs, session, out, tmp_path, keeps_names
):
    first = Disk(out)
    with first.watching():
        await export(session, ["a", "b"], out)
    logs.seed_events("a", 60)
    second = Disk(out)
    with second.watching():
        await export(session, ["a", "b"], out)
    logs.reset_requests()
    before, seen = first.steps, []
    for n in range(len(second.steps) + 1):
        steps = [*before, *second.steps[:n]]
        for files in (
            after_kill(steps),
            after_power_loss(steps, keeps_names=keeps_names),
        ):
            if files in seen:
                continue
            seen.append(files)
            directory = tmp_path / f"ended_{len(seen)}"
            restore(directory, files)
            assert verify(directory).problems == ()
            assert (directory / "_SHA256SUMS").exists() <= is_finished(directory)
            await export(session, ["a", "b"], directory)
            assert read_back(directory) == truth(logs, "a", "b")
            assert verify(directory).status is Status.FINISHED
    assert len(seen) > 10


def is_finished(directory):
    return verify(directory).status is Status.FINISHED


def fails_at(number, error, matches):
    """A fault of the so-manieth step that matches, and of all after it."""
    count = 0

    def fault(step):
        nonlocal count
        count += matches(step)
        return error if count > number and matches(step) else None

    return fault


FULL = OSError(errno.ENOSPC, "No space left on device")
BROKEN = OSError(errno.EIO, "Input/output error")
FAULTS = {
    "the data file can't be written": (FULL, lambda s: s.what == "write"),
    "the manifest can't be written": (
        FULL,
        lambda s: s.what == "write" and s.name == MANIFEST,
    ),
    "a file can't be made": (FULL, lambda s: s.what == "create"),
    "a file can't be synced": (BROKEN, lambda s: s.what == "sync"),
    "a file can't be renamed": (BROKEN, lambda s: s.what == "rename"),
}


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_disk_that_fails_is_an_error_and_harms_nothing(
    logs, session, out, fault, number
):
    error, matches = FAULTS[fault]
    disk = Disk(out, fails_at(number, error, matches))
    with disk.watching():
        words = rf"{re.escape(str(out))}.*: {error.strerror}"
        with pytest.raises(ExportError, match=words):
            await export_small(session, out)
    await assert_goes_on(logs, session, out)


async def test_a_full_disk_takes_nothing_that_was_final(logs, session, out):
    await export(session, ["a"], out)
    before = files_of(out)
    disk = Disk(out, fails_at(0, FULL, lambda s: s.what == "write"))
    with disk.watching(), pytest.raises(ExportError, match="No space left"):
        await export(session, ["a", "b"], out)
    assert whole_events(out) == whole_events(before)
    assert verify(out).problems == ()
    await export(session, ["a", "b"], out)
    assert read_back(out) == truth(logs, "a", "b")


@pytest.mark.usefixtures("logs")
async def test_a_disk_that_fails_when_a_commit_falls_due_is_named(session, out):
    """The next chunk waits for the disk when the time of the commit comes."""
    disk_is_slow = threading.Event()

    def fault(step):
        if step.what != "write" or "events" not in step.name:
            return None
        disk_is_slow.wait(0.4)  # for longer than a commit has time
        return FULL

    with Disk(out, fault).watching(), pytest.raises(ExportError, match="No space left"):
        await export(session, IDS, out, max_file_bytes=2_000, commit_every=0.2)


@pytest.mark.parametrize("name", ["csv", "jsonl.gz", "parquet"])
async def test_a_writer_that_holds_rows_back_may_fail_at_its_end(
    logs, session, out, name
):
    disk = Disk(
        out, fails_at(1, FULL, lambda s: s.what == "write" and "events" in s.name)
    )
    with disk.watching(), pytest.raises(ExportError, match="No space left"):
        await export(session, ["a"], out, format=name)
    assert not list(out.glob("*events-*"))
    await export(session, ["a"], out, format=name)
    assert ids_of(out)["a"] == logs.event_ids("a")


async def test_a_directory_that_cant_be_written_is_an_error(session, out):
    denied = OSError(errno.EACCES, "Permission denied", str(out / MANIFEST))
    with (
        Disk(out, lambda _: denied).watching(),
        pytest.raises(ExportError, match=r"_manifest\.ndjson: Permission denied"),
    ):
        await export(session, ["a"], out)
    assert session.stats.requests == 0


async def test_one_directory_has_one_export_at_a_time(logs, session, out):
    logs.fail_next(kind="hang", only=lambda r: r.identity == "b")
    first = asyncio.create_task(export(session, ["a", "b"], out, commit_every=0.02))
    await until(lambda: is_done(out, "a") and not list(out.glob("*.partial")))
    before = files_of(out)
    with pytest.raises(ExportError, match="in use: another export writes to it"):
        await export(session, ["a", "b"], out)
    assert files_of(out) == before
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await assert_goes_on(logs, session, out)


@pytest.mark.parametrize(
    "tail",
    [b'{"kind":"commit","n":', b"\0" * 100, b'{"kind":"commit","n":6}', b'{"ki'],
)
async def test_a_last_line_that_was_cut_short_does_not_count(logs, session, out, tail):
    await export(session, ["a"], out)
    with (out / MANIFEST).open("ab") as manifest:
        manifest.write(tail)
    assert read_manifest(out).events == 190
    assert read_manifest(out).is_cut_short
    assert verify(out).status is Status.UNFINISHED
    await assert_goes_on(logs, session, out)
    kinds = {"header", "begin", "listed", "commit", "end"}
    for line in (out / MANIFEST).read_text().splitlines():
        assert json.loads(line)["kind"] in kinds


@pytest.mark.usefixtures("logs")
@pytest.mark.parametrize(
    "tail", [b"\xff\xfe\n", b"{}\n", b"not json\n", b"\0" * 100 + b"\n", b"\n"]
)
async def test_a_last_line_that_is_whole_and_no_record_is_damage(session, out, tail):
    await export(session, ["a"], out)
    with (out / MANIFEST).open("ab") as manifest:
        manifest.write(tail)
    before = files_of(out)
    (problem, *_) = verify(out).problems
    assert "_manifest.ndjson: line 6: " in problem
    assert verify(out).status is Status.DAMAGED
    with pytest.raises(ExportError, match="line 6: "):
        await export_small(session, out)
    assert files_of(out) == before


@pytest.mark.parametrize("content", [b"", b'{"kin', b'{"kind":"header","ver', b"\0\0"])
async def test_a_header_that_was_cut_short_is_written_again(
    logs, session, out, content
):
    restore(out, {MANIFEST: content})
    await assert_goes_on(logs, session, out)


async def test_a_moving_log_is_exported_as_it_was_handed_out(logs, session, out):
    logs.faults = Faults(insert_per_request=0.5)
    with pytest.raises(RuntimeError, match="enough"):
        await export(session, ["a"], out, on_progress=raise_enough)
    await export(session, ["a"], out)
    await export(session, ["a"], out)
    ids = ids_of(out)["a"]
    assert ids == logs.event_ids("a")[: len(ids)]
    assert len(ids) >= 190


def raise_enough(progress):
    if progress.events > 100:
        raise RuntimeError("enough")


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
async def test_killed_again_and_again_it_comes_to_the_same(tmp_path):
    outcome = await kill_again_and_again(
        tmp_path, written_as="jsonl", kills=3, seed=4, identities=6, events=250
    )
    assert outcome.kills == 3
    assert (outcome.lost, outcome.repeated, outcome.problems) == (0, 0, ())
    assert outcome.in_order
