"""Sample rows and pages in wire form, and hypothesis strategies for models."""

import json
from datetime import UTC, timedelta, timezone

from hypothesis import strategies as st

from canopy_async import AuditEvent, Identity, Outcome, PageMeta, Severity
from canopy_async.models import ActorType, Category

NULLABLE = (
    "account_id",
    "application_id",
    "environment_id",
    "actor_id",
    "resource_type",
    "resource_id",
    "actor_label",
    "resource_label",
    "correlation_id",
    "category",
)
REQUIRED = (
    "id",
    "actor_type",
    "action",
    "metadata",
    "created_at",
    "outcome",
    "severity",
    "customer_visible",
    "identity_visible",
)


def event_row(number=1, **fields):
    """A row with the required fields; a field given as ``...`` is left out."""
    row = {
        "id": f"evt_{number}",
        "actor_type": "user",
        "action": "identity.updated",
        "metadata": {"ip": "198.51.100.1", "nested": {"list": [1, None, True]}},
        "created_at": "2026-04-20T12:00:00.000Z",
        "outcome": "success",
        "severity": "info",
        "customer_visible": True,
        "identity_visible": False,
    }
    return {k: v for k, v in (row | fields).items() if v is not ...}


def full_row(number=1, **fields):
    """A row with all nineteen fields."""
    return event_row(number, **(dict.fromkeys(NULLABLE) | fields))


def meta(**fields):
    """The metadata of a page with one row."""
    values = {
        "page": 1,
        "take": 100,
        "item_count": 1,
        "page_count": 1,
        "has_previous_page": False,
        "has_next_page": False,
    }
    return {k: v for k, v in (values | fields).items() if v is not ...}


def page_body(rows=None, **pagination):
    """The bytes of a page."""
    rows = [event_row()] if rows is None else rows
    pagination = {"item_count": len(rows)} | pagination
    return json.dumps({"items": rows, "pagination": meta(**pagination)}).encode()


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3)
    ),
    max_leaves=6,
)
instants = st.datetimes(
    timezones=st.one_of(
        st.just(UTC),
        st.integers(-23 * 60, 23 * 60).map(lambda m: timezone(timedelta(minutes=m))),
    )
)


def open_values(enum):
    """Known and a few unknown members of an enum, which remembers only a few."""
    unknown = st.sampled_from(["partial", "", "naïve", "SUCCESS", "user "])
    return (st.sampled_from(list(enum)) | unknown).map(enum)


def extras(known):
    """Fields that no class knows; one may be named ``extra``, as our own attribute."""
    names = (text | st.just("extra")).filter(lambda name: name not in known)
    return st.dictionaries(names, json_values, max_size=2)


event_fields = {
    "id": text,
    **dict.fromkeys(NULLABLE, st.none() | text),
    "actor_type": open_values(ActorType),
    "action": text,
    "metadata": st.dictionaries(text, json_values, max_size=3),
    "created_at": instants,
    "outcome": open_values(Outcome),
    "category": st.none() | open_values(Category),
    "severity": open_values(Severity),
    "customer_visible": st.booleans(),
    "identity_visible": st.booleans(),
}
events = st.builds(AuditEvent, **event_fields, extra=extras({*event_fields, "extra_"}))
identity_fields = {
    "id": text,
    "email": st.none() | text,
    "first_name": st.none() | text,
    "last_name": st.none() | text,
    "avatar_url": st.none() | text,
    "external_id": st.none() | text,
    "is_active": st.none() | st.booleans(),
    "email_verified": st.none() | st.booleans(),
    "app_membership_count": st.none() | st.integers(0, 2**63),
    "total_assignments": st.none() | st.integers(0, 2**63),
    "created_at": st.none() | instants,
}
identities = st.builds(Identity, **identity_fields, extra=extras(identity_fields))
counts = st.integers(0, 2**63 - 1)
metas = st.builds(
    PageMeta,
    page=counts,
    take=counts,
    item_count=counts,
    page_count=counts,
    has_previous_page=st.booleans(),
    has_next_page=st.booleans(),
)
