"""A bot to be killed: it writes down what it posts, and keeps its place.

``with`` keeps events and checkpoint in one transaction of its own database; ``after``
posts, and then saves the checkpoint in a `CheckpointStore`.
"""

import asyncio
import os
import sqlite3
import sys
from pathlib import Path

from canopy_async import CanopySession, CheckpointStore


async def save_with(follow, canopy, directory):
    """Keep each batch and its checkpoint together, or neither."""
    database = sqlite3.connect(directory / "own.db", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("CREATE TABLE IF NOT EXISTS posted (id TEXT)")
    database.execute("CREATE TABLE IF NOT EXISTS place (text TEXT)")
    row = database.execute("SELECT text FROM place").fetchone()
    async for batch in follow(canopy, checkpoint=row and row[0]):
        database.execute("BEGIN")
        rows = [(event.id,) for event in batch.events]
        database.executemany("INSERT INTO posted VALUES (?)", rows)
        database.execute("DELETE FROM place")
        database.execute("INSERT INTO place VALUES (?)", (batch.checkpoint.dumps(),))
        database.execute("COMMIT")


async def save_after(follow, canopy, directory):
    """Post, then save."""
    with (directory / "posted.txt").open("a") as posted:
        async with CheckpointStore(directory / "bot.db") as store:
            async for batch in follow(canopy, checkpoints=store):
                for event in batch.events:
                    posted.write(f"{event.id}\n")
                    posted.flush()
                await store.save(batch)


def posted_ids(directory):
    """What was posted so far, in order, repeats included."""
    own = directory / "own.db"
    if own.exists():
        database = sqlite3.connect(own)
        try:
            return [row[0] for row in database.execute("SELECT id FROM posted")]
        finally:
            database.close()
    text = directory / "posted.txt"
    return text.read_text().splitlines() if text.exists() else []


def run(follow):
    """Follow until killed, as the arguments of the command line say.

    Args:
        follow: Returns a follower, given a session and where its checkpoint is.
    """
    base_url, account, how, directory = sys.argv[1:]
    asyncio.run(_follow(follow, base_url, account, how, Path(directory)))


async def _follow(follow, base_url, account, how, directory):
    token = os.environ["CANOPY_TOKEN"]
    async with CanopySession(account, token, base_url=base_url) as canopy:
        save = save_with if how == "with" else save_after
        await save(follow, canopy, directory)
