"""The windows that are worked out ahead, and where in the list they are."""

import sys
from typing import Final

from canopy_async.walk.takes import TAKE, TAKES
from canopy_async.walk.window import Window

__all__ = ["Chart"]


class Chart:
    """The chain of windows of `TAKES`, looked at from its start on.

    To reach as far as possible each time asks for the fewest windows, but not for
    the fewest rows: an end that is a little nearer may be where a window begins that
    repeats less. Which is best shows only many windows later, so it is worked out
    beforehand, as far as `TAKES` goes.

    Args:
        overlap: How many rows the windows share at least.
    """

    def __init__(self, overlap: int) -> None:
        self._overlap: Final = overlap
        self._takes = iter(TAKES[overlap])
        self._next_page, self._next_take, self._next_start = 1, TAKE, 0
        self._look_ahead()

    def window_at(self, bound: int) -> Window | None:
        """Return the last window that begins at ``bound`` or before.

        None if it was passed: bounds rise as a rule.
        """
        while self._next_start <= bound:
            self._look_ahead()
        return Window(self._page, self._take) if self._start <= bound else None

    def _look_ahead(self) -> None:
        self._page, self._take = self._next_page, self._next_take
        self._start = self._next_start
        take = next(self._takes, None)
        if take is None:
            self._next_start = sys.maxsize
            return
        before = (self._page * self._take - self._overlap) // take
        self._next_page, self._next_take = before + 1, take
        self._next_start = before * take
