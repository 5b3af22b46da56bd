"""The account's log on the wire: URLs of its requests, and what its answers hold."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from support.samples import event_row, full_row
from yarl import URL

from canopy_async import ProtocolError
from canopy_async._api.log_requests import (
    MAX_LIMIT,
    LogQuery,
    NoQuery,
    account_log_endpoint,
    encoded_filters,
    event_endpoint,
)
from canopy_async._api.log_responses import detail_from, ends_of
from canopy_async._api.requests import build_url
from canopy_async._api.responses import Response
from canopy_async.models import CursorPage, EventDetail

BASE = "https://api.canopy.dev"
LOG = "/portal/v1/accounts/ac%2Fme/audit-log/identities"
SINCE = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=timezone(timedelta(hours=2)))


def url_of(endpoint, query, *, take=50):
    return build_url(BASE, endpoint, query, page=3, take=take)


def page_of(rows, *, cursor=None):
    return json.dumps({"items": rows, "pagination": {"next_cursor": cursor}}).encode()


def instants(*texts):
    return page_of([event_row(n, created_at=text) for n, text in enumerate(texts)])


# Requests


def test_a_request_has_the_first_instant_and_the_number_of_rows():
    query = LogQuery(since=SINCE, until=None, cursor=None, filters="")
    assert url_of(account_log_endpoint("ac/me"), query) == (
        f"{BASE}{LOG}?from=2026-01-02T01%3A04%3A05.678Z&limit=50"
    )


def test_the_last_instant_the_filters_and_the_cursor_are_sent_if_there_are_any():
    filters = encoded_filters([("category", "auth"), ("q", "a b+c"), ("category", "x")])
    until = SINCE.astimezone(UTC) + timedelta(days=1)
    query = LogQuery(since=SINCE, until=until, cursor="a+/=&", filters=filters)
    url = url_of(account_log_endpoint("ac/me"), query)
    assert url.endswith("&category=auth&q=a%20b%2Bc&category=x&cursor=a%2B%2F%3D%26")
    assert list(URL(url, encoded=True).query.items()) == [
        ("from", "2026-01-02T01:04:05.678Z"),
        ("to", "2026-01-03T01:04:05.678Z"),
        ("limit", "50"),
        ("category", "auth"),
        ("q", "a b+c"),
        ("category", "x"),
        ("cursor", "a+/=&"),
    ]


def test_no_filter_adds_nothing_to_a_request():
    assert encoded_filters([]) == ""


def test_one_event_is_asked_for_by_its_path_alone():
    endpoint = event_endpoint("ac/me", "e/1?")
    assert url_of(endpoint, NoQuery()) == f"{BASE}{LOG}/e%2F1%3F"
    assert endpoint.template.endswith("/audit-log/identities/{id}")
    assert endpoint.row is EventDetail


def test_the_log_is_of_pages_with_cursors_of_two_hundred_rows_at_most():
    endpoint = account_log_endpoint("acme")
    assert endpoint.envelope is CursorPage
    assert endpoint.template == "/portal/v1/accounts/{account}/audit-log/identities"
    assert MAX_LIMIT == 200


# The ends of a page


def test_the_ends_of_a_page_are_its_instants_and_its_cursor():
    body = page_of(
        [
            event_row(1, created_at="2026-01-02T00:00:00+02:00", later={"a": 1}),
            event_row(2, created_at="2026-01-01T21:00:00.123456Z"),
        ],
        cursor="next",
    )
    found, cursor = ends_of(body)
    assert found == [
        datetime(2026, 1, 1, 22, tzinfo=UTC),
        datetime(2026, 1, 1, 21, 0, 0, 123_456, tzinfo=UTC),
    ]
    assert cursor == "next"


def test_an_empty_page_has_no_instants_and_the_last_one_no_cursor():
    assert ends_of(page_of([])) == ([], None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"items": [], "pagination": {}}',
        b'{"items": [{}], "pagination": {"next_cursor": null}}',
        instants("2026-01-01T00:00:00Z", "2026-01-01T00:00:00"),  # has no offset
        instants("2026-01-01T00:00:00Z", "2026-01-01"),
        instants("2026-01-01T00:00:00Z", "2016-12-31T23:59:60Z"),
        instants("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.1234567Z"),
    ],
)
def test_a_page_whose_ends_can_t_be_read_exactly_has_to_be_decoded(body):
    assert ends_of(body) is None


@pytest.mark.parametrize("text", ["1.1234567", "2026-01-01T00:00:00.1234567Z"])
def test_seven_digits_in_other_fields_make_no_instant_fine(text):
    row = event_row(created_at="2026-01-01T00:00:00.123456Z", action=text)
    assert ends_of(page_of([row])) is not None


# One event


def detail(value, **headers):
    response = Response(status=200, headers=headers, body=json.dumps(value).encode())
    return detail_from(response)


@pytest.mark.parametrize("is_wrapped", [True, False])
def test_an_event_comes_with_its_relations_wrapped_or_bare(is_wrapped):
    relations = {
        "related_by_correlation": [full_row(2), full_row(3)],
        "related_by_actor": [full_row(4)],
    }
    value = full_row(1, later=1) | relations
    found = detail({"data": value} if is_wrapped else value)
    assert (found.event.id, found.event.extra) == ("evt_1", {"later": 1})
    assert [event.id for event in found.related_by_correlation] == ["evt_2", "evt_3"]
    assert [event.id for event in found.related_by_actor] == ["evt_4"]


@pytest.mark.parametrize("more", [{}, {"related_by_actor": None}])
def test_an_event_may_come_without_relations(more):
    found = detail(event_row(1) | more)
    assert found == EventDetail(event=found.event)


def test_data_that_is_no_object_is_a_field_of_the_event():
    found = detail(event_row(1, data=[5]))
    assert found.event.extra == {"data": [5]}


@pytest.mark.parametrize(
    ("value", "path", "said"),
    [
        (event_row(1, related_by_actor={}), "related_by_actor", "expected an array"),
        (event_row(1, related_by_actor=0), "related_by_actor", "expected an array"),
        (
            {"data": event_row(1, related_by_correlation="x")},
            "data.related_by_correlation",
            "expected an array",
        ),
        (
            {"data": event_row(1, related_by_actor=[full_row(2), 5])},
            "data.related_by_actor[1]",
            "expected an object",
        ),
        (
            event_row(1, related_by_actor=[event_row(2, id=5)]),
            "related_by_actor[0].id",
            "expected str, got int",
        ),
        ({"data": event_row(id=...)}, "data.id", "required field is missing"),
        ({"data": event_row(id=5)}, "data.id", "expected str, got int"),
        (event_row(id=5), "id", "expected str, got int"),
        (event_row(id=...), "id", "required field is missing"),
        ([], "", "expected an object"),
    ],
)
def test_a_fault_of_an_event_is_named_with_its_place(value, path, said):
    with pytest.raises(ProtocolError) as caught:
        detail(value)
    assert caught.value.args == (said,)
    assert caught.value.page is None
    assert caught.value.path == path


def test_an_event_that_is_no_json_names_the_type_of_its_answer():
    response = Response(status=200, headers={"Content-Type": "text/x"}, body=b"<")
    with pytest.raises(ProtocolError, match=r"not JSON \(Content-Type: text/x\)"):
        detail_from(response)
