"""The entry of one identity in a manifest: its rows, its state and its proof."""

from typing import Annotated, Final, Literal, TypeAlias

import attrs
import msgspec

from canopy_async._follow.follow_checkpoint import Gap
from canopy_async._util.display import clipped
from canopy_async._util.public import publish
from canopy_async.models import AwareDatetime
from canopy_async.report import Proof

__all__ = ["EventMark", "Failure", "IdentityEntry", "IdentityState"]

IdentityState: TypeAlias = Literal["open", "done", "failed", "gone"]

_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]

_MOST_SAID: Final = 2_000
"""The longest text of an error that is kept, in characters."""


@attrs.frozen(kw_only=True)
class EventMark:
    """The id of an event, and its instant.

    Attributes:
        id: The event's id.
        created_at: When it happened: a datetime with an offset.
    """

    id: str
    created_at: AwareDatetime


@attrs.frozen(kw_only=True)
class Failure:
    """Why an identity could not be read.

    Attributes:
        type: The name of the error's class.
        message: The error's text, cut where it is very long.
    """

    type: str
    message: str

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        """Return the failure that an error stands for."""
        return cls(type=type(error).__name__, message=clipped(str(error), _MOST_SAID))


@attrs.frozen(kw_only=True)
class IdentityEntry:
    """The state of one identity: by one commit, or by all of them.

    Attributes:
        id: The identity; ``account:`` and the account's slug for an account's log.
        events: How many of its events: those of the commit, or all.
        first: The first of these rows, None where there are none.
        last: The last of these rows.
        late: How many of these events are dated before ``as_of`` of the run
            before: they were committed late.
        state: ``done``: its log was read to the end. ``failed``: it could not be
            read, or not be proven. ``open``: the read is to be gone on with.
        complete: Whether all of its log up to ``as_of`` was read, and ``proof``
            stands behind each read of it.
        proof: The weakest certificate that its rows rest on.
        as_of: How far its log is covered: whatever had been committed by then
            and was still there is in the files. By the server's clock. None
            where its log was never read to the end.
        counted: How many events the server counted in what the last read of the
            log was of; None where it said nothing.
        checkpoint: Where to go on, unless it is done; None for the start.
        since: The ``since`` of the read that ``checkpoint`` belongs to.
        began: When that read began, by the server's clock.
        known: The events of the look-back, in the form of a follower's
            checkpoint: the next run reads from there on again, and what is not
            among them is new. None where it has nothing to look back on, and
            where an export with ``until`` is done with the identity.
        gap: Set where events may be missing that the server had deleted before
            they could be read: a run came too late for them.
        error: Why it failed.
    """

    id: str
    events: _Count
    first: EventMark | None = None
    last: EventMark | None = None
    late: _Count = 0
    state: IdentityState
    complete: bool = False
    proof: Proof = Proof.NONE
    as_of: AwareDatetime | None = None
    counted: _Count | None = None
    checkpoint: str | None = None
    since: AwareDatetime | None = None
    began: AwareDatetime | None = None
    known: str | None = None
    gap: Gap | None = None
    error: Failure | None = None

    def followed_by(self, later: "IdentityEntry") -> "IdentityEntry":
        """Return what both entries together say, ``later`` being the newer one."""
        return attrs.evolve(
            later,
            events=self.events + later.events,
            first=self.first or later.first,
            last=later.last or self.last,
            late=self.late + later.late,
            as_of=later.as_of or self.as_of,
            known=later.known or self.known,
            counted=self.counted if later.counted is None else later.counted,
            gap=later.gap or self.gap,
        )


publish("canopy_async.export", EventMark, Failure, IdentityEntry)
