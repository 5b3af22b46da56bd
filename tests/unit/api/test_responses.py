"""Answers of the API: limits on what is decoded, and faults with their place."""

import gc
import json
from datetime import UTC, datetime

import pytest
from multidict import CIMultiDict
from support.samples import event_row, full_row, meta, page_body

from canopy_async import AuditEvent, Identity, ProtocolError
from canopy_async._api.careless_json import parse
from canopy_async._api.conversion import structure_page
from canopy_async._api.decoding import (
    Codec,
    codec_of,
    collecting_later,
    has_fine_instants,
    is_large,
    rows_in,
)
from canopy_async._api.log_requests import account_log_endpoint
from canopy_async._api.requests import audit_endpoint
from canopy_async._api.responses import (
    Response,
    decode_page,
    decoded_by,
    page_from,
    request_id_of,
)
from canopy_async.models import CursorPage, Page

AUDIT = audit_endpoint("acme", "idn_1")
LOG = account_log_endpoint("acme")
LARGE = 128 * 1024


def answer(body, *, redact=lambda text, most: text[:most], **headers):
    return Response(
        status=200,
        headers=CIMultiDict(headers),
        body=body,
        url="https://h/p",
        redact=redact,
    )


def fault_of(response, *, page=4):
    with pytest.raises(ProtocolError) as caught:
        page_from(AUDIT, response, page=page)
    return caught.value


def large_page(rows, *, take=100):
    """A page that is large, whose rows are short."""
    return page_body([full_row(n) for n in range(rows)], take=take) + b" " * LARGE


def large_log_page(rows):
    items = [full_row(n) for n in range(rows)]
    page = {"items": items, "pagination": {"next_cursor": None, "take": 1}}
    return json.dumps(page).encode() + b" " * LARGE


# How many rows are decoded


def test_a_body_is_large_if_it_has_more_bytes_than_a_usual_page():
    assert not is_large(b" " * LARGE)
    assert is_large(b" " * (LARGE + 1))


@pytest.mark.parametrize(
    ("take", "most"), [(1, 100), (100, 100), (150, 150), (1_000, 1_000), (9_999, 1_000)]
)
def test_a_large_page_has_as_many_rows_as_the_server_says_up_to_a_thousand(take, most):
    assert len(decode_page(AUDIT, large_page(most, take=take), page=2).items) == most
    with pytest.raises(ProtocolError, match="more rows than were asked for") as caught:
        decode_page(AUDIT, large_page(most + 1, take=take), page=2)
    assert (caught.value.page, caught.value.path) == (2, "items")


def test_a_large_page_of_the_accounts_log_may_have_a_thousand_rows():
    assert len(decode_page(LOG, large_log_page(1_000), page=1).items) == 1_000
    with pytest.raises(ProtocolError, match="more rows than were asked for"):
        decode_page(LOG, large_log_page(1_001), page=1)


@pytest.mark.parametrize(
    ("body", "counted"),
    [
        (page_body([event_row(1), event_row(2)], take=50), (2, 50)),
        (page_body([], take=50), (0, 50)),
        (page_body([event_row()], take="50"), (1, 0)),
        (page_body([event_row()], take=None), (1, 0)),
        (page_body([event_row()], take=...), (1, 0)),
        (page_body([5, None, {}], take=7), (3, 7)),
        (b'{"items": [5]}', (0, 0)),
        (b'{"items": {}, "pagination": {"take": 5}}', (0, 0)),
        (b"", (0, 0)),
        (b"\xff", (0, 0)),
        (b"[" * 100_000, (0, 0)),
    ],
)
def test_rows_are_counted_without_decoding_any(body, counted):
    assert rows_in(body) == counted


# While much is made


@pytest.fixture
def collecting():
    was_enabled = gc.isenabled()
    yield
    (gc.enable if was_enabled else gc.disable)()


@pytest.mark.usefixtures("collecting")
@pytest.mark.parametrize("before", [True, False])
def test_the_garbage_collector_is_as_it_was_once_much_was_made(before):
    (gc.enable if before else gc.disable)()
    with collecting_later():
        assert not gc.isenabled()
    assert gc.isenabled() is before
    with pytest.raises(LookupError), collecting_later():
        raise LookupError
    assert gc.isenabled() is before


# Faults


def test_a_fault_says_page_place_url_and_request_and_nothing_else_of_the_answer():
    body = page_body([event_row(id=5)])
    error = fault_of(answer(body, **{"X-Request-Id": "r-1"}))
    assert error.args == ("expected str, got int",)
    assert (error.page, error.path) == (4, "items[0].id")
    assert (error.url, error.request_id) == ("https://h/p", "r-1")
    assert error.html is False
    assert (error.__cause__, error.__context__) == (None, None)
    names = []
    trace = error.__traceback__
    while trace is not None:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert names[-2:] == ["page_from", "decoded_by"]  # inner frames hold the body


