"""The wire format as functions: URLs, pages from bytes, errors from answers."""

import json
import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from multidict import CIMultiDict
from support.samples import (
    NULLABLE,
    REQUIRED,
    event_row,
    events,
    full_row,
    identities,
    json_values,
    meta,
    metas,
    page_body,
    text,
)
from yarl import URL

from canopy_async import (
    ApiError,
    AuditEvent,
    BadRequestError,
    ForbiddenError,
    NotFoundError,
    Outcome,
    Page,
    ProtocolError,
    RateLimitedError,
    ServerError,
    Severity,
    UnauthorizedError,
    converter,
)
from canopy_async._api.base_url import is_loopback, parse_base_url
from canopy_async._api.error_answers import error_from
from canopy_async._api.requests import (
    MAX_TAKE,
    Query,
    audit_endpoint,
    build_url,
    identities_endpoint,
)
from canopy_async._api.responses import Response, decode_page
from canopy_async._api.retry_after import retry_after_seconds
from canopy_async.models import ActorType

AUDIT = audit_endpoint("acme", "idn_1")
IDENTITIES = identities_endpoint("acme")
BASE = "https://api.canopy.dev"
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def body_of(items, page_meta):
    page = {
        "items": [converter.unstructure(item) for item in items],
        "pagination": converter.unstructure(page_meta),
    }
    return json.dumps(page).encode()


def fault_of(body, *, page=7):
    with pytest.raises(ProtocolError) as caught:
        decode_page(AUDIT, body, page=page)
    assert caught.value.page == page
    return caught.value


def page_or_fault(body, *, page):
    """What decoding came to: a page, or a fault that names its page."""
    try:
        decoded = decode_page(AUDIT, body, page=page)
    except ProtocolError as error:
        fault = error
    else:
        assert isinstance(decoded, Page)
        return decoded
    assert fault.page == page
    assert str(fault).startswith(f"page {page}: ")
    return fault


# Pages


@given(st.lists(events, max_size=4), metas, st.sampled_from([1, 2]))
def test_a_page_of_events_comes_back_as_it_was_sent(items, page_meta, page):
    decoded = decode_page(AUDIT, body_of(items, page_meta), page=page)
    assert decoded == Page(items=tuple(items), pagination=page_meta)
    for row in decoded.items:
        assert type(row.outcome) is Outcome
        assert type(row.severity) is Severity
        assert type(row.actor_type) is ActorType


@given(st.lists(identities, max_size=4), metas)
def test_a_page_of_identities_comes_back_as_it_was_sent(items, page_meta):
    decoded = decode_page(IDENTITIES, body_of(items, page_meta), page=1)
    assert decoded == Page(items=tuple(items), pagination=page_meta)


@given(st.lists(events, min_size=1, max_size=3), metas, st.data())
def test_the_fast_path_and_the_converter_agree(items, page_meta, data):
    body = json.loads(body_of(items, page_meta))
    row = data.draw(st.sampled_from(body["items"]))
    name = data.draw(st.sampled_from([*REQUIRED, *NULLABLE]))
    row[name] = data.draw(json_values)
    try:
        expected = Page(
            items=tuple(converter.structure(r, AuditEvent) for r in body["items"]),
            pagination=page_meta,
        )
    except Exception:  # noqa: BLE001 - whatever the converter refuses it with
        error = fault_of(json.dumps(body).encode())
        assert f"items[{body['items'].index(row)}]" in error.path
    else:
        assert decode_page(AUDIT, json.dumps(body).encode(), page=1) == expected


@given(st.binary(max_size=200))
def test_any_bytes_are_a_page_or_a_protocol_error(body):
    page_or_fault(body, page=1)


@given(json_values)
def test_any_json_is_a_page_or_a_protocol_error(value):
    fault_of(json.dumps(value).encode())


@given(st.data())
def test_a_page_with_bytes_changed_is_a_page_or_a_protocol_error(data):
    body = bytearray(page_body([event_row(1, odd={"x": "å"}), full_row(2)]))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.integers(0, 255))
    page = data.draw(st.sampled_from([1, 2]))
    page_or_fault(bytes(body), page=page)


def test_a_body_cut_anywhere_is_a_protocol_error():
    body = page_body([event_row(1), full_row(2)])
    for length in range(len(body)):
        fault_of(body[:length])


