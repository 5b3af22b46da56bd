"""Directories of manifest version 1 are read, verified, reported and gone on with."""

import json
from datetime import UTC, datetime

import pytest
from support.disks import Disk, Step, after_kill, restore
from support.exports import FORMATS, ids_of, read_back, truth
from support.manifests import MANIFEST, OLD_MANIFEST, as_version_1

from canopy_async import ExportError
from canopy_async.export import Status, export, read_manifest, verify, write_report
from canopy_async.testing import Faults

NOON = datetime(2026, 4, 20, 12, tzinfo=UTC)
LONG_AGO = datetime(2026, 1, 1, 2, tzinfo=UTC)


@pytest.fixture
def out(tmp_path):
    """Where to export to."""
    return tmp_path / "out"


@pytest.fixture
def stopped(session, out):
    """Makes an export of version 1 that was stopped in the midst of some logs."""

    async def make(*ids, after=150, since=None):
        def stop(progress):
            if progress.events > after:
                raise RuntimeError("stopped")

        with pytest.raises(RuntimeError, match="stopped"):
            await export(session, ids, out, since=since, width=1, on_progress=stop)
        entries = read_manifest(out).identities
        places = {
            name: await place_after(session, name, entry.events, since=since)
            for name, entry in entries.items()
            if entry.state == "open"
        }
        assert places
        as_version_1(out, places)

    return make


async def place_after(session, identity_id, count, *, since):
    """The checkpoint of a read after so many events, as version 1 kept it."""
    stream = session.events(identity_id, order="asc", since=since)
    async with stream.open() as run:
        left = count
        while left:
            await anext(run)
            left -= 1
        return run.checkpoint.dumps()


def says(directory, tmp_path):
    """What `verify` and the report say of an export."""
    found = verify(directory)
    assert found.problems == ()
    page = tmp_path / "report.html"
    assert write_report(directory, page).status is found.status
    assert ("Complete: the logs" in page.read_text()) == (
        found.status is Status.FINISHED and found.scope.startswith("all ")
    )
    return found


@pytest.mark.parametrize("name", FORMATS)
async def test_what_was_done_is_gone_on_with(server, session, out, tmp_path, name):
    server.seed_events("a", 150)
    server.seed_events("b", 3)
    server.add_identity(id="empty")
    await export(session, None, out, format=name)
    as_version_1(out)
    found = says(out, tmp_path)
    assert (found.status, found.events, found.runs) == ("unfinished", 153, 0)
    assert "version 1" in found.left[0]
    server.seed_events("a", 20)
    server.add_event("empty", created_at=NOON)
    result = await export(session, None, out, format=name)
    assert (result.events, result.done) == (21, 3)
    assert read_back(out, empty_is_null=True) == truth(server, "a", "b", "empty")
    found = says(out, tmp_path)
    assert (found.status, found.complete, found.identities) == ("finished", 3, 3)
    assert not (out / OLD_MANIFEST).exists()
    assert (await export(session, None, out, format=name)).events == 0


async def test_what_was_done_with_until_is_confirmed(server, session, out, tmp_path):
    server.seed_events("a", 50)
    await export(session, ["a"], out, until=NOON)
    as_version_1(out)
    server.reset_requests()
    result = await export(session, ["a"], out, until=NOON)
    assert (result.skipped, result.events) == (1, 0)
    assert says(out, tmp_path).problems == ()
    assert read_back(out) == truth(server, "a")


async def test_what_was_stopped_is_gone_on_with(
    server, session, out, tmp_path, stopped
):
    server.seed_events("a", 500)
    server.seed_events("b", 300)
    await stopped("a", "b")
    assert says(out, tmp_path).status is Status.UNFINISHED
    await export(session, ["a", "b"], out)
    assert read_back(out) == truth(server, "a", "b")
    assert says(out, tmp_path).status is Status.FINISHED