@pytest.mark.parametrize(
    ("kind", "body", "is_html"),
    [
        ("text/html", b"sorry", True),
        ("text/html; charset=utf-8", b"", True),
        ("application/xhtml", b"sorry", False),
        ("text/plain", b"<html>", True),
        ("text/plain", b"\r\n <!doctype html>", True),
        ("text/plain", b" " * 63 + b"<html>", True),
        ("text/plain", b" " * 64 + b"<html>", False),
        ("text/plain", b"a < b", False),
        ("application/json", b'{"items": []}', False),
        (None, b"<", True),
        (None, b"", False),
    ],
)
def test_a_page_for_browsers_is_told_from_other_answers(kind, body, is_html):
    headers = {} if kind is None else {"Content-Type": kind}
    assert fault_of(answer(body, **headers)).html is is_html


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON (Content-Type: text/x): the body is empty"),
        (b" \n", "not JSON (Content-Type: text/x): the body is empty"),
        (b"{", "not JSON (Content-Type: text/x): Expecting property name"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", "expected an object"),
    ],
)
def test_what_is_no_page_says_what_it_is(body, said):
    error = fault_of(answer(body, **{"Content-Type": "text/x"}))
    assert error.args[0].startswith(said)
    assert (error.page, error.path) == (4, "")
    # An error of `json` would hold the whole body.
    assert (error.__cause__, error.__context__) == (None, None)


def test_a_type_of_answer_that_is_not_known_is_said_to_be_none():
    assert "(Content-Type: none)" in str(fault_of(answer(b"{")))
    with pytest.raises(ProtocolError, match="not JSON: "):
        decode_page(AUDIT, b"{", page=1)


@pytest.mark.parametrize(
    ("row", "path", "said"),
    [
        (5, "items[1]", "expected an object"),
        (event_row(id=...), "items[1].id", "required field is missing"),
        (event_row(id=None), "items[1].id", "expected str, got null"),
        (event_row(id=True), "items[1].id", "expected str, got bool"),
        (event_row(metadata=[]), "items[1].metadata", "expected object, got list"),
        (event_row(outcome=5), "items[1].outcome", "expected str, got int"),
        (event_row(customer_visible=1), "items[1].customer_visible", "expected bool"),
        (
            event_row(created_at=5),
            "items[1].created_at",
            "expected RFC 3339 str, got int",
        ),
        (
            event_row(created_at="2026-04-20"),
            "items[1].created_at",
            "expected an RFC 3339 date-time with an offset",
        ),
    ],
)
def test_a_fault_of_a_row_says_what_was_expected_and_what_there_was(row, path, said):
    error = fault_of(answer(page_body([event_row(), row])))
    assert error.args[0].startswith(said)
    assert error.path == path


def test_no_text_of_a_fault_holds_what_is_to_be_redacted_or_is_long():
    def redact(text, most):
        return text.replace("t0ken", "***")[:most]

    row = event_row(
        **{"created_at": ..., "t0ken" * 300: 5, "actor_label": {"t0ken": 1}}
    )
    error = fault_of(answer(page_body([row]), redact=redact))
    assert "t0ken" not in str(error)
    headers = {"Content-Type": "t0ken" + "x" * 900, "request-id": "t0ken" + "y" * 900}
    error = fault_of(answer(b"{t0ken", redact=redact, **headers))
    assert "t0ken" not in str(error)
    assert f"(Content-Type: ***{'x' * 97})" in str(error)
    assert error.request_id == "***" + "y" * 97


def test_whatever_is_said_of_an_answer_is_redacted_and_cut():
    def decode(kind):
        raise ProtocolError(f"{kind} t0ken" + "m" * 900, path="t0ken" + "p" * 900)

    def redact(text, most):
        return text.replace("t0ken", "***")[:most]

    with pytest.raises(ProtocolError) as caught:
        decoded_by(decode, answer(b"", redact=redact))
    assert caught.value.args == ("none ***" + "m" * 492,)
    assert caught.value.path == "***" + "p" * 497


# Values that are read with a change


def test_what_is_told_of_a_value_is_redacted_cut_and_printable():
    notes = []
    name = "t0ken\x1b" + "n" * 900
    body = page_body([event_row(**{name: "@"})]).replace(b'"@"', b"NaN")
    response = answer(body, redact=lambda text, most: text.replace("t0ken", "*")[:most])
    page = page_from(AUDIT, response, page=1, note=notes.append)
    assert list(page.items[0].extra) == [name]
    (told,) = notes
    assert told.startswith("items[0].*\\x1bnnn")
    assert len(told) <= 500 + len("\\x1b")