@pytest.mark.parametrize("page", [1, 2])
@pytest.mark.parametrize("at", [0, 1, 4])
@pytest.mark.parametrize("name", ["later", "extra", "Id", "", "items"])
@pytest.mark.parametrize("value", [None, 5, {"a": [1]}, "x"], ids=repr)
def test_unknown_fields_of_any_row_are_kept_in_extra(page, at, name, value):
    rows = [event_row(n) for n in range(5)]
    rows[at][name] = value
    decoded = decode_page(AUDIT, page_body(rows), page=page)
    extras = [row.extra for row in decoded.items]
    assert extras == [{name: value} if n == at else {} for n in range(5)]


def test_a_row_with_unknown_fields_is_otherwise_typed_as_any_other():
    (row,) = decode_page(AUDIT, page_body([event_row(extra=5)]), page=1).items
    assert (type(row.outcome), row.outcome) == (Outcome, Outcome.SUCCESS)
    assert row.created_at == datetime(2026, 4, 20, 12, tzinfo=UTC)


def test_unknown_fields_beside_the_rows_are_ignored():
    body = json.loads(page_body())
    body |= {"links": {"items": [], "next": None}, "extra": 1}
    body["pagination"]["cursor"] = "x"
    decoded = decode_page(AUDIT, json.dumps(body).encode(), page=1)
    assert [row.id for row in decoded.items] == ["evt_1"]


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_required_field_is_named_with_page_and_row(name):
    error = fault_of(page_body([event_row(1), event_row(2, **{name: ...})]))
    assert error.path == f"items[1].{name}"
    assert "missing" in str(error)
    assert str(error).startswith(f"page 7: items[1].{name}: ")


@pytest.mark.parametrize("name", REQUIRED)
def test_null_in_a_required_field_is_named(name):
    assert fault_of(page_body([event_row(**{name: None})])).path == f"items[0].{name}"


@pytest.mark.parametrize("name", NULLABLE)
def test_a_nullable_field_is_none_when_null_or_missing(name):
    rows = [event_row(1), event_row(2, **{name: None})]
    decoded = decode_page(AUDIT, page_body(rows), page=1)
    assert [getattr(row, name) for row in decoded.items] == [None, None]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", 5),
        ("id", ["x"]),
        ("account_id", 5),
        ("metadata", []),
        ("metadata", "{}"),
        ("created_at", 1767225600),
        ("created_at", "yesterday"),
        ("created_at", "2026-04-20"),
        ("created_at", "2026-04-20T12:00:00"),
        ("created_at", "2026-13-20T12:00:00Z"),
        ("outcome", 1),
        ("outcome", {}),
        ("category", False),
        ("customer_visible", "false"),
        ("customer_visible", 0),
        ("identity_visible", 1),
    ],
)
def test_nothing_is_coerced_and_the_field_is_named(name, value):
    rows = [event_row(n) for n in range(3)]
    rows[2][name] = value
    error = fault_of(page_body(rows))
    assert error.path == f"items[2].{name}"
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize("name", list(meta()))
@pytest.mark.parametrize("value", ["1", 1.5, 1.0, None, [], ...], ids=repr)
def test_bad_metadata_is_named(name, value):
    error = fault_of(page_body(**{name: value}))
    assert error.path == f"pagination.{name}"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"", ""),
        (b"[]", ""),
        (b"null", ""),
        (b"<html>502 Bad Gateway</html>", ""),
        (b"{}", "items"),
        (b'{"items": null}', "items"),
        (b'{"items": {}}', "items"),
        (b'{"items": [null], "pagination": %s}' % json.dumps(meta()).encode(), ...),
        (b'{"items": []}', "pagination"),
        (b'{"items": [], "pagination": []}', "pagination"),
        (page_body() + b"x", ""),
        (page_body() + page_body(), ""),
    ],
)
def test_what_is_no_page_is_a_protocol_error_that_says_where(body, path):
    assert fault_of(body).path == ("items[0]" if path is ... else path)


def with_raw(field, raw, *, rows=1):
    """A page whose last row has these bytes in ``metadata`` or in an unknown field."""
    made = [full_row(n) for n in range(rows)]
    made[-1][field] = "@@" if field == "odd" else {"x": "@@"}
    return page_body(made).replace(b'"@@"', raw)


@pytest.mark.parametrize("rows", [1, 30])
@pytest.mark.parametrize(
    "raw",
    [b'"\\q"', b'"\x01"', b"01", b"tru", b"[1,]", b"nan", b"- Infinity"],
    ids=repr,
)
@pytest.mark.parametrize("field", ["metadata", "odd"])
def test_what_is_no_json_is_a_protocol_error_in_whichever_field(field, raw, rows):
    assert "not JSON" in str(fault_of(with_raw(field, raw, rows=rows)))


