"""A bot to be killed: follows one identity, writes down what it posts.

    python follow_victim.py BASE_URL ACCOUNT with|after DIRECTORY

The token is in ``CANOPY_TOKEN``. ``with`` keeps events and checkpoint in one
transaction of its own database; ``after`` posts, and then saves the checkpoint
in a `CheckpointStore`.
"""

import asyncio
import os
import sqlite3
import sys
from pathlib import Path

from canopy_async import CanopySession, CheckpointStore

SOURCE = "idn_1"
OVERLAP = 5.0
OPTIONS = {
    "start": "beginning",
    "every": 0.02,
    "idle_every": 0.05,
    "overlap": OVERLAP,
    "deep_overlap": 120.0,
    "deep_every": 0.2,
}


async def save_with(canopy, directory):
    """Keep each batch and its checkpoint together, or neither."""
    database = sqlite3.connect(directory / "own.db", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("CREATE TABLE IF NOT EXISTS posted (id TEXT)")
    database.execute("CREATE TABLE IF NOT EXISTS place (text TEXT)")
    row = database.execute("SELECT text FROM place").fetchone()
    text = row and row[0]
    async for batch in canopy.follow(SOURCE, checkpoint=text, **OPTIONS):
        database.execute("BEGIN")
        rows = [(event.id,) for event in batch.events]
        database.executemany("INSERT INTO posted VALUES (?)", rows)
        database.execute("DELETE FROM place")
        database.execute("INSERT INTO place VALUES (?)", (batch.checkpoint.dumps(),))
        database.execute("COMMIT")


async def save_after(canopy, directory):
    """Post, then save."""
    with (directory / "posted.txt").open("a") as posted:
        async with CheckpointStore(directory / "bot.db") as store:
            async for batch in canopy.follow(SOURCE, checkpoints=store, **OPTIONS):
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


async def main(base_url, account, how, directory):
    """Follow until killed."""
    token = os.environ["CANOPY_TOKEN"]
    async with CanopySession(account, token, base_url=base_url) as canopy:
        work = save_with if how == "with" else save_after
        await work(canopy, Path(directory))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
