"""A bot to be killed: follows a whole account, writes down what it posts.

    python account_victim.py BASE_URL ACCOUNT with|after DIRECTORY

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

OPTIONS = {
    "start": "beginning",
    "every": 0.02,
    "overlap": 5.0,
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
    async for batch in canopy.follow_account(checkpoint=text, **OPTIONS):
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
            async for batch in canopy.follow_account(checkpoints=store, **OPTIONS):
                for event in batch.events:
                    posted.write(f"{event.id}\n")
                    posted.flush()
                await store.save(batch)


async def main(base_url, account, how, directory):
    """Follow until killed."""
    token = os.environ["CANOPY_TOKEN"]
    async with CanopySession(account, token, base_url=base_url) as canopy:
        work = save_with if how == "with" else save_after
        await work(canopy, Path(directory))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