def noted(body, *, page=1):
    """A page, and what is told of how it was read."""
    notes = []
    return decode_page(AUDIT, body, page=page, note=notes.append), notes


@pytest.mark.parametrize("rows", [1, 30])
@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (rb'"\ud83d"', r"\ud83d"),
        (rb'"Deploy \uD83D"', r"Deploy \ud83d"),
        (rb'"\udc00\ud800 x"', r"\udc00\ud800 x"),
        (b'"caf\xe9"', r"caf\udce9"),
        (b'"\xed\xa0\xbd"', r"\udced\udca0\udcbd"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("field", ["metadata", "odd"])
def test_what_can_t_be_text_is_read_as_the_text_of_its_escape(field, raw, text, rows):
    page, notes = noted(with_raw(field, raw, rows=rows))
    (*others, row) = page.items
    read = row.extra["odd"] if field == "odd" else row.metadata["x"]
    assert read == text
    assert len(others) == rows - 1
    path = f"items[{rows - 1}].{field}"
    assert notes == [
        f"{path}: read a character that can't be one as the text of its escape"
    ]
    assert msgspec.json.decode(msgspec.json.encode(read)) == text


def test_a_lone_surrogate_in_any_text_of_a_row_keeps_no_row_from_being_read():
    rows = [full_row(n) for n in range(3)]
    rows[1] |= {"id": "a\ud83d", "actor_label": "b\ud83d", "outcome": "c\ud83d"}
    rows[1] |= {"metadata": {"d\ud83d": ["e\ud83d"]}, "f\ud83d": 1}
    page, notes = noted(page_body(rows))
    assert [row.id for row in page.items] == ["evt_0", r"a\ud83d", "evt_2"]
    row = page.items[1]
    assert row.actor_label == r"b\ud83d"
    assert row.outcome == Outcome(r"c\ud83d")
    assert row.metadata == {r"d\ud83d": [r"e\ud83d"]}
    assert row.extra == {r"f\ud83d": 1}
    assert len(notes) == 1


def test_ids_that_differ_in_a_lone_surrogate_stay_different():
    rows = [event_row(id="a\ud83d"), event_row(id="a\ud83e"), event_row(id="a\ufffd")]
    page, _ = noted(page_body(rows))
    assert len({row.id for row in page.items}) == 3


@pytest.mark.parametrize("field", ["metadata", "odd"])
@pytest.mark.parametrize(
    ("raw", "number"),
    [
        (b"NaN", math.nan),
        (b"Infinity", math.inf),
        (b"-Infinity", -math.inf),
        (b"1e999", math.inf),
        pytest.param(b"9" * 5_000, math.inf, id="9..."),
        pytest.param(b"-" + b"9" * 5_000, -math.inf, id="-9..."),
    ],
)
def test_what_is_no_number_of_json_is_read_as_the_float_it_names(field, raw, number):
    page, notes = noted(with_raw(field, raw))
    (row,) = page.items
    read = row.extra["odd"] if field == "odd" else row.metadata["x"]
    assert repr(read) == repr(number)
    assert notes == [f"items[0].{field}: read {number} where there is no number"]


@pytest.mark.parametrize("raw", [b"NaN", pytest.param(b"9" * 5_000, id="9...")])
def test_a_number_that_is_none_in_a_typed_field_is_refused_by_name(raw):
    body = page_body([{"id": "idn_1", "total_assignments": "@@"}])
    with pytest.raises(ProtocolError) as caught:
        decode_page(IDENTITIES, body.replace(b'"@@"', raw), page=1)
    assert caught.value.path == "items[0].total_assignments"


@pytest.mark.parametrize("rows", [[event_row()], [event_row(later=1)], []])
def test_a_byte_order_mark_is_passed_over(rows):
    body = page_body(rows)
    page, notes = noted(b"\xef\xbb\xbf" + body)
    assert page == decode_page(AUDIT, body, page=1)
    assert notes == []


def test_nothing_is_told_of_a_page_that_is_read_as_it_is_written():
    assert noted(page_body([event_row(), event_row(2, later="x")]))[1] == []


@pytest.mark.parametrize("field", ["metadata", "odd", "id"])
@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"a":', b"}")], ids=["[", "{"])
def test_nesting_of_any_depth_is_a_page_or_a_protocol_error(field, brackets):
    opened, closed = brackets
    row = event_row(**{field: "@@" if field != "metadata" else {"x": "@@"}})
    body = page_body([row])
    outcomes = set()
    for depth in (1, *range(900, 1001), 5_000, 200_000):
        raw = opened * depth + b"1" + closed * depth
        made = page_or_fault(body.replace(b'"@@"', raw), page=1)
        outcomes.add(type(made))
    assert ProtocolError in outcomes


@pytest.mark.parametrize("page", [1, 2])
def test_numbers_of_any_size_in_metadata_are_kept_or_refused(page):
    rows = [full_row(n) for n in range(30)]
    rows[3]["metadata"] = {"big": 2**64 - 1, "small": -(2**63), "float": 1e300}
    decoded = decode_page(AUDIT, page_body(rows), page=page)
    assert decoded.items[3].metadata == rows[3]["metadata"]


@pytest.mark.parametrize("first", [b'"first"', b"5", b"null", rb'"\ud83d"'])
@pytest.mark.parametrize("more", [{}, {"later": 1}])
def test_a_name_that_comes_twice_counts_once_and_the_last_one_wins(first, more):
    body = page_body([event_row(**more)])
    twice = body.replace(b'"id": "evt_1"', b'"id": %s, "id": "last"' % first)
    assert decode_page(AUDIT, twice, page=1).items[0].id == "last"
    twice = body.replace(b'"ip": ', b'"ip": %s, "ip": ' % first)
    metadata = decode_page(AUDIT, twice, page=1).items[0].metadata
    assert metadata == event_row()["metadata"]


def test_an_unknown_field_that_comes_twice_has_its_last_value():
    body = page_body([event_row(later="@")]).replace(b'"@"', b'1, "later": 2')
    assert decode_page(AUDIT, body, page=1).items[0].extra == {"later": 2}


def test_instants_keep_their_offset_and_are_aware():
    row = event_row(created_at="2026-04-20T12:00:00.123456+02:00")
    (event,) = decode_page(AUDIT, page_body([row]), page=1).items
    assert event.created_at.utcoffset() == timedelta(hours=2)
    assert event.created_at == datetime(2026, 4, 20, 10, 0, 0, 123456, tzinfo=UTC)


INSTANTS = {
    "2026-04-20T12:00:00.1234567Z": "2026-04-20T12:00:00.123456+00:00",
    "2026-04-20T12:00:00.999999999Z": "2026-04-20T12:00:00.999999+00:00",
    "2026-04-20T23:59:59.9999995+02:00": "2026-04-20T23:59:59.999999+02:00",
    "9999-12-31T23:59:59.9999999Z": "9999-12-31T23:59:59.999999+00:00",
    "2016-12-31T23:59:60Z": "2017-01-01T00:00:00+00:00",
    "2016-12-31T23:59:60.75Z": "2017-01-01T00:00:00+00:00",
    "2016-12-31T15:59:60.123456789-08:00": "2016-12-31T16:00:00-08:00",
    "9999-12-31T23:59:60Z": "9999-12-31T23:59:59.999999+00:00",
    "0001-01-01T00:00:00+02:00": "0001-01-01T00:00:00+02:00",
    "9999-12-31T23:59:59.999999-02:00": "9999-12-31T23:59:59.999999-02:00",
    "2026-04-20t12:00:00.000z": "2026-04-20T12:00:00+00:00",
}


@pytest.mark.parametrize(("text", "instant"), INSTANTS.items())
@pytest.mark.parametrize("rows", [1, 30])
@pytest.mark.parametrize("spaced", [True, False])
def test_instants_of_any_precision_are_cut_to_microseconds(text, instant, rows, spaced):
    made = [event_row(n) for n in range(rows)]
    made[-1]["created_at"] = text
    page = {"items": made, "pagination": meta()}
    body = json.dumps(page, separators=None if spaced else (",", ":")).encode()
    decoded = decode_page(AUDIT, body, page=1)
    assert decoded.items[-1].created_at.isoformat() == instant
    structured = converter.structure(made[-1], AuditEvent)
    assert structured == decoded.items[-1]
    assert {row.created_at.isoformat() for row in decoded.items[:-1]} <= {
        "2026-04-20T12:00:00+00:00"
    }


@pytest.mark.parametrize(
    "text",
    [
        "2026-04-20T12:00:61Z",
        "2026-04-20T12:60:00Z",
        "2026-04-20T12:00:60",
        "2026-04-20T24:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-04-20T12:00:00.1234567",
        "20260420T120000Z",
    ],
)
def test_what_is_no_instant_is_refused_by_name(text):
    assert fault_of(page_body([event_row(created_at=text)])).path == (
        "items[0].created_at"
    )


def test_an_instant_in_metadata_stays_the_text_it_is():
    nested = {"created_at": "2026-04-20T12:00:00.1234567Z"}
    page = decode_page(AUDIT, page_body([event_row(metadata=nested)]), page=1)
    assert page.items[0].metadata == nested


# URLs


@pytest.mark.parametrize(
    ("identity", "segment"),
    [
        ("idn_1", "idn_1"),
        ("a/b", "a%2Fb"),
        ("..%2f", "..%252f"),
        ("%2e%2e", "%252e%252e"),
        ("...", "..."),
        ("a b+c", "a%20b%2Bc"),
        ("?q=1#f", "%3Fq%3D1%23f"),
        ("å日", "%C3%A5%E6%97%A5"),
        (" . ", "%20.%20"),
        ("\\..\\", "%5C..%5C"),
        (";a=b", "%3Ba%3Db"),
        ("\u2028", "%E2%80%A8"),
    ],
)
def test_an_id_is_one_segment_of_the_path_percent_encoded_once(identity, segment):
    url = build_url(BASE, audit_endpoint("ac/me", identity), Query(), page=1, take=20)
    assert url == (
        f"{BASE}/portal/v1/accounts/ac%2Fme/identities/{segment}/audit?page=1&take=20"
    )
    assert str(URL(url, encoded=True)) == url


@pytest.mark.parametrize("identity", ["", ".", "..", "a\n", "x" * 1_001])
def test_what_is_no_segment_of_a_path_is_no_id(identity):
    with pytest.raises(ValueError, match=r"^identity_id must"):
        audit_endpoint("acme", identity)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
@example("..a")
@example("%00")
def test_any_other_id_stays_one_segment_and_decodes_to_itself(identity):
    assume(identity not in {".", ".."})
    url = URL(
        build_url(BASE, audit_endpoint("acme", identity), Query(), page=1, take=1),
        encoded=True,
    )
    assert url.host == "api.canopy.dev"
    segments = url.raw_path.split("/")
    assert len(segments) == 8
    assert URL.build(path=f"/{segments[6]}", encoded=True).parts[1] == identity
    assert segments[7] == "audit"


@given(text, text)
def test_a_query_arrives_as_it_was_given(q, sort_by):
    query = Query(q=q, sort_by=sort_by, order="asc", status="active")
    url = URL(build_url(BASE, IDENTITIES, query, page=3, take=7), encoded=True)
    assert dict(url.query) == {
        "page": "3",
        "take": "7",
        "q": q,
        "sort_by": sort_by,
        "order": "asc",
        "status": "active",
    }


def test_what_is_not_asked_is_not_sent_and_the_template_holds_no_id():
    url = build_url(BASE, AUDIT, Query(), page=1, take=20)
    assert url.endswith("/audit?page=1&take=20")
    assert AUDIT.template == "/portal/v1/accounts/{account}/identities/{id}/audit"
    assert IDENTITIES.template == "/portal/v1/accounts/{account}/identities"


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("q", 5, TypeError),
        ("q", "\ud800", ValueError),
        ("sort_by", b"x", TypeError),
        ("order", "up", ValueError),
        ("order", 5, (TypeError, ValueError)),
        ("order", "", ValueError),
        ("status", "gone", ValueError),
        ("status", "", ValueError),
    ],
)
def test_what_can_t_be_asked_is_refused_by_name(name, value, error):
    with pytest.raises(error, match=f"^{name} must"):
        Query(**{name: value})


