"""The public converter: strict, without coercion, and there and back."""

from datetime import UTC, datetime, timedelta, timezone

import cattrs
import pytest
from hypothesis import given
from support.samples import event_row, events, full_row, identities, meta, metas

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
from canopy_async._api.conversion import make_converter
from canopy_async.models import ActorType


@given(events)
def test_an_event_is_the_same_there_and_back(event):
    row = converter.unstructure(event)
    again = converter.structure(row, AuditEvent)
    assert again == event
    assert converter.unstructure(again) == row


@given(identities)
def test_an_identity_is_the_same_there_and_back(identity):
    assert converter.structure(converter.unstructure(identity), Identity) == identity


@given(events, metas)
def test_a_page_is_the_same_there_and_back(event, page_meta):
    page = Page(items=(event,), pagination=page_meta)
    row = converter.unstructure(page)
    assert converter.structure(row, Page[AuditEvent]) == page


def test_a_row_is_typed_throughout():
    event = converter.structure(full_row(category="mfa"), AuditEvent)
    assert type(event.outcome) is Outcome
    assert type(event.severity) is Severity
    assert type(event.actor_type) is ActorType
    assert event.category is Category.MFA
    assert event.created_at == datetime(2026, 4, 20, 12, tzinfo=UTC)


def test_values_the_api_adds_later_become_members_of_the_open_enums():
    event = converter.structure(event_row(outcome="partial"), AuditEvent)
    assert event.outcome is Outcome("partial")


def test_unstructured_values_are_plain():
    row = converter.unstructure(converter.structure(full_row(), AuditEvent))
    assert {type(value) for value in row.values()} <= {str, dict, bool, type(None)}
    assert row["created_at"] == "2026-04-20T12:00:00Z"


def test_unknown_fields_are_kept_and_put_back():
    event = converter.structure(event_row(later=[1], extra={"x": 2}), AuditEvent)
    assert event.extra == {"later": [1], "extra": {"x": 2}}
    row = converter.unstructure(event)
    assert (row["later"], row["extra"]) == ([1], {"x": 2})


@pytest.mark.parametrize(
    ("cls", "row"),
    [
        (AuditEvent, event_row(customer_visible="false")),
        (AuditEvent, event_row(customer_visible=0)),
        (AuditEvent, event_row(id=5)),
        (AuditEvent, event_row(id=None)),
        (AuditEvent, event_row(id=...)),
        (AuditEvent, event_row(account_id=5)),
        (AuditEvent, event_row(metadata=None)),
        (AuditEvent, event_row(metadata=[])),
        (AuditEvent, event_row(outcome=None)),
        (AuditEvent, event_row(category=7)),
        (AuditEvent, event_row(created_at="2026-04-20T12:00:00")),
        (AuditEvent, event_row(created_at=datetime(2026, 1, 1))),
        (AuditEvent, event_row(created_at=0)),
        (AuditEvent, []),
        (AuditEvent, None),
        (Identity, {"id": "x", "is_active": "true"}),
        (Identity, {"id": "x", "total_assignments": True}),
        (Identity, {"id": "x", "total_assignments": 1.0}),
        (Identity, {}),
        (PageMeta, meta(page="1")),
        (PageMeta, meta(page=True)),
        (PageMeta, meta(page=1.0)),
        (PageMeta, meta(has_next_page=1)),
        (PageMeta, meta(item_count=...)),
    ],
    ids=repr,
)
def test_nothing_is_coerced(cls, row):
    with pytest.raises((cattrs.BaseValidationError, TypeError, ValueError)):
        converter.structure(row, cls)


@pytest.mark.parametrize("extra", [5, None, "x", [1], {"x": 2}])
def test_a_field_with_the_name_of_ours_for_unknown_ones_may_be_anything(extra):
    event = converter.structure(event_row(extra=extra), AuditEvent)
    assert event.extra == {"extra": extra}


@pytest.mark.parametrize(
    ("value", "kind"), [(None, "null"), ([], "list"), (5, "int"), ("x", "str")]
)
@pytest.mark.parametrize("cls", [AuditEvent, Identity])
def test_what_is_no_object_is_no_row(cls, value, kind):
    with pytest.raises(TypeError, match=f"^expected object, got {kind}$"):
        converter.structure(value, cls)


def test_an_instant_by_itself_is_strict_too():
    instant = converter.structure("2026-01-01T00:00:00-03:00", datetime)
    assert instant == datetime(2026, 1, 1, 3, tzinfo=UTC)
    assert converter.unstructure(instant) == "2026-01-01T00:00:00-03:00"
    assert converter.unstructure(instant.astimezone(UTC)) == "2026-01-01T03:00:00Z"
    with pytest.raises(ValueError, match="with an offset"):
        converter.structure("2026-01-01T00:00:00", datetime)


def test_an_aware_datetime_is_taken_as_it_is():
    moment = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=-3)))
    event = converter.structure(event_row(created_at=moment), AuditEvent)
    assert event.created_at is moment
    assert converter.unstructure(event)["created_at"] == "2026-01-01T00:00:00-03:00"


def test_a_converter_of_ones_own_can_be_changed_without_touching_the_public_one():
    mine = make_converter()
    mine.register_unstructure_hook(Outcome, lambda outcome: outcome.upper())
    event = converter.structure(event_row(), AuditEvent)
    assert mine.unstructure(Outcome.DENIED) == "DENIED"
    assert converter.unstructure(event)["outcome"] == "success"
    assert converter.unstructure(Outcome.DENIED) == "denied"


def test_every_fault_of_a_row_is_reported_by_cattrs_at_once():
    with pytest.raises(cattrs.ClassValidationError) as caught:
        converter.structure(event_row(id=5, action=None), AuditEvent)
    faults = cattrs.transform_error(caught.value)
    assert sorted(fault.rpartition(" @ ")[2] for fault in faults) == [
        "$.action",
        "$.id",
    ]
