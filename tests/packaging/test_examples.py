"""The examples, run against a local Canopy; the other network is replaced."""

import asyncio
import json
import sys
import warnings
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from support.leaks import assert_quiet
from support.waiting import until

from canopy_async import CheckpointStore
from canopy_async.testing import Faults

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.skipif(not EXAMPLES.exists(), reason="run without them")

ALARMING = {"severity": "critical", "outcome": "success"}
DENIED = {"severity": "info", "outcome": "denied"}
HARMLESS = {"severity": "info", "outcome": "success"}


def load(name, needs):
    """Import an example, where what it needs is installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what others' modules warn of
        pytest.importorskip(needs)
        spec = spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
        module = module_from_spec(spec)
        sys.modules[spec.name] = module  # FastAPI resolves annotations there
        spec.loader.exec_module(module)
    return module


@pytest.fixture
def environment(server, monkeypatch, tmp_path):
    monkeypatch.setenv("CANOPY_ACCOUNT", server.account)
    monkeypatch.setenv("CANOPY_TOKEN", server.token)
    monkeypatch.setenv("CANOPY_BASE_URL", server.base_url)
    monkeypatch.chdir(tmp_path)


async def run_bot(bot, monkeypatch, server, posted):
    """Run a bot before and after a restart; events come in both lives and between."""
    saved = []

    class Store(CheckpointStore):
        async def save(self, batch):
            await super().save(batch)
            saved.append(batch)

    monkeypatch.setattr(bot, "CheckpointStore", Store)
    server.seed_events("idn_1", 5)
    running = asyncio.create_task(bot.main(["idn_1"]))
    await until(lambda: len(saved) == 1 or running.done())
    await end(running)
    server.add_event("idn_1", action="one <!here> *x*", **ALARMING)
    server.add_event("idn_1", action="none", **HARMLESS)
    server.add_event("idn_1", action="two", **DENIED)
    running = asyncio.create_task(bot.main(["idn_1"]))
    await until(lambda: len(saved) == 2 or running.done())
    assert len(posted) == 2
    await end(running)
    server.add_event("idn_1", action="three", **ALARMING)
    running = asyncio.create_task(bot.main(["idn_1"]))
    await until(lambda: len(saved) == 3 or running.done())
    assert len(posted) == 3
    await end(running)
    await assert_quiet(server)


async def end(task):
    if task.done():
        task.result()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.usefixtures("environment")
@pytest.mark.filterwarnings("ignore:'count' is passed as positional:DeprecationWarning")
async def test_the_discord_bot_posts_what_is_alarming_once(server, monkeypatch):
    bot = load("discord_bot", "discord")
    monkeypatch.setenv("DISCORD_TOKEN", "secret")
    monkeypatch.setenv("DISCORD_CHANNEL", "42")
    posted = []
    user = {"id": "1", "username": "bot", "discriminator": "0", "avatar": None}

    async def request(_client, route, **options):
        await asyncio.sleep(0)
        if route.path == "/channels/{channel_id}/messages":
            embed = options["json"]["embeds"][0]
            posted.append(embed)
            return message(user, embed)
        if route.path == "/users/@me":
            return user
        return {"id": "1", "name": "bot", "icon": None, "description": ""} | {
            "bot_public": False,
            "bot_require_code_grant": False,
            "owner": user,
            "team": None,
            "verify_key": "",
            "summary": "",
        }

    monkeypatch.setattr(bot.discord.http.HTTPClient, "request", request)
    await run_bot(bot, monkeypatch, server, posted)
    assert [embed["title"] for embed in posted] == [
        "one <!here> \\*x\\*",
        "two",
        "three",
    ]
    assert posted[1]["fields"][2] == {
        "inline": True,
        "name": "Outcome",
        "value": "denied",
    }


def message(user, embed):
    return {
        "id": "7",
        "channel_id": "42",
        "author": user,
        "content": "",
        "timestamp": "2026-01-01T00:00:00+00:00",
        "edited_timestamp": None,
        "tts": False,
        "mention_everyone": False,
        "mentions": [],
        "mention_roles": [],
        "attachments": [],
        "embeds": [embed],
        "pinned": False,
        "type": 0,
    }


@pytest.mark.usefixtures("environment")
async def test_the_slack_bot_posts_what_is_alarming_once(server, monkeypatch):
    bot = load("slack_bot", "slack_sdk")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "secret")
    monkeypatch.setenv("SLACK_CHANNEL", "C42")
    posted = []

    async def send(_client, *, http_verb, api_url, req_args):
        await asyncio.sleep(0)
        assert (http_verb, api_url) == (
            "POST",
            "https://slack.com/api/chat.postMessage",
        )
        posted.append(req_args["json"])
        return {"data": {"ok": True}, "headers": {}, "status_code": 200}

    monkeypatch.setattr(bot.AsyncWebClient, "_send", send_as_response(send))
    await run_bot(bot, monkeypatch, server, posted)
    assert [said["channel"] for said in posted] == ["C42"] * 3
    assert "one &lt;!here&gt; *x*" in posted[0]["text"]
    assert "two" in posted[1]["text"]


def send_as_response(send):
    from slack_sdk.web.async_slack_response import (  # noqa: PLC0415 - may be missing
        AsyncSlackResponse,
    )

    async def wrapped(client, http_verb, api_url, req_args):
        made = await send(
            client, http_verb=http_verb, api_url=api_url, req_args=req_args
        )
        return AsyncSlackResponse(
            client=client,
            http_verb=http_verb,
            api_url=api_url,
            req_args=req_args,
            **made,
        )

    return wrapped


@pytest.fixture
async def web(server, environment):  # noqa: ARG001 - set before it starts
    httpx = pytest.importorskip("httpx")
    module = load("fastapi_app", "fastapi")
    app = module.app
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://test"
        ) as client,
    ):
        yield client
    await assert_quiet(server)


async def test_the_web_application_pages_over_the_last_events(server, web):
    server.seed_events("idn_1", 50)
    first = (await web.get("/identities/idn_1/events?take=30")).json()
    second = (await web.get("/identities/idn_1/events?take=30&page=2")).json()
    assert (first["page"], first["pages"], first["total"]) == (1, 2, 50)
    seen = [event["id"] for event in first["items"] + second["items"]]
    assert seen == server.event_ids("idn_1", order="desc")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/identities/nobody/events", 404),
        ("/identities/nobody/events?take=101", 422),
        ("/identities/a%01b/events", 422),
    ],
)
async def test_the_web_application_maps_errors(web, path, status):
    assert (await web.get(path)).status_code == status


async def test_the_web_application_says_that_canopy_failed(server, web):
    server.seed_events("idn_1", 1)
    server.revoke_token(server.token)
    answer = await web.get("/identities/idn_1/events")
    assert (answer.status_code, answer.json()) == (
        502,
        {"detail": "Canopy: UnauthorizedError"},
    )


async def test_a_client_that_disconnects_cancels_its_read(server, web):
    server.seed_events("idn_1", 1)
    server.faults = Faults(latency=60)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/identities/idn_1/events",
        "raw_path": b"/identities/idn_1/events",
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "server": ("test", 80),
        "client": ("test", 1),
    }
    sent = []

    async def receive():
        await until(lambda: server.in_flight)
        return {"type": "http.disconnect"}

    async def send(part):
        sent.append(part)

    async with asyncio.timeout(10):
        await web._transport.app(scope, receive, send)  # noqa: SLF001 - no public way
    await until(lambda: server.in_flight == 0)
    assert json.loads(b"".join(part.get("body", b"") for part in sent)) == {
        "detail": "the client is gone"
    }
