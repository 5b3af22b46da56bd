"""The width: requests in flight at most, adapted to what the server bears."""

__all__ = ["Width"]


class Width:
    """Grows by about one a round trip, and is halved when the server shows strain.

    It is halved once for all requests that were in flight together (additive
    increase, multiplicative decrease: Chiu and Jain, 1989).

    Args:
        ceiling: Requests in flight at most, whatever happens.

    Attributes:
        ceiling: The greatest width; `set_ceiling` changes it.
    """

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self._width = float(ceiling)
        self._last_cut = float("-inf")

    def __int__(self) -> int:
        """Return how many requests may be in flight now."""
        return int(self._width)

    def set_ceiling(self, ceiling: int) -> None:
        """Change the ceiling; what strain has taken stays taken."""
        is_open = self._width >= self.ceiling
        self.ceiling = ceiling
        self._width = float(ceiling) if is_open else min(self._width, ceiling)

    def widen(self) -> None:
        """Note that a request came through."""
        if self._width < self.ceiling:
            self._width = min(self.ceiling, self._width + 1.0 / self._width)

    def halve(self, started: float, now: float) -> bool:
        """Note that a request showed strain.

        Args:
            started: When that request was admitted.
            now: The present instant.

        Returns:
            Whether the width was halved: not where that was done since ``started``.
        """
        if started < self._last_cut:
            return False
        self._last_cut = now
        self._width = max(1.0, self._width / 2)
        return True
