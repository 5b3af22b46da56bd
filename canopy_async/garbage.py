"""Keeping many rows without having all of them searched again and again."""

import gc
from threading import Lock
from types import TracebackType
from typing import Final, Self

__all__ = ["MANY", "FullSearches", "Keeping"]

MANY: Final = 10_000
"""Rows from which on it pays to put off full searches for garbage."""

_NEVER: Final = 2**31 - 1


class FullSearches:
    """The garbage collector's full searches, put off for as long as anybody asks.

    A full search visits every object there is, kept rows as well, and finds none
    of them to be garbage. What is young is searched as ever, and so garbage of
    others, which as a rule is found there, is still freed.

    The threshold is the process's: it is set once for all who ask, from whichever
    thread, and restored when the last one is done, unless it was set by somebody
    else meanwhile.
    """

    def __init__(self) -> None:
        self._lock: Final = Lock()
        self._asked = 0
        self._threshold = 0

    def put_off(self) -> None:
        """Have none until `resume` was called as often as this."""
        with self._lock:
            self._asked += 1
            if self._asked == 1:
                young, middle, self._threshold = gc.get_threshold()
                gc.set_threshold(young, middle, _NEVER)

    def resume(self) -> None:
        """Have them again, if nobody else asks for none."""
        with self._lock:
            self._asked -= 1
            young, middle, threshold = gc.get_threshold()
            if not self._asked and threshold == _NEVER:
                gc.set_threshold(young, middle, self._threshold)


_searches: Final = FullSearches()


class Keeping:
    """A block in which rows are kept: once they are `MANY`, full searches wait.

    Example:
        >>> with Keeping() as keeping:
        ...     async for batch in batches:
        ...         rows.extend(batch)
        ...         keeping.count(len(rows))
    """

    def __init__(self) -> None:
        self._put_off = False

    def __enter__(self) -> Self:
        """Return the block, in which nothing is kept so far."""
        return self

    def count(self, kept: int) -> None:
        """Say how many rows are kept by now."""
        if kept >= MANY and not self._put_off:
            self._put_off = True
            _searches.put_off()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let full searches go on."""
        if self._put_off:
            _searches.resume()
