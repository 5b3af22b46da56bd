"""The end of the list: which views show that no row is left to read."""

from typing import Any, Final

from canopy_async._walk.view import View

__all__ = ["ListEnd"]


class ListEnd:
    """The end of the list, as far as the certified views of one walk show it.

    Most walks end with a view that proves by itself to reach the end of the list
    (`View.is_end`). Some lists have no such view: their server counts rows that it
    never sends. There, a later view may show that an earlier view reached the end.
    """

    def __init__(self) -> None:
        self._doubtful: _DoubtfulEnd | None = None
        self._is_shown = False

    @property
    def counts_hold(self) -> bool:
        """Whether no view ended before as many rows as the server counted."""
        return self._doubtful is None

    def is_shown_by(self, view: View[Any], *, longest: int) -> bool:
        """Tell whether a certified view shows that no row is left to read.

        Either the view reaches the end of the list, or it shows that an earlier view
        did. In both cases the cover holds all rows that were there when page 1 was
        served; rows that were added later are not owed.

        Args:
            view: The view, which has rows. If it may be the end of the list, it is
                remembered.
            longest: The most rows that any page had so far.
        """
        doubtful = self._doubtful
        if doubtful is not None and doubtful.is_shown_by(view, longest=longest):
            self._is_shown = True
        if view.is_short and view.count > view.end:
            self._doubtful = _DoubtfulEnd(view)
        return view.is_end or self._is_shown


class _DoubtfulEnd:
    """A view that may reach the end of the list, though more rows were counted.

    Either the list grew after the server had selected the rows of the view and before
    it counted, or the server has kept rows back. A later view may tell which of the
    two. Such a view holds the last row of the doubtful view, and reaches as far as the
    count of the doubtful view. Either it shows as many rows behind that last row as
    were counted there, or that row is the last one again, on a page with room for more:
    then all that was counted has come before it. Otherwise the list has only moved on,
    and the counted rows are still to come. And some page must have held more rows than
    the doubtful view, which shows that no limit on the size of pages has cut the
    doubtful view. Then the list ended with the doubtful view.

    Args:
        view: The doubtful view, which was accepted.
    """

    __slots__ = ("_behind", "_count", "_last", "_rows")

    def __init__(self, view: View[Any]) -> None:
        self._last: Final = view.ids[-1]
        self._rows: Final = len(view.ids)
        self._count: Final = view.count
        self._behind: Final = view.count - view.end

    def is_shown_by(self, view: View[Any], *, longest: int) -> bool:
        """Tell whether a later view shows that the doubtful view reached the end.

        Args:
            view: The later view, which was accepted.
            longest: The most rows that any page had so far.
        """
        if self._rows >= longest or not view.is_placed or view.end < self._count:
            return False
        if self._last not in view.members:
            return False
        behind = len(view.ids) - 1 - view.ids.index(self._last)
        return behind >= self._behind or (not behind and view.is_short)
