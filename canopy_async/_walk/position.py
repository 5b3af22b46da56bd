"""The position at which the cover ends: a hint where to look next, and no proof."""

from collections import deque
from typing import Generic, TypeVar

from canopy_async._walk.recent import REMEMBERED_VIEWS, SeenRows
from canopy_async._walk.view import Row, View

__all__ = ["Position"]

R = TypeVar("R", bound=Row)


class Position(Generic[R]):
    """The position of the sought row, which the next view should begin before.

    The sought row is the first row of the cover's key, or, where rows are not read by
    key, the last accepted row. Each accepted row has a rank: the first has rank 0, the
    next one rank 1. While the list moves as a whole, two rows stay as many positions
    apart as their ranks are. So a view that holds any remembered row shows where the
    sought row is by now.

    Attributes:
        place: The position of the sought row when it was last seen.
        end: The position after the last accepted row at that time.
        count: How many rows the server counted at that time.
    """

    def __init__(self) -> None:
        self.place = 0
        self.end = 0
        self.count = 0
        self._rank = 0
        self._newest = 0
        self._has_moved = False
        self._ranked: deque[tuple[SeenRows, int]] = deque(maxlen=REMEMBERED_VIEWS)
        """Remembered views, the newest first, and the rank of the first row of each."""

    def remember(self, views: int) -> None:
        """Remember so many views from now on."""
        self._ranked = deque(self._ranked, maxlen=views)

    def move(
        self,
        view: View[R],
        seen: SeenRows,
        *,
        rows: int,
        accepted: int,
        place: int | None,
        is_new: bool,
    ) -> None:
        """Move to the sought row of an accepted view.

        Args:
            view: The view.
            seen: What is remembered of the view.
            rows: How many new rows the view brought; they are its last rows.
            accepted: How many rows were accepted before the view.
            place: Index, in the view, of the sought row; None where the view does not
                show that row.
            is_new: Whether the sought row is another one than before.
        """
        first_rank = accepted + rows - len(view.rows)
        rank = self._rank
        if not self._has_moved:
            self._ranked.clear()
            # A read that was resumed has not seen its sought row before.
            self._has_moved = is_new = True
        if is_new and place is not None:
            rank = first_rank + place
        self._ranked.appendleft((seen, first_rank))
        if view.number >= self._newest:
            self._newest = view.number
            self.end = view.end
            self.count = view.count
            self.place = view.start + place if place is not None else self.place
        else:  # a view that was asked for later has shown the position already
            self.end += rows
            self.place += rank - self._rank
        self._rank = rank

    def found(self, place: int, count: int) -> None:
        """Begin at a position that a search has found, before any view was accepted.

        Args:
            place: The position.
            count: How many rows the server counts.
        """
        self.place = self.end = place
        self.count = count

    def saw(self, view: View[R], seen: SeenRows, place: int) -> None:
        """Note where a view without new rows shows the sought row.

        This is for the time before any view was accepted.

        Args:
            view: The view.
            seen: What is remembered of the view.
            place: Index, in the view, of the sought row.
        """
        self._ranked.appendleft((seen, self._rank - place))
        self.place = view.start + place
        self.end = max(self.end, view.end)
        self.count = view.count

    def locate(self, view: View[R]) -> int | None:
        """Return the position of the sought row when a view was served.

        Returns:
            The position, None where the view holds no remembered row.
        """
        for at in range(len(view.ids) - 1, -1, -1):
            rank = self._rank_of(view.ids[at])
            if rank is not None:
                return view.start + at + self._rank - rank
        return None

    def _rank_of(self, id_: str) -> int | None:
        for seen, first_rank in self._ranked:
            if id_ in seen.members:
                return first_rank + seen.places[id_]
        return None
