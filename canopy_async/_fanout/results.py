"""The results of a fan-out, by identity: events, and the end of each read."""

from collections.abc import Sequence
from typing import NamedTuple

import attrs

from canopy_async._read.events_query import QueryOptions
from canopy_async._util.public import publish
from canopy_async.checkpoint import Checkpoint
from canopy_async.errors import CanopyError
from canopy_async.models import AuditEvent
from canopy_async.report import ReadReport

__all__ = [
    "EventsOptions",
    "FanOutProgress",
    "IdentityBatch",
    "IdentityEvent",
    "IdentityOutcome",
]


class EventsOptions(QueryOptions, total=False):
    """The options of `CanopySession.events` that a fan-out passes on."""

    limit: int | None
    take: int
    concurrency: int | None
    lossless: bool


class IdentityEvent(NamedTuple):
    """An event, and whose log it is from; unpacks as a pair."""

    identity_id: str
    event: AuditEvent


class IdentityBatch(NamedTuple):
    """Events that follow each other in one log; unpacks as a pair."""

    identity_id: str
    events: Sequence[AuditEvent]


@attrs.frozen(kw_only=True)
class IdentityOutcome:
    """The end of the read of one identity.

    Attributes:
        identity_id: The identity.
        report: The report of its read, None where nothing was read.
        error: Why it failed, None where it was read to its end.
        checkpoint: The place after its last event that was handed out, None
            for the start.
    """

    identity_id: str
    report: ReadReport | None = None
    error: CanopyError | None = None
    checkpoint: Checkpoint | None = None


@attrs.frozen(kw_only=True)
class FanOutProgress:
    """The progress of a fan-out.

    Attributes:
        done: Identities that were read to their end.
        complete: How many of these were proven complete.
        failed: Identities that could not be read.
        open: Identities that are being read now.
        events: Events handed out so far.
        requests: Requests sent so far, retries included.
    """

    done: int = 0
    complete: int = 0
    failed: int = 0
    open: int = 0
    events: int = 0
    requests: int = 0


publish("canopy_async", FanOutProgress, IdentityBatch, IdentityEvent, IdentityOutcome)
