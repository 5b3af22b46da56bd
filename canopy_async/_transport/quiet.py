"""A longer pause that the server asked for: until it is over, requests fail at once."""

from canopy_async._api.responses import Response
from canopy_async._transport.attempt import Fault, NotAdmittedError

__all__ = ["Quiet"]


class Quiet:
    """A time in which no request is sent and none waits: each fails at once."""

    def __init__(self) -> None:
        self._until = float("-inf")
        self._outcome: Response | Fault | None = None

    def extend(self, seconds: float, outcome: Response | Fault, now: float) -> bool:
        """Let requests fail for ``seconds``.

        Args:
            seconds: For how long the server asked for quiet.
            outcome: The answer that asked for it.
            now: The present instant.

        Returns:
            Whether this began a quiet time or made one longer.
        """
        if now + seconds <= self._until:
            return False
        self._until = now + seconds
        self._outcome = outcome
        return True

    def check(self, now: float) -> None:
        """Refuse a request in a quiet time.

        Raises:
            NotAdmittedError: It is one.
        """
        if self._outcome is None:
            return
        left = self._until - now
        if left > 0:
            raise NotAdmittedError(self._outcome, left)
        self._outcome = None
