"""The file of checkpoints: durable, exclusive, and never the wrong file."""

import asyncio
import functools
import os
import shutil
import signal
import sqlite3
import threading
from asyncio.subprocess import PIPE
from contextlib import closing
from datetime import UTC, datetime

import pytest
from support.programs import script

from canopy_async import Batch, CheckpointError, CheckpointStore, FollowCheckpoint

NOON = datetime(2026, 4, 20, 12, tzinfo=UTC)


def batch(identity_id="idn_1", scope="s", count=0):
    place = FollowCheckpoint(scope=scope, count=count)
    return Batch(identity_id=identity_id, events=(), checkpoint=place)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "bot.db"


@pytest.fixture
def run_program(tmp_path):
    """Runs code in a process of its own; returns its status and its errors."""

    async def run(code, *arguments):
        program = tmp_path / "program.py"
        program.write_text(code)
        async with script(program, *arguments, env=os.environ) as process:
            _, errors = await process.communicate()
        return process.returncode, errors.decode()

    return run


async def test_what_was_saved_is_loaded(path):
    async with CheckpointStore(path) as store:
        assert await store.load() == {}
        for n in range(3):
            await store.save(batch(f"idn_{n}"))
        await store.save(batch("idn_1", count=7))
    async with CheckpointStore(str(path)) as store:
        loaded = await store.load()
    assert {id_: place.count for id_, place in loaded.items()} == {
        "idn_0": 0,
        "idn_1": 7,
        "idn_2": 0,
    }


async def test_it_needs_no_block(path):
    store = CheckpointStore(path)
    await store.save(batch())
    await store.aclose()
    await store.aclose()
    with pytest.raises(CheckpointError, match="closed"):
        await store.load()


async def test_ids_of_any_kind_are_kept_apart(path):
    names = ["a", "A", "ä", "a\u0308", "a/b", "'; DROP TABLE checkpoints", "🔑"]
    async with CheckpointStore(path) as store:
        for n, name in enumerate(names):
            await store.save(batch(name, count=n))
        loaded = await store.load()
    assert [loaded[name].count for name in names] == list(range(len(names)))


async def test_a_save_writes_one_small_row_however_many_there_are(path):
    async with CheckpointStore(path) as store:
        await asyncio.gather(*(store.save(batch(f"idn_{n}")) for n in range(500)))
        log = path.with_name("bot.db-wal")
        before = log.stat().st_size
        await store.save(batch("idn_250", count=1))
        assert log.stat().st_size - before < 10_000


async def test_what_was_saved_outlives_sigkill(path, run_program):
    code = """
import asyncio, os, signal, sys
from canopy_async import Batch, CheckpointStore, FollowCheckpoint

async def main():
    store = CheckpointStore(sys.argv[1])
    for n in range(50):
        place = FollowCheckpoint(scope="s", count=n)
        await store.save(Batch(identity_id="idn_1", events=(), checkpoint=place))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
    status, _ = await run_program(code, path)
    assert status == -signal.SIGKILL
    async with CheckpointStore(path) as store:
        loaded = await store.load()
    assert loaded["idn_1"].count == 49


SAVE_ON = """
import asyncio, sys
from canopy_async import Batch, CheckpointStore, FollowCheckpoint

