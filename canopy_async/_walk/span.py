"""A span: the part of a list that is read, from a time, to a time, after a place."""

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
        resume: Where an earlier read of the same list ended.
    """

    since: datetime | None = None
    until: datetime | None = None
    resume: Checkpoint | None = None

    def __attrs_post_init__(self) -> None:
        """Check the bounds.

        Raises:
            TypeError: A bound is no datetime.
            ValueError: A bound has no offset, or nothing lies between them.
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
        """Whether everything is wanted."""
        return self == WHOLE

    @property
    def past_proof(self) -> Proof:
        """The strongest proof that a read can have, given what was read before it.

        What was read behind a fence counts as unproven: whether the fence held can
        only be told by the pass that raised it.
        """
        if self.resume is None or self.resume.key is None:
            return Proof.STRICT_KEY
        return Proof.NONE if self.resume.proof is Proof.FENCE else self.resume.proof

    def check_past(self) -> None:
        """Raise at the end of a read where what was read before can't be proven.

        Raises:
            UnprovenTiesError: It leans on ties that one pass has to read.
        """
        if self.past_proof is Proof.SHARED_ID:
            raise UnprovenTiesError(
                "what was read before resume had more rows of one created_at than fit"
                " into a page, which are only proven where one pass reads them all"
            )

    def first_key(self, order: str) -> datetime | None:
        """Return the first key in list order that is wanted, inclusive."""
        place = None if self.resume is None else self.resume.key
        if place is not None:
            return place
        return self.since if order == "asc" else self._last_instant()

    def last_key(self, order: str) -> datetime | None:
        """Return the last key in list order that is wanted, inclusive."""
        return self._last_instant() if order == "asc" else self.since

    def holds(self, key: Any) -> bool:
        """Tell whether a key lies between the bounds."""
        return (self.since is None or key >= self.since) and (
            self.until is None or key < self.until
        )

    def _last_instant(self) -> datetime | None:
        # Keys are no finer than a datetime, so the one before is the last.
        return None if self.until is None else moved(self.until, -_TICK)


WHOLE: Final = Span()
