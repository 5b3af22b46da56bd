"""Post critical and denied events to a Discord channel, each once.

    pip install discord.py  # and this library, as its README says
    CANOPY_ACCOUNT=acme CANOPY_TOKEN=… DISCORD_TOKEN=… DISCORD_CHANNEL=123 \
        python discord_bot.py idn_1 idn_2

The checkpoints are in ``discord_bot.db``: started again, it goes on where it was.
"""

import asyncio
import os
import sys
from contextlib import suppress
from datetime import datetime

import discord

from canopy_async import AuditEvent, CanopySession, CheckpointStore

COLOURS = {"critical": discord.Colour.red(), "warning": discord.Colour.orange()}
FIRST_YEAR, LAST_YEAR = 1971, 9998


def is_alarming(event: AuditEvent) -> bool:
    """Tell whether people should hear of an event."""
    return event.severity == "critical" or event.outcome == "denied"


def shown(text: str, most: int) -> str:
    """Return text as Discord takes it: no markdown, no mention, and never blank."""
    words = " ".join(text.split())[: most // 2]  # escaping at most doubles it
    return discord.utils.escape_markdown(words) or "(blank)"


def when(event: AuditEvent) -> datetime | None:
    """Return when an event was, None for a time that a chat can't show."""
    year = event.created_at.year
    return event.created_at if FIRST_YEAR <= year <= LAST_YEAR else None


def as_embed(identity_id: str, event: AuditEvent) -> discord.Embed:
    """Return what is shown of an event."""
    embed = discord.Embed(
        title=shown(event.action, 256),
        timestamp=when(event),
        colour=COLOURS.get(event.severity, discord.Colour.greyple()),
    )
    who = event.actor_label or event.actor_id or event.actor_type
    for name, value in (
        ("Who", who),
        ("Whose", identity_id),
        ("Outcome", event.outcome),
        ("Severity", event.severity),
    ):
        embed.add_field(name=name, value=shown(value, 1024))
    return embed


async def post_alarms(
    canopy: CanopySession,
    channel: discord.abc.Messageable,
    identity_ids: list[str],
    path: str = "discord_bot.db",
) -> None:
    """Post what is alarming until cancelled."""
    async with CheckpointStore(path) as store:
        async for batch in canopy.follow(identity_ids, checkpoints=store):
            if batch.gap:
                await channel.send("Events may be missing: the log was cut off.")
            for event in filter(is_alarming, batch.events):
                await channel.send(embed=as_embed(batch.identity_id, event))
            await store.save(batch)


async def main(identity_ids: list[str]) -> None:
    """Log in to both sides. A bot that only posts needs no gateway."""
    async with (
        CanopySession.from_env() as canopy,
        discord.Client(intents=discord.Intents.none()) as client,
    ):
        await client.login(os.environ["DISCORD_TOKEN"])
        channel = client.get_partial_messageable(int(os.environ["DISCORD_CHANNEL"]))
        await post_alarms(canopy, channel, identity_ids)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1:]))