def test_the_largest_page_has_a_hundred_rows():
    url = build_url(BASE, AUDIT, Query(), page=1, take=MAX_TAKE)
    assert url.endswith("/audit?page=1&take=100")


def test_an_empty_search_term_is_sent_as_one():
    assert Query(q="").text(page=1, take=5) == "page=1&take=5&q="


def test_a_query_tells_by_name_what_it_asks_for():
    assert Query(q="x", order="desc").named == {
        "q": "x",
        "sort_by": None,
        "order": "desc",
        "status": None,
    }
    assert Query(q="x") == Query(q="x")
    assert Query(q="x") != Query(q="y")


def test_a_search_term_is_encoded_with_nothing_left_to_read_twice():
    url = build_url(BASE, AUDIT, Query(q="a+b &c=d/å%"), page=1, take=1)
    assert url.endswith("&q=a%2Bb%20%26c%3Dd%2F%C3%A5%25")


@pytest.mark.parametrize(
    ("given_url", "parsed"),
    [
        ("https://api.canopy.dev", "https://api.canopy.dev"),
        ("https://api.canopy.dev/", "https://api.canopy.dev"),
        ("https://h:8443/canopy/v2//", "https://h:8443/canopy/v2"),
        ("http://localhost:1", "http://localhost:1"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://[::1]:80/", "http://[::1]:80"),
    ],
)
def test_a_base_url_is_https_or_on_loopback(given_url, parsed):
    assert parse_base_url(given_url) == parsed


@pytest.mark.parametrize(
    "given_url",
    [
        "",
        "api.canopy.dev",
        "//api.canopy.dev",
        "ftp://h",
        "https://",
        "https:///path",
        "http://api.canopy.dev",
        "http://10.0.0.1",
        "http://0.0.0.0",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "https://user@h",
        "https://user:secret@h",
        "https://@h",
        "http://localhost@evil.example",
        "http://localhost\\@evil.example",
        "https://h?x=1",
        "https://h?",
        "https://h/?",
        "https://h#f",
        "https://h#",
        "https://h /",
        "https://h\n",
        "https://h\t.example",
        "\x00https://h",
        "https://h\x7f",
        "https://exämple.com",
        "https://h/ä",
        "https://[::1",
        "https://h:port",
        "https://h:99999",
        "https://h\\",
        "https://h\\x/y",
        "\ud800",
    ],
)
def test_any_other_base_url_is_refused_by_name(given_url):
    with pytest.raises(ValueError, match="base_url") as caught:
        parse_base_url(given_url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("given_url", [None, 5, b"https://h", URL("https://h")])
def test_a_base_url_is_a_str(given_url):
    with pytest.raises(TypeError, match="base_url must be a str"):
        parse_base_url(given_url)


@given(st.text(max_size=30))
def test_whatever_base_url_is_taken_keeps_its_host_and_the_path_of_the_api(tail):
    try:
        base = parse_base_url("https://h.example" + tail)
    except ValueError:
        return
    url = URL(build_url(base, AUDIT, Query(), page=1, take=1), encoded=True)
    assert url.scheme == "https"
    assert url.raw_path.endswith(AUDIT.path)
    assert dict(url.query) == {"page": "1", "take": "1"}


def test_a_host_is_loopback_only_when_it_says_so():
    assert is_loopback("http://LOCALHOST/")
    assert not is_loopback("http://localhost.")
    assert not is_loopback("no url")


# Retry-After


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("1.5", 1.5),
        ("1e2", 100),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("1e999", None),
        ("-1", None),
        ("-0.001", None),
        ("", None),
        ("soon", None),
        ("5 seconds", None),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW, usegmt=True), 0),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0),
        ("Thursday, 01-Jan-26 12:00:30 GMT", 30),
        ("Thu, 01 Jan 2026 13:01:00 +0100", 60),
        ("Thu, 01 Jan 2026 12:00:10 -0000", 10),
        ("Thu, 01 Jan 2026 12:00:10", 10),
        ("Thu, 99 Jan 2026 12:00:00 GMT", None),
        ("Thu, 99999999999999999999 Jan 2026 12:00:00 GMT", None),
        ("Thu, 01 Jan 99999999999999999999 12:00:00 GMT", None),
        ("Thu, 01 Jan 2026 12:00:00 +99999999999", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_or_nothing(value, seconds):
    assert retry_after_seconds({"Retry-After": value}, now=NOW) == seconds


@pytest.mark.parametrize("name", ["RateLimit-Reset", "X-RateLimit-Reset"])
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30.0),
        ("0", 0.0),
        ("2.5", 2.5),
        (str(int(NOW.timestamp()) + 40), 40.0),
        (str((int(NOW.timestamp()) + 40) * 1000), 40.0),
        ("99999999", 99_999_999.0),
        ("100000000", 0.0),  # an instant of 1973
        ("1000000000000", 0.0),  # an instant of 2001, in milliseconds
        (str(int(NOW.timestamp()) - 40), 0.0),
        ("soon", None),
        ("-1", None),
        ("inf", None),
        ("", None),
    ],
)
def test_where_retry_after_is_missing_a_refusal_says_when_its_limit_is_reset(
    name, value, seconds
):
    headers = CIMultiDict({name: value, "Date": format_datetime(NOW, usegmt=True)})
    assert retry_after_seconds(headers, refused=True) == seconds
    assert retry_after_seconds(headers) is None


