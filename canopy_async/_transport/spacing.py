"""Even spacing of starts, so that a rate set by the user holds over any second."""

from typing import Final

__all__ = ["Spacing"]


class Spacing:
    """Lets one request start every ``1 / max_rate`` seconds.

    Args:
        max_rate: Requests started per second at most; None for no limit.
    """

    def __init__(self, max_rate: float | None) -> None:
        self._gap = _gap_of(max_rate)
        self._next_start: float = _PAST

    def set_rate(self, max_rate: float | None) -> None:
        """Change the rate; it holds from the latest start on."""
        gap = _gap_of(max_rate)
        self._next_start += gap - self._gap
        self._gap = gap

    def ready_at(self) -> float:
        """Return the instant from which on the next request may start."""
        return self._next_start

    def started(self, now: float) -> None:
        """Note that a request starts."""
        self._next_start = now + self._gap


_PAST: Final = float("-inf")


def _gap_of(max_rate: float | None) -> float:
    return 0.0 if max_rate is None else 1.0 / max_rate
