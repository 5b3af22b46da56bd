"""`OpenRead`: the read of one identity while a fan-out has it open."""

from collections.abc import Iterator, Sequence

import attrs

from canopy_async._fanout.results import IdentityEvent
from canopy_async._read.reader import PageReader
from canopy_async.checkpoint import Checkpoint
from canopy_async.models import AuditEvent

__all__ = ["OpenRead"]


@attrs.define(eq=False)
class OpenRead:
    """The read of one identity.

    Attributes:
        identity_id: The identity.
        resume: The place where the read begins, None for the start.
        run: The pass over the log, once it is there.
        events: The events of the latest page, until all of them were handed out.
        handed: How many of these were handed out.
    """

    identity_id: str
    resume: Checkpoint | str | None
    run: PageReader[AuditEvent] | None = None
    events: Sequence[AuditEvent] = ()
    handed: int = 0

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The place after the last event that was handed out."""
        if self.run is None:
            return None
        if not self.events:
            return self.run.checkpoint
        return self.run.checkpoint_after(self.handed)

    def decode(self) -> bool:
        """Make the events of the answer that has come; tell whether there are any.

        Here and not where it arrives: rows that wait would push each other out
        of the processor's cache, and an answer is smaller than its rows.
        """
        if self.run is None:
            return False
        self._begin(self.run.decode())
        return bool(self.events)

    def finish_batch(self) -> int:
        """Finish with the events; return how many of them were handed out."""
        handed = self.handed
        self._begin(())
        if self.run is not None:
            self.run.finish_batch()  # many pages may be read until its turn
        return handed

    def pairs(self) -> Iterator[IdentityEvent]:
        """Hand out the events one by one, each with its identity."""
        for event in self.events:
            self.handed += 1
            yield IdentityEvent(self.identity_id, event)

    def take_all(self) -> Sequence[AuditEvent]:
        """Hand out all events at once."""
        self.handed = len(self.events)
        return self.events

    def _begin(self, events: Sequence[AuditEvent]) -> None:
        """Set the events, of which none was handed out yet."""
        self.events, self.handed = events, 0