def test_a_reset_is_compared_with_the_servers_own_clock():
    theirs = datetime(2001, 1, 1, tzinfo=UTC)
    headers = {
        "Date": format_datetime(theirs, usegmt=True),
        "X-RateLimit-Reset": str(int(theirs.timestamp()) + 25),
    }
    assert retry_after_seconds(headers, refused=True, now=NOW) == 25


def test_a_reset_without_a_date_is_compared_with_the_clock_of_whoever_asks():
    reset = {"RateLimit-Reset": str(int(NOW.timestamp()) + 25)}
    assert retry_after_seconds(reset, refused=True, now=NOW) == 25
    soon = {"RateLimit-Reset": str(int(datetime.now(UTC).timestamp()) + 100)}
    assert 90 < retry_after_seconds(soon, refused=True) <= 100


def test_of_two_resets_the_standard_one_is_believed_if_it_can_be_read():
    headers = {"RateLimit-Reset": "30", "X-RateLimit-Reset": "60"}
    assert retry_after_seconds(headers, refused=True) == 30
    assert retry_after_seconds(headers | {"RateLimit-Reset": "?"}, refused=True) == 60


def test_a_retry_after_is_believed_before_a_reset():
    headers = {"Retry-After": "3", "RateLimit-Reset": "60"}
    assert retry_after_seconds(headers, refused=True) == 3


