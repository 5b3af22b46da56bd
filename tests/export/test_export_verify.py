"""Manifests are read, files are verified, and what is no export's is refused."""

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from support.exports import FORMATS
from support.manifests import MANIFEST, lines_of, records_of, write_manifest

from canopy_async import ExportError
from canopy_async.export import (
    Asked,
    Begin,
    Commit,
    End,
    EventMark,
    FileEntry,
    Header,
    IdentityEntry,
    Listed,
    Status,
    export,
    iter_commits,
    read_header,
    read_manifest,
    verify,
)
from canopy_async.report import Proof

NOON = datetime(2026, 4, 20, 12, tzinfo=UTC)


@pytest.fixture
def out(tmp_path):
    """Where to export to."""
    return tmp_path / "out"


@pytest.fixture
async def exported(server, session, out):
    """An export of two identities in some files."""
    server.seed_events("a", 150)
    server.seed_events("b", 60)
    await export(session, ["a"], out)
    await export(session, ["a", "b"], out)
    return out


def files_of(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize("name", FORMATS)
async def test_a_sound_export_verifies(server, session, out, name):
    server.seed_events("a", 150)
    server.add_identity(id="b")
    await export(session, ["a", "b", "gone"], out, format=name)
    before = files_of(out)
    read = []
    found = verify(out, on_file=read.append)
    assert (found.ok, found.problems, found.problem_count) == (True, (), 0)
    assert found.status is Status.UNFINISHED
    assert found.left == ("Identities could not be read: 1 of 3.",)
    assert (found.files, found.events) == (1, 150)
    assert (found.done, found.complete, found.failed, found.open) == (2, 2, 1, 0)
    assert [file.rows for file in read] == [150]
    assert files_of(out) == before


@pytest.mark.parametrize("name", FORMATS)
async def test_one_changed_byte_is_found(server, session, out, name):
    server.seed_events("a", 20)
    await export(session, ["a"], out, format=name)
    path = out / f"events-00001.{name}"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    found = verify(out)
    assert not found.ok
    assert found.status is Status.DAMAGED
    assert found.problems == (
        f"events-00001.{name} is not what was written: sha256 differs",
    )


async def test_a_missing_and_an_unknown_file_are_found(exported):
    (exported / "events-00001.jsonl").rename(exported / "events-00007.jsonl")
    assert verify(exported).problems == (
        "events-00001.jsonl can't be read: No such file or directory",
        "events-00007.jsonl is not in the manifest",
    )


def rewritten(directory, name, change):
    """Change the rows of a file, and its sha256 in the manifest with them."""
    path = directory / name
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    data = b"".join(json.dumps(row).encode() + b"\n" for row in change(lines))
    path.write_bytes(data)
    records = records_of(directory)
    for n, record in enumerate(records):
        if isinstance(record, Commit) and record.file and record.file.name == name:
            file = attrs.evolve(
                record.file,
                bytes=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
            )
            records[n] = attrs.evolve(record, file=file)
    write_manifest(directory, records)


def doubled(rows):
    return [*rows[:5], rows[4], *rows[5:-1]]


def swapped(rows):
    return [*rows[:-2], rows[-1], rows[-2]]


def of_another(rows):
    return [rows[0] | {"identity_id": "stranger"}, *rows[1:]]


def without_first(rows):
    return rows[1:]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (doubled, "of 'a' is there twice"),
        (swapped, "of 'a' is out of order"),
        (of_another, "has rows of 'stranger' that the manifest does not name"),
        (without_first, "has 149 rows, and not 150"),
        (without_first, "the number of events of 'a' differs from the manifest"),
        (swapped, "the first or last event of 'a' differs from the manifest"),
    ],
)
async def test_rows_that_are_not_those_of_the_manifest_are_found(
    exported, change, words
):
    rewritten(exported, "events-00001.jsonl", change)
    assert words in "\n".join(verify(exported).problems)


