"""Keeping many rows without having all of them searched again and again."""

import gc
import os
from threading import RLock
from types import TracebackType
from typing import Final, Self

__all__ = ["MANY", "SELDOM", "Keeping"]

MANY: Final = 10_000
"""Rows from which on it pays to search for garbage among all objects seldom."""

SELDOM: Final = 100
"""How many times as seldom that is done then."""


class _FullSearches:
    """How often the garbage collector visits every object there is.

    It visits kept rows as well, and finds none of them to be garbage. What is
    young is searched as ever, and so garbage of others, which as a rule is found
    there, is still freed.

    The threshold is the process's: it is set once for all who ask, from whichever
    thread, and restored when the last one is done, unless it was set by somebody
    else meanwhile.
    """

    def __init__(self) -> None:
        # A search may begin in here, and end a block that was left behind.
        self._lock = RLock()
        self._asked = 0
        self._before = self._seldom = 0

    def make_seldom(self) -> None:
        """Have few until `restore` was called as often as this."""
        with self._lock:
            self._asked += 1
            if self._asked > 1:
                return
            young, middle, old = gc.get_threshold()
            if old != self._seldom:  # or it was left behind by somebody's restoring
                self._before, self._seldom = old, old * SELDOM
            gc.set_threshold(young, middle, self._seldom)

    def restore(self) -> None:
        """Have them as before, if nobody else asks for few."""
        with self._lock:
            self._asked -= 1
            young, middle, old = gc.get_threshold()
            if not self._asked and old == self._seldom:
                gc.set_threshold(young, middle, self._before)

    def forked(self) -> None:
        """Begin anew in a new process, where nobody keeps rows."""
        self._lock = RLock()
        if self._asked:
            self._asked = 1
            self.restore()


_searches: Final = _FullSearches()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_searches.forked)


class Keeping:
    """A block in which rows are kept: once they are `MANY`, full searches are few.

    Example:
        >>> with Keeping() as keeping:
        ...     async for batch in batches:
        ...         rows.extend(batch)
        ...         keeping.count(len(rows))
    """

    def __init__(self) -> None:
        self._has_many = False

    def __enter__(self) -> Self:
        """Return the block, in which nothing is kept so far."""
        return self

    def count(self, kept: int) -> None:
        """Say how many rows are kept by now."""
        if kept >= MANY and not self._has_many:
            self._has_many = True
            _searches.make_seldom()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let full searches be as before."""
        if self._has_many:
            _searches.restore()
