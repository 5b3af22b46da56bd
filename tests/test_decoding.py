"""Codecs: the fast path from bytes to rows, each of which remembers what it saw."""

import copy
import json
import pickle
import weakref

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.samples import NULLABLE, event_row, full_row, json_values, meta, page_body

from canopy_async import AuditEvent, Identity, ProtocolError
from canopy_async.conversion import structure_page
from canopy_async.decoding import Codec

LONG = 30
"""Rows of a page that is not always looked at row by row."""


def rows_of(codec, rows):
    return codec.decode(page_body(rows)).items


@pytest.fixture
def codec():
    return Codec(AuditEvent)


@pytest.fixture
def settled():
    """A codec that has seen many long pages, with every known field and no other."""
    codec = Codec(AuditEvent)
    for _ in range(20):
        rows_of(codec, [full_row(n) for n in range(LONG)])
    return codec


def test_rows_are_of_the_public_class_however_they_were_decoded(codec):
    whole = rows_of(codec, [full_row(n) for n in range(LONG)])
    lacking = rows_of(codec, [event_row(n) for n in range(LONG)])
    assert {type(row) for row in (*whole, *lacking)} == {AuditEvent}
    assert whole == lacking
    assert [hash(row) for row in whole] == [hash(row) for row in lacking]
    assert repr(whole) == repr(lacking)


def test_rows_that_lack_nothing_are_as_good_as_those_made_by_hand(codec):
    (row,) = rows_of(codec, [full_row(category="auth")])
    again = attrs.evolve(row)
    assert row == again
    assert pickle.loads(pickle.dumps(row)) == copy.deepcopy(row) == row  # noqa: S301
    assert weakref.ref(row)() is row
    assert not hasattr(row, "__dict__")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        row.id = "other"


def test_no_row_gets_what_is_kept_of_the_unknown_fields_of_another(codec):
    first, second = rows_of(codec, [full_row(1), full_row(2, later=1)])
    assert (first.extra, second.extra) == ({}, {"later": 1})


@pytest.mark.parametrize("at", [0, 1, LONG - 1])
@pytest.mark.parametrize("name", NULLABLE)
def test_a_field_that_only_some_row_lacks_is_none(codec, name, at):
    rows = [full_row(n, **{name: "auth"}) for n in range(LONG)]
    del rows[at][name]
    decoded = rows_of(codec, rows)
    expected = [None if n == at else "auth" for n in range(LONG)]
    assert [getattr(row, name) for row in decoded] == expected


@pytest.mark.parametrize("at", [0, LONG - 1])
@pytest.mark.parametrize("spaced", [True, False], ids=["spaced", "compact"])
@pytest.mark.parametrize("first", ["items", "pagination"])
def test_a_field_that_the_api_begins_to_send_within_a_page_is_kept(
    settled, first, spaced, at
):
    """The rows before it, or after it in descending order, are without it."""
    nested = {"id": "inner", "rows": [{"id": 1}, {"id": 2}], "text": '"pagination"]'}
    rows = [full_row(n, metadata=nested) for n in range(LONG)]
    rows[at]["later"] = {"id": at}
    parts = {"items": rows, "pagination": meta(item_count=LONG)}
    page = {first: parts.pop(first)} | parts
    body = json.dumps(page, separators=None if spaced else (",", ":")).encode()
    decoded = settled.decode(body).items
    expected = [{"later": {"id": at}} if n == at else {} for n in range(LONG)]
    assert [row.extra for row in decoded] == expected


def test_the_last_row_is_found_whatever_it_holds(settled):
    rows = [full_row(n) for n in range(LONG)]
    rows[-1] = {"later": [1], **rows[-1], "action": "pagination", "metadata": {"a": []}}
    page = {"pagination": meta(item_count=LONG), "items": rows}
    assert settled.decode(json.dumps(page).encode()).items[-1].extra == {"later": [1]}


