"""The models: frozen, slotted, travelling; and enums that stay open."""

import copy
import operator
import pickle

import attrs
import pytest
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
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own bytes


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


def test_rows_without_unknown_fields_share_one_extra_also_when_unpickled():
    other = converter.structure({"id": "idn_2"}, Identity)
    assert IDENTITY.extra is other.extra
    assert pickled(other).extra is other.extra


@pytest.mark.parametrize(
    "copied",
    [
        dict(IDENTITY.extra),
        IDENTITY.extra.copy(),
        copy.copy(IDENTITY.extra),
        copy.deepcopy(IDENTITY.extra),
        copy.deepcopy(IDENTITY).extra,
        IDENTITY.extra | {},
    ],
)
def test_a_copy_of_the_extra_is_a_dict_of_one_s_own(copied):
    copied["later"] = 1
    assert type(copied) is dict
    assert IDENTITY.extra == {}


@pytest.mark.parametrize(
    "change",
    [
        lambda extra: extra.update(later=1),
        lambda extra: extra.setdefault("later", 1),
        lambda extra: operator.setitem(extra, "later", 1),
        lambda extra: operator.ior(extra, {"later": 1}),
    ],
)
def test_nobody_can_write_into_the_extra_of_other_rows(change):
    with pytest.raises(TypeError, match="make a dict of it"):
        change(IDENTITY.extra)
    assert IDENTITY.extra == {}


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
    again = pickle.loads(pickle.dumps(member, protocol))  # noqa: S301 - our own bytes
    assert again is member


def test_an_unknown_member_survives_copying():
    assert copy.deepcopy(Outcome("partial")) is Outcome("partial")
    assert copy.copy(Outcome("partial")) is Outcome("partial")