async def main():
    async with CheckpointStore(sys.argv[1]) as store:
        await store.save_first_run(f"idn_{n}" for n in range(500))
        for n in range(100_000):
            place = FollowCheckpoint(scope="s" * (n % 7 * 900), count=n)
            identity_id = f"idn_{n % 997}"
            await store.save(
                Batch(identity_id=identity_id, events=(), checkpoint=place)
            )
            print(n, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("saves", [1, 7, 40, 150, 700])
async def test_after_a_kill_the_named_file_alone_is_enough(tmp_path, saves):
    program, path = tmp_path / "program.py", tmp_path / "bot.db"
    program.write_text(SAVE_ON)
    async with script(program, path, env=os.environ, stdout=PIPE) as process:
        saved = -1
        while saved < saves:
            saved = int(await process.stdout.readline())
        process.kill()
        rest, _ = await process.communicate()
    saved = int((rest.split() or [saved])[-1])
    alone = tmp_path / "elsewhere" / "bot.db"
    alone.parent.mkdir()
    shutil.copy(path, alone)
    async with CheckpointStore(alone) as store:
        loaded = await store.load()
        first_run = await store.load_first_run()
    newest = {f"idn_{n % 997}": n for n in range(saved + 1)}
    # The one that was being saved when the kill came may be there or not.
    being_saved = (f"idn_{(saved + 1) % 997}", saved + 1)
    found = {identity_id: place.count for identity_id, place in loaded.items()}
    assert found in (newest, newest | dict([being_saved]))
    assert first_run == {f"idn_{n}" for n in range(500)} - found.keys()


async def test_a_copy_that_lost_some_is_refused(path):
    async with CheckpointStore(path) as store:
        for n in range(5):
            await store.save(batch(f"idn_{n}"))
    database = sqlite3.connect(path)
    database.execute("DROP TRIGGER removed")
    database.execute("DELETE FROM checkpoints WHERE identity_id = 'idn_3'")
    database.commit()
    database.close()
    with pytest.raises(CheckpointError, match="of 5 checkpoints, 4 are there"):
        await CheckpointStore(path).load()


async def test_an_identity_can_be_taken_out_by_hand(path):
    async with CheckpointStore(path) as store:
        for n in range(3):
            await store.save(batch(f"idn_{n}"))
    database = sqlite3.connect(path)
    database.execute("DELETE FROM checkpoints WHERE identity_id = 'idn_1'")
    database.commit()
    database.close()
    async with CheckpointStore(path) as store:
        assert set(await store.load()) == {"idn_0", "idn_2"}


async def test_the_first_run_is_remembered(path):
    async with CheckpointStore(path) as store:
        assert await store.load_first_run() is None
        await store.save(batch("idn_0"))
        assert await store.load_first_run() is None
        await store.save_first_run(["idn_0", "idn_1", "idn_2"])
        assert await store.load_first_run() == {"idn_1", "idn_2"}
        await store.save(batch("idn_2"))
        await store.save(batch("idn_2"))
    async with CheckpointStore(path) as store:
        assert await store.load_first_run() == {"idn_1"}
        assert set(await store.load()) == {"idn_0", "idn_2"}


async def test_a_first_run_that_can_not_be_told_whole_is_not_remembered(path):
    def told():
        yield "idn_1"
        raise KeyError("mine")

    async with CheckpointStore(path) as store:
        with pytest.raises(KeyError):
            await store.save_first_run(told())
        assert await store.load_first_run() is None
        await store.save_first_run(["idn_2"])
        assert await store.load_first_run() == {"idn_2"}


async def test_a_store_from_before_first_runs_were_remembered_had_one(path):
    made = await make_old(path)
    async with CheckpointStore(path) as store:
        assert set(await store.load()) == made
        assert await store.load_first_run() == frozenset()


async def make_old(path):
    """A store as it was before: one table."""
    async with CheckpointStore(path) as store:
        await store.save(batch("idn_1"))
    database = sqlite3.connect(path)
    for what in ("TRIGGER saved", "TRIGGER removed", "TABLE first_run", "TABLE state"):
        database.execute(f"DROP {what}")
    database.commit()
    database.close()
    return {"idn_1"}


async def test_a_second_store_on_one_file_is_refused(path):
    async with CheckpointStore(path) as store:
        await store.save(batch())
        with pytest.raises(CheckpointError, match="has it open"):
            await CheckpointStore(path).load()
        await store.save(batch(count=1))
    async with CheckpointStore(path) as store:
        assert (await store.load())["idn_1"].count == 1


async def test_a_second_process_on_one_file_is_refused(path, run_program):
    code = """
import asyncio, sys
from canopy_async import CheckpointError, CheckpointStore

async def main():
    async with CheckpointStore(sys.argv[1]):
        pass

try:
    asyncio.run(main())
except CheckpointError as error:
    sys.exit(f"refused: {error}")
"""
    async with CheckpointStore(path) as store:
        await store.save(batch())
        _, said = await run_program(code, path)
    assert "refused:" in said
    assert "has it open" in said


def make_sqlite(path):
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE checkpoints (identity_id, checkpoint)")
    database.commit()
    database.close()


def make_newer(path):
    asyncio.run(make_ours(path))
    data = bytearray(path.read_bytes())
    data[60:64] = (2).to_bytes(4)
    path.write_bytes(data)


def make_triggered(path):
    """A store with a trigger that is none of its own, and might never end."""
    asyncio.run(make_ours(path))
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute(
            "CREATE TRIGGER more AFTER INSERT ON checkpoints BEGIN"
            " DELETE FROM first_run; END"
        )


def make_torn(path):
    asyncio.run(make_ours(path))
    path.write_bytes(path.read_bytes()[:5_000])


def make_scribbled(path):
    asyncio.run(make_ours(path))
    data = bytearray(path.read_bytes())
    data[4_096:4_200] = b"\xaa" * 104
    path.write_bytes(data)


async def make_ours(path):
    async with CheckpointStore(path) as store:
        for n in range(200):
            await store.save(batch(f"idn_{n}"))


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_text("my precious notes"),
        lambda path: path.write_bytes(b"SQLite format 3\0" + b"x" * 500),
        make_sqlite,
        make_newer,
        make_torn,
        make_scribbled,
        make_triggered,
    ],
    ids=[
        "text",
        "nonsense",
        "other database",
        "newer",
        "torn",
        "scribbled",
        "triggered",
    ],
)
def test_a_file_that_is_not_ours_or_damaged_is_left_as_it_is(path, make):
    make(path)
    before = path.read_bytes()

    async def use():
        for action in ("load", "save"):
            store = CheckpointStore(path)
            with pytest.raises(CheckpointError, match="bot"):
                await (store.load() if action == "load" else store.save(batch()))
            await store.aclose()
        with pytest.raises(CheckpointError, match="bot"):
            async with CheckpointStore(path):
                pass

    asyncio.run(use())
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["bot.db"]


