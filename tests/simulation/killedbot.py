"""A bot in a process of its own, killed again and again while its log moves."""

import asyncio
import os
from collections import Counter
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import attrs
from saving_bot import posted_ids
from support.programs import script

CRASH = Path(__file__).parents[1] / "crash"
PATIENCE = 30


@attrs.frozen
class KilledBot:
    """A bot that is killed.

    Attributes:
        victim: The name of its program in ``tests/crash``.
        server: What it follows.
        directory: Where it keeps its files.
        how: ``with`` or ``after``: when it saves its checkpoint.
    """

    victim: str
    server: object
    directory: Path
    how: str

    async def live_and_die(self, writer, rng, *, kills, longest):
        """Let it live so many times, each time killed, while a writer writes.

        Args:
            writer: Has ``write``, which adds some events.
            rng: Decides on the instants.
            kills: How often it is killed.
            longest: Seconds of one life at most, from its first request.
        """
        writing = asyncio.create_task(write_on(writer, rng))
        try:
            for _ in range(kills):
                await self._live(rng.uniform(0, longest))
        finally:
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing

    async def finish(self, made):
        """Run it until nothing is missing, or nothing more comes; return its posts."""
        async with self._running():
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    while made - self._posted.keys():  # noqa: ASYNC110 - as below
                        await asyncio.sleep(0.05)
                    await asyncio.sleep(0.3)
        return self._posted

    @property
    def _posted(self):
        return Counter(posted_ids(self.directory))

    async def _live(self, seconds):
        """Run it; kill it so long after its first request."""
        before = len(self.server.requests)
        async with self._running():
            async with asyncio.timeout(PATIENCE):
                while len(self.server.requests) == before:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.001)
            await asyncio.sleep(seconds)

    @asynccontextmanager
    async def _running(self):
        """Run it during the block, at whose end it is killed."""
        server = self.server
        env = os.environ | {"CANOPY_TOKEN": server.token}
        arguments = (server.base_url, server.account, self.how, self.directory)
        program = CRASH / self.victim
        async with script(program, *arguments, env=env, stdout=1, stderr=2) as process:
            yield
            assert process.returncode is None, "the follower ended by itself"


async def write_on(writer, rng):
    while True:
        writer.write()
        await asyncio.sleep(rng.uniform(0, 0.02))
