"""Cooldowns: times in which no request is sent, because the server asked for it."""

import random
from typing import Final

__all__ = ["Cooldown"]

_SPREAD: Final = 0.1


class Cooldown:
    """A time in which no request of the session starts.

    Attributes:
        count: How often a cooldown has begun.
    """

    def __init__(self) -> None:
        self.count = 0
        self._until = float("-inf")

    def ready_at(self) -> float:
        """Return the instant from which on requests may start."""
        return self._until

    def extend(self, seconds: float, now: float) -> bool:
        """Let requests wait for ``seconds``, and a random bit longer.

        The random part keeps many processes from coming back at one instant.

        Returns:
            Whether this began a cooldown or made one longer.
        """
        if now + seconds <= self._until:
            return False
        if self._until <= now:
            self.count += 1
        spread = 1.0 + random.uniform(0.0, _SPREAD)
        self._until = now + seconds * spread
        return True
