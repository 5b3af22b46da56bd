"""The models: frozen, slotted, travelling; and enums that stay open."""

import copy
import inspect
import operator
import pickle
import weakref

import attrs
import pytest
import rich.pretty
from hypothesis import given
from support.samples import event_row, events, identities, meta, metas

from canopy_async import (
    AuditEvent,
    Category,
    Identity,
    Outcome,
    Page,
    PageMeta,
    Severity,
    converter,
)
from canopy_async.models import MAX_UNKNOWN_MEMBERS, ActorType, OpenEnum

EVENT = converter.structure(event_row(), AuditEvent)
IDENTITY = converter.structure({"id": "idn_1"}, Identity)
META = converter.structure(meta(), PageMeta)
MODELS = [EVENT, IDENTITY, META, Page(items=(EVENT,), pagination=META)]


def pickled(value):
    return pickle.loads(pickle.dumps(value))


@pytest.fixture
def fresh():
    """An enum with an empty cache of its own."""

    class Colour(OpenEnum):
        RED = "red"

    return Colour


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_a_model_is_frozen_slotted_and_only_made_by_keyword(model):
    name = attrs.fields(type(model))[0].name
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(model, name, "other")
    assert not hasattr(model, "__dict__")
    with pytest.raises(TypeError):
        type(model)("positional")


@given(events)
def test_an_event_is_equal_after_pickling_and_copying(event):
    assert pickled(event) == event
    assert copy.deepcopy(event) == event
    assert copy.copy(event) == event


@given(identities, metas)
def test_identities_and_metadata_are_equal_after_pickling(identity, page_meta):
    page = Page(items=(identity,), pagination=page_meta)
    assert pickled(page) == page


def test_an_event_can_be_hashed_although_its_metadata_is_a_dict():
    again = converter.structure(event_row(), AuditEvent)
    assert len({EVENT, again}) == 1


def test_the_repr_of_an_event_shows_neither_metadata_nor_extra():
    event = converter.structure(
        event_row(metadata={"email": "ada@example.com"}, later="ada@example.com"),
        AuditEvent,
    )
    assert "ada@" not in repr(event)
    assert "evt_1" in repr(event)


def test_the_extra_of_a_row_is_a_dict_of_its_own():
    other = converter.structure({"id": "idn_2"}, Identity)
    assert type(other.extra) is dict
    other.extra["later"] = 1
    assert IDENTITY.extra == {}
    assert Identity(id="idn_3").extra == {}


@pytest.mark.parametrize("row", [EVENT, IDENTITY], ids=lambda row: type(row).__name__)
def test_a_row_is_of_an_attrs_class_and_works_as_one(row):
    cls = type(row)
    assert attrs.has(cls)
    assert attrs.evolve(row) == row
    assert attrs.evolve(row, id="other") != row
    assert cls(**attrs.asdict(row)) == row
    assert attrs.asdict(row)["id"] == row.id
    assert repr(row).startswith(f"{cls.__name__}(id={row.id!r}, ")
    assert weakref.ref(row)() is row
    assert cls.__module__ == "canopy_async"
    assert list(inspect.signature(cls).parameters) == [
        field.name for field in attrs.fields(cls)
    ]
    with pytest.raises(TypeError):
        cls(**attrs.asdict(row), later=1)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del row.id


def test_rich_shows_of_an_event_what_its_repr_shows():
    event = converter.structure(event_row(metadata={"email": "ada@x"}), AuditEvent)
    shown = rich.pretty.pretty_repr(event)
    assert "ada@x" not in shown
    assert "id='evt_1'" in shown


def test_the_fields_of_a_row_can_be_filtered_as_those_of_any_attrs_class():
    without = attrs.filters.exclude(attrs.fields(AuditEvent).metadata)
    row = attrs.asdict(EVENT, filter=without)
    assert "metadata" not in row
    assert type(row["extra"]) is dict


@pytest.mark.parametrize("enum", [ActorType, Outcome, Severity, Category])
def test_a_known_value_is_its_member_and_compares_and_hashes_as_str(enum):
    for member in enum:
        assert enum(member.value) is member
        assert member == member.value
        assert hash(member) == hash(member.value)
        assert {member.value: 1}[member] == 1
        assert str(member) == f"{member}" == member.value
        assert member.is_known


