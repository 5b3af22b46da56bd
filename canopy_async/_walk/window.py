"""A window: the rows that one request asks for, as a page number and a page size."""

from typing import Final

__all__ = ["OVERLAP", "Window", "can_be_crossed", "plan_window"]

OVERLAP: Final = 2
"""Rows that two windows of the plan share at least. The first of these rows has to be
strictly before the cover."""


class Window:
    """Rows ``start`` to ``end`` of the list, as one page of the API.

    Attributes:
        page: The page's number, from 1.
        take: Rows per page.
        number: The window's number, from 1, in the order in which windows were asked
            for; 0 where that is not counted.
        newest_first: Whether it is a page of the list in descending order, although
            the list may be read in the other order.
    """

    __slots__ = ("newest_first", "number", "page", "take")

    def __init__(
        self, page: int, take: int, number: int = 0, *, newest_first: bool = False
    ) -> None:
        self.page: Final = page
        self.take: Final = take
        self.number = number
        self.newest_first: Final = newest_first

    def __repr__(self) -> str:
        """Show the page's number and size."""
        return f"Window(page={self.page}, take={self.take}, number={self.number})"

    @property
    def start(self) -> int:
        """Position of the first row, from 0."""
        return (self.page - 1) * self.take

    @property
    def end(self) -> int:
        """Position after the last row."""
        return self.page * self.take


def plan_window(bound: int, take: int, *, reach: int | None = None) -> Window:
    """Return the window that begins at ``bound`` or before and ends last.

    Pages of n rows begin at multiples of n only. So for each size there is one page
    that holds the row at ``bound``, and some of these pages end later than others. The
    page that ends last is the best: each window that may follow a page with a nearer
    end may follow this page, too. If several pages end there, the smallest is taken, as
    it repeats the fewest rows.

    Example:
        After page 1 of 100 rows, the next window must begin at 98 or before. Of pages
        of 100, it is page 1, which ends at 100; of pages of 98, page 2, which ends at
        196, further than with any other take.

    Args:
        bound: The position, from 0, at which the window has to begin at the latest.
        take: Rows per page at most.
        reach: A position after which no row is needed, None if there is none. Of the
            windows that reach it, the one with the nearest end is returned.
    """
    bound = max(bound, 0)
    best = furthest = 0
    for size in range(take, 0, -1):
        if furthest > size:  # no smaller page can end as late
            break
        beyond = size - bound % size
        if beyond >= furthest:
            best, furthest = size, beyond
    if reach is None or bound + furthest <= reach:
        return Window(bound // best + 1, best)
    ends = (((bound // size + 1) * size, size) for size in range(1, take + 1))
    nearest, size = min((end, size) for end, size in ends if end >= reach)
    return Window(nearest // size, size)


def can_be_crossed(position: int, take: int) -> bool:
    """Tell whether some page holds the rows on both sides of a position.

    Pages of n rows end at each multiple of n. At a position that is a multiple of all n
    up to ``take``, pages of every size end: 840 is the first such position for pages of
    up to 8 rows, 232 792 560 for pages of up to 20.

    Args:
        position: The position, from 0. A page that begins or ends here does not hold
            the rows on both sides.
        take: Rows per page at most.
    """
    return any(position % size for size in range(2, take + 1))
