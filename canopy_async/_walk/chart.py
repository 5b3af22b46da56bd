"""The windows that are worked out ahead, and where in the list they are."""

from canopy_async._walk.takes import TAKE, TAKES
from canopy_async._walk.window import OVERLAP, Window

__all__ = ["Chart"]


class Chart:
    """The chain of windows of `TAKES`, looked at from its start on.

    To reach as far as possible each time asks for the fewest windows, but not for
    the fewest rows: an end that is a little nearer may be where a window begins that
    repeats less. What pays shows only many windows later, so it is worked out
    beforehand, as far as `TAKES` goes.
    """

    def __init__(self) -> None:
        self._takes = iter(TAKES)
        self._next_page: int = 1
        self._next_take: int = TAKE
        self._next_start: int = 0
        self._is_over = False
        self._look_ahead()

    def window_at(self, bound: int) -> Window | None:
        """Return the last window that begins at ``bound`` or before.

        None if it was passed, which bounds that rise don't do, or if the chart does
        not go that far.
        """
        while self._next_start <= bound:
            if self._is_over:
                return None
            self._look_ahead()
        return Window(self._page, self._take) if self._start <= bound else None

    def _look_ahead(self) -> None:
        self._page, self._take = self._next_page, self._next_take
        self._start = self._next_start
        end = self._page * self._take
        take = next(self._takes, None)
        if take is None:
            self._is_over = True
            self._next_start = end
            return
        before = (end - OVERLAP) // take
        self._next_page, self._next_take = before + 1, take
        self._next_start = before * take
