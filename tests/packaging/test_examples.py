"""The examples, run against a local Canopy; the other network is replaced."""

import ast
import asyncio
import json
import sys
import warnings
from datetime import UTC, datetime
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from support.leaks import assert_quiet
from support.waiting import until

from canopy_async import CheckpointStore
from canopy_async.testing import Faults, make_event

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
    from slack_sdk.web.async_slack_response import (  # may be missing
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


async def test_the_web_application_pages_by_a_cursor_while_events_come(server, web):
    server.seed_events("idn_1", 50)
    known = server.event_ids("idn_1", order="desc")
    seen, cursor = [], {}
    while True:
        query = {"take": 20} | cursor
        page = (await web.get("/identities/idn_1/events", params=query)).json()
        seen += [event["id"] for event in page["items"]]
        if page["cursor"] is None:
            break
        cursor = {"cursor": page["cursor"]}
        server.add_event("idn_1")
    assert seen == known


@pytest.mark.parametrize("cursor", ["x", "", "eyJ2IjoxfQ"])
async def test_a_cursor_that_is_none_is_a_bad_request(server, web, cursor):
    server.seed_events("idn_1", 1)
    answer = await web.get("/identities/idn_1/events", params={"cursor": cursor})
    assert answer.status_code == 400


async def test_a_cursor_of_another_identity_is_a_bad_request(server, web):
    server.seed_events("idn_1", 3)
    server.seed_events("idn_2", 3)
    page = (await web.get("/identities/idn_1/events?take=1")).json()
    answer = await web.get(
        "/identities/idn_2/events", params={"cursor": page["cursor"]}
    )
    assert answer.status_code == 400


async def test_a_visitor_waits_for_a_bounded_time(server, web, monkeypatch):
    monkeypatch.setattr(sys.modules["example_fastapi_app"], "LONGEST_WAIT", 0.05)
    server.seed_events("idn_1", 1)
    server.faults = Faults(latency=60)
    assert (await web.get("/identities/idn_1/events")).status_code == 504


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


def odd_event(**fields):
    return make_event(**{"severity": "critical"} | fields)


@pytest.mark.parametrize("blank", ["", "  ", "\n\t"])
def test_no_field_that_goes_to_discord_is_blank(blank):
    bot = load("discord_bot", "discord")
    event = odd_event(
        action=blank, actor_label=blank, actor_id=None, actor_type=blank, outcome=blank
    )
    embed = bot.as_embed("idn_1", event)
    assert embed.title.strip()
    assert all(field.value.strip() for field in embed.fields)


def test_long_texts_fit_into_what_discord_takes():
    bot = load("discord_bot", "discord")
    embed = bot.as_embed("idn_1", odd_event(action="*" * 500, actor_label="_" * 3000))
    assert len(embed.title) <= 256
    assert all(len(field.value) <= 1024 for field in embed.fields)


@pytest.mark.parametrize("year", [1, 9999])
def test_an_impossible_date_is_left_out(year):
    bot = load("discord_bot", "discord")
    event = odd_event(created_at=datetime(year, 1, 1, tzinfo=UTC))
    assert bot.as_embed("idn_1", event).to_dict().get("timestamp") is None


def test_a_message_to_slack_is_one_line_without_links():
    bot = load("slack_bot", "slack_sdk")
    text = bot.as_text("idn_1", odd_event(action="a\n> b <https://x.example|y>"))
    assert "\n" not in text
    assert "<" not in text


@pytest.mark.usefixtures("environment")
async def test_the_outbox_goes_on_while_the_chat_is_down(server, tmp_path):
    bot = load("outbox_bot", "aiohttp")
    server.seed_events("idn_1", 3)
    server.add_event("idn_1", action="zero", **ALARMING)
    posted, is_down = [], True

    async def post(said):
        await asyncio.sleep(0)
        if is_down:
            raise TimeoutError
        posted.append(said.split()[0])

    async def live(until_true):
        outbox = bot.Outbox(str(tmp_path / "outbox.db"))
        async with bot.CanopySession.from_env() as canopy:
            tasks = [
                asyncio.create_task(bot.read(canopy, outbox, ["idn_1"])),
                asyncio.create_task(bot.post_all(outbox, post, wait=0.001)),
            ]
            await until(lambda: until_true(outbox) or any(t.done() for t in tasks))
            for task in tasks:
                await end(task)
        outbox.close()

    await live(lambda outbox: outbox.checkpoints())
    server.add_event("idn_1", action="one", **ALARMING)
    server.add_event("idn_1", action="none", **HARMLESS)
    server.add_event("idn_1", action="two", **DENIED)
    await live(lambda outbox: outbox.next() is not None)
    assert posted == []
    is_down = False
    await live(lambda _: len(posted) == 2)
    await live(lambda outbox: outbox.next() is None)
    assert posted == ["one", "two"]


@pytest.mark.usefixtures("environment")
async def test_the_nightly_job_exports_verifies_and_reports(server, tmp_path, capsys):
    pytest.importorskip("pyarrow")
    pytest.importorskip("jinja2")
    job = load("nightly_job", "canopy_async")
    for identity in server.seed_identities(2):
        server.seed_events(identity, 5)
    assert await job.main(tmp_path) == 0
    assert "10 new events of 2 identities" in capsys.readouterr().out
    assert (tmp_path / "report.html").stat().st_size > 500_000
    assert await job.main(tmp_path) == 0


@pytest.mark.usefixtures("environment")
async def test_the_notebook_runs(server):
    for package in ("pyarrow", "polars", "altair"):
        pytest.importorskip(package)
    for identity in server.seed_identities(1):
        server.seed_events(identity, 20)
    notebook = json.loads((EXAMPLES / "audit_notebook.ipynb").read_text("utf-8"))
    names = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        source = "".join(cell["source"])
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(source, "cell", "exec", flags=flags, dont_inherit=True)
        running = eval(code, names)  # noqa: S307 - our own code
        if running is not None:
            await running
    assert names["days"]["len"].sum() == names["table"].num_rows == 20
