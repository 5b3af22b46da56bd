"""A cover by keys: the strict-key certificate, which is the theorem of the walk.

Write a < b for "a comes earlier in the list". A cover is a place c such that
every row before c that was there during the whole read has been handed out
exactly once, together with the rows handed out at c itself.

Theorem (strict key). If a view's first key is strictly before c, or the view
is page 1, then handing out, in order, its rows after c and those at c not
handed out yet keeps this true, with c moved to the view's last key. For the
view is a contiguous slice of a list sorted by key: it holds every row that was
there at its instant with a key between its first and its last, and so all
those from c on. When it was served, what was inserted or deleted meanwhile,
and how ties were ordered does not enter.
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
        is_assumed: Whether ``order`` was not seen in the rows, and is only likely.
        bound: The last key that is wanted, None for no bound.

    Attributes:
        key: The key up to which rows are covered.
        ids_at_key: The ids of the rows at ``key`` that were handed out.
        tie_start: Position of the first row at ``key`` in the view that led
            there: as exact as that view is recent.
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
        """Whether it is known how far the list is wanted."""
        return self._growth_bound is not None

    @property
    def is_past_bound(self) -> bool:
        """Whether the cover is strictly after a bound."""
        bounds = (self._bound, self._growth_bound)
        return self.key is not None and any(
            bound is not None and self.precedes(bound, self.key) for bound in bounds
        )

    def wanted(self, rows: list[R]) -> list[R]:
        """Return the rows, in list order, up to the bound."""
        if self._bound is None:
            return rows
        wanted = len(rows)
        while wanted and self.precedes(self._bound, self._key_of(rows[wanted - 1])):
            wanted -= 1
        return rows[:wanted]

    def rows_to_bound(self, view: View[R]) -> int | None:
        """Return about how many rows are left up to the bound, None if unbounded."""
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
        """Learn the order, or raise where a view is not in it.

        Raises:
            UnorderedListError: The rows are not sorted by ``created_at``.
            ProtocolError: A row changed its key.
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
        """Keep a list that grows at its end from being read for ever.

        In ascending order, no row of the list as it was at the start can come
        after the last row that it had at any later instant.
        """
        if not view.is_end or not view.rows:
            return
        if self._growth_bound is None and self._order == "asc":
            self._growth_bound = view.keys[-1]

    def certifies(self, view: View[R]) -> bool:
        """Tell whether a view begins strictly before the cover, or the list."""
        if not view.rows:
            return False
        if self.key is None:
            return view.is_first
        if self._order is None:  # other keys may come before the cover or after
            return view.is_first and view.keys[0] == self.key
        return view.is_first or self.precedes(view.keys[0], self.key)

    def shares_run(self, view: View[R]) -> bool:
        """Tell whether a view holds a row handed out at the cover itself."""
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
        """Tell whether a view begins in the run at the cover."""
        return view.keys[:1] == [self.key]

    def stops_at(self, view: View[R]) -> bool:
        """Tell whether a view ends in the run at the cover."""
        return view.keys[-1:] == [self.key]

    def revisit(self, view: View[R]) -> None:
        """Learn where the run at the cover begins from a view that ends in it."""
        if self.stops_at(view) and not self.recent.has_accepted:
            place = view.keys.index(self.key)
            self.position.saw(view, self.recent.see(view), place)

    def accept(self, view: View[R]) -> Accepted[R]:
        """Hand out what a certified view adds, and move to its last key."""
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
        """Move to the last key of a view; return where its first row there is.

        Args:
            view: The view.
            tied: Index of the first row after the cover.
        """
        keys = view.keys
        self.key = keys[-1]
        place = len(keys) - 1
        while place > tied and keys[place - 1] == self.key:
            place -= 1
        self.ids_at_key = set(view.ids[place:])
        return place

    def _stay(self, view: View[R], tied: int) -> int | None:
        """Stay at the key; return where its first row is, None if that is not shown."""
        begin = self._first_not_before(view)
        self.ids_at_key.update(view.ids[begin:tied])
        if begin < tied and (begin > 0 or view.is_first):
            return begin
        return None

    def _sift(self, view: View[R]) -> tuple[list[R], int, int]:
        """Return the rows to hand out, where those after the cover begin, late ones."""
        begin = tied = self._first_not_before(view)
        while tied < len(view.keys) and view.keys[tied] == self.key:
            tied += 1
        rows = [row for row in view.rows[begin:tied] if row.id not in self.ids_at_key]
        rows += view.rows[tied:]
        return rows, tied, self._count_late(view, begin)

    def accept_run(self, view: View[R]) -> Accepted[R]:
        """Hand out a view's rows at the cover's own key, and nothing else."""
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
        """Count unseen rows before the cover, as far back as is remembered."""
        unknown = self.recent.unknown(view.ids[:begin])
        oldest = self.recent.oldest_key() if unknown else None
        if oldest is None:
            return 0
        return sum(
            id_ in unknown and self.precedes(oldest, key)
            for id_, key in zip(view.ids[:begin], view.keys[:begin], strict=True)
        )
