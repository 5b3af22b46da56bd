"""The data of `LocalCanopy`: seeded, added and deleted rows, and files of them."""

import json
import re
import time
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone

import aiohttp
import pytest

from canopy_async.testing import LocalCanopy

AUDIT = "/portal/v1/accounts/acme/identities/idn_1/audit"
ALWAYS_PRESENT = {
    "id",
    "actor_type",
    "action",
    "metadata",
    "created_at",
    "outcome",
    "severity",
    "customer_visible",
    "identity_visible",
}
NULLABLE = {
    "application_id",
    "environment_id",
    "actor_id",
    "resource_type",
    "resource_id",
    "actor_label",
    "resource_label",
    "correlation_id",
    "category",
}


@pytest.fixture
async def server():
    async with LocalCanopy() as running:
        yield running


async def served(server, **query):
    headers = {"Authorization": f"Bearer {server.token}"}
    async with (
        aiohttp.ClientSession(server.base_url, headers=headers) as http,
        http.get(AUDIT, params={"take": 100, **query}) as response,
    ):
        return (await response.json())["items"]


def test_seeded_events_have_the_fields_of_the_reference(server_data):
    rows = server_data.events("idn_1")
    assert len(rows) == server_data.count("idn_1") == 2000
    for row in rows:
        assert row.keys() >= ALWAYS_PRESENT
        assert row.keys() <= ALWAYS_PRESENT | NULLABLE | {"account_id"}
        assert isinstance(row["metadata"], dict)
        assert isinstance(row["customer_visible"], bool)
        assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", row["action"])
        assert re.fullmatch(
            r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", row["created_at"]
        )
    for name in NULLABLE:
        missing = sum(name not in row for row in rows)
        null = sum(row.get(name, "") is None for row in rows)
        assert missing > 50
        assert null > 50
        assert missing + null < 1000
    assert len({row["id"] for row in rows}) == 2000


def test_seeded_events_look_alive(server_data):
    rows = server_data.events("idn_1")
    outcomes = Counter(row["outcome"] for row in rows)
    severities = Counter(row["severity"] for row in rows)
    assert outcomes["success"] > outcomes["failure"] > outcomes["denied"] > 0
    assert severities["info"] > severities["notice"] > severities["critical"] > 0
    assert len({row["action"] for row in rows}) > 15
    assert {"user", "identity", "api_key", "platform"} < {r["actor_type"] for r in rows}
    assert any(isinstance(row["metadata"].get("geo"), dict) for row in rows)
    assert any(row["metadata"] == {} for row in rows)


def test_seeded_events_tie_as_often_as_asked(server_data):
    def ties(identity):
        stamps = [row["created_at"] for row in server_data.events(identity)]
        assert stamps == sorted(stamps)
        return len(stamps) - len(set(stamps))

    server_data.seed_events("none", 500, tie_probability=0)
    server_data.seed_events("all", 500, tie_probability=1)
    server_data.seed_events("half", 500, tie_probability=0.5)
    assert ties("none") == 0
    assert ties("all") == 499
    assert 180 < ties("half") < 320


@pytest.fixture
def server_data():
    data = LocalCanopy()
    data.seed_events("idn_1", 2000)
    yield data
    data.close_store()


def test_equal_seeds_make_equal_events_whatever_else_was_seeded():
    one, two, other = LocalCanopy(seed=7), LocalCanopy(seed=7), LocalCanopy(seed=8)
    two.seed_events("before", 10)
    for server in (one, two, other):
        server.seed_events("idn_1", 40)
        server.seed_events("idn_1", 10)
    assert one.events("idn_1") == two.events("idn_1")
    assert one.event_ids("idn_1") != other.event_ids("idn_1")
    for server in (one, two, other):
        server.close_store()


