"""What a fan-out gives, by identity: events, and how their reads ended."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple, TypedDict, cast

import attrs

from canopy_async._util.arguments import Order
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
    "pair",
]


class EventsOptions(TypedDict, total=False):
    """The options of `CanopySession.events` that a fan-out passes on."""

    q: str | None
    sort_by: str | None
    order: Order | None
    since: datetime | None
    until: datetime | None
    limit: int | None
    take: int
    concurrency: int | None
    lossless: bool


class IdentityEvent(NamedTuple):
    """An event, and whose log it is from; unpacks as a pair."""

    identity_id: str
    event: AuditEvent


pair: Final[Callable[[tuple[str, AuditEvent]], IdentityEvent]] = partial(
    cast("Any", tuple).__new__, IdentityEvent
)
"""Makes an `IdentityEvent` in half the time that its own constructor takes."""


class IdentityBatch(NamedTuple):
    """Events that follow each other in one log; unpacks as a pair."""

    identity_id: str
    events: Sequence[AuditEvent]


@attrs.frozen(kw_only=True)
class IdentityOutcome:
    """How the read of one identity ended.

    Attributes:
        identity_id: Whose log it is.
        report: What was read and what it can prove, None where nothing was.
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
    """How far a fan-out is.

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