def commit_of(number, rows, *, state="open", **entry):
    """A commit of some rows of ``a``, and its file."""
    data = b"".join(
        json.dumps(
            {"identity_id": "a", "id": event_id, "created_at": at.isoformat()}
        ).encode()
        + b"\n"
        for event_id, at in rows
    )
    marks = [EventMark(id=event_id, created_at=at) for event_id, at in rows]
    name = f"events-{number:05d}.jsonl"
    is_done = state == "done"
    entry = IdentityEntry(
        id="a",
        events=len(rows),
        first=marks[0],
        last=marks[-1],
        state=state,
        complete=is_done,
        proof=Proof.STRICT_KEY,
        as_of=NOON if is_done else None,
        **entry,
    )
    file = FileEntry(
        name=name,
        rows=len(rows),
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    return Commit(n=number, file=file, identities=(entry,)), data


def made_by_hand(directory, *parts, **header):
    """A finished export of these rows of ``a``, a commit for each part."""
    directory.mkdir()
    made = Header(
        account="acme",
        base_url="https://api.example",
        format="jsonl",
        scope="s",
        created_at=NOON,
        library="hand",
        **header,
    )
    asked = Asked(kind="selection")
    begin = Begin(run=1, at=NOON, asked=asked, look_back=3600.0, library="hand")
    records = [made, begin]
    for number, (rows, state) in enumerate(parts, 1):
        commit, data = commit_of(number, rows, state=state)
        (directory / commit.file.name).write_bytes(data)
        records.append(commit)
    listed = Listed(at=NOON, identities=1, sha256="0" * 64, complete=True)
    end = End(run=1, at=NOON, outcome="finished")
    write_manifest(directory, [*records, listed, end])


def at(seconds):
    return NOON + timedelta(seconds=seconds)


async def test_what_was_written_again_after_a_commit_is_found(out):
    made_by_hand(
        out,
        ([("1", at(1)), ("2", at(2))], "open"),
        ([("2", at(2)), ("3", at(3))], "done"),
    )
    assert verify(out).problems == ("events-00002.jsonl: '2' of 'a' is there twice",)


async def test_ties_over_a_commit_are_no_repeats(out):
    made_by_hand(
        out,
        ([("1", at(1)), ("2", at(2))], "open"),
        ([("3", at(2)), ("4", at(3))], "done"),
    )
    assert verify(out).status is Status.FINISHED
    assert read_manifest(out).identities["a"].events == 4


async def test_a_log_that_is_served_backwards_is_in_order_too(out):
    made_by_hand(out, ([("3", at(3)), ("2", at(2))], "open"), ([("1", at(1))], "done"))
    assert verify(out).status is Status.FINISHED


async def test_rows_after_the_end_are_found(out):
    made_by_hand(out, ([("1", at(1))], "done"), ([("2", at(2))], "done"))
    assert verify(out).problems == ("'a' has more events after it was done",)


@pytest.mark.parametrize("seconds", [-1, 10])
async def test_rows_outside_the_range_are_found(out, seconds):
    rows = sorted([at(seconds), at(5)])
    made_by_hand(
        out,
        ([(str(n), row) for n, row in enumerate(rows)], "done"),
        since=at(0),
        until=at(10),
    )
    (problem,) = verify(out).problems
    assert "of 'a' is not within since and until" in problem


async def test_there_are_only_so_many_words_of_problems(out):
    rows = [(str(n), at(n)) for n in range(300)]
    made_by_hand(out, (rows, "done"), since=at(1000))
    found = verify(out)
    assert (len(found.problems), found.problem_count) == (100, 300)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file or directory"),
        (b"", "not the manifest of an export"),
        (b"something else\n", "not the manifest of an export"),
        (b'{"kind":"header"}\n', "not the manifest of an export"),
        (b'{"kind":"header","version":3}\n', "a manifest of version 3 is unknown"),
        (b'{"kind":"header","version":0}\n', "a manifest of version 0 is unknown"),
    ],
)
def test_what_is_no_manifest_is_an_error(out, content, words):
    out.mkdir()
    if content is not None:
        (out / MANIFEST).write_bytes(content)
    for read in (read_header, read_manifest, verify, lambda d: list(iter_commits(d))):
        with pytest.raises(ExportError, match=rf"_manifest\.ndjson: {words}"):
            read(out)


