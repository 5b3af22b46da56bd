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
from canopy_async._api.conversion import structure_page
from canopy_async._api.decoding import Codec

LONG = 100
"""Rows of the longest page."""


def rows_of(codec, rows):
    return codec.decode(page_body(rows)).items


@pytest.fixture
def codec():
    return Codec(AuditEvent)


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
    assert pickle.loads(pickle.dumps(row)) == copy.deepcopy(row) == row
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


@pytest.mark.parametrize("at", [0, 1, LONG // 2, LONG - 1])
@pytest.mark.parametrize("spaced", [True, False], ids=["spaced", "compact"])
@pytest.mark.parametrize("first", ["items", "pagination"])
def test_a_field_that_one_row_of_a_page_has_is_kept(codec, first, spaced, at):
    nested = {"id": "inner", "rows": [{"id": 1}, {"id": 2}], "text": '"pagination"]'}
    rows = [full_row(n, metadata=nested) for n in range(LONG)]
    rows[at]["later"] = {"id": at}
    parts = {"items": rows, "pagination": meta(item_count=LONG)}
    page = {first: parts.pop(first)} | parts
    body = json.dumps(page, separators=None if spaced else (",", ":")).encode()
    decoded = codec.decode(body).items
    expected = [{"later": {"id": at}} if n == at else {} for n in range(LONG)]
    assert [row.extra for row in decoded] == expected


@pytest.mark.parametrize("later", [{}, {"later": 1}], ids=["known", "unknown"])
@pytest.mark.parametrize("longer", [100, 1_000, 5_000, 200_000])
def test_what_comes_after_the_rows_may_be_long(codec, longer, later):
    rows = [full_row(0) | later, *map(full_row, range(1, LONG))]
    page = {
        "items": rows,
        "pagination": meta(item_count=LONG),
        "comment": "]}," * (longer // 3),
    }
    decoded = codec.decode(json.dumps(page).encode())
    assert [row.id for row in decoded.items] == [row["id"] for row in rows]
    assert [row.extra for row in decoded.items] == [later, *[{}] * (LONG - 1)]
    assert decoded.pagination.item_count == LONG


@given(st.lists(st.booleans(), min_size=150, max_size=150))
def test_what_is_kept_of_a_page_does_not_depend_on_the_pages_before(has_later):
    codec = Codec(Identity)
    row = {"id": "idn_1", "email": None}
    for later in has_later:
        rows = [row, row | {"later": 1} if later else row, row]
        extras = [decoded.extra for decoded in rows_of(codec, rows)]
        assert extras == [{}, {"later": 1} if later else {}, {}]


@pytest.mark.parametrize("sent", [None, {}, {"a": 1}, 5, "x"], ids=repr)
@pytest.mark.parametrize("at", [0, LONG - 1])
def test_a_field_with_the_name_of_ours_for_unknown_ones_is_unknown(codec, at, sent):
    rows = [full_row(n) for n in range(LONG)]
    rows[at]["extra"] = sent
    extras = [row.extra for row in rows_of(codec, rows)]
    assert extras == [{"extra": sent} if n == at else {} for n in range(LONG)]


def test_a_row_that_lacks_a_field_leaves_no_trace(codec):
    rows = [full_row(n) for n in range(LONG)]
    lacking = [*rows[:5], event_row(5), *rows[6:]]
    decoded = [rows_of(codec, page) for page in (rows, lacking, rows)]
    assert len(set(map(str, decoded))) == 1


def test_the_rows_of_a_codec_are_those_that_the_converter_makes(codec):
    """The converter looks at one row after the other, with no msgspec in between."""
    rows = [full_row(n) for n in range(LONG)]
    rows[7] |= {"later": 1, "extra": 2}
    rows[8]["created_at"] = "2016-12-31T23:59:60Z"
    assert codec.decode(page_body(rows)) == structure_page(
        AuditEvent, page_body(rows), page=1
    )


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
