"""The bot with an outbox loses nothing to SIGKILL, whenever that comes."""

import asyncio
import os
import sqlite3
import sys
from collections import Counter
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from aiohttp import web
from outbox_victim import EXAMPLE, INSTANTS
from support.programs import script
from support.waiting import until

VICTIM = Path(__file__).parent / "outbox_victim.py"

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL"),
    pytest.mark.skipif(not EXAMPLE.exists(), reason="run without the examples"),
]


class Chat:
    """A chat that keeps what it was told, and may end who tells it something."""

    def __init__(self):
        self.heard = []
        self.victim = None
        self.url = ""

    async def _hear(self, request):
        self.heard.append((await request.json())["text"].split()[0])
        if self.victim is not None:
            self.victim.kill()
            await asyncio.sleep(60)  # cancelled when the connection breaks
        return web.Response()

    @asynccontextmanager
    async def open(self):
        app = web.Application()
        app.router.add_post("/", self._hear)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # noqa: SLF001 - no other way
        self.url = f"http://127.0.0.1:{port}/"
        try:
            yield self
        finally:
            await runner.cleanup()


class Bot:
    """The lives of a bot, and what is in its database between them."""

    def __init__(self, directory, environment):
        self._directory = directory
        self._environment = environment

    def life(self, instant="never"):
        env = os.environ | self._environment
        return script(VICTIM, instant, "idn_1", env=env, cwd=self._directory)

    async def die_at(self, instant):
        async with self.life(instant) as process, asyncio.timeout(40):
            _, said = await process.communicate()
        assert process.returncode == -9, said.decode()

    def rows(self, query):
        path = self._directory / "outbox_bot.db"
        if not path.exists():
            return []
        with closing(sqlite3.connect(path)) as database:
            try:
                return database.execute(query).fetchall()
            except sqlite3.OperationalError:  # no table yet
                return []

    @property
    def kept(self):
        return [
            said.split()[0]
            for (said,) in self.rows("SELECT said FROM outbox ORDER BY number")
        ]

    @property
    def checkpoint(self):
        return self.rows("SELECT text FROM checkpoint")

    @property
    def unsent(self):
        return self.rows("SELECT event FROM outbox WHERE NOT sent")


async def test_each_event_is_kept_once_and_said_at_least_once_however_it_is_killed(
    server, tmp_path
):
    made = []

    def happen(name):
        made.append(name)
        server.add_event("idn_1", action=name, severity="critical")

    server.seed_events("idn_1", 3)
    async with Chat().open() as chat:
        bot = Bot(
            tmp_path,
            {
                "CANOPY_ACCOUNT": server.account,
                "CANOPY_TOKEN": server.token,
                "CANOPY_BASE_URL": server.base_url,
                "CHAT_WEBHOOK": chat.url,
            },
        )
        async with bot.life() as process:
            await until(lambda: bot.checkpoint or process.returncode is not None)
        for instant in INSTANTS:
            before, checkpoint = bot.kept, bot.checkpoint
            happen(f"{instant.replace(' ', '-')}-1")
            happen(f"{instant.replace(' ', '-')}-2")
            await bot.die_at(instant)
            if instant in {"events written", "checkpoint written"}:
                # In the middle of the transaction: none of it came about.
                assert (bot.kept, bot.checkpoint) == (before, checkpoint)
            if instant == "batch committed":
                assert bot.kept == made
                assert bot.checkpoint != checkpoint
            assert bot.kept == made[: len(bot.kept)]
        happen("heard-and-not-answered")
        async with bot.life() as process, asyncio.timeout(40):
            chat.victim = process
            await process.wait()
            chat.victim = None
        happen("last")
        async with bot.life() as process:
            await until(lambda: "last" in chat.heard or process.returncode is not None)
            await until(lambda: not bot.unsent or process.returncode is not None)
    assert bot.kept == made
    assert list(dict.fromkeys(chat.heard)) == made
    # Said twice is what was heard in a life that ended before it had marked that.
    again = {said: n for said, n in Counter(chat.heard).items() if n > 1}
    assert 1 <= sum(again.values()) - len(again) <= 3
