"""`FollowOptions`: how identities are followed; the options are checked once."""

import random
from datetime import datetime
from typing import Any, Final, Literal, Self, TypeAlias, cast

import attrs

from canopy_async._follow.lateness import LatenessOptions
from canopy_async._util.arguments import (
    check_choice,
    check_flag,
    check_instant,
    check_integer,
    check_seconds,
)

__all__ = ["BEGINNING", "NOW", "FollowOptions", "Pace", "Start", "check_start"]

BEGINNING: Final = "beginning"
NOW: Final = "now"

Start: TypeAlias = Literal["now", "beginning"] | datetime
"""The place to begin without a checkpoint: ``now``, ``beginning``, or an instant."""

_SLOWER: Final = 1.5
"""After a poll without new events, the next interval is this many times as long."""

_JITTER: Final = 0.1
"""Each wait differs from its interval by at most this fraction of the interval."""


@attrs.frozen(kw_only=True)
class Pace:
    """The pace of the polls of a log.

    Attributes:
        every: Seconds between polls of a log that gets events.
        idle_every: Seconds between polls, at most, of a log that gets no events.
    """

    every: float
    idle_every: float

    def after_idle(self, interval: float) -> float:
        """Return the next interval after a poll without new events."""
        return min(max(self.idle_every, self.every), interval * _SLOWER)

    def after_failures(self, failures: int) -> float:
        """Return the next interval after a number of failed polls in a row."""
        return min(max(self.idle_every, self.every), self.every * 2.0**failures)

    def spread(self, interval: float) -> float:
        """Return about ``interval``, at random, so that logs do not stay in step."""
        return interval * random.uniform(1 - _JITTER, 1 + _JITTER)


@attrs.frozen(kw_only=True)
class FollowOptions:
    """The options of following identities.

    Attributes:
        start: Where to begin without a checkpoint: ``now``, ``beginning``, or the
            first instant whose events are wanted.
        discover_every: Seconds between two listings of the identities.
        until_caught_up: Whether following ends once all logs were read to their end.
        lateness: How far back a log is read again, and which events are held back.
        pace: How often a log is polled.
        width: How many identities are polled at a time at most.
    """

    start: Start
    discover_every: float
    until_caught_up: bool
    lateness: LatenessOptions
    pace: Pace
    width: int

    @classmethod
    def checked(
        cls,
        *,
        start: Start,
        discover_every: float,
        until_caught_up: bool,
        every: float,
        idle_every: float,
        overlap: float,
        deep_overlap: float | None,
        deep_every: float | None,
        settle: float,
        width: int,
    ) -> Self:
        """Return the options of `CanopySession.follow`.

        Raises:
            TypeError: An option has the wrong type; names the option.
            ValueError: An option is out of bounds; names it and what is allowed.
        """
        return cls(
            start=check_start(start),
            discover_every=check_seconds("discover_every", discover_every),
            until_caught_up=check_flag("until_caught_up", until_caught_up),
            lateness=LatenessOptions.checked(
                overlap=overlap,
                deep_overlap=deep_overlap,
                deep_every=deep_every,
                settle=settle,
            ),
            pace=Pace(
                every=check_seconds("every", every),
                idle_every=check_seconds("idle_every", idle_every),
            ),
            width=check_integer("width", width, minimum=1),
        )


def check_start(start: Any) -> Start:
    """Return ``start`` if it is a place to begin.

    Raises:
        TypeError: ``start`` is neither a str nor a datetime.
        ValueError: ``start`` is another word than ``now`` and ``beginning``, or a
            datetime without an offset.
    """
    if isinstance(start, datetime):
        return check_instant("start", start)
    if not isinstance(start, str):
        raise TypeError(
            "start must be 'now', 'beginning' or a datetime,"
            f" not {type(start).__name__}"
        )
    return cast("Start", check_choice("start", start, (NOW, BEGINNING)))