@pytest.mark.parametrize("end", ["]", " ]", "\n]\n"])
def test_rows_within_the_last_row_are_not_taken_for_it(settled, end):
    rows = [full_row(n) for n in range(LONG)]
    rows[-1] = {"later": 1, **rows[-1], "metadata": {"rows": [*rows[:2]]}}
    items = ",".join(json.dumps(row, separators=(",", ":")) for row in rows)
    pagination = json.dumps(meta(item_count=LONG))
    body = f'{{"items":[{items}{end},"pagination":{pagination}}}'.encode()
    assert settled.decode(body).items[-1].extra == {"later": 1}


def test_a_field_that_few_rows_have_is_kept_where_pages_are_looked_through(settled):
    rows = [full_row(n) for n in range(LONG)]
    rows[1]["later"] = 1
    fresh = Codec(AuditEvent)
    assert rows_of(fresh, rows)[1].extra == {"later": 1}
    assert rows_of(settled, rows[:20])[1].extra == {"later": 1}
    assert rows_of(settled, rows)[1].extra == {"later": 1}  # as one was seen


def test_a_field_that_few_rows_have_is_found_on_some_page(settled):
    rows = [full_row(n) for n in range(LONG)]
    rows[1]["later"] = 1
    extras = [rows_of(settled, rows)[1].extra for _ in range(70)]
    first = extras.index({"later": 1})
    assert set(map(str, extras[first:])) == {str({"later": 1})}


def test_each_row_is_looked_at_where_rows_lack_fields(settled):
    rows = [full_row(n) for n in range(LONG)]
    del rows[5]["category"]
    rows_of(settled, rows)
    rows[6]["later"] = 1
    assert rows_of(settled, rows)[6].extra == {"later": 1}


def test_rows_that_lacked_a_field_once_leave_no_trace(settled):
    rows = [full_row(n) for n in range(LONG)]
    lacking = [*rows[:5], event_row(5), *rows[6:]]
    pages = [lacking if n in {3, 50, 140} else rows for n in range(150)]
    decoded = [rows_of(settled, page) for page in pages]
    assert set(map(len, decoded)) == {LONG}
    assert len(set(map(str, decoded))) == 1
    assert {type(row) for page in decoded for row in page} == {AuditEvent}


def test_a_class_that_is_laid_out_otherwise_is_decoded_all_the_same():
    @attrs.frozen
    class Row:
        id: str
        note: str | None = None
        extra: dict = attrs.field(factory=dict)

    decoded = rows_of(Codec(Row), [{"id": "a", "note": "b"}, {"id": "c", "d": 1}])
    assert decoded == (Row("a", "b"), Row("c", None, {"d": 1}))


def test_identities_too_are_of_the_public_class():
    fields = [field.name for field in attrs.fields(Identity) if field.name != "extra"]
    row = dict.fromkeys(fields) | {"id": "idn_1"}
    assert rows_of(Codec(Identity), [row]) == (Identity(id="idn_1"),)


odd_rows = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(NULLABLE, st.none() | st.just("auth") | json_values),
        "metadata": st.dictionaries(st.text(max_size=3), json_values, max_size=2),
        "created_at": st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01", 5]),
        "outcome": st.sampled_from(["success", "partial", None]),
        "later": json_values,
    },
)


@given(
    st.lists(st.tuples(st.booleans(), odd_rows | st.just({})), min_size=1, max_size=6)
)
def test_pages_mean_the_same_as_on_the_slow_path(parts):
    """One codec, page after page, whatever it saw before."""
    codec = Codec(AuditEvent)
    rows = [
        (full_row if is_whole else event_row)(n, **fields)
        for n, (is_whole, fields) in enumerate(parts)
    ]
    for body in (page_body([row]) for row in rows):
        check_same(codec, body)
    check_same(codec, page_body(rows))


def check_same(codec, body):
    try:
        expected = structure_page(AuditEvent, body, page=1)
    except ProtocolError:
        expected = None
    assert codec.decode(body) == expected
