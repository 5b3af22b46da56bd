"""The words of `verify` and the report on an export, however it was stopped or altered.

What is said must be true: "finished" and a green box only of what is whole, proven
and all of the account.
"""

import asyncio
import errno
import json
import re
import shutil
import subprocess
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from support.disks import Disk, after_kill, restore
from support.manifests import (
    MANIFEST,
    SUMS,
    as_version_1,
    lines_of,
    records_of,
    write_manifest,
)
from support.waiting import until

from canopy_async import ExportError
from canopy_async.export import Commit, End, export, verify, write_report
from canopy_async.export.verdict import Status
from canopy_async.testing import Faults

NOON = datetime(2026, 4, 20, 12, tzinfo=UTC)
FIRST = "events-00001.jsonl"
FINISHED, UNFINISHED, DAMAGED = Status
SHA256SUM = shutil.which("sha256sum")


@pytest.fixture
def out(tmp_path):
    """Where to export to."""
    return tmp_path / "out"


@pytest.fixture
def account(server):
    """An account of three identities, one of which has no events."""
    server.seed_events("a", 150)
    server.seed_events("b", 300)
    server.add_identity(id="empty")
    return server


class Case:
    """An export that something happens to.

    Attributes:
        server: The account.
        session: A session on it.
        out: The export's directory.
        tmp_path: A directory that holds nothing else.
    """

    def __init__(self, server, session, out, tmp_path):
        self.server, self.session, self.out = server, session, out
        self.tmp_path = tmp_path

    async def run(self, identities=None, **options):
        await export(self.session, identities, self.out, **options)

    async def run_until(self, events, identities=None, **options):
        """Run it, and cancel it after so many events."""
        self.server.faults = Faults(latency=0.003)
        seen = []
        options |= {"on_progress": seen.append, "width": 1}
        running = asyncio.create_task(self.run(identities, **options))
        await until(lambda: seen and seen[-1].events >= events)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        self.server.faults = Faults()

    async def killed(self, is_last):
        """Run it, and have it as it was when killed before some step."""
        elsewhere = self.tmp_path / "elsewhere"
        disk = Disk(elsewhere)
        with disk.watching():
            await export(self.session, None, elsewhere, max_file_bytes=30_000, width=1)
        steps = disk.steps
        at = next(n for n, step in enumerate(steps) if is_last(step))
        restore(self.out, after_kill(steps[:at]))

    def edit(self, change):
        """Change the lines of the manifest; nothing is linked again."""
        lines = lines_of(self.out)
        (self.out / MANIFEST).write_bytes(b"".join(change(lines)))

    def forge(self, change):
        """Change the records of the manifest, and link them again."""
        write_manifest(self.out, change(records_of(self.out)))


def replaced(old, new, line):
    """A change of one line of the manifest."""

    def change(lines):
        altered = lines[line].replace(old, new)
        assert altered != lines[line]
        return [*lines[:line], altered, *lines[line:][1:]]

    return change


async def all_of_it(case):
    await case.run()


async def all_of_it_again(case):
    await case.run()
    case.server.seed_events("new", 5)
    case.server.seed_events("a", 5)
    await case.run()


async def a_range(case):
    await case.run(until=NOON)


async def a_search(case):
    await case.run(q="login")


async def a_selection(case):
    await case.run(["a", "b"])


async def a_listing(case):
    await case.run(case.session.identities(q="idn"), q=None)


async def stopped(case):
    await case.run_until(100)


async def stopped_in_the_second_run(case):
    await case.run()
    case.server.seed_events("b", 400)
    await case.run_until(100)


async def a_selection_stopped(case):
    await case.run_until(100, ["a", "b"])


async def killed_before_a_row(case):
    await case.killed(lambda s: s.what == "create" and "events" in s.name)


async def killed_after_a_commit(case):
    await case.killed(lambda s: s.what == "rename" and "events" in s.name)


