"""`OutageNotice`: one log message when an outage begins, and one when it ends."""

import logging
from collections.abc import Callable
from typing import Final

from canopy_async.errors import ApiError, CanopyError

__all__ = ["OutageNotice", "kind_of"]

_log: Final = logging.getLogger("canopy_async")


class OutageNotice:
    """Logs when no identity can be read any more, and when they can be read again.

    Args:
        clock: Returns the running loop's time in seconds.

    Attributes:
        error: The error that keeps every identity from being read, None where there
            is none.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock: Final = clock
        self._began = 0.0
        self.error: CanopyError | None = None

    def begin(self, error: CanopyError) -> None:
        """Note an error that concerns all identities; log it if no outage was known."""
        is_first, self.error = self.error is None, error
        if is_first:
            self._began = self._clock()
            _log.warning(
                "no identity can be read for now, which is tried again: %s",
                kind_of(error),
                extra={"outage": "began"},
            )

    def end(self, began: float) -> None:
        """Note that the server has answered; log it if that ends an outage.

        Args:
            began: When the poll or listing began that was answered. If it began before
                the outage, it may also have been answered before, and is ignored.
        """
        if self.error is None or began < self._began:
            return
        self.error = None
        _log.warning(
            "identities can be read again, after %.1f s",
            self._clock() - self._began,
            extra={"outage": "over"},
        )


def kind_of(error: CanopyError) -> str:
    """Return the name of an error, without its URL, which has ids and search terms."""
    status = f" {error.status}" if isinstance(error, ApiError) else ""
    return f"{type(error).__name__}{status}"
