"""Checkpoints of followers in an SQLite file."""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, Self, TypeVar

from canopy_async._follow.follow_checkpoint import Batch, FollowCheckpoint
from canopy_async._util.arguments import check_integer
from canopy_async._util.closeable import Closeable
from canopy_async._util.plain_files import PRIVATE, create, open_plain
from canopy_async._util.public import publish
from canopy_async.errors import CheckpointError

__all__ = ["CheckpointStore"]

T = TypeVar("T")

_APPLICATION: Final = 0x43614E70  # "CaNp", in the header of the file
_VERSION: Final = 1
_BUSY_SECONDS: Final = 1.0
_MAGIC: Final = b"SQLite format 3\0"
_HEADER: Final = 100
_CREATE: Final = (
    """
CREATE TABLE IF NOT EXISTS checkpoints (
    identity_id TEXT PRIMARY KEY,
    checkpoint TEXT NOT NULL
) WITHOUT ROWID
""",
    # The identities of the first run that have no checkpoint yet.
    "CREATE TABLE IF NOT EXISTS first_run (identity_id TEXT PRIMARY KEY) WITHOUT ROWID",
    # The number of checkpoints. A file that was copied while SQLite wrote to it may
    # have lost some checkpoints; only this number shows that.
    """
CREATE TABLE IF NOT EXISTS state (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    saved INTEGER NOT NULL,
    first_run_listed INTEGER NOT NULL
)
""",
    """
CREATE TRIGGER IF NOT EXISTS saved AFTER INSERT ON checkpoints BEGIN
    UPDATE state SET saved = saved + 1;
    DELETE FROM first_run WHERE identity_id = NEW.identity_id;
END
""",
    """
CREATE TRIGGER IF NOT EXISTS removed AFTER DELETE ON checkpoints BEGIN
    UPDATE state SET saved = saved - 1;
END
""",
    # An older store has no such table: its first run is over if it has checkpoints.
    """
INSERT OR IGNORE INTO state
SELECT 1, count(*), count(*) > 0 FROM checkpoints
""",
)
_LISTED: Final = "SELECT first_run_listed FROM state"
_ADD_TO_FIRST_RUN: Final = """
INSERT OR IGNORE INTO first_run
SELECT :id WHERE NOT EXISTS (SELECT 1 FROM checkpoints WHERE identity_id = :id)
"""
_MOVE: Final = "PRAGMA wal_checkpoint(FULL)"
_UPSERT: Final = """
INSERT INTO checkpoints VALUES (?, ?)
ON CONFLICT DO UPDATE SET checkpoint = excluded.checkpoint
"""