async def test_a_manifest_that_is_damaged_inside_is_an_error(exported, session):
    lines = lines_of(exported)
    damages = {
        "line 3: not a record of a manifest": [*lines[:2], b"{oops}\n", *lines[3:]],
        "line 3: JSON is malformed": [*lines[:2], b'{"kind":"end",oops}\n'],
        "line 3: it says that it is line 4": [*lines[:2], *lines[3:]],
        "line 4: it says that it is line 3": [*lines[:3], lines[2], *lines[3:]],
        "line 3: a header in the middle": [*lines[:2], lines[0], *lines[2:]],
        "line 4: the line before it is not the one that it was linked to": [
            *lines[:2],
            lines[2].replace(b'"late":0', b'"late":1'),
            *lines[3:],
        ],
        "line 3: Expected `str` matching regex": [
            *lines[:2],
            lines[2].replace(b"events-00001.jsonl", b"../../etc/passwd"),
            *lines[3:],
        ],
    }
    for words, damaged in damages.items():
        (exported / MANIFEST).write_bytes(b"".join(damaged))
        before = files_of(exported)
        with pytest.raises(ExportError, match=re.escape(words)):
            read_manifest(exported)
        with pytest.raises(ExportError, match=re.escape(words)):
            await export(session, ["a", "b"], exported)
        assert verify(exported).status is Status.DAMAGED
        assert files_of(exported) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": "csv"}, "its format is 'jsonl', not 'csv'"),
        ({"since": NOON}, "its since is None, not 2026-04-20T12:00:00+00:00"),
        ({"until": NOON}, "its until is None, not"),
        ({"q": "x"}, "its q is None, not 'x'"),
    ],
)
async def test_another_export_in_the_directory_is_refused(
    exported, session, options, words
):
    before = files_of(exported)
    with pytest.raises(ExportError, match=re.escape(f"holds another export: {words}")):
        await export(session, ["a"], exported, **options)
    assert files_of(exported) == before


async def test_the_same_instant_in_another_zone_is_the_same_export(
    server, session, out
):
    server.seed_events("a", 10)
    for offset in (0, 2):
        zone = datetime.fromisoformat(f"2026-01-01T0{offset}:00:00+0{offset}:00")
        await export(session, ["a"], out, since=zone)
    assert len(read_manifest(out).runs) == 2
    assert verify(out).status is Status.FINISHED


async def test_files_of_others_are_refused(session, out):
    out.mkdir()
    (out / "thesis.txt").write_text("precious")
    with pytest.raises(
        ExportError, match=r"holds no export, and is not empty: it has 'thesis\.txt'"
    ):
        await export(session, ["a"], out)
    assert files_of(out) == {"thesis.txt": b"precious"}


async def test_what_systems_leave_in_a_directory_is_in_nobodys_way(
    server, session, out
):
    (out / "lost+found").mkdir(parents=True)
    for name in (".DS_Store", ".gitkeep", "desktop.ini", "Thumbs.db"):
        (out / name).write_bytes(b"theirs")
    server.seed_events("a", 5)
    await export(session, ["a"], out)
    assert verify(out).status is Status.FINISHED
    assert (out / ".DS_Store").read_bytes() == b"theirs"


async def test_a_manifest_of_something_else_is_left_alone(session, out):
    for content in (b"mine\n", b"mine", b'{"name":"app"}\n'):
        out.mkdir(exist_ok=True)
        for name in (MANIFEST, "manifest.jsonl"):
            (out / name).write_bytes(content)
            with pytest.raises(ExportError, match="not the manifest of an export"):
                await export(session, ["a"], out)
            assert files_of(out) == {name: content}
            (out / name).unlink()


async def test_a_symbolic_link_is_not_followed(session, out, tmp_path):
    out.mkdir()
    target = tmp_path / "elsewhere"
    target.write_bytes(b"")
    (out / MANIFEST).symlink_to(target)
    with pytest.raises(ExportError, match="symbolic link"):
        await export(session, ["a"], out)
    assert target.read_bytes() == b""


async def test_files_that_are_gone_or_too_many_stop_a_rerun(exported, session):
    whole = files_of(exported)
    path = exported / "events-00001.jsonl"
    for content in (None, b"short", whole["events-00002.jsonl"]):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        before = files_of(exported)
        with pytest.raises(ExportError, match=r"events-00001.jsonl is missing, or is"):
            await export(session, ["a", "b", "c"], exported)
        assert files_of(exported) == before
    path.write_bytes(whole["events-00001.jsonl"])
    (exported / "events-00003.jsonl").write_bytes(b"")
    with pytest.raises(ExportError, match=r"events-00003.jsonl is not in the manifest"):
        await export(session, ["a", "b", "c"], exported)


async def test_other_files_beside_an_export_are_left_alone(exported, server, session):
    server.seed_events("c", 5)
    (exported / "report.html").write_text("mine")
    await export(session, ["c"], exported)
    assert (exported / "report.html").read_text() == "mine"
    assert verify(exported).ok


async def test_a_directory_full_of_files_takes_no_more(
    server, session, out, monkeypatch
):
    monkeypatch.setattr("canopy_async.export.file_under_way.MAX_FILES", 1)
    server.seed_events("a", 5)
    await export(session, ["a"], out)
    server.seed_events("b", 5)
    with pytest.raises(ExportError, match="has 1 files, which is the most"):
        await export(session, ["b"], out)
    assert verify(out).ok
