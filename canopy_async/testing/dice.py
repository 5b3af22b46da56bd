"""`Dice`: the random numbers of a local server."""

from random import Random

__all__ = ["Dice"]


class Dice(Random):
    """The random numbers of a server; equal seeds make equal runs."""

    def hits(self, rate: float) -> bool:
        """Whether an event of this probability happens; no roll when it is off."""
        return rate > 0 and self.random() < rate
