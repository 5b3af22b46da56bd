"""Checkpoints as text, and the place they are taken from."""

import json
import pickle
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from walksim import SimRow

from canopy_async import Checkpoint, CheckpointError, Proof, ReadReport
from canopy_async.checkpoint import MAX_IDS, CheckpointBuilder, scope_of_read

KEY = datetime(2026, 4, 20, 12, tzinfo=UTC)
ids = st.frozensets(st.text(max_size=20), min_size=1, max_size=20)
instants = st.datetimes(
    min_value=datetime(1990, 1, 1),
    max_value=datetime(2090, 1, 1),
).map(lambda naive: naive.replace(tzinfo=UTC))
checkpoints = st.builds(
    Checkpoint,
    scope=st.text(max_size=16),
    order=st.sampled_from(["asc", "desc", None]),
    key=instants,
    ids=ids,
    position=st.integers(0, 10**9),
    delivered=st.integers(0, 10**12),
    proof=st.sampled_from(list(Proof)),
)


def a_checkpoint(**fields):
    return Checkpoint(scope="s", order="asc", key=KEY, ids=frozenset({"a"}), **fields)


@given(checkpoints)
def test_text_and_back_is_the_same_checkpoint(checkpoint):
    assert checkpoint == Checkpoint.loads(checkpoint.dumps())
    assert checkpoint == Checkpoint.loads(checkpoint.dumps().encode())


@given(st.text() | st.binary())
def test_anything_else_is_refused_with_a_checkpoint_error(text):
    with pytest.raises(CheckpointError):
        Checkpoint.loads(text)


@given(checkpoints, st.data())
def test_damaged_text_is_never_taken_for_another_place(checkpoint, data):
    text = checkpoint.dumps()
    cut = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(CheckpointError):
        Checkpoint.loads(text[:cut])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("v", 1),
        ("v", 3),
        ("v", "1"),
        ("order", "up"),
        ("key", "2026-04-20T12:00:00"),
        ("key", None),
        ("ids", []),
        ("ids", [1]),
        ("position", -1),
        ("delivered", -1),
        ("proof", "faith"),
        ("token", "secret"),
    ],
)
def test_text_with_a_wrong_field_is_refused(field, value):
    fields = json.loads(a_checkpoint().dumps())
    fields[field] = value
    with pytest.raises(CheckpointError):
        Checkpoint.loads(json.dumps(fields))


def test_text_that_is_too_long_is_refused_unread():
    with pytest.raises(CheckpointError, match="at most"):
        Checkpoint.loads(" " * (17 * 1024 * 1024))


@pytest.mark.parametrize("encoding", [None, "utf-8"])
def test_the_longest_text_is_read_and_one_character_more_is_refused(encoding):
    most = 16 * 1024 * 1024
    text = a_checkpoint().dumps()
    longest = text + " " * (most - len(text))
    given = longest if encoding is None else longest.encode(encoding)
    assert Checkpoint.loads(given) == a_checkpoint()
    more = given + (" " if encoding is None else b" ")
    with pytest.raises(CheckpointError, match=f"at most {most} characters"):
        Checkpoint.loads(more)


@pytest.mark.parametrize("given", [None, 5, ["{}"], bytearray(b"{}")])
def test_what_is_no_text_is_a_type_error(given):
    kind = type(given).__name__
    with pytest.raises(TypeError, match=f"a checkpoint is text, not {kind}$"):
        Checkpoint.loads(given)


def test_a_checkpoint_is_pickled_under_its_public_name():
    pickled = pickle.dumps(a_checkpoint())
    assert pickle.loads(pickled) == a_checkpoint()
    assert b"canopy_async.checkpoint" not in pickled


def test_a_checkpoint_of_nothing_but_a_scope_is_the_start_of_a_read():
    start = Checkpoint(scope="s")
    assert (start.order, start.key, start.ids) == (None, None, frozenset())
    assert (start.position, start.delivered, start.proof) == (0, 0, Proof.NONE)
    assert Checkpoint.loads(start.dumps()) == start


# Of a read


@pytest.mark.parametrize("form", ["checkpoint", "text", "bytes"])
def test_a_read_resumes_from_a_checkpoint_of_its_own_in_any_form(form):
    mine = a_checkpoint(delivered=3)
    given = {
        "checkpoint": mine,
        "text": mine.dumps(),
        "bytes": mine.dumps().encode(),
    }[form]
    assert Checkpoint.of_read(given, "s") == mine
    with pytest.raises(CheckpointError, match="of another read"):
        Checkpoint.of_read(given, "t")


