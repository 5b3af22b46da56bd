"""Events made for a test, and what the package of helpers shows."""

import asyncio
from datetime import UTC, datetime

import aiohttp
import pytest

from canopy_async import AuditEvent, Outcome, Severity, testing
from canopy_async.testing import LocalCanopy, make_event


def test_an_event_is_made_with_the_fields_that_are_given():
    at = datetime(2026, 4, 1, 12, 30, tzinfo=UTC)
    event = make_event(
        action="role.created",
        created_at=at,
        severity=Severity.CRITICAL,
        outcome="failure",
        metadata={"a": [1]},
        actor_label=None,
        new_field=7,
    )
    assert isinstance(event, AuditEvent)
    assert (event.action, event.created_at) == ("role.created", at)
    assert event.severity is Severity.CRITICAL
    assert event.outcome is Outcome.FAILURE
    assert event.metadata == {"a": [1]}
    assert event.actor_label is None
    assert event.extra == {"new_field": 7}


def test_made_events_differ_and_are_realistic():
    events = [make_event() for _ in range(50)]
    assert len({event.id for event in events}) == 50
    assert len({event.action for event in events}) > 5


@pytest.mark.parametrize(
    ("fields", "named"),
    [({"action": 5}, "action"), ({"customer_visible": "no"}, "customer_visible")],
)
def test_a_field_that_no_event_has_is_named(fields, named):
    with pytest.raises(ValueError, match=named):
        make_event(**fields)


def test_the_names_of_the_package_are_shown():
    assert dir(testing) == sorted(testing.__all__)
    assert {"LocalCanopy", "Faults", "make_event"} <= set(dir(testing))


def test_a_server_can_be_away_for_a_while_in_a_plain_test():
    async def status():
        async with (
            aiohttp.ClientSession() as http,
            http.get(server.base_url) as answer,
        ):
            return answer.status

    with LocalCanopy() as server:
        assert asyncio.run(status()) == 404
        with server.outage(), pytest.raises(aiohttp.ClientConnectorError):
            asyncio.run(status())
        assert asyncio.run(status()) == 404
    with pytest.raises(RuntimeError, match="stopped"):
        server.seed_events("idn_1", 1)
    with pytest.raises(RuntimeError, match="stopped"):
        server.__enter__()


def test_a_port_that_is_taken_leaves_no_thread():
    with LocalCanopy() as server:
        port = int(server.base_url.rpartition(":")[2])
        another = LocalCanopy(port=port)
        with pytest.raises(OSError, match="in use"):
            another.__enter__()
        with pytest.raises(RuntimeError, match="not been started"):
            another.go_away()
        another.close_store()
