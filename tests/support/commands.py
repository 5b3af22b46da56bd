"""The command ``follow`` in a process; tests read its output line by line."""

import asyncio
import json
import os
import signal
from contextlib import asynccontextmanager

from support.programs import command

PATIENCE = 30


class Running:
    """A running command, and its output."""

    def __init__(self, process):
        self.process = process

    async def line(self):
        return json.loads(await self.process.stdout.readline())

    async def end(self, number=signal.SIGTERM):
        if self.process.returncode is None:
            self.process.send_signal(number)
        out, err = await self.process.communicate()
        return self.process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def following(server, *arguments):
    env = {k: v for k, v in os.environ.items() if not k.startswith("CANOPY_")}
    env |= {
        "CANOPY_ACCOUNT": server.account,
        "CANOPY_TOKEN": server.token,
        "CANOPY_BASE_URL": server.base_url,
        "COLUMNS": "120",
    }
    async with (
        asyncio.timeout(PATIENCE),
        command("follow", "--every", "0.05", *arguments, env=env) as process,
    ):
        yield Running(process)


def polls(server, identity):
    return sum(r.identity == identity and bool(r.finished) for r in server.requests)


def polled(server, identity, times=1):
    return lambda: polls(server, identity) >= times
