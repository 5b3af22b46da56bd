"""A cover by keys: the strict-key certificate, which is the theorem of the walk.

"Before" and "after" are meant in the order of the list. A cover is a key c, together
with the ids of the rows of key c that were handed out, so that this holds:

    (*) Each row with a key before c that was in the list during the whole read has
        been handed out exactly once.

Theorem (strict key). Let a view begin with a key strictly before c, or be page 1. Hand
out, in order, the view's rows of key c that were not handed out yet, and then its rows
after c. Then (*) holds with c moved to the key of the view's last row, if that is
after c.

Proof. The view is one piece of a list that is sorted by key. So it holds every row that
was in the list at its instant with a key between its first and its last key, and thus
all rows from c to its last row. Three things do not matter: when the view was served,
what was inserted or deleted meanwhile, and how the server ordered ties.
"""

from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from canopy_async._walk.cover import Accepted
from canopy_async._walk.position import Position
from canopy_async._walk.recent import Recent
from canopy_async._walk.view import Row, View
from canopy_async.errors import UnorderedListError
from canopy_async.report import Proof

__all__ = ["KeyCover"]

R = TypeVar("R", bound=Row)


class KeyCover(Generic[R]):
    """A cover by ``created_at``: the strict-key certificate.

    Args:
        key: The key up to which rows are covered, None at the start.
        ids_at_key: The ids of the rows at ``key`` that were handed out.
        order: ``asc`` or ``desc`` where it is known.
        is_assumed: Whether ``order`` is only likely, as no rows have shown it yet.
        bound: The last key that is wanted, None for no bound.

    Attributes:
        key: The key up to which rows are covered.
        ids_at_key: The ids of the rows at ``key`` that were handed out.
        tie_start: Position of the first row at ``key``, in the latest view that showed
            it. Rows may have moved since.
    """

    proof = Proof.STRICT_KEY

    def __init__(
        self,
        *,
        key: datetime | None = None,
        ids_at_key: frozenset[str] = frozenset(),
        order: str | None = None,
        is_assumed: bool = False,
        bound: datetime | None = None,
    ) -> None:
        self.key: Any = key
        self.ids_at_key: set[str] = set(ids_at_key)
        self.tie_start = 0
        self.recent: Final[Recent[R]] = Recent()
        self.position: Final[Position[R]] = Position()
        self._order = order
        self._is_assumed = is_assumed
        self._bound = bound
        self._growth_bound: datetime | None = None

    @property
    def order(self) -> str | None:
        """``asc`` or ``desc`` as seen in the rows, None where unknown."""
        return None if self._is_assumed else self._order

    @property
    def is_bounded(self) -> bool:
        """Whether the end of a list that grows at its end was seen."""
        return self._growth_bound is not None

    @property
    def is_past_bound(self) -> bool:
        """Whether the cover is strictly after the bound, or after the end as seen."""
        bounds = (self._bound, self._growth_bound)
        return self.key is not None and any(
            bound is not None and self.precedes(bound, self.key) for bound in bounds
        )

    def wanted(self, rows: list[R]) -> list[R]:
        """Return those of some rows, in list order, that are not after the bound."""
        if self._bound is None:
            return rows
        wanted = len(rows)
        while wanted and self.precedes(self._bound, self._key_of(rows[wanted - 1])):
            wanted -= 1
        return rows[:wanted]

    def rows_to_bound(self, view: View[R]) -> int | None:
        """Return about how many rows are left up to the bound, None if unknown.

        Rows are taken to be as close in time after the view as they are inside of it.
        """
        if self._bound is None or not view.keys:
            return None
        covered = abs(view.keys[-1] - view.keys[0])
        if not covered:
            return None
        return int(len(view.keys) * (abs(self._bound - view.keys[-1]) / covered))

    def _key_of(self, row: R) -> Any:
        return row.created_at

    def precedes(self, key: datetime, other: datetime) -> bool:
        """Tell whether ``key`` is strictly earlier in the list."""
        if self._order == "desc":
            return key > other
        return self._order == "asc" and key < other

    def check(self, view: View[R]) -> None:
        """Learn the order of the list from a view, or check the view's order.

        Raises:
            UnorderedListError: The rows are not sorted by ``created_at``, or are in the
                other order than the rows before.
            ProtocolError: A row has another key than before.
        """
        keys = view.keys
        if self._order is None and keys[:1] != keys[-1:] and None not in keys:
            self._order = "asc" if keys[0] < keys[-1] else "desc"
        try:
            is_sorted = keys == self._sorted(keys)
        except TypeError:
            raise UnorderedListError("a row has no created_at") from None
        if not is_sorted and self._is_assumed and keys[::-1] == self._sorted(keys):
            raise UnorderedListError(
                "what was read before had not shown the order of the list, which was"
                " taken for the other one"
            )
        if not is_sorted or keys[:1] == [None]:
            raise UnorderedListError("the list is not sorted by created_at")
        if keys[:1] != keys[-1:]:
            self._is_assumed = False
        self.recent.check_keys(view)

    def _sorted(self, keys: list[Any]) -> list[Any]:
        return sorted(keys, reverse=self._order == "desc")

    def bound_growth(self, view: View[R]) -> None:
        """Note the last row of an ascending list, so that the read has an end.

        Such a list grows at its end. The rows that were in it when the read began come
        no later than the last row of any later instant, so reading up to that row is
        enough.
        """
        if not view.is_end or not view.rows:
            return
        if self._growth_bound is None and self._order == "asc":
            self._growth_bound = view.keys[-1]

    def certifies(self, view: View[R]) -> bool:
        """Tell whether a view is page 1, or begins strictly before the cover."""
        if not view.rows:
            return False
        if self.key is None:
            return view.is_first
        if self._order is None:  # nothing shows yet which keys come before the cover
            return view.is_first and view.keys[0] == self.key
        return view.is_first or self.precedes(view.keys[0], self.key)

    def shares_run(self, view: View[R]) -> bool:
        """Tell whether a view holds one of the rows of key `key` handed out."""
        return not self.ids_at_key.isdisjoint(view.members)

    def rows_before(self, view: View[R]) -> int:
        """Return how many of a view's rows come strictly before the cover."""
        return sum(self.precedes(key, self.key) for key in view.keys)

    def has_new(self, view: View[R]) -> bool:
        """Tell whether accepting a view would hand out rows."""
        if not view.rows or self.key is None:
            return bool(view.rows)
        if view.keys[-1] != self.key:
            return not self.precedes(view.keys[-1], self.key)
        return bool(self._unseen_ties(view))

    def touches(self, view: View[R]) -> bool:
        """Tell whether a view begins with rows of the cover's key."""
        return view.keys[:1] == [self.key]

    def stops_at(self, view: View[R]) -> bool:
        """Tell whether a view ends with rows of the cover's key."""
        return view.keys[-1:] == [self.key]

    def revisit(self, view: View[R]) -> None:
        """Note the position of the cover's run, from a view that ends with its rows."""
        if self.stops_at(view) and not self.recent.has_accepted:
            place = view.keys.index(self.key)
            self.position.saw(view, self.recent.see(view), place)

    def accept(self, view: View[R]) -> Accepted[R]:
        """Return the new rows of a certified view, and move to its last key."""
        rows, tied, late = self._sift(view)
        is_new = tied < len(view.rows)
        place = self._move_to_end(view, tied) if is_new else self._stay(view, tied)
        if place is not None:
            self.tie_start = view.start + place
        accepted = self.recent.accepted
        seen = self.recent.add(view, rows=len(rows))
        self.position.move(
            view, seen, rows=len(rows), accepted=accepted, place=place, is_new=is_new
        )
        return Accepted(rows, len(view.rows) - len(rows) - late, late)

    def _move_to_end(self, view: View[R], tied: int) -> int:
        """Move to the last key of a view, and note the ids of its rows of that key.

        Args:
            view: The view.
            tied: Index, in the view, of the first row after the cover.

        Returns:
            Index, in the view, of the first row of its last key.
        """
        keys = view.keys
        self.key = keys[-1]
        place = len(keys) - 1
        while place > tied and keys[place - 1] == self.key:
            place -= 1
        self.ids_at_key = set(view.ids[place:])
        return place

    def _stay(self, view: View[R], tied: int) -> int | None:
        """Stay at the cover's key, and note the ids of the view's rows of that key.

        Args:
            view: The view.
            tied: Index, in the view, after the last row of the cover's key.

        Returns:
            Index, in the view, of the first row of the cover's key; None if an earlier
            row of that key may stand before the view.
        """
        begin = self._first_not_before(view)
        self.ids_at_key.update(view.ids[begin:tied])
        if begin < tied and (begin > 0 or view.is_first):
            return begin
        return None

    def _sift(self, view: View[R]) -> tuple[list[R], int, int]:
        """Sort a certified view's rows into new ones and others.

        Returns:
            The rows to hand out; the index, in the view, of the first row after the
            cover; and how many late rows there are.
        """
        begin = tied = self._first_not_before(view)
        while tied < len(view.keys) and view.keys[tied] == self.key:
            tied += 1
        rows = [row for row in view.rows[begin:tied] if row.id not in self.ids_at_key]
        rows += view.rows[tied:]
        return rows, tied, self._count_late(view, begin)

    def accept_run(self, view: View[R]) -> Accepted[R]:
        """Return a view's new rows of the cover's key, and no other rows."""
        rows = self._unseen_ties(view)
        self.ids_at_key.update(row.id for row in rows)
        self.recent.accepted += len(rows)
        return Accepted(rows)

    def _unseen_ties(self, view: View[R]) -> list[R]:
        return [
            row
            for row, key in zip(view.rows, view.keys, strict=True)
            if key == self.key and row.id not in self.ids_at_key
        ]

    def _first_not_before(self, view: View[R]) -> int:
        if self.key is None:
            return 0
        try:
            return view.keys.index(self.key)
        except ValueError:  # the rows at the key are gone by now
            return self.rows_before(view)

    def _count_late(self, view: View[R], begin: int) -> int:
        """Count a view's unknown rows before the cover, as far back as is remembered.

        Args:
            view: The view.
            begin: Index, in the view, of the first row that is not before the cover.
        """
        unknown = self.recent.unknown(view.ids[:begin])
        oldest = self.recent.oldest_key() if unknown else None
        if oldest is None:
            return 0
        return sum(
            id_ in unknown and self.precedes(oldest, key)
            for id_, key in zip(view.ids[:begin], view.keys[:begin], strict=True)
        )