@pytest.mark.parametrize("since", [None, LONG_AGO])
@pytest.mark.parametrize("kept", [9_000, 40])
async def test_what_was_stopped_newest_first_is_gone_on_with(
    server, session, out, tmp_path, stopped, since, kept, monkeypatch
):
    monkeypatch.setattr("canopy_async.export.look_back.MOST_KEPT", kept)
    server.faults = Faults(ignore_order=True)
    server.seed_events("a", 700)
    await stopped("a", since=since, after=350)
    assert says(out, tmp_path).status is Status.UNFINISHED
    newest = server.event_ids("a")[-1]
    server.seed_events("a", 30)
    await export(session, ["a"], out, since=since)
    assert ids_of(out)["a"][0] == newest  # what came since is left to another run
    assert not {*server.event_ids("a")[-30:]} & {*ids_of(out)["a"]}
    found = verify(out)
    assert found.as_of < read_manifest(out).runs[-1].begin.at  # as of when it began
    await export(session, ["a"], out, since=since)
    first = "" if since is None else since.isoformat()
    ids = [row["id"] for row in server.events("a") if row["created_at"] >= first]
    assert sorted(ids_of(out)["a"]) == sorted(ids)
    assert says(out, tmp_path).status is Status.FINISHED


async def test_what_had_failed_is_tried_again(server, session, out, tmp_path):
    server.seed_events("a", 50)
    result = await export(session, ["a", "later"], out)
    assert list(result.failures) == ["later"]
    as_version_1(out)
    found = says(out, tmp_path)
    assert (found.status, found.failed, found.done) == ("unfinished", 1, 1)
    server.seed_events("later", 10)
    await export(session, ["a", "later"], out)
    assert read_back(out) == truth(server, "a", "later")
    assert says(out, tmp_path).status is Status.FINISHED


async def test_a_file_that_had_not_got_its_name_is_kept_and_others_go(
    server, session, out, tmp_path
):
    server.seed_events("a", 50)
    await export(session, ["a"], out)
    as_version_1(out)
    path = out / "events-00001.jsonl"
    path.rename(out / "events-00001.jsonl.partial")
    (out / "events-00002.jsonl.partial").write_bytes(b"left over")
    assert says(out, tmp_path).events == 50
    await export(session, ["a"], out)
    assert sorted(p.name for p in out.iterdir()) == [
        "_SHA256SUMS",
        "_manifest.ndjson",
        "events-00001.jsonl",
    ]
    assert read_back(out) == truth(server, "a")
    assert says(out, tmp_path).status is Status.FINISHED


async def test_killed_at_any_instant_of_the_change_it_is_one_or_the_other(
    server, session, out, tmp_path
):
    server.seed_events("a", 150)
    await export(session, ["a", "gone"], out)
    as_version_1(out)
    before = [
        step
        for path in sorted(out.iterdir())
        for step in (
            Step("create", path.name),
            Step("write", path.name, path.read_bytes()),
            Step("sync", path.name),
        )
    ]
    server.seed_events("a", 10)
    disk = Disk(out)
    with disk.watching():
        await export(session, ["a", "gone"], out)
    for n in range(len(disk.steps)):
        directory = tmp_path / f"killed_{n}"
        restore(directory, after_kill([*before, *disk.steps[:n]]))
        assert verify(directory).problems == ()
        await export(session, ["a", "gone"], directory)
        assert read_back(directory) == truth(server, "a")
        assert verify(directory).failed == 1
        assert not (directory / OLD_MANIFEST).exists()


def edited(line, **changes):
    return json.dumps(json.loads(line) | changes).replace(", ", ",").replace(": ", ":")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda h, c: [h, edited(c, n=2)], "line 2: commit 2 instead of 1"),
        (lambda h, c: [h, c, c], "line 3: commit 1 instead of 2"),
        (lambda h, c: [h, c, '{"kind":"end"}'], "line 3: "),
        (lambda h, c: [edited(h, version=7), c], "a manifest of version 7 is unknown"),
        (lambda h, c: [edited(h, format="csv"), c], "its format is 'csv'"),
    ],
)
async def test_one_that_was_altered_is_refused_and_left_alone(
    server, session, out, change, words
):
    server.seed_events("a", 5)
    await export(session, ["a"], out)
    as_version_1(out)
    lines = (out / OLD_MANIFEST).read_text().splitlines()
    (out / OLD_MANIFEST).write_text("".join(f"{line}\n" for line in change(*lines)))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(ExportError, match=words):
        await export(session, ["a"], out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


async def test_one_that_another_process_writes_to_is_refused(
    server, session, out, monkeypatch
):
    server.seed_events("a", 5)
    await export(session, ["a"], out)
    as_version_1(out)

    def is_taken(_):
        raise BlockingIOError

    monkeypatch.setattr("canopy_async.export.manifest_file.lock", is_taken)
    with pytest.raises(ExportError, match="in use: another export writes to it"):
        await export(session, ["a"], out)
    assert not (out / MANIFEST).exists()
