"""The position of the cover's end: a hint where to look next, and no proof."""

from collections import deque
from typing import Generic, TypeVar

from canopy_async._walk.recent import REMEMBERED_VIEWS, SeenRows
from canopy_async._walk.view import Row, View

__all__ = ["Position"]

R = TypeVar("R", bound=Row)


class Position(Generic[R]):
    """The place of the row that is looked for next, as of when it was last seen.

    Each accepted row has a rank, counted from the first. Two rows stay as many places
    apart as their ranks are while the list moves as a whole, so a view that holds any
    remembered row tells where the others are by now.

    Attributes:
        place: Where the row that is looked for next stood when it was last seen. That
            is the first row of the tie run at the cover.
        end: Position after the last accepted row, as of then.
        count: How many rows the server counted then.
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
        """Move to where an accepted view leads.

        Args:
            view: The view.
            seen: What is remembered of the view.
            rows: How many rows the view added; they are its last.
            accepted: How many rows were accepted before the view.
            place: Index in the view of the row that is looked for next, None where the
                view does not show it.
            is_new: Whether that is another row than before.
        """
        first_rank = accepted + rows - len(view.rows)
        rank = self._rank
        if not self._has_moved:
            self._ranked.clear()
            self._has_moved = is_new = True  # a resumed read has not seen its row yet
        if is_new and place is not None:
            rank = first_rank + place
        self._ranked.appendleft((seen, first_rank))
        if view.number >= self._newest:
            self._newest = view.number
            self.end = view.end
            self.count = view.count
            self.place = view.start + place if place is not None else self.place
        else:  # the view is older than what is known of the place
            self.end += rows
            self.place += rank - self._rank
        self._rank = rank

    def found(self, place: int, count: int) -> None:
        """Begin at a place that a search has found, before any view was accepted."""
        self.place = self.end = place
        self.count = count

    def saw(self, view: View[R], seen: SeenRows, place: int) -> None:
        """Learn from a view that adds no row, before any view was accepted.

        Args:
            view: The view.
            seen: What is remembered of the view.
            place: Index in the view of the row that is looked for.
        """
        self._ranked.appendleft((seen, self._rank - place))
        self.place = view.start + place
        self.end = max(self.end, view.end)
        self.count = view.count

    def locate(self, view: View[R]) -> int | None:
        """Return where the row that is looked for was when a view was served.

        Returns:
            None where the view holds no remembered row.
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
