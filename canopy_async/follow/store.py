"""Checkpoints of followers in an SQLite file."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from canopy_async.errors import CheckpointError
from canopy_async.follow.watermark import Batch, FollowCheckpoint

__all__ = ["CheckpointStore"]

T = TypeVar("T")

_APPLICATION: Final = 0x43614E70  # "CaNp", in the header of the file
_VERSION: Final = 1
_BUSY_SECONDS: Final = 1.0
_MAGIC: Final = b"SQLite format 3\0"
_HEADER: Final = 100
_CREATE: Final = """
CREATE TABLE checkpoints (
    identity_id TEXT PRIMARY KEY,
    checkpoint TEXT NOT NULL
) WITHOUT ROWID
"""
_UPSERT: Final = """
INSERT INTO checkpoints VALUES (?, ?)
ON CONFLICT DO UPDATE SET checkpoint = excluded.checkpoint
"""


class CheckpointStore:
    """Keeps the checkpoints of followed identities in a file.

    What was saved is on the disk when `save` returns, and each `save` writes
    one row, however many identities there are. The file is opened by the first
    use, and is this store's alone until `aclose`: two bots on one file would
    post everything twice.

    Args:
        path: The SQLite file; it is made where there is none.

    Example:
        >>> async with CheckpointStore("bot.db") as store:
        ...     async for batch in canopy.follow(ids, checkpoints=store):
        ...         await post(batch.events)
        ...         await store.save(batch)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path: Final = Path(path)
        self._database: sqlite3.Connection | None = None
        self._closed = False
        # One thread, as SQLite waits for the disk and the loop must not.
        self._thread: Final = ThreadPoolExecutor(1, "canopy-checkpoints")

    async def __aenter__(self) -> Self:
        """Open the file.

        Raises:
            CheckpointError: It can't be used; it is left as it was.
        """
        try:
            await self._in_thread(self._open)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        await self.aclose()

    async def load(self) -> dict[str, FollowCheckpoint]:
        """Return the checkpoint of each identity that has one.

        Raises:
            CheckpointError: The file is damaged, not a store of checkpoints, or
                in use by another one. It is left as it was.
        """
        return await self._in_thread(self._load)

    async def save(self, batch: Batch) -> None:
        """Save the checkpoint of a batch; it is on the disk at the return.

        Raises:
            CheckpointError: It could not be saved.
        """
        await self._in_thread(lambda: self._save(batch))

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
        # What was begun is done, whoever is cancelled: what comes after events
        # that were posted must not be dropped on a graceful end.
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
        self._open().execute(_UPSERT, row)

    def _close(self) -> None:
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def _open(self) -> sqlite3.Connection:
        if self._database is not None:
            return self._database
        self._refuse_foreign()
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

    def _refuse_foreign(self) -> None:
        """Raise where the file is another's, before SQLite gets to touch it."""
        try:
            with self._path.open("rb") as file:
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
        """Take the file for this store alone, and see that it is whole."""
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        # Durable at each commit, whichever journal the file system allows.
        database.execute("PRAGMA synchronous = EXTRA")
        database.execute("BEGIN EXCLUSIVE")
        (said,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if said != "ok":
            raise CheckpointError(f"{self._path}: the file is damaged: {said}")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version != _VERSION:
            database.execute(f"PRAGMA application_id = {_APPLICATION}")
            database.execute(f"PRAGMA user_version = {_VERSION}")
            database.execute(_CREATE)
        database.execute("COMMIT")
        # One write to the disk for each commit, instead of three.
        database.execute("PRAGMA journal_mode = WAL")
