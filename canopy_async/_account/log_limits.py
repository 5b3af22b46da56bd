"""Limits of an account's log: what a server refuses that no documentation tells of.

A refusal is a 400, which does not say in a known form what it is about. So a first
request that is refused is sent again with less in it, until one is answered; the reads
after it begin with what was answered.
"""

from collections.abc import Iterator
from typing import Final, TypedDict

import attrs

from canopy_async._account.log_range import LogRange

__all__ = ["WIDE", "KnownLimits", "LimitSearch", "LogLimits"]

WIDE: Final = 30 * 86_400_000
"""Milliseconds that a request spans without ``from``, so that no server refuses it."""

_SAFE_TAKE: Final = 50
"""Rows per page where nothing is said, so that no server refuses it."""


@attrs.frozen
class LogLimits:
    """The limits of one request to the log.

    Attributes:
        widest: Milliseconds that a request may span, None for any number.
        take: Rows per page, None for as many as are wanted.
        names_future: Whether a ``to`` may be ahead of the server's clock. Where it may
            not, it is left out: the server then takes the time that it is.
    """

    widest: int | None = None
    take: int | None = None
    names_future: bool = True

    def weaker(
        self, *, take: int, is_wide: bool, is_ahead: bool
    ) -> Iterator["LogLimits"]:
        """Yield what may be asked for instead, the closest to this first.

        Args:
            take: Rows per page that are wanted.
            is_wide: Whether a request spans more than any server takes.
            is_ahead: Whether one names a time ahead of the server's clock.
        """
        takes = [self.take]
        if self.take is None and take > _SAFE_TAKE:
            takes.append(_SAFE_TAKE)
        spans = [self.widest]
        if self.widest is None and is_wide:
            spans.append(WIDE - 1)
        futures = [self.names_future]
        if self.names_future and is_ahead:
            futures.append(False)
        for rows in takes:
            for span in spans:
                for future in futures:
                    limits = LogLimits(span, rows, future)
                    if limits != self:
                        yield limits

    def warnings(self, *, take: int, is_wide: bool, is_ahead: bool) -> Iterator[str]:
        """Yield what a read is to say of these limits, a sentence each.

        Args:
            take: Rows per page that were wanted.
            is_wide: Whether a request would have spanned more than any server takes.
            is_ahead: Whether one would have named a time ahead of the server's clock.
        """
        if self.widest is not None and is_wide:
            yield "the server refuses to be asked for more than 30 days at a time"
        if self.take is not None and take > self.take:
            yield f"the server refuses pages of more than {self.take} rows"
        if not self.names_future and is_ahead:
            yield (
                "the server refuses a time ahead of its clock: events that are dated"
                " ahead of it were not asked for"
            )


@attrs.define(eq=False)
class KnownLimits:
    """The limits of one server, as the reads of a session have found them.

    Attributes:
        limits: Those that were answered last.
    """

    limits: LogLimits = attrs.field(factory=LogLimits)


class _Asked(TypedDict):
    take: int
    is_wide: bool
    is_ahead: bool


class LimitSearch:
    """Finds out what a server answers, where it refuses the first request of a read.

    Args:
        known: What it refuses, as far as reads have found out; what this one finds is
            added.
        wanted: What is read.
        take: Rows per page that are wanted.
    """

    def __init__(self, known: KnownLimits, wanted: LogRange, take: int) -> None:
        self._known: Final = known
        self._wanted: Final = wanted
        self._take: Final = take
        self._weaker: Iterator[LogLimits] | None = None
        self.limits = known.limits

    @property
    def take(self) -> int:
        """Rows per page."""
        return min(self._take, self.limits.take or self._take)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings that a read has because of the limits, a sentence each."""
        return tuple(self.limits.warnings(**self._asked))

    def names_until(self, high: int) -> bool:
        """Tell whether a request says up to when rows are wanted.

        It does not where that is ahead of the clock of a server that refuses it.

        Args:
            high: The last millisecond whose rows it wants.
        """
        return self.limits.names_future or not self._wanted.is_ahead(high)

    def was_answered(self) -> None:
        """Remember for later reads what was answered."""
        self._known.limits = self.limits

    def weaken(self) -> bool:
        """Go on to the next weaker limits, after a refusal; tell whether there are."""
        if self._weaker is None:
            self._weaker = self.limits.weaker(**self._asked)
        weaker = next(self._weaker, None)
        if weaker is None:
            return False
        self.limits = weaker
        return True

    @property
    def _asked(self) -> _Asked:
        """The parts of this read's requests that a server may refuse."""
        wanted = self._wanted
        return {
            "take": self._take,
            "is_wide": wanted.high + 1 - wanted.low > WIDE,
            "is_ahead": wanted.is_ahead(wanted.high),
        }