@pytest.mark.parametrize("given", [None, 5, True, {"scope": "s"}])
def test_a_read_resumes_from_nothing_else(given):
    kind = type(given).__name__
    with pytest.raises(TypeError, match=f"resume must be a Checkpoint, not {kind}$"):
        Checkpoint.of_read(given, "s")


def test_more_ids_than_a_checkpoint_holds_are_refused():
    many = frozenset(str(n) for n in range(MAX_IDS + 1))
    with pytest.raises(CheckpointError, match="share one created_at"):
        Checkpoint(scope="s", key=KEY, ids=many).dumps()


def test_a_checkpoint_holds_a_hundred_thousand_ids():
    ids = frozenset(str(n) for n in range(100_000))
    checkpoint = Checkpoint(scope="s", key=KEY, ids=ids)
    text = checkpoint.dumps()
    assert Checkpoint.loads(text) == checkpoint
    with pytest.raises(CheckpointError, match="out of bounds"):
        Checkpoint.loads(text.replace('"ids":[', '"ids":["one more",'))


def test_the_instant_is_kept_whatever_its_offset():
    key = KEY.astimezone(timezone(timedelta(hours=5, minutes=30)))
    checkpoint = Checkpoint(scope="s", key=key, ids=frozenset({"a"}))
    assert Checkpoint.loads(checkpoint.dumps()).key == KEY


def test_a_checkpoint_from_before_the_first_release_is_refused_as_such():
    text = a_checkpoint().dumps().replace('"v":2', '"v":1')
    with pytest.raises(CheckpointError, match=r"before version 0\.1\.0"):
        Checkpoint.loads(text)


# Scopes


READ = {"base_url": "https://api.canopy.dev", "account": "acme", "identity": "idn_1"}
OTHERS = {
    "base_url": "https://canopy.example",
    "account": "other",
    "identity": "idn_2",
    "q": "x",
    "sort_by": "created_at",
    "order": "asc",
    "status": "active",
    "since": KEY,
    "until": KEY,
}


@pytest.mark.parametrize("name", OTHERS)
def test_each_field_tells_one_read_from_another(name):
    assert scope_of_read(**READ) != scope_of_read(**{**READ, name: OTHERS[name]})


def test_a_value_in_one_field_is_another_read_than_the_value_in_the_next():
    in_each = [{**READ, name: "x"} for name in ("q", "sort_by", "order", "status")]
    assert len({scope_of_read(**fields) for fields in in_each}) == len(in_each)
    tricky = {**READ, "identity": 'idn_1","q":"x'}
    assert scope_of_read(**tricky) != scope_of_read(**READ, q="x")


@pytest.mark.parametrize("offset", [-11, 0, 5.5])
def test_an_instant_is_one_read_whatever_its_offset(offset):
    since = KEY.astimezone(timezone(timedelta(hours=offset)))
    assert scope_of_read(**READ, since=since) == scope_of_read(**READ, since=KEY)


def test_the_ends_of_the_calendar_have_a_scope():
    first = datetime.min.replace(tzinfo=timezone(timedelta(hours=2)))
    last = datetime.max.replace(tzinfo=timezone(timedelta(hours=-2)))
    assert scope_of_read(**READ, since=first) != scope_of_read(**READ, until=last)


def rows(*names):
    return [
        SimRow(name, KEY + timedelta(seconds=int(name.split("-")[0]))) for name in names
    ]


def test_a_place_keeps_the_rows_at_its_key_over_batches():
    place = CheckpointBuilder(lambda: "s")
    place.advance(rows("1-a", "2-a", "2-b"))
    place.advance(rows("2-c"))
    report = ReadReport(proof=Proof.STRICT_KEY, order_observed="asc")
    checkpoint = place.checkpoint(rows("2-d"), report, position=5)
    assert frozenset({"2-a", "2-b", "2-c", "2-d"}) == checkpoint.ids
    assert checkpoint.delivered == 5
    later = place.checkpoint(rows("2-d", "3-a"), report, position=6)
    assert frozenset({"3-a"}) == later.ids


def test_a_place_counts_on_from_where_it_was_resumed():
    place = CheckpointBuilder(lambda: "s", a_checkpoint(delivered=7))
    same = place.checkpoint((), ReadReport(), position=0)
    assert (same.key, same.ids, same.delivered) == (KEY, frozenset({"a"}), 7)