@pytest.mark.parametrize(
    ("status", "left", "asked"),
    [
        (429, "5", 60),
        (429, None, 60),
        (503, "0", 60),
        (503, "5", None),
        (500, "0", None),
    ],
)
def test_a_reset_counts_where_there_were_too_many_requests_only(status, left, asked):
    headers = {"X-RateLimit-Reset": "60"}
    if left is not None:
        headers["X-RateLimit-Remaining"] = left
    error = error_from(Response(status=status, headers=headers, body=b""), url="u")
    assert error.retry_after == asked


def test_a_retry_after_date_is_compared_with_the_servers_own_clock():
    far = datetime(2001, 1, 1, tzinfo=UTC)
    headers = {
        "Date": format_datetime(far, usegmt=True),
        "Retry-After": format_datetime(far + timedelta(seconds=40), usegmt=True),
    }
    assert retry_after_seconds(headers, now=NOW) == 40
    headers["Date"] = "nonsense"
    assert retry_after_seconds(headers, now=NOW) == 0


def test_without_a_header_there_is_no_wait():
    assert retry_after_seconds({}) is None


def test_a_date_without_any_clock_is_compared_with_the_local_one():
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert 90 < retry_after_seconds({"Retry-After": soon}) <= 100


dateish = st.lists(
    st.sampled_from(
        ["Mon,", "01", "Jan", "2026", "12:00:00", "GMT", "+0100", "-", ":", "1" * 25]
    )
    | st.integers().map(str),
    max_size=8,
).map(" ".join)


