"""The retries that a session may spend: a token bucket that successes fill."""

from typing import Final

__all__ = ["RETRY_BUDGET", "RETRY_EARNED", "RetryBudget"]

RETRY_BUDGET: Final = 100.0
"""Retries that may be spent before successes must earn new ones."""

RETRY_EARNED: Final = 0.5
"""Retries that one success earns."""


class RetryBudget:
    """Bounds how many requests are sent again, over all reads of a session."""

    def __init__(self) -> None:
        self._left = RETRY_BUDGET

    def earn(self) -> None:
        """Note that a request came through."""
        self._left = min(RETRY_BUDGET, self._left + RETRY_EARNED)

    def spend(self) -> bool:
        """Take one retry; return False if none is left."""
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