async def test_an_empty_file_becomes_one(path):
    path.touch()
    async with CheckpointStore(path) as store:
        await store.save(batch())
        assert list(await store.load()) == ["idn_1"]


async def test_a_damaged_checkpoint_is_refused(path):
    async with CheckpointStore(path) as store:
        await store.save(batch())
    database = sqlite3.connect(path)
    database.execute("UPDATE checkpoints SET checkpoint = '{}'")
    database.commit()
    database.close()
    async with CheckpointStore(path) as store:
        with pytest.raises(CheckpointError, match="idn_1"):
            await store.load()


async def test_a_path_that_can_not_be_is_refused(tmp_path):
    for wrong in (tmp_path, tmp_path / "no" / "bot.db"):
        with pytest.raises(CheckpointError):
            await CheckpointStore(wrong).load()


async def test_the_loop_goes_on_while_the_disk_is_written(path, monkeypatch):
    async with CheckpointStore(path) as store:
        save, disk_is_free = store._save, threading.Event()  # noqa: SLF001 - a slow disk
        monkeypatch.setattr(store, "_save", lambda b: (disk_is_free.wait(30), save(b)))
        saving = asyncio.create_task(store.save(batch()))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not saving.done()
        disk_is_free.set()
        await saving
        assert set(await store.load()) == {"idn_1"}


async def test_closing_awaits_what_is_being_saved(path):
    store = CheckpointStore(path)
    saving = asyncio.create_task(store.save(batch(count=3)))
    await asyncio.sleep(0)
    await store.aclose()
    await saving
    async with CheckpointStore(path) as again:
        assert (await again.load())["idn_1"].count == 3


async def test_a_save_that_is_cancelled_is_done_all_the_same(path):
    store = CheckpointStore(path)
    await store.load()
    saving = asyncio.create_task(store.save(batch(count=3)))
    await asyncio.sleep(0)
    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving
    await store.aclose()
    async with CheckpointStore(path) as again:
        assert (await again.load())["idn_1"].count == 3


class Stubborn(sqlite3.Connection):
    """A connection to SQLite that fails where it is told to.

    Attributes:
        fails: ``move`` leaves the journal as it is, ``close`` raises.
        pages: The most pages that a file may have, None for no limit.
    """

    fails = ""
    pages = None

    def execute(self, sql, *parameters):
        if self.pages is not None:
            super().execute(f"PRAGMA max_page_count = {self.pages}").fetchall()
        if self.fails == "move" and "wal_checkpoint" in sql:
            sql = "SELECT 1, 3, 0"  # blocked: none of three pages was moved
        return super().execute(sql, *parameters)

    def close(self):
        super().close()
        if self.fails == "close":
            raise sqlite3.OperationalError("disk I/O error")


@pytest.fixture
def stubborn(monkeypatch):
    """A class of connections of its own, which the stores of the test use."""
    connection = type("Connection", (Stubborn,), {})
    connect = functools.partial(sqlite3.connect, factory=connection)
    monkeypatch.setattr(sqlite3, "connect", connect)
    return connection


async def test_what_stays_in_the_journal_is_not_said_to_be_saved(path, stubborn):
    async with CheckpointStore(path) as store:
        stubborn.fails = "move"
        with pytest.raises(CheckpointError, match=r"bot\.db: the journal could not be"):
            await store.save(batch(count=1))
        stubborn.fails = ""
        await store.save(batch(count=2))
        assert (await store.load())["idn_1"].count == 2


async def test_a_full_disk_is_an_error_and_leaves_what_was_saved(path, stubborn):
    ids = {f"evt_{n}": NOON for n in range(1_000)}
    known = FollowCheckpoint(scope="s", newest=NOON, ids=ids)
    large = Batch(identity_id="idn_2", events=(), checkpoint=known)
    async with CheckpointStore(path) as store:
        await store.save(batch(count=1))
        stubborn.pages = 1  # as few as there are
        with pytest.raises(CheckpointError, match=r"bot\.db: database or disk is full"):
            await store.save(large)
        assert set(await store.load()) == {"idn_1"}
        stubborn.pages = 10_000
        await store.save(large)
    async with CheckpointStore(path) as store:
        loaded = await store.load()
    assert (loaded["idn_1"].count, len(loaded["idn_2"].ids)) == (1, 1_000)


async def test_what_was_saved_stays_where_the_file_fails_to_close(path, stubborn):
    stubborn.fails = "close"
    async with CheckpointStore(path) as store:
        await store.save(batch(count=1))
    stubborn.fails = ""
    async with CheckpointStore(path) as store:
        assert (await store.load())["idn_1"].count == 1