def test_nobody_has_to_be_told_of_a_value_that_is_read_with_a_change():
    body = page_body([event_row(metadata={"x": "@"})]).replace(b'"@"', b"NaN")
    assert len(page_from(AUDIT, answer(body), page=1).items) == 1


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        (b'{"items": [{"id": NaN}]}', ["items[0].id"]),
        (b'{"items": [{"id": {"secret": [NaN]}}]}', ["items[0].id"]),
        (b'{"items": [[NaN]]}', ["items[0][0]"]),
        (b'{"a": NaN, "b": NaN}', ["a"]),
        (b'{"a": NaN, "b": Infinity, "c": "\\ud800"}', ["a", "b", "c"]),
        (b"NaN", [""]),
        (b"[0, 1.5, NaN]", ["[2]"]),
        (b'{"\\ud800": 1}', [""]),
    ],
)
def test_the_first_value_of_each_kind_is_told_with_its_place_and_no_deeper(body, paths):
    told = []
    parse(body, told.append)
    assert [it.partition(": ")[0] for it in told] == paths


def test_text_that_is_not_ascii_and_well_formed_is_no_news():
    told = []
    assert parse('["é日", NaN]'.encode(), told.append)[0] == "é日"
    assert len(told) == 1


@pytest.mark.parametrize(
    "value",
    ["", 0, False, None, [], {}, 0.0, "x", 1, True, 1.5, 10**400],
    ids=lambda value: repr(value)[:9],
)
def test_a_value_is_read_as_it_is_beside_one_that_is_read_with_a_change(value):
    read = parse(json.dumps([value, {"a": value}]).encode()[:-1] + b", NaN]")
    assert repr(read[:2]) == repr([value, {"a": value}])


# Codecs


def test_a_codec_is_made_once_for_each_class_of_rows_and_pages():
    assert codec_of(AuditEvent) is codec_of(AuditEvent)
    assert codec_of(AuditEvent) is not codec_of(Identity)
    assert codec_of(AuditEvent) is not codec_of(AuditEvent, CursorPage)


@pytest.mark.parametrize("items", [{}, 5, "x", None, [5], [None], [[]]], ids=repr)
def test_what_is_no_list_of_objects_is_no_page_of_rows(items):
    body = json.dumps({"items": items, "pagination": meta()}).encode()
    assert Codec(AuditEvent).decode(body) is None


def test_instants_are_fine_if_they_have_seven_digits_and_are_the_rows_own():
    assert not has_fine_instants(page_body([event_row()]))
    assert not has_fine_instants(page_body([event_row(action="1.1234567")]))
    fine = "2026-04-20T12:00:00.1234567Z"
    assert has_fine_instants(page_body([event_row(), event_row(created_at=fine)])) is (
        True
    )


def test_a_page_with_one_fine_instant_keeps_the_others_as_they_are():
    texts = ["2026-04-20T12:00:00.9999999+02:00", "2026-04-20T12:00:00.123456-03:00"]
    rows = [event_row(n, created_at=text) for n, text in enumerate(texts)]
    page = Codec(AuditEvent).decode(page_body(rows))
    assert [row.created_at.isoformat() for row in page.items] == [
        "2026-04-20T12:00:00.999999+02:00",
        "2026-04-20T12:00:00.123456-03:00",
    ]


def test_a_page_with_one_fine_instant_may_have_rows_without_any():
    rows = [{"id": "a", "created_at": "2026-04-20T12:00:00.9999999Z"}, {"id": "b"}]
    page = Codec(Identity).decode(page_body([*rows, {"id": "c", "created_at": None}]))
    first = datetime(2026, 4, 20, 12, 0, 0, 999_999, tzinfo=UTC)
    assert [row.created_at for row in page.items] == [first, None, None]


@pytest.mark.parametrize("envelope", [Page, CursorPage])
def test_the_slow_path_makes_the_page_that_was_asked_for(envelope):
    pagination = meta() if envelope is Page else {"next_cursor": "next"}
    body = json.dumps({"items": [event_row()], "pagination": pagination}).encode()
    page = structure_page(AuditEvent, body, page=1, envelope=envelope)
    assert type(page) is envelope
    assert page == Codec(AuditEvent, envelope).decode(body)


# Ids of requests


@pytest.mark.parametrize(
    ("headers", "request_id"),
    [
        ({}, None),
        ({"X-Request-Id": "a"}, "a"),
        ({"Request-Id": "b"}, "b"),
        ({"X-Request-Id": "a", "Request-Id": "b"}, "a"),
        ({"X-Request-Id": "", "Request-Id": "b"}, "b"),
        ({"X-Request-Id": "é\udcff"}, "\\xe9\\udcff"),
        ({"X-Request-Id": "r" * 101}, "r" * 100),
    ],
)
def test_the_id_of_a_request_is_ascii_from_either_header(headers, request_id):
    assert request_id_of(answer(b"", **headers)) == request_id
