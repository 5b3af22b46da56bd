"""A call in the loop's next turn or at an instant, of which one at most is due."""

import asyncio
from collections.abc import Callable
from typing import Final

__all__ = ["Wakeup"]


class Wakeup:
    """Calls a function in the loop's next turn, or at an instant.

    Args:
        wake: The function.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake: Final = wake
        self._timer: asyncio.TimerHandle | None = None
        self._instant = float("inf")
        self._is_due = False

    def soon(self) -> None:
        """Call it in the loop's next turn."""
        if not self._is_due:
            asyncio.get_running_loop().call_soon(self._run_soon)
            self._is_due = True

    def at(self, instant: float | None) -> None:
        """Call it at an instant, and at no other that was set before.

        Args:
            instant: By the loop's clock; None for never.
        """
        if instant is not None and self._timer and self._instant == instant:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if instant is not None:
            self._timer = asyncio.get_running_loop().call_at(instant, self._run_late)
            self._instant = instant

    def _run_soon(self) -> None:
        self._is_due = False
        self._wake()

    def _run_late(self) -> None:
        self._timer = None
        self._wake()
