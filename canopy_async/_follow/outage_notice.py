"""`OutageNotice`: one message when no identity can be read, and one when it is over."""

import logging
from collections.abc import Callable
from typing import Final

from canopy_async.errors import ApiError, CanopyError

__all__ = ["OutageNotice", "kind_of"]

_log: Final = logging.getLogger("canopy_async")


class OutageNotice:
    """Logs the begin and the end of an outage, whichever identity shows it.

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
        """Note that no identity can be read; log it, if it is the first to show it."""
        is_first, self.error = self.error is None, error
        if is_first:
            self._began = self._clock()
            _log.warning(
                "no identity can be read for now, which is tried again: %s",
                kind_of(error),
                extra={"outage": "began"},
            )

    def end(self, began: float) -> None:
        """Note that the server has answered; log it, if that ends an outage.

        Args:
            began: When the poll or listing began that was answered. One that began
                before the outage may have been answered before it, and says nothing.
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
    """Name an error without the URL, which has the id and the search term."""
    status = f" {error.status}" if isinstance(error, ApiError) else ""
    return f"{type(error).__name__}{status}"