def test_an_unknown_value_makes_a_member_that_works_as_a_known_one_does():
    partial = Outcome("partial")
    assert isinstance(partial, Outcome)
    assert partial == "partial"
    assert (partial.name, partial.value, str(partial)) == ("partial",) * 3
    assert hash(partial) == hash("partial")
    assert not partial.is_known
    assert partial != Outcome.SUCCESS
    assert repr(partial) == "<Outcome.partial: 'partial'>"


RANKED = ["info", "notice", "warning", "critical"]
COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge]
UNKNOWN = ["emergency", "", "CRITICAL", "a"]


@pytest.mark.parametrize("left", RANKED)
@pytest.mark.parametrize("right", RANKED)
@pytest.mark.parametrize(
    "compare", [operator.lt, operator.le, operator.gt, operator.ge]
)
def test_severities_compare_by_rank_with_members_and_with_text(left, right, compare):
    expected = compare(RANKED.index(left), RANKED.index(right))
    assert compare(Severity(left), Severity(right)) is expected
    assert compare(Severity(left), right) is expected
    assert compare(left, Severity(right)) is expected


@pytest.mark.parametrize("unknown", UNKNOWN)
@pytest.mark.parametrize("known", RANKED)
def test_an_unknown_severity_ranks_above_all_known_ones(unknown, known):
    assert Severity(unknown) > known
    assert Severity(unknown) >= Severity(known)
    assert Severity(known) < unknown
    assert not Severity(known) >= Severity(unknown)
    assert unknown > Severity(known)


@pytest.mark.parametrize("left", UNKNOWN)
@pytest.mark.parametrize("right", UNKNOWN)
def test_unknown_severities_rank_alike(left, right):
    assert Severity(left) >= right
    assert Severity(left) <= Severity(right)
    assert not Severity(left) > Severity(right)
    assert (Severity(left) == right) is (left == right)


def test_severities_sort_from_the_least_to_the_most():
    mixed = ["warning", "emergency", "info", "critical", "notice"]
    ranked = sorted(map(Severity, mixed))
    assert ranked == ["info", "notice", "warning", "critical", "emergency"]
    assert max(map(Severity, ["critical", "notice"])) is Severity.CRITICAL


@pytest.mark.parametrize("other", [None, 1, b"info", ["info"]], ids=repr)
def test_a_severity_has_no_order_with_what_is_no_text(other):
    with pytest.raises(TypeError, match="not supported"):
        operator.lt(Severity.INFO, other)


@pytest.mark.parametrize("enum", [ActorType, Outcome, Category])
@pytest.mark.parametrize(
    "compare", [operator.lt, operator.le, operator.gt, operator.ge]
)
def test_other_enums_have_no_order(enum, compare):
    member, *_ = enum
    for left, right in ((member, member), (member, "x"), ("x", member)):
        with pytest.raises(TypeError, match=f"{enum.__name__} has no order"):
            compare(left, right)


def test_an_unknown_value_is_one_object_and_does_not_join_the_listed_ones():
    before = list(Outcome)
    assert Outcome("partial") is Outcome("partial")
    assert list(Outcome) == before
    assert "partial" not in Outcome.__members__


def test_a_value_spelled_like_the_name_of_a_member_is_not_known():
    assert not Outcome("SUCCESS").is_known
    assert Outcome("SUCCESS") != Outcome.SUCCESS


@pytest.mark.parametrize("value", [None, 1, b"success", True, ["success"]])
def test_what_is_no_str_is_no_value_of_an_open_enum(value):
    with pytest.raises(ValueError, match="is not a valid Outcome"):
        Outcome(value)


def test_the_cache_of_unknown_values_is_bounded_and_those_beyond_still_work(fresh):
    members = [fresh(f"value-{n}") for n in range(MAX_UNKNOWN_MEMBERS + 50)]
    assert len(fresh._value2member_map_) == 1 + MAX_UNKNOWN_MEMBERS
    assert all(fresh(m.value) is m for m in members[:MAX_UNKNOWN_MEMBERS])
    beyond = members[-1]
    again = fresh(beyond.value)
    assert again is not beyond
    assert again == beyond == "value-305"
    assert hash(again) == hash(beyond)
    assert not again.is_known


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", ["success", "partial", "", "SUCCESS", "å"])
def test_members_known_or_not_survive_pickling(value, protocol):
    member = Outcome(value)
    again = pickle.loads(pickle.dumps(member, protocol))
    assert again is member


def test_an_unknown_member_survives_copying():
    assert copy.deepcopy(Outcome("partial")) is Outcome("partial")
    assert copy.copy(Outcome("partial")) is Outcome("partial")