async def killed_in_a_line(case):
    await case.run()
    (case.out / SUMS).unlink()
    with (case.out / MANIFEST).open("ab") as manifest:
        manifest.write(b'{"kind":"begin","n":')


async def a_full_disk(case):
    full = OSError(errno.ENOSPC, "No space left on device")
    disk = Disk(case.out, lambda s: full if "_events" in s.name else None)
    with disk.watching(), pytest.raises(ExportError):
        await case.run()


async def a_refused_token(case):
    token = case.server.issue_token(uses=4)
    case.session = case.connect(token=token, concurrency=1)
    with suppress(Exception):
        await case.run(width=1)


async def a_list_that_is_not_proven(case):
    case.server.seed_identities(250)
    case.server.faults = Faults(unsorted=True, only=lambda r: r.identity is None)
    with suppress(Exception):
        await case.run()


async def one_that_fails(case):
    case.session = case.connect(retry=case.quick)
    case.server.faults = Faults(error_rate=1.0, only=lambda r: r.identity == "a")
    await case.run()


async def one_that_is_unknown(case):
    await case.run(["a", "nobody"])


async def one_that_left(case):
    await case.run()
    case.server.delete_identity("b")
    await case.run()


async def one_that_left_before_it_was_read(case):
    await one_that_fails(case)
    case.server.delete_identity("a")
    case.server.faults = Faults()
    await case.run()


async def retention_overtook_it(case):
    await case.run()
    now = case.session.server_time
    case.server.seed_events("a", 9, start=now - timedelta(minutes=9), spacing=1)
    await case.run()
    case.server.seed_events("a", 30, start=now - timedelta(minutes=5), spacing=1)
    case.server.delete_oldest("a", 165)
    await case.run()


async def retention_ended_a_quiet_log(case):
    await case.run()
    case.server.delete_oldest("a", 150)
    await case.run()


async def read_without_a_proof(case):
    await case.run()

    def change(records):
        for record in records:
            if isinstance(record, Commit):
                entries = [
                    attrs.evolve(e, complete=False, proof="none")
                    for e in record.identities
                ]
                yield attrs.evolve(record, identities=tuple(entries))
            else:
                yield record

    case.forge(change)


async def a_version_1(case):
    await case.run()
    as_version_1(case.out)


async def a_byte_altered(case):
    await case.run()
    data = bytearray((case.out / FIRST).read_bytes())
    data[len(data) // 2] ^= 1
    (case.out / FIRST).write_bytes(data)


async def a_file_missing(case):
    await case.run()
    (case.out / FIRST).unlink()


async def a_file_too_many(case):
    await case.run()
    (case.out / "events-00002.jsonl").write_bytes((case.out / FIRST).read_bytes())


async def a_file_of_another_export(case):
    await case.run(["a"])
    other = case.tmp_path / "other"
    await export(case.session, ["b"], other)
    (case.out / FIRST).write_bytes((other / FIRST).read_bytes())


async def a_line_taken_out(case):
    await case.run()
    case.edit(lambda lines: [*lines[:2], *lines[3:]])


async def a_line_edited(case):
    await case.run()
    case.edit(replaced(b'"late":0', b'"late":7', 2))


async def a_line_doubled(case):
    await case.run()
    case.edit(lambda lines: [*lines[:3], lines[2], *lines[3:]])


async def lines_in_another_order(case):
    await case.run()
    case.edit(lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]])


async def the_header_edited(case):
    await case.run(["a"])
    case.edit(replaced(b'"account":"acme"', b'"account":"beta"', 0))


async def the_task_edited(case):
    await case.run(["a"])
    case.edit(replaced(b'"kind":"selection"', b'"kind":"all"', 1))


async def the_end_edited(case):
    await one_that_is_unknown(case)
    case.edit(replaced(b'"failed":1', b'"failed":0', -1))


async def the_end_cut_off(case):
    await case.run()
    case.edit(lambda lines: lines[:-1])