def test_seeding_starts_where_it_is_told_and_goes_on_after_the_newest(server_data):
    start = datetime(2025, 3, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert server_data.seed_events("idn_2", 10, start=start, spacing=1) == 10
    newest = server_data.events("idn_2")[-1]["created_at"]
    assert server_data.events("idn_2")[0]["created_at"] == "2025-03-01T10:00:00.000Z"
    assert server_data.seed_events("idn_2", 10, spacing=1) == 20
    assert server_data.events("idn_2")[10]["created_at"] > newest


def test_seeding_is_fast(server_data):
    started = time.process_time()
    server_data.seed_events("idn_2", 10_000)
    assert time.process_time() - started < 5


async def test_an_added_event_is_served_as_given(server):
    row = server.add_event(
        "idn_1",
        action="role.created",
        outcome="partial",
        actor_id=None,
        category=...,
        metadata={"deep": [{"er": None}]},
        brand_new={"x": 1.5},
    )
    assert await served(server) == [row]
    assert row["outcome"] == "partial"
    assert row["actor_id"] is None
    assert "category" not in row
    assert row["metadata"] == {"deep": [{"er": None}]}
    assert row["brand_new"] == {"x": 1.5}
    assert row.keys() >= ALWAYS_PRESENT


@pytest.mark.parametrize("value", [None, 5, "yesterday", ...])
async def test_a_bad_created_at_is_served_too(server, value):
    server.add_event("idn_1", id="good")
    server.add_event("idn_1", id="bad", created_at=value)
    rows = await served(server, order="asc")
    assert [row["id"] for row in rows] == ["good", "bad"]
    assert rows[1].get("created_at", ...) == value


async def test_text_of_any_kind_survives(server):
    label = 'quote " back \\ nul \x00 lone \ud800 emoji 😀'
    row = server.add_event("idn_1", metadata={"label": label})
    (found,) = await served(server)
    assert found == row


async def test_new_events_are_the_newest():
    now = datetime(2026, 2, 1, tzinfo=UTC)
    async with LocalCanopy(clock=lambda: now) as server:
        first = server.add_event("idn_1")
        second = server.add_event("idn_1")
        server.seed_events("idn_1", 50, start="2027-01-01T00:00:00Z")
        last = server.add_event("idn_1")
        assert first["created_at"] == "2026-02-01T00:00:00.000Z"
        assert second["created_at"] == "2026-02-01T00:00:00.001Z"
        assert server.event_ids("idn_1")[-1] == last["id"]
        stamps = [row["created_at"] for row in server.add_events("idn_1", [{}] * 5)]
        assert stamps == sorted(set(stamps))


async def test_a_late_arrival_takes_its_place(server):
    server.add_event("idn_1", id="old", created_at="2026-01-01T00:00:00.000Z")
    server.add_event("idn_1", id="new", created_at="2026-01-03T00:00:00.000Z")
    await served(server)
    server.add_event("idn_1", id="late", created_at="2026-01-02T02:00:00+02:00")
    rows = await served(server, order="asc")
    assert [row["id"] for row in rows] == ["old", "late", "new"]
    assert rows[1]["created_at"] == "2026-01-02T02:00:00+02:00"


async def test_rows_sort_finer_than_they_are_written(server):
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    for micros in (300, 100, 200):
        created_at = moment + timedelta(microseconds=micros)
        server.add_event("idn_1", id=str(micros), created_at=created_at)
    rows = await served(server, order="desc")
    assert [row["id"] for row in rows] == ["300", "200", "100"]
    assert {row["created_at"] for row in rows} == {"2026-01-01T00:00:00.000Z"}


async def test_deleting(server):
    ids = [server.add_event("idn_1")["id"] for _ in range(6)]
    assert server.delete_oldest("idn_1", 2) == ids[:2]
    server.delete_event("idn_1", ids[3])
    left = [ids[2], ids[4], ids[5]]
    assert [row["id"] for row in await served(server, order="asc")] == left
    assert server.event_ids("idn_1") == left
    assert server.event_ids("idn_1", order="desc") == left[::-1]
    with pytest.raises(LookupError):
        server.delete_event("idn_1", ids[3])
    assert server.delete_oldest("idn_1", 99) == left
    assert server.delete_oldest("idn_1") == []
    assert server.count("idn_1") == 0


def test_logs_are_separate(server_data):
    row = server_data.add_event("idn_2", id=server_data.event_ids("idn_1")[0])
    server_data.delete_event("idn_2", row["id"])
    assert server_data.count("idn_1") == 2000


def test_a_failed_insert_leaves_nothing(server_data):
    before = server_data.events("idn_1")
    with pytest.raises(TypeError):
        server_data.add_events("idn_1", [{}, {"metadata": {"set": {1}}}])
    assert server_data.events("idn_1") == before
    server_data.add_event("idn_1")
    assert server_data.count("idn_1") == len(before) + 1


def test_identities():
    server = LocalCanopy()
    assert server.add_identity(id="idn_2") == "idn_2"
    assert server.seed_identities(3) == ["idn_1", "idn_3", "idn_4"]
    assert server.add_identity() == "idn_5"
    assert server.has_identity("idn_4")
    assert not server.has_identity("idn_6")
    with pytest.raises(ValueError, match="idn_2"):
        server.add_identity(id="idn_2")
    server.seed_events("idn_9", 1)
    assert server.has_identity("idn_9")
    server.close_store()


async def test_a_file_keeps_its_rows(tmp_path):
    path = str(tmp_path / "canopy.db")
    async with LocalCanopy(path=path) as server:
        server.seed_events("idn_1", 30)
        server.delete_oldest("idn_1", 10)
        rows = server.events("idn_1")
    async with LocalCanopy(path=path) as server:
        assert await served(server, order="asc") == rows
        newest = server.add_event("idn_1")
        server.seed_events("idn_1", 10)
        assert server.events("idn_1")[:21] == [*rows, newest]
        assert len(set(server.event_ids("idn_1"))) == 31


async def test_pages_are_json_without_needless_bytes(server):
    server.seed_events("idn_1", 3)
    rows = server.events("idn_1", order="asc")
    headers = {"Authorization": f"Bearer {server.token}", "Accept-Encoding": "identity"}
    async with (
        aiohttp.ClientSession(server.base_url, headers=headers) as http,
        http.get(AUDIT, params={"order": "asc"}) as response,
    ):
        body = await response.text()
        assert response.content_type == "application/json"
    compact = json.dumps(rows, separators=(",", ":"), ensure_ascii=False)
    assert body.startswith('{"items":' + compact)
