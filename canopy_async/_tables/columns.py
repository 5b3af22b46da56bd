"""The columns of a table of events, in an exported file or in memory."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final, TypeAlias

import attrs

from canopy_async.models import AuditEvent

__all__ = [
    "COLUMNS",
    "EXTRA",
    "FIELDS",
    "IDENTITY_ID",
    "EventsOfOne",
    "columns_of",
    "fields_of",
]

EventsOfOne: TypeAlias = tuple[str | None, Sequence[AuditEvent]]
"""The id of an identity, and events of its log. An `IdentityBatch` is one.

The id is None for the log of a whole account, which belongs to no identity."""

IDENTITY_ID: Final = "identity_id"
"""The first column: the identity whose log the row was read from."""

EXTRA: Final = "extra"
"""The last column: the fields that this version of the library does not know."""

FIELDS: Final = tuple(
    field.name for field in attrs.fields(AuditEvent) if field.name != EXTRA
)
COLUMNS: Final = (IDENTITY_ID, *FIELDS, EXTRA)

fields_of: Final = attrgetter(*FIELDS)
"""Returns the values of an event's `FIELDS`."""


def columns_of(batches: Sequence[EventsOfOne]) -> dict[str, Sequence[Any]]:
    """Return the events of batches as columns, in the order of `COLUMNS`."""
    rows = [event for _, events in batches for event in events]
    # Each field is written out, as looking fields up by name takes twice as long.
    return {
        IDENTITY_ID: [identity for identity, events in batches for _ in events],
        "id": [event.id for event in rows],
        "account_id": [event.account_id for event in rows],
        "application_id": [event.application_id for event in rows],
        "environment_id": [event.environment_id for event in rows],
        "actor_id": [event.actor_id for event in rows],
        "actor_type": [event.actor_type for event in rows],
        "action": [event.action for event in rows],
        "resource_type": [event.resource_type for event in rows],
        "resource_id": [event.resource_id for event in rows],
        "metadata": [event.metadata for event in rows],
        "created_at": [event.created_at for event in rows],
        "actor_label": [event.actor_label for event in rows],
        "resource_label": [event.resource_label for event in rows],
        "correlation_id": [event.correlation_id for event in rows],
        "outcome": [event.outcome for event in rows],
        "category": [event.category for event in rows],
        "severity": [event.severity for event in rows],
        "customer_visible": [event.customer_visible for event in rows],
        "identity_visible": [event.identity_visible for event in rows],
        EXTRA: [event.extra for event in rows],
    }
