"""The bot with an outbox, killed by SIGKILL at one instant of its own work.

    python outbox_victim.py INSTANT IDENTITY...

What it needs is in the environment, as for the bot itself; its database is in the
current directory. ``never`` is an instant that does not come.
"""

import asyncio
import os
import signal
import sqlite3
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "outbox_bot.py"
INSTANTS = (
    "events written",
    "checkpoint written",
    "batch committed",
    "answer received",
    "mark written",
    "mark committed",
)


class Connection(sqlite3.Connection):
    """A connection whose process ends at an instant, without notice."""

    instant = "never"
    _last = ""

    def executemany(self, sql, *rest):
        result = super().executemany(sql, *rest)
        self._reach("events written")
        return result

    def execute(self, sql, *rest):
        if sql.startswith("UPDATE outbox"):
            self._reach("answer received")
        result = super().execute(sql, *rest)
        if sql.startswith("INSERT OR REPLACE INTO checkpoint"):
            self._last = "batch"
            self._reach("checkpoint written")
        elif sql.startswith("UPDATE outbox"):
            self._last = "mark"
            self._reach("mark written")
        return result

    def __exit__(self, *error):
        result = super().__exit__(*error)
        self._reach(f"{self._last} committed")
        return result

    def _reach(self, instant):
        if instant == self.instant:
            os.kill(os.getpid(), signal.SIGKILL)


def main(instant, *identity_ids):
    """Run the bot until that instant."""
    spec = spec_from_file_location("outbox_bot", EXAMPLE)
    bot = module_from_spec(spec)
    spec.loader.exec_module(bot)
    Connection.instant = instant
    connect = sqlite3.connect
    sqlite3.connect = lambda path: connect(path, factory=Connection)
    asyncio.run(bot.main(list(identity_ids)))


if __name__ == "__main__":
    main(*sys.argv[1:])
