"""A span: the part of a list that is read, by two instants and a checkpoint."""

from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from canopy_async._util.arguments import check_instant
from canopy_async._util.instants import moved
from canopy_async.checkpoint import Checkpoint
from canopy_async.errors import UnprovenTiesError
from canopy_async.report import Proof

__all__ = ["WHOLE", "Span"]

_TICK: Final = timedelta.resolution


@attrs.frozen(kw_only=True)
class Span:
    """A part of a list.

    Attributes:
        since: The earliest instant that is wanted, None for no bound.
        until: The first instant that is not wanted, None for no bound.
        resume: The checkpoint of an earlier read of this list: only the rows after it
            are wanted. None for a read from the beginning.
    """

    since: datetime | None = None
    until: datetime | None = None
    resume: Checkpoint | None = None

    def __attrs_post_init__(self) -> None:
        """Check the bounds.

        Raises:
            TypeError: A bound is not a datetime.
            ValueError: A bound has no UTC offset, or ``since`` is not before ``until``.
        """
        for name in ("since", "until"):
            if getattr(self, name) is not None:
                check_instant(name, getattr(self, name))
        if (
            self.since is not None
            and self.until is not None
            and self.since >= self.until
        ):
            raise ValueError("since must be before until")

    @property
    def is_whole(self) -> bool:
        """Whether the whole list is wanted."""
        return self == WHOLE

    @property
    def past_proof(self) -> Proof:
        """The strongest proof that a read can have which resumes from a checkpoint.

        Rows that were read behind a fence count as unproven: only the pass that read
        them can compare page 1 at its end with page 1 at its beginning.
        """
        if self.resume is None or self.resume.key is None:
            return Proof.STRICT_KEY
        return Proof.NONE if self.resume.proof is Proof.FENCE else self.resume.proof

    def check_past(self) -> None:
        """Check, at the end of a read, that the rows before its checkpoint are proven.

        Raises:
            UnprovenTiesError: Those rows are part of a run of ties that only a single
                pass can prove.
        """
        if self.past_proof is Proof.SHARED_ID:
            raise UnprovenTiesError(
                "what was read before resume had more rows of one created_at than fit"
                " into a page, which are only proven where one pass reads them all"
            )

    def first_key(self, order: str) -> datetime | None:
        """Return the first key in list order that is wanted, None for no bound."""
        place = None if self.resume is None else self.resume.key
        if place is not None:
            return place
        return self.since if order == "asc" else self._last_instant()

    def last_key(self, order: str) -> datetime | None:
        """Return the last key in list order that is wanted, None for no bound."""
        return self._last_instant() if order == "asc" else self.since

    def holds(self, key: Any) -> bool:
        """Tell whether a key lies between the bounds."""
        return (self.since is None or key >= self.since) and (
            self.until is None or key < self.until
        )

    def _last_instant(self) -> datetime | None:
        # Keys are whole microseconds, so the last one is a microsecond before `until`.
        return None if self.until is None else moved(self.until, -_TICK)


WHOLE: Final = Span()