async def the_end_cut_off_with_the_hashes(case):
    await the_end_cut_off(case)
    (case.out / SUMS).unlink()


async def the_hashes_altered(case):
    await case.run()
    text = (case.out / SUMS).read_text()
    (case.out / SUMS).write_text(text.replace(text[:8], "01234567"))


async def the_hashes_cut(case):
    await case.run()
    text = (case.out / SUMS).read_text()
    (case.out / SUMS).write_text(text.splitlines(keepends=True)[0])


async def the_hashes_gone(case):
    await case.run()
    (case.out / SUMS).unlink()


async def an_end_that_failed_without_a_reason(case):
    await case.run()

    def change(records):
        for record in records:
            is_end = isinstance(record, End)
            yield attrs.evolve(record, outcome="failed") if is_end else record

    case.forge(change)


async def what_is_known_garbled(case):
    await case.run()
    case.server.seed_events("a", 5)
    await case.run()

    def change(records):
        for record in records:
            if isinstance(record, Commit):
                entries = [attrs.evolve(e, known="?") for e in record.identities]
                yield attrs.evolve(record, identities=tuple(entries))
            else:
                yield record

    case.forge(change)


KILLED = "has no end: it was killed, the machine stopped, or the disk was full."
WAYS = [
    (all_of_it, FINISHED, "", "Complete"),
    (all_of_it_again, FINISHED, "", "Complete"),
    (a_range, FINISHED, "", "Complete"),
    (a_search, FINISHED, "", "Complete"),
    (one_that_left, FINISHED, "", "Complete"),
    (retention_ended_a_quiet_log, FINISHED, "", "Complete"),
    (the_hashes_gone, FINISHED, "", "Complete"),
    (a_selection, FINISHED, "", "Selected"),
    (a_listing, FINISHED, "", "Selected"),
    (stopped, UNFINISHED, "Run 1 was stopped before its end.", "Not finished, Open"),
    (
        stopped_in_the_second_run,
        UNFINISHED,
        "Run 2 was stopped before its end.",
        "Not finished, Open",
    ),
    (
        a_selection_stopped,
        UNFINISHED,
        "Run 1 was stopped before its end.",
        "Not finished, Open, Selected",
    ),
    (killed_before_a_row, UNFINISHED, f"Run 1 {KILLED}", "Not finished"),
    (killed_after_a_commit, UNFINISHED, f"Run 1 {KILLED}", "Not finished"),
    (killed_in_a_line, UNFINISHED, "is cut short", "Not finished"),
    (a_full_disk, UNFINISHED, f"Run 1 {KILLED}", "Not finished"),
    (
        a_refused_token,
        UNFINISHED,
        "Run 1 was ended by UnauthorizedError",
        "Not finished, Open",
    ),
    (
        a_list_that_is_not_proven,
        UNFINISHED,
        "Run 1 was ended by ",
        "Not finished",
    ),
    (one_that_fails, UNFINISHED, "could not be read: 1 of 3.", "Failed"),
    (one_that_is_unknown, UNFINISHED, "be read: 1 of 2.", "Failed, Selected"),
    (
        one_that_left_before_it_was_read,
        UNFINISHED,
        "could not be read: 1 of 3.",
        "Failed",
    ),
    (retention_overtook_it, UNFINISHED, "with a gap", "Gap"),
    (read_without_a_proof, UNFINISHED, "without a proof: 3 of 3.", "Unproven"),
    (
        an_end_that_failed_without_a_reason,
        UNFINISHED,
        "Run 1 failed.",
        "Not finished",
    ),
    (a_version_1, UNFINISHED, "Its manifest is of version 1", "Not finished"),
    (
        the_end_cut_off_with_the_hashes,
        UNFINISHED,
        f"Run 1 {KILLED}",
        "Not finished",
    ),
    (a_byte_altered, DAMAGED, f"{FIRST} is not what was written", "Damaged"),
    (a_file_missing, DAMAGED, f"{FIRST} can't be read", "Damaged"),
    (a_file_too_many, DAMAGED, "events-00002.jsonl is not in", "Damaged"),
    (a_file_of_another_export, DAMAGED, "sha256 differs", "Damaged, Selected"),
    (a_line_taken_out, DAMAGED, "line 3: it says that it is line 4", "Damaged"),
    (a_line_edited, DAMAGED, "line 4: the line before it", "Damaged"),
    (a_line_doubled, DAMAGED, "line 4: it says that it is line 3", "Damaged"),
    (lines_in_another_order, DAMAGED, "line 3: it says that it is line 4", "Damaged"),
    (the_header_edited, DAMAGED, "line 2: the line before it", "Damaged"),
    (the_task_edited, DAMAGED, "line 3: the line before it", "Damaged"),
    (the_end_edited, DAMAGED, f"{SUMS} does not have", "Damaged"),
    (the_end_cut_off, DAMAGED, f"{SUMS} does not have", "Damaged"),
    (the_hashes_altered, DAMAGED, f"{SUMS} does not have", "Damaged"),
    (the_hashes_cut, DAMAGED, f"{SUMS} does not have", "Damaged"),
    (what_is_known_garbled, DAMAGED, "not a checkpoint", "Damaged"),
]