@given(st.text(max_size=40) | dateish, st.none() | dateish)
def test_any_retry_after_is_seconds_or_nothing(value, date):
    headers = {"Retry-After": value} | ({} if date is None else {"Date": date})
    seconds = retry_after_seconds(headers, now=NOW)
    assert seconds is None or 0 <= seconds < float("inf")


# Errors


def error_of(status, body=b"", headers=()):
    response = Response(
        status=status,
        headers=CIMultiDict(headers),
        body=body,
    )
    return error_from(response, url="https://h/p", attempts=2)


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (204, ApiError),
        (302, ApiError),
        (304, ApiError),
        (400, BadRequestError),
        (401, UnauthorizedError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (405, ApiError),
        (418, ApiError),
        (422, BadRequestError),
        (429, RateLimitedError),
        (499, ApiError),
        (500, ServerError),
        (503, ServerError),
        (520, ServerError),
        (599, ServerError),
    ],
)
def test_each_status_has_its_class(status, cls):
    error = error_of(status)
    assert type(error) is cls
    assert error.status == status
    assert error.message


def test_the_documented_envelope_is_read():
    envelope = {
        "error": {
            "statusCode": 404,
            "code": "identity.not_found",
            "message": "Identity not found",
            "timestamp": "2026-04-20T12:00:00.000Z",
            "path": "/portal",
            "method": "GET",
            "details": ["one", "two"],
        }
    }
    headers = {"X-Request-Id": "req-9", "Retry-After": "3"}
    error = error_of(404, json.dumps(envelope).encode(), headers)
    assert vars(error) == {
        "status": 404,
        "code": "identity.not_found",
        "message": "Identity not found",
        "details": ("one", "two"),
        "request_id": "req-9",
        "retry_after": 3.0,
        "method": "GET",
        "url": "https://h/p",
        "attempts": 2,
    }


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "Bad Gateway"),
        (b"<html>token=secret</html>", "Bad Gateway"),
        (b'{"statusCode": 502, "message": "down", "error": "Bad Gateway"}', "down"),
        (b'{"error": {"message": null}}', "Bad Gateway"),
        (b'{"error": {"message": 5}}', "Bad Gateway"),
        (b'{"error": null, "message": "down"}', "down"),
        (b'{"error": []}', "Bad Gateway"),
        (b'"down"', "Bad Gateway"),
        (b"[1]", "Bad Gateway"),
        (b"\xff\xfe", "Bad Gateway"),
        (b"[" * 100_000, "Bad Gateway"),
        (b'{"a": ' + b"9" * 5000 + b"}", "Bad Gateway"),
    ],
)
def test_any_body_of_an_error_is_tolerated_and_html_is_not_quoted(body, message):
    error = error_of(502, body)
    assert (error.message, error.code, error.details) == (message, None, ())


