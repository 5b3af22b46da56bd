"""The end of the list: which views show that nothing is left to read."""

from typing import Any, Final

from canopy_async._walk.view import View

__all__ = ["ListEnd"]


class ListEnd:
    """The end of the list, as far as the certified views of one walk show it.

    Most walks end with a view that proves by itself to reach the end of the list
    (`View.is_end`). Some lists have no such view: their server counts rows that it
    never sends. There, a later view may show that an earlier one had been the end.
    """

    def __init__(self) -> None:
        self._doubtful: _DoubtfulEnd | None = None
        self._is_shown = False

    @property
    def counts_hold(self) -> bool:
        """Whether no view was short of the rows that it counted."""
        return self._doubtful is None

    def is_shown_by(self, view: View[Any], *, longest: int) -> bool:
        """Tell whether a certified view shows that nothing is left to read.

        The view may be the end of the list, or show that an earlier view was: what was
        there when page 1 was served is covered then, whatever is added since.

        Args:
            view: The view, which has rows. It is remembered where it may be the end.
            longest: How many rows any page had so far.
        """
        doubtful = self._doubtful
        if doubtful is not None and doubtful.is_shown_by(view, longest=longest):
            self._is_shown = True
        if view.is_short and view.count > view.end:
            self._doubtful = _DoubtfulEnd(view)
        return view.is_end or self._is_shown


class _DoubtfulEnd:
    """A view that may be the end of the list, though more rows were counted.

    Either the list grew after the view was selected and before the rows were
    counted, or the server kept rows back. A later view tells which, where it holds
    the last row of the doubtful one and reaches as far as was counted: what was
    counted is there to be seen. It must be seen behind that row, or all of it before:
    then that row is the last one again, on a page with room for more. Otherwise, the
    list has only moved on since, and what was counted is still to come. Where any
    page held more rows, no limit on the size of pages had cut the doubtful one, so
    that the list ended with it.

    Args:
        view: The view, which was accepted.
    """

    __slots__ = ("_behind", "_count", "_last", "_rows")

    def __init__(self, view: View[Any]) -> None:
        self._last: Final = view.ids[-1]
        self._rows: Final = len(view.ids)
        self._count: Final = view.count
        self._behind: Final = view.count - view.end

    def is_shown_by(self, view: View[Any], *, longest: int) -> bool:
        """Tell whether a view that was accepted later shows that it was the end.

        Args:
            view: The later view.
            longest: How many rows any page had so far.
        """
        if self._rows >= longest or not view.is_placed or view.end < self._count:
            return False
        if self._last not in view.members:
            return False
        behind = len(view.ids) - 1 - view.ids.index(self._last)
        return behind >= self._behind or (not behind and view.is_short)
