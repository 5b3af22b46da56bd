"""The clock of an export: the server's time at any moment."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

from canopy_async.session import CanopySession

__all__ = ["Clock"]


class Clock:
    """The server's clock; this machine's clock until a response told the time.

    Args:
        session: The session whose responses tell the server's time.
    """

    def __init__(self, session: CanopySession) -> None:
        self._session: Final = session
        self._is_told = False

    @property
    def is_told(self) -> bool:
        """Whether a response has told the server's time."""
        self._is_told = self._is_told or self._session.server_time is not None
        return self._is_told

    def now(self) -> datetime:
        """Return the current time."""
        return self._session.server_time or datetime.now(UTC)

    def at(self, instant: float) -> datetime:
        """Return the time of this clock at a time of the event loop's clock."""
        ago = asyncio.get_running_loop().time() - instant
        return self.now() - timedelta(seconds=ago)
