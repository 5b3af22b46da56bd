"""Post critical and denied events to a Slack channel, each once.

    pip install slack-sdk  # and this library, as its README says
    CANOPY_ACCOUNT=acme CANOPY_TOKEN=… SLACK_BOT_TOKEN=… SLACK_CHANNEL=C123 \
        python slack_bot.py idn_1 idn_2

The checkpoints are in ``slack_bot.db``: started again, it goes on where it was.
"""

import asyncio
import os
import sys
from contextlib import suppress

from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from canopy_async import AuditEvent, CanopySession, CheckpointStore

SIGNS = {"critical": ":rotating_light:", "warning": ":warning:"}
LONGEST = 1_000


def is_alarming(event: AuditEvent) -> bool:
    """Tell whether people should hear of an event."""
    return event.severity == "critical" or event.outcome == "denied"


def escaped(text: str) -> str:
    """Return text that Slack shows as it is: one line, no mentions, no links."""
    text = " ".join(text.split())[:LONGEST]
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def as_text(identity_id: str, event: AuditEvent) -> str:
    """Return what is shown of an event."""
    sign = SIGNS.get(event.severity, ":no_entry:")
    who = event.actor_label or event.actor_id or event.actor_type
    said = f"{event.action} by {who} for {identity_id}: {event.outcome}"
    return f"{sign} {escaped(said)} ({event.created_at:%Y-%m-%d %H:%M:%S %Z})"


async def post_alarms(
    canopy: CanopySession,
    slack: AsyncWebClient,
    channel: str,
    identity_ids: list[str],
    path: str = "slack_bot.db",
) -> None:
    """Post what is alarming until cancelled."""
    async with CheckpointStore(path) as store:
        async for batch in canopy.follow(identity_ids, checkpoints=store):
            if batch.gap:
                text = "Events may be missing: the log was cut off."
                await slack.chat_postMessage(channel=channel, text=text)
            for event in filter(is_alarming, batch.events):
                text = as_text(batch.identity_id, event)
                # Without mrkdwn, a * or a ` in a name is shown, and starts no layout.
                await slack.chat_postMessage(channel=channel, text=text, mrkdwn=False)
            await store.save(batch)


async def main(identity_ids: list[str]) -> None:
    """Log in to both sides, and post."""
    slack = AsyncWebClient(token=os.environ["SLACK_BOT_TOKEN"])
    slack.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=3))
    async with CanopySession.from_env() as canopy:
        await post_alarms(canopy, slack, os.environ["SLACK_CHANNEL"], identity_ids)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1:]))
