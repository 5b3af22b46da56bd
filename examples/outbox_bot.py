"""Keep alarming events in a database of your own, and post them to a chat's webhook.

    pip install aiohttp  # and this library, as its README says
    CANOPY_ACCOUNT=acme CANOPY_TOKEN=… CHAT_WEBHOOK=https://… \
        python outbox_bot.py idn_1 idn_2

Each event comes into the database exactly once: it is written in one transaction with
the checkpoint of its batch. It is posted at least once: killed between a post and its
mark, the bot posts that event again. While the chat is down, the bot goes on reading.
"""

import asyncio
import os
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress

import aiohttp

from canopy_async import AuditEvent, Batch, CanopySession

SCHEMA = """
CREATE TABLE IF NOT EXISTS checkpoint (identity TEXT PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
    number INTEGER PRIMARY KEY, identity TEXT NOT NULL, event TEXT NOT NULL,
    said TEXT NOT NULL, sent INTEGER NOT NULL DEFAULT 0, UNIQUE (identity, event)
);
"""
LONGEST_WAIT = 60.0


def is_alarming(event: AuditEvent) -> bool:
    """Tell whether people should hear of an event."""
    return event.severity == "critical" or event.outcome == "denied"


def said_of(identity_id: str, event: AuditEvent) -> str:
    """Return what is posted of an event: no metadata, and one line."""
    who = event.actor_label or event.actor_id or event.actor_type
    return " ".join(f"{event.action} by {who} for {identity_id}".split())


class Outbox:
    """The database of the bot: checkpoints, and events that are to be posted."""

    def __init__(self, path: str) -> None:
        self._database = sqlite3.connect(path)
        self._database.executescript(SCHEMA)
        self.filled = asyncio.Event()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def checkpoints(self) -> dict[str, str]:
        """Return where to go on, by identity."""
        return dict(self._database.execute("SELECT identity, text FROM checkpoint"))

    def keep(self, batch: Batch) -> None:
        """Write the events and the checkpoint of a batch, all or nothing."""
        whose = batch.identity_id
        rows = [
            (whose, event.id, said_of(whose, event))
            for event in batch.events
            if is_alarming(event)
        ]
        with self._database:
            self._database.executemany(
                "INSERT OR IGNORE INTO outbox (identity, event, said) VALUES (?, ?, ?)",
                rows,
            )
            self._database.execute(
                "INSERT OR REPLACE INTO checkpoint VALUES (?, ?)",
                (whose, batch.checkpoint.dumps()),
            )
        self.filled.set()

    def next(self) -> tuple[int, str] | None:
        """Return the oldest event that was not posted, None for none."""
        return self._database.execute(
            "SELECT number, said FROM outbox WHERE NOT sent ORDER BY number LIMIT 1"
        ).fetchone()

    def mark_sent(self, number: int) -> None:
        """Remember that an event was posted."""
        with self._database:
            self._database.execute(
                "UPDATE outbox SET sent = 1 WHERE number = ?", (number,)
            )


async def read(canopy: CanopySession, outbox: Outbox, identity_ids: list[str]) -> None:
    """Write new events into the outbox until cancelled."""
    known = outbox.checkpoints()
    async for batch in canopy.follow(identity_ids, checkpoints=known):
        if batch.gap:
            print("events may be missing: the log was cut off", file=sys.stderr)
        outbox.keep(batch)


async def post_all(
    outbox: Outbox, post: Callable[[str], Awaitable[None]], wait: float = 1.0
) -> None:
    """Post what is in the outbox, in order, until cancelled."""
    failures = 0
    while True:
        outbox.filled.clear()
        found = outbox.next()
        if found is None:
            await outbox.filled.wait()
            continue
        number, said = found
        try:
            await post(said)
        except (aiohttp.ClientError, TimeoutError):  # the chat is down
            await asyncio.sleep(min(wait * 2**failures, LONGEST_WAIT))
            failures = min(failures + 1, 10)
        else:
            failures = 0
            outbox.mark_sent(number)


async def main(identity_ids: list[str], path: str = "outbox_bot.db") -> None:
    """Read and post at once; each goes on while the other one waits."""
    timeout = aiohttp.ClientTimeout(total=10)
    webhook = os.environ["CHAT_WEBHOOK"]
    async with (
        CanopySession.from_env() as canopy,
        aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as http,
    ):

        async def post(said: str) -> None:
            async with http.post(webhook, json={"text": said}):
                pass

        with closing(Outbox(path)) as outbox:
            async with asyncio.TaskGroup() as both:
                both.create_task(read(canopy, outbox, identity_ids))
                both.create_task(post_all(outbox, post))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1:]))