def boxes_of(path):
    """The tone of each box of a report, by the beginning of its title."""
    page = path.read_text()
    found = re.findall(
        r'<div class="verdict (\w+)">.*?<strong>(.*?):', page, flags=re.DOTALL
    )
    assert page.count('<div class="verdict ') == len(found)
    return {title: tone for tone, title in found}


@pytest.mark.parametrize(
    ("way", "status", "words", "boxes"), WAYS, ids=[way[0].__name__ for way in WAYS]
)
async def test_what_is_said_of_an_export_is_true(
    account, session, connect, quick, out, tmp_path, way, status, words, boxes
):
    case = Case(account, session, out, tmp_path)
    case.connect, case.quick = connect, quick
    await way(case)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    found = verify(out)
    written = write_report(out, tmp_path / "report.html")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before

    assert (found.status, written.status) == (status, status)
    assert found.ok == (status is not DAMAGED)
    said = "\n".join(found.problems if status is DAMAGED else found.left)
    assert words in said
    assert bool(said) == (status is not FINISHED)
    shown = boxes_of(tmp_path / "report.html")
    assert set(boxes.split(", ")) <= shown.keys()
    assert (shown.get("Complete") == "good") == ("Complete" in boxes)
    assert ("good" in shown.values()) == ("Complete" in boxes)
    assert (shown.get("Damaged") == "bad") == (status is DAMAGED)
    if status is FINISHED:
        assert shown.keys() == set(boxes.split(", "))
    if status is UNFINISHED:
        assert "warning" in shown.values()


async def test_an_export_that_is_being_written_is_not_finished(
    account, session, out, tmp_path
):
    await export(session, None, out)
    account.seed_events("a", 10)
    account.fail_next(kind="hang", only=lambda r: r.identity == "b")
    running = asyncio.create_task(export(session, None, out, commit_every=0.02))
    await until((out / "events-00002.jsonl").exists)
    found = await asyncio.to_thread(verify, out)
    written = await asyncio.to_thread(write_report, out, tmp_path / "report.html")
    assert (found.status, written.status) == (UNFINISHED, UNFINISHED)
    assert found.left[0] == "It is being written now."
    assert "good" not in boxes_of(tmp_path / "report.html").values()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_run_that_begins_while_it_is_verified_is_no_damage(
    account, session, out
):
    await export(session, None, out)
    account.seed_events("a", 10)
    loop = asyncio.get_running_loop()

    def run_again(_):
        # In the midst of the check, by the test's own loop.
        asyncio.run_coroutine_threadsafe(export(session, None, out), loop).result()

    found = await asyncio.to_thread(verify, out, on_file=run_again_once(run_again))
    assert found.problems == ()
    assert found.status in {UNFINISHED, FINISHED}
    assert verify(out).status is FINISHED


