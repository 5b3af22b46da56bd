"""What of a list is covered by its rows themselves: the shared-id certificate."""

from itertools import pairwise
from typing import Final, Generic, TypeVar

from canopy_async._walk.cover import Accepted
from canopy_async._walk.track import Track
from canopy_async._walk.view import Row, View
from canopy_async.errors import UnorderedListError
from canopy_async.report import Proof

__all__ = ["IdCover"]

R = TypeVar("R", bound=Row)

_VIEWS_OF_IDS: Final = 4


class IdCover(Generic[R]):
    """A cover by the rows themselves: the shared-id certificate.

    For lists in an order that the rows don't show. It holds where the server
    keeps one fixed order, ties included: a view that shares a row with what
    was accepted last then continues it, whatever moved meanwhile.

    Args:
        track: What was accepted until now, each view sharing a row with the last.
    """

    proof = Proof.SHARED_ID
    order: str | None = None
    is_bounded = False
    is_past_bound = False

    def __init__(self, track: Track[R] | None = None) -> None:
        self.track: Track[R] = track or Track()
        # A row put in behind the cover may lead back, once or twice, in windows
        # that were under way; what they hold again has to be known.
        self.track.remember(_VIEWS_OF_IDS)

    def check(self, view: View[R]) -> None:
        """Raise where rows seen before come in another order.

        Raises:
            UnorderedListError: The server has no fixed order.
            ProtocolError: A row changed its key.
        """
        self.track.check_keys(view)
        for (number, at), (next_number, next_at) in pairwise(
            sorted(self.track.places_of(view), key=lambda place: place[0])
        ):
            if number == next_number and at > next_at:
                raise UnorderedListError("the list has no fixed order")

    def bound_growth(self, view: View[R]) -> None:
        """Learn nothing: rows don't show where new ones come."""

    def certifies(self, view: View[R]) -> bool:
        """Tell whether a view shares a row with those accepted last."""
        if not self.track.accepted:
            return view.is_first and bool(view.rows)
        return self._last_shared(view) is not None

    def has_new(self, view: View[R]) -> bool:
        """Tell whether rows come after the last shared one."""
        last = self._last_shared(view)
        return len(view.rows) > (0 if last is None else last + 1)

    def wanted(self, rows: list[R]) -> list[R]:
        """Return all rows: this cover knows of no bounds."""
        return rows

    def rows_to_bound(self, view: View[R]) -> int | None:  # noqa: ARG002 - see above
        """Return None: this cover knows of no bounds."""
        return None

    def touches(self, view: View[R]) -> bool:  # noqa: ARG002 - one for all covers
        """Never: this cover knows of no ties."""
        return False

    def stops_at(self, view: View[R]) -> bool:  # noqa: ARG002 - one for all covers
        """Never: this cover knows of no ties."""
        return False

    def revisit(self, view: View[R]) -> None:
        """Learn nothing: whatever shares a row is remembered already."""

    def accept(self, view: View[R]) -> Accepted[R]:
        """Hand out the rows after the last shared one."""
        last = self._last_shared(view)
        begin = 0 if last is None else last + 1
        known = begin - len(self.track.unknown(view.ids[:begin]))
        rows = list(view.rows[begin:])
        if rows:  # or it may end before the cover does, which is remembered
            place = len(view.rows) - 1
            self.track.add(view, rows=len(rows), place=place, is_new=True)
        return Accepted(rows, known, begin - known)

    def _last_shared(self, view: View[R]) -> int | None:
        for at in range(len(view.ids) - 1, -1, -1):
            if self.track.knows(view.ids[at]):
                return at
        return None
