"""Rankings: what occurs most, counted in bounded memory."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Final, Generic, TypeVar

import attrs

__all__ = ["HeavyHitters", "Ranked", "Ranking", "Standings"]

K = TypeVar("K", bound=Hashable)
K_co = TypeVar("K_co", bound=Hashable, covariant=True)
L = TypeVar("L", bound=Hashable)

_FAILURE: Final = "failure"
_DENIED: Final = "denied"
_TROUBLE: Final = (_FAILURE, _DENIED)


@attrs.frozen(kw_only=True)
class Ranked(Generic[K_co]):
    """One entry of a `Ranking`; its numbers are exact if those of the ranking are.

    Attributes:
        what: Who or what it is about.
        events: How many events there were.
        failures: How many of them failed.
        denials: How many of them were denied.
    """

    what: K_co
    events: int
    failures: int
    denials: int

    @property
    def trouble(self) -> int:
        """The number of events that failed or were denied."""
        return self.failures + self.denials


@attrs.frozen(kw_only=True)
class Ranking(Generic[K_co]):
    """The most frequent, and how far that can be relied on.

    Attributes:
        entries: The most frequent ones, in order.
        different: How many different ones there were; None where they were too
            many to count.
        others: How many events are of none of the entries, at most.
        shortfall: How many events a number may be too low by; 0 if all are exact.
    """

    entries: Sequence[Ranked[K_co]]
    different: int | None
    others: int
    shortfall: int

    def renamed(self, name: Callable[[K_co], L]) -> "Ranking[L]":
        """Return the ranking with each entry renamed by ``name``."""
        entries = [
            Ranked(
                what=name(entry.what),
                events=entry.events,
                failures=entry.failures,
                denials=entry.denials,
            )
            for entry in self.entries
        ]
        return Ranking(
            entries=entries,
            different=self.different,
            others=self.others,
            shortfall=self.shortfall,
        )


class HeavyHitters(Generic[K]):
    """Counts of keys, exact until there are more different ones than room.

    Then the rarest are let go, as Misra and Gries do: the same number is taken
    off every count, and keys with nothing left are dropped. A kept count is low
    by `shortfall` at most, and a key that occurs more often than that is kept.

    Args:
        room: How many keys are kept at most; between two calls of `add`, that is.

    Attributes:
        counts: What is known of each key that was kept.
        shortfall: How much a count may be too low; 0 while all are exact.
    """

    def __init__(self, *, room: int) -> None:
        self.counts: Counter[K] = Counter()
        self.shortfall = 0
        self._room: Final = room

    def add(self, counts: Iterable[tuple[K, int]]) -> None:
        """Add these counts."""
        known = self.counts.get
        for key, n in counts:
            self.counts[key] = known(key, 0) + n
        if len(self.counts) > self._room:
            self._make_room()

    def _make_room(self) -> None:
        # Half of the room is freed at once, so that this is rare.
        taken = sorted(self.counts.values(), reverse=True)[self._room // 2]
        self.shortfall += taken
        self.counts = Counter(
            {key: n - taken for key, n in self.counts.items() if n > taken}
        )


@attrs.frozen
class Standings(Generic[K]):
    """Counts of each name: how often it occurs, fails and is denied.

    Attributes:
        events: Counts of all events.
        failures: Counts of those that failed.
        denials: Counts of those that were denied.
    """

    events: HeavyHitters[K]
    failures: HeavyHitters[K]
    denials: HeavyHitters[K]

    @classmethod
    def with_room(cls, room: int) -> "Standings[K]":
        """Return empty standings that tell so many keys apart."""
        return cls(*(HeavyHitters[K](room=room) for _ in range(3)))

    def add(self, counts: Sequence[tuple[K, str, int]]) -> None:
        """Add the number of events of each key that ended with each outcome."""
        self.events.add((key, n) for key, _, n in counts)
        trouble = [entry for entry in counts if entry[1] in _TROUBLE]
        self.failures.add((key, n) for key, how, n in trouble if how == _FAILURE)
        self.denials.add((key, n) for key, how, n in trouble if how == _DENIED)

    def __contains__(self, key: K) -> bool:
        """Tell whether anything is known of this one."""
        counted = (self.events, self.failures, self.denials)
        return any(key in each.counts for each in counted)

    def most_active(self, top: int, *, of: int) -> Ranking[K]:
        """Rank by number of events.

        Args:
            top: How many entries at most.
            of: How many events there were.
        """
        entries = [self._ranked(key) for key in _most_common(self.events.counts, top)]
        return Ranking(
            entries=entries,
            different=None if self._shortfall else len(self.events.counts),
            others=of - sum(entry.events for entry in entries),
            shortfall=self._shortfall,
        )

    def most_troubled(self, top: int, *, of: int) -> Ranking[K]:
        """Rank by number of failures and denials.

        Args:
            top: How many entries at most.
            of: The number of events that failed or were denied.
        """
        counts = self.failures.counts + self.denials.counts
        entries = [self._ranked(key) for key in _most_common(counts, top)]
        return Ranking(
            entries=entries,
            different=None if self._shortfall else len(counts),
            others=of - sum(entry.trouble for entry in entries),
            shortfall=self._shortfall,
        )

    @property
    def _shortfall(self) -> int:
        trouble = self.failures.shortfall + self.denials.shortfall
        return max(self.events.shortfall, trouble)

    def _ranked(self, key: K) -> Ranked[K]:
        failures, denials = self.failures.counts[key], self.denials.counts[key]
        return Ranked(
            what=key,
            # A part can't be more than the whole, whatever was let go of either.
            events=max(self.events.counts[key], failures + denials),
            failures=failures,
            denials=denials,
        )


def _most_common(counts: Counter[K], top: int) -> list[K]:
    """Return the most common keys; where counts are equal, by the alphabet."""
    common = counts.most_common(top)
    if not common:
        return []
    least = common[-1][1]
    candidates = [key for key, n in counts.items() if n >= least]
    return sorted(candidates, key=lambda key: (-counts[key], str(key)))[:top]