def run_again_once(run):
    done = []

    def on_file(file):
        if not done:
            done.append(file)
            run(file)

    return on_file


async def test_a_digest_is_that_of_the_manifest_and_of_what_goes_on_from_it(
    account, session, out, tmp_path
):
    first = ""
    for number in (1, 2):
        await export(session, None, out)
        found = verify(out)
        first = first or found.digest
        done = sha256sum(MANIFEST, cwd=out)
        assert done.stdout.split()[0] == found.digest
        assert verify(out, digest=found.digest).digest_line == found.lines
        account.seed_events("a", 5 * number)
    again = verify(out, digest=first.upper())
    assert (again.status, again.problems) == (FINISHED, ())
    assert again.digest_line < again.lines

    other = tmp_path / "other"
    await export(session, ["a"], other)
    refused = verify(out, digest=verify(other).digest)
    assert refused.status is DAMAGED
    assert refused.problems == ("The manifest never had this digest.",)
    assert verify(out, digest="").status is DAMAGED
    with pytest.raises(TypeError, match="digest must be a str, not int"):
        verify(out, digest=5)


def test_who_is_told_of_files_must_be_a_plain_function(out):
    async def tell(file):
        """Would have to be awaited."""

    with pytest.raises(TypeError, match=r"on_file .* not an async one"):
        verify(out, on_file=tell)


async def test_a_digest_shows_that_the_end_was_cut_off(account, session, out):
    await export(session, None, out)
    account.seed_events("a", 5)
    await export(session, None, out)
    digest = verify(out).digest
    lines = lines_of(out)
    last = max(n for n, r in enumerate(records_of(out)[:-1]) if isinstance(r, End))
    (out / MANIFEST).write_bytes(b"".join(lines[: last + 1]))
    (out / "events-00002.jsonl").unlink()
    (out / SUMS).unlink()
    assert verify(out).status is FINISHED  # as nothing here can tell
    assert verify(out, digest=digest).status is DAMAGED


@pytest.mark.parametrize("name", ["jsonl", "csv", "parquet"])
async def test_the_hashes_are_those_that_sha256sum_finds(account, session, out, name):
    for _ in range(2):
        await export(session, None, out, format=name)
        done = check_sums(out)
        assert done.returncode == 0
        account.seed_events("a", 5)
    named = {line.rpartition(": ")[0] for line in done.stdout.splitlines()}
    assert named == {p.name for p in out.iterdir()} - {SUMS}
    path = next(out.glob("events-*"))
    path.write_bytes(path.read_bytes() + b"\n")
    assert f"{path.name}: FAILED" in check_sums(out).stdout


def check_sums(directory):
    return sha256sum("-c", SUMS, cwd=directory)


def sha256sum(*arguments, cwd):
    """Run the real tool."""
    if SHA256SUM is None:
        pytest.skip("no sha256sum on this machine")
    return subprocess.run(  # what is on this machine
        [SHA256SUM, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


async def test_a_run_that_is_not_finished_leaves_no_hashes(account, session, out):
    await export(session, None, out)
    assert (out / SUMS).exists()
    account.fail_next(kind="hang", only=lambda r: r.identity == "b")
    running = asyncio.create_task(export(session, None, out))
    await until(lambda: not (out / SUMS).exists())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not (out / SUMS).exists()


async def test_the_first_record_is_on_the_disk_before_the_first_request(
    account, session, out
):
    heard = []

    def look(_server, _request):
        if not heard:
            kinds = [json.loads(line)["kind"] for line in lines_of(out)]
            heard.append(kinds)

    account.faults = Faults(mutate=look)
    await export(session, None, out)
    assert heard == [["header", "begin"]]