class CheckpointStore(Closeable):
    """Keeps the checkpoints of followed identities in a file.

    When `save` returns, the checkpoint is on the disk: in this file, and not only in
    the journal beside the file. So the file alone is enough after a kill. Each `save`
    writes one row, however many identities there are. The first use opens the file, and
    no other store can use it until `aclose`: two bots on one file would post everything
    twice.

    The store also remembers which identities were there on the first run. An identity
    that appears later begins with its first event.

    Args:
        path: The SQLite file; it is created if it does not exist.
        umask: The permissions that a new file does not get. By default, nobody but you
            may read it. A file that exists keeps its permissions.

    Raises:
        TypeError: ``umask`` is not an int.
        ValueError: ``umask`` is less than 0 or more than 0o777.

    Example:
        >>> async with CheckpointStore("bot.db") as store:
        ...     async for batch in canopy.follow(ids, checkpoints=store):
        ...         await post(batch.events)
        ...         await store.save(batch)
    """

    def __init__(self, path: str | os.PathLike[str], *, umask: int = PRIVATE) -> None:
        self._path: Final = Path(path)
        self._umask: Final = check_integer("umask", umask, minimum=0, maximum=0o777)
        self._database: sqlite3.Connection | None = None
        self._closed = False
        # One thread, as SQLite waits for the disk and the loop must not.
        self._thread: Final = ThreadPoolExecutor(1, "canopy-checkpoints")

    async def __aenter__(self) -> Self:
        """Open the file.

        Raises:
            CheckpointError: The file can't be used; it is left as it was.
        """
        try:
            await self._in_thread(self._open)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def load(self) -> dict[str, FollowCheckpoint]:
        """Return the checkpoint of each identity that has one.

        Raises:
            CheckpointError: The file is damaged, is not a store of checkpoints, or is
                in use by another store. The file is left as it was.
        """
        return await self._in_thread(self._load)

    async def save(self, batch: Batch) -> None:
        """Save the checkpoint of a batch; it is on the disk when this returns.

        Raises:
            CheckpointError: The checkpoint could not be saved.
        """
        await self._in_thread(lambda: self._save(batch))

    async def load_first_run(self) -> frozenset[str] | None:
        """Return the identities of the first run that have no checkpoint.

        Returns:
            The ids, None while the first run goes on and has not listed all identities.

        Raises:
            CheckpointError: The file can't be used.
        """
        return await self._in_thread(self._load_first_run)

    async def save_first_run(self, identity_ids: Iterable[str]) -> None:
        """Save that these identities were there on the first run, and no others.

        Args:
            identity_ids: The ids; those that have a checkpoint may be left out.

        Raises:
            CheckpointError: The ids could not be saved.
        """
        await self._in_thread(lambda: self._save_first_run(identity_ids))

    async def aclose(self) -> None:
        """Finish what is being saved, and close the file; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        closing = asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        try:
            await asyncio.shield(closing)
        finally:
            self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise CheckpointError("the store is closed")
        loop = asyncio.get_running_loop()
        # Work that has begun is finished, also if the caller is cancelled: after the
        # events were posted, their checkpoint must not be dropped.
        doing = loop.run_in_executor(self._thread, self._explained, work)
        return await asyncio.shield(doing)

    def _explained(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except (sqlite3.Error, OSError) as error:
            reason = str(error)
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                reason = "another store, or another process, has it open"
            raise CheckpointError(f"{self._path}: {reason}") from None

    def _load(self) -> dict[str, FollowCheckpoint]:
        rows = self._open().execute("SELECT identity_id, checkpoint FROM checkpoints")
        loaded: dict[str, FollowCheckpoint] = {}
        for identity_id, text in rows:
            try:
                loaded[identity_id] = FollowCheckpoint.loads(text)
            except (CheckpointError, TypeError) as error:
                raise CheckpointError(
                    f"{self._path}: of {identity_id!r}: {error}"
                ) from None
        return loaded

    def _save(self, batch: Batch) -> None:
        row = (batch.identity_id, batch.checkpoint.dumps())
        database = self._open()
        database.execute(_UPSERT, row)
        _write_through(database)

    def _load_first_run(self) -> frozenset[str] | None:
        database = self._open()
        (is_listed,) = database.execute(_LISTED).fetchone()
        if not is_listed:
            return None
        rows = database.execute("SELECT identity_id FROM first_run")
        return frozenset(identity_id for (identity_id,) in rows)

    def _save_first_run(self, identity_ids: Iterable[str]) -> None:
        database = self._open()
        database.execute("BEGIN")
        try:
            rows = ({"id": identity_id} for identity_id in identity_ids)
            database.executemany(_ADD_TO_FIRST_RUN, rows)
            database.execute("UPDATE state SET first_run_listed = 1")
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")
        _write_through(database)

    def _close(self) -> None:
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def _open(self) -> sqlite3.Connection:
        if self._database is not None:
            return self._database
        self._refuse_foreign()
        self._make_private()
        database = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None
        )
        try:
            self._prepare(database)
        except BaseException:
            database.close()
            raise
        self._database = database
        return database

    def _make_private(self) -> None:
        """Create the file if it does not exist; its journal gets its permissions.

        Raises:
            OSError: The file can't be created, or its path is a broken link.
        """
        if not self._path.exists():
            os.close(create(self._path, umask=self._umask))

    def _refuse_foreign(self) -> None:
        """Check, before SQLite opens the file, that it is a store of checkpoints.

        Raises:
            CheckpointError: The file is something else, or of an unknown version.
        """
        try:
            with open_plain(self._path) as file:
                header = file.read(_HEADER)
        except FileNotFoundError:
            return
        if not header:
            return
        application = int.from_bytes(header[68:72])
        if header[:16] != _MAGIC or application != _APPLICATION:
            raise CheckpointError(f"{self._path}: not a store of checkpoints")
        version = int.from_bytes(header[60:64])
        if version != _VERSION:
            raise CheckpointError(
                f"{self._path}: a store of version {version} is unknown"
            )

    def _prepare(self, database: sqlite3.Connection) -> None:
        """Lock the file for this store alone, and check that it is not damaged."""
        database.execute("PRAGMA trusted_schema = OFF")
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        # Durable at each commit, whichever journal the file system allows.
        database.execute("PRAGMA synchronous = EXTRA")
        database.execute("BEGIN EXCLUSIVE")
        self._refuse_other_schema(database)
        (said,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if said != "ok":
            raise CheckpointError(f"{self._path}: the file is damaged: {said}")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version != _VERSION:
            database.execute(f"PRAGMA application_id = {_APPLICATION}")
            database.execute(f"PRAGMA user_version = {_VERSION}")
        for statement in _CREATE:
            database.execute(statement)
        self._check_count(database)
        database.execute("COMMIT")
        # A commit that is not finished leaves the file as it was.
        database.execute("PRAGMA journal_mode = WAL").fetchall()

    def _refuse_other_schema(self, database: sqlite3.Connection) -> None:
        """Check that all views and triggers are ours: others may never end.

        Raises:
            CheckpointError: The file has a view or a trigger that is not ours.
        """
        ours = {_normalized(statement) for statement in _CREATE}
        made = database.execute(
            "SELECT sql FROM sqlite_master WHERE type IN ('view', 'trigger')"
        )
        if not {_normalized(sql) for (sql,) in made} <= ours:
            raise CheckpointError(f"{self._path}: not a store of checkpoints")

    def _check_count(self, database: sqlite3.Connection) -> None:
        (saved,) = database.execute("SELECT saved FROM state").fetchone()
        (found,) = database.execute("SELECT count(*) FROM checkpoints").fetchone()
        if found != saved:
            raise CheckpointError(
                f"{self._path}: of {saved} checkpoints, {found} are there: the file was"
                f" copied while it was written. Copy it with {self._path.name}-wal"
            )


def _write_through(database: sqlite3.Connection) -> None:
    """Move what was committed from the journal into the file itself.

    Raises:
        sqlite3.OperationalError: The journal could not be moved.
    """
    # All rows are fetched: a statement with rows left would block the move.
    ((is_blocked, committed, moved),) = database.execute(_MOVE).fetchall()
    if is_blocked or committed != moved:
        raise sqlite3.OperationalError("the journal could not be moved into the file")


def _normalized(statement: str) -> str:
    """Return a CREATE statement as SQLite stores it, with single spaces."""
    return " ".join(statement.replace("IF NOT EXISTS ", "").split())


publish("canopy_async", CheckpointStore)
