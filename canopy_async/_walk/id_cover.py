"""A cover by shared rows: the shared-id certificate.

This certificate is for lists that are not sorted by ``created_at``. Where the server
keeps one fixed order, ties included, a view that holds one of the rows accepted last
continues the cover after that row, whatever has moved meanwhile. Whether the server
keeps one order can't be proven. Where two views show two orders, the walk raises an
error.
"""

from itertools import pairwise
from typing import Final, Generic, TypeVar

from canopy_async._walk.cover import Accepted
from canopy_async._walk.position import Position
from canopy_async._walk.recent import Recent
from canopy_async._walk.view import Row, View
from canopy_async.errors import UnorderedListError
from canopy_async.report import Proof

__all__ = ["IdCover"]

R = TypeVar("R", bound=Row)

_VIEWS_OF_IDS: Final = 4
"""Views that are remembered. If a row was inserted before the cover, the walk may go
back to that place once or twice, with answers that were in flight. The rows of these
answers must still be known then, so as not to be handed out twice."""


class IdCover(Generic[R]):
    """A cover by the rows themselves: the shared-id certificate.

    Args:
        recent: The rows accepted so far, in views that each share a row with the view
            before. None at the start of a read.
        position: Where the last of these rows was seen. None at the start of a read.
    """

    proof = Proof.SHARED_ID
    order: str | None = None
    is_bounded = False
    is_past_bound = False

    def __init__(
        self, recent: Recent[R] | None = None, position: Position[R] | None = None
    ) -> None:
        self.recent: Final[Recent[R]] = recent or Recent()
        self.position: Final[Position[R]] = position or Position()
        self.recent.remember(_VIEWS_OF_IDS)
        self.position.remember(_VIEWS_OF_IDS)

    def check(self, view: View[R]) -> None:
        """Check that rows which were seen before come in the same order again.

        Raises:
            UnorderedListError: The server has no fixed order.
            ProtocolError: A row changed its key.
        """
        self.recent.check_keys(view)
        for (number, at), (next_number, next_at) in pairwise(
            sorted(self.recent.places_of(view), key=lambda place: place[0])
        ):
            if number == next_number and at > next_at:
                raise UnorderedListError("the list has no fixed order")

    def bound_growth(self, view: View[R]) -> None:
        """Do nothing: this cover does not know at which end new rows are added."""

    def certifies(self, view: View[R]) -> bool:
        """Tell whether a view shares a row with those accepted last."""
        if not self.recent.accepted:
            return view.is_first and bool(view.rows)
        return self._last_shared(view) is not None

    def has_new(self, view: View[R]) -> bool:
        """Tell whether rows come after the last shared one."""
        last = self._last_shared(view)
        return len(view.rows) > (0 if last is None else last + 1)

    def wanted(self, rows: list[R]) -> list[R]:
        """Return all rows: a list that is read by shared rows has no bounds."""
        return rows

    def rows_to_bound(self, view: View[R]) -> int | None:  # noqa: ARG002 - see above
        """Return None: a list that is read by shared rows has no bounds."""
        return None

    def touches(self, view: View[R]) -> bool:  # noqa: ARG002 - one for all covers
        """Return False: this cover compares no keys, so it knows of no ties."""
        return False

    def stops_at(self, view: View[R]) -> bool:  # noqa: ARG002 - one for all covers
        """Return False: this cover compares no keys, so it knows of no ties."""
        return False

    def revisit(self, view: View[R]) -> None:
        """Do nothing: the position of this cover is known from accepted views only."""

    def accept(self, view: View[R]) -> Accepted[R]:
        """Hand out the rows after the last shared one."""
        last = self._last_shared(view)
        begin = 0 if last is None else last + 1
        known = begin - len(self.recent.unknown(view.ids[:begin]))
        rows = list(view.rows[begin:])
        if rows:  # a view without new rows may end before the cover
            place = len(view.rows) - 1
            accepted = self.recent.accepted
            seen = self.recent.add(view, rows=len(rows))
            self.position.move(
                view, seen, rows=len(rows), accepted=accepted, place=place, is_new=True
            )
        return Accepted(rows, known, begin - known)

    def _last_shared(self, view: View[R]) -> int | None:
        for at in range(len(view.ids) - 1, -1, -1):
            if self.recent.knows(view.ids[at]):
                return at
        return None