@given(st.binary(max_size=60) | json_values.map(lambda v: json.dumps(v).encode()))
def test_whatever_an_error_says_is_an_api_error(body):
    assert type(error_of(500, body)) is ServerError


@given(json_values, json_values, json_values)
def test_whatever_the_fields_of_an_envelope_are(code, message, details):
    fields = {"code": code, "message": message, "details": details}
    error = error_of(400, json.dumps({"error": fields}).encode())
    assert error.code is None or error.code == code
    assert isinstance(error.message, str)
    assert all(isinstance(detail, str) for detail in error.details)
    assert str(error)


def test_long_messages_and_many_details_are_cut():
    fields = {"message": "m" * 10_000, "details": ["d" * 10_000] * 100}
    error = error_of(400, json.dumps({"error": fields}).encode())
    assert len(error.message) == 500
    assert len(error.details) == 20
    assert {len(detail) for detail in error.details} == {500}


def test_details_that_are_no_texts_are_written_as_texts():
    fields = {"message": "m", "details": [{"take": "too big"}, 5, None]}
    error = error_of(400, json.dumps({"error": fields}).encode())
    assert error.details == ("{'take': 'too big'}", "5", "None")


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (299, "moved"),
        (300, "redirects are not followed"),
        (302, "redirects are not followed"),
        (399, "redirects are not followed"),
        (400, "moved"),
    ],
)
def test_a_redirect_says_that_it_is_not_followed(status, message):
    headers = {"Location": "https://evil.example"}
    assert error_of(status, b'{"message": "moved"}', headers).message == message


@pytest.mark.parametrize(
    ("status", "message"), [(418, "I'm a Teapot"), (599, "unexpected status")]
)
def test_an_answer_that_says_nothing_has_the_words_of_its_status(status, message):
    assert error_of(status).message == message


def test_the_faults_that_a_validation_lists_as_its_message_are_details():
    fields = {"message": ["take must be an integer", "page must be"], "details": ["x"]}
    error = error_of(400, json.dumps(fields).encode())
    assert error.message == "Bad Request"
    assert error.details == ("take must be an integer", "page must be")


def test_details_are_texts_however_deeply_they_are_nested():
    for depth in range(600, 1_100, 20):
        nested = "[" * depth + "]" * depth
        error = error_of(400, f'{{"message": "no", "details": [{nested}]}}'.encode())
        assert all(isinstance(detail, str) for detail in error.details)
        assert error.message in {"no", "Bad Request"}


def test_an_error_is_of_one_get_unless_it_says_otherwise():
    response = Response(status=500, headers={}, body=b"")
    error = error_from(response, url="u")
    assert (error.method, error.attempts) == ("GET", 1)


@pytest.mark.parametrize("name", ["RateLimit-Remaining", "X-RateLimit-Remaining"])
@pytest.mark.parametrize(("left", "asked"), [("0", 60), ("0.0", 60), ("1", None)])
def test_a_503_refuses_a_request_if_none_is_left_of_a_limit(name, left, asked):
    headers = {"RateLimit-Reset": "60", name: left}
    assert error_of(503, headers=headers).retry_after == asked


def test_the_request_id_is_read_from_either_header():
    assert error_of(500, headers={"request-id": "a"}).request_id == "a"
    assert error_of(500).request_id is None


def test_the_samples_of_this_suite_are_what_msgspec_reads_too():
    assert msgspec.json.decode(page_body())["items"] == [event_row()]
