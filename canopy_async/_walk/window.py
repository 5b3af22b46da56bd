"""A window: the rows that one request asks for, as a page number and a page size."""

from typing import Final

__all__ = ["OVERLAP", "Window", "can_be_crossed", "plan_window"]

OVERLAP: Final = 2
"""Rows that planned windows share: one to be strictly before the cover."""


class Window:
    """Rows ``start`` to ``end`` of the list, as one page of the API.

    Attributes:
        page: The page's number, from 1.
        take: Rows per page.
        number: How many windows were asked for before it.
        newest_first: Whether it is of the list in descending order, whatever order
            the list is read in.
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
        """Show what is asked for."""
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
    """Return the window that starts at ``bound`` or before and ends last.

    Pages are aligned to their take, so the end depends on how well some take
    divides the bound. Taking the furthest end each time is optimal: whatever
    window may follow a nearer end may follow a further one too. Of the windows
    that end there, the smallest repeats the fewest rows.

    Example:
        After page 1 of 100 rows, the next window must begin at 98 or before. Of pages
        of 100, it is page 1, which ends at 100; of pages of 98, page 2, which ends at
        196, further than with any other take.

    Args:
        bound: The position, from 0, that the window must not start after.
        take: Rows per page at most.
        reach: A position that is far enough: of the windows that reach it,
            the nearest end is taken.
    """
    bound = max(bound, 0)
    best = furthest = 0
    for size in range(take, 0, -1):
        if furthest > size:  # no smaller take can end as late
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
    """Tell whether a page can hold the rows before and after a position.

    Pages of n rows end at each multiple of n. At a multiple of all n up to ``take``,
    all pages end: those of up to 8 rows at 840, of up to 20 at 232 792 560.

    Args:
        position: From 0; a page that begins here does not cross it.
        take: Rows per page at most.
    """
    return any(position % size for size in range(2, take + 1))
