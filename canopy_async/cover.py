"""What of a list is covered, and which answers continue it without a gap.

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

from collections import deque
from datetime import datetime
from itertools import pairwise
from typing import Generic, Protocol, TypeVar

import attrs

from canopy_async.errors import ProtocolError, UnorderedListError
from canopy_async.report import Proof
from canopy_async.view import Row, View

__all__ = ["Accepted", "Cover", "IdCover", "KeyCover"]

R = TypeVar("R", bound=Row)

_REMEMBERED_VIEWS = 4


@attrs.frozen
class Accepted(Generic[R]):
    """What a view added to a cover.

    Attributes:
        rows: The rows to hand out, in order.
        duplicates: Rows that were handed out before.
        late: Rows that appeared behind the cover, and are not handed out.
    """

    rows: list[R]
    duplicates: int
    late: int


class Cover(Protocol[R]):
    """What is covered, by one certificate or another."""

    proof: Proof
    position: int
    count: int
    end: int
    head: str | None

    @property
    def order(self) -> str | None:
        """``asc`` or ``desc`` as seen in the rows, None where unknown."""
        ...

    def check(self, view: View[R]) -> None:
        """Raise where a view breaks what the certificate rests on."""
        ...

    def certifies(self, view: View[R]) -> bool:
        """Tell whether a view continues the cover without a gap."""
        ...

    def has_new(self, view: View[R]) -> bool:
        """Tell whether accepting a view would hand out rows."""
        ...

    def is_behind(self, view: View[R]) -> bool:
        """Tell whether a view ends before the cover does."""
        ...

    def locate(self, view: View[R]) -> int | None:
        """Return where `position` was at the instant of a view, if it tells."""
        ...

    @property
    def is_past_bound(self) -> bool:
        """Whether nothing after the cover is wanted any more."""
        ...

    def bound_growth(self, view: View[R]) -> None:
        """Learn from a view where the list ended at its instant."""
        ...

    def accept(self, view: View[R]) -> Accepted[R]:
        """Move the cover to the end of a view."""
        ...


class _Memory(Generic[R]):
    """The ids and keys of the views accepted last."""

    def __init__(self) -> None:
        self._views: deque[View[R]] = deque(maxlen=_REMEMBERED_VIEWS)

    def add(self, view: View[R]) -> None:
        self._views.append(view)

    def find(self, id_: str) -> tuple[View[R], int] | None:
        """Return the latest view that held an id, and where in it."""
        for view in reversed(self._views):
            at = view.index.get(id_)
            if at is not None:
                return view, at
        return None

    def check_keys(self, view: View[R]) -> None:
        """Raise if a row changed its key: then no place in the list is safe."""
        for earlier in self._views:
            for id_ in earlier.index.keys() & view.index.keys():
                if earlier.keys[earlier.index[id_]] != view.keys[view.index[id_]]:
                    raise ProtocolError(
                        "created_at of a row changed while the list was read",
                        page=None,
                        path=f"items[{view.index[id_]}].created_at",
                    )

    def shift(self, view: View[R]) -> tuple[View[R], int] | None:
        """Return how far rows moved since a view that shares one, and that view."""
        for earlier in reversed(self._views):
            for id_ in view.ids:
                at = earlier.index.get(id_)
                if at is not None:
                    moved = view.start + view.index[id_] - earlier.start - at
                    return earlier, moved
        return None

    def oldest_key(self) -> datetime | None:
        return self._views[0].keys[0] if self._views and self._views[0].keys else None


class KeyCover(Generic[R]):
    """A cover by ``created_at``: the strict-key certificate.

    Attributes:
        key: The key up to which rows are covered, None before the first view.
        at: The rows at `key` that were handed out.
        position: Where the first row at `key` stood when last seen.
        count: What the server counted then.
        end: Position after the last row accepted.
        head: The first row that was accepted.
    """

    proof = Proof.STRICT_KEY

    def __init__(
        self,
        *,
        key: datetime | None = None,
        at: frozenset[str] = frozenset(),
        order: str | None = None,
    ) -> None:
        self.key = key
        self.at: set[str] = set(at)
        self.position = 0
        self.count = 0
        self.end = 0
        self.head: str | None = None
        self._order = order
        self._bound: datetime | None = None
        self._memory: _Memory[R] = _Memory()

    @property
    def order(self) -> str | None:
        """``asc`` or ``desc`` as seen in the rows, None where unknown."""
        return self._order

    @property
    def is_past_bound(self) -> bool:
        """Whether the cover is strictly after the bound."""
        return (
            self._bound is not None
            and self.key is not None
            and self.precedes(self._bound, self.key)
        )

    def bound_growth(self, view: View[R]) -> None:
        """Keep a list that grows at its end from being read for ever.

        In ascending order, no row of the list as it was at the start can come
        after the last row that it had at any later instant.
        """
        if self._bound is None and self._order == "asc" and view.is_end and view.rows:
            self._bound = view.keys[-1]

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
        keys: list[datetime] = view.keys  # type: ignore[assignment]
        if self._order is None and keys and keys[0] != keys[-1]:
            self._order = "asc" if keys[0] < keys[-1] else "desc"
        if keys != sorted(keys, reverse=self._order == "desc"):
            raise UnorderedListError("the list is not sorted by created_at")
        self._memory.check_keys(view)

    def certifies(self, view: View[R]) -> bool:
        """Tell whether a view begins strictly before the cover, or the list."""
        if not view.rows:
            return False
        if view.is_first or self.key is None:
            return view.is_first
        first: datetime = view.keys[0]  # type: ignore[assignment]
        return self.precedes(first, self.key)

    def shares_run(self, view: View[R]) -> bool:
        """Tell whether a view holds a row handed out at the cover itself."""
        return not self.at.isdisjoint(view.index)

    def has_new(self, view: View[R]) -> bool:
        """Tell whether accepting a view would hand out rows."""
        if self.key is None:
            return bool(view.rows)
        if not view.rows:
            return False
        last: datetime = view.keys[-1]  # type: ignore[assignment]
        if last != self.key:
            return not self.precedes(last, self.key)
        return any(
            id_ not in self.at
            for id_, key in zip(view.ids, view.keys, strict=True)
            if key == self.key
        )

    def is_behind(self, view: View[R]) -> bool:
        """Tell whether a view ends strictly before the cover."""
        if self.key is None or not view.rows:
            return False
        return self.precedes(view.keys[-1], self.key)  # type: ignore[arg-type]

    def locate(self, view: View[R]) -> int | None:
        """Return where the run at the cover began at the instant of a view."""
        if self.key in view.keys:
            at = view.keys.index(self.key)
            if at > 0 or view.is_first:
                return view.start + at
        shifted = self._memory.shift(view)
        if shifted is None:
            return None
        _, moved = shifted
        return self.position + moved

    def accept(self, view: View[R]) -> Accepted[R]:
        """Hand out what a certified view adds, and move to its last key."""
        begin = self._first_at_cover(view)
        rows: list[R] = []
        at = begin
        if self.key is not None:
            while at < len(view.rows) and view.keys[at] == self.key:
                if view.ids[at] not in self.at:
                    rows.append(view.rows[at])
                at += 1
        rows.extend(view.rows[at:])
        late = self._count_late(view, begin)
        duplicates = len(view.rows) - len(rows) - late
        if at < len(view.rows):
            self.key = view.keys[-1]
            self.at = set(view.ids[view.keys.index(self.key) :])
            self._place(view.start + view.keys.index(self.key), view.count)
        else:
            self.at.update(view.ids[begin:at])
            if begin < at and (begin > 0 or view.is_first):
                self._place(view.start + begin, view.count)
        self.end = view.end
        self.head = self.head or view.ids[0]
        self._memory.add(view)
        return Accepted(rows, duplicates, late)

    def accept_run(self, view: View[R]) -> Accepted[R]:
        """Hand out a view's rows at the cover's own key, and nothing else."""
        rows = [
            row
            for row, key in zip(view.rows, view.keys, strict=True)
            if key == self.key and row.id not in self.at
        ]
        self.at.update(row.id for row in rows)
        return Accepted(rows, 0, 0)

    def _first_at_cover(self, view: View[R]) -> int:
        if self.key is None:
            return 0
        for at, key in enumerate(view.keys):
            if not self.precedes(key, self.key):  # type: ignore[arg-type]
                return at
        return len(view.keys)

    def _count_late(self, view: View[R], begin: int) -> int:
        oldest = self._memory.oldest_key()
        if oldest is None:
            return 0
        return sum(
            self.precedes(oldest, view.keys[at])  # type: ignore[arg-type]
            and self._memory.find(view.ids[at]) is None
            for at in range(begin)
        )

    def _place(self, position: int, count: int) -> None:
        self.position = position
        self.count = count


class IdCover(Generic[R]):
    """A cover by the rows themselves: the shared-id certificate.

    For lists in an order that the rows don't show. It holds where the server
    keeps one fixed order, ties included: a view that shares a row with what
    was accepted last then continues it, whatever moved meanwhile.

    Attributes:
        position: Where the last row accepted stood.
        count: What the server counted then.
        end: Position after the last row accepted.
        head: The first row that was accepted.
    """

    proof = Proof.SHARED_ID
    order: str | None = None
    is_past_bound = False

    def __init__(self) -> None:
        self.position = 0
        self.count = 0
        self.end = 0
        self.head: str | None = None
        self._memory: _Memory[R] = _Memory()
        self._empty = True

    def check(self, view: View[R]) -> None:
        """Raise where rows seen before come in another order.

        Raises:
            UnorderedListError: The server has no fixed order.
            ProtocolError: A row changed its key.
        """
        self._memory.check_keys(view)
        known = [found for id_ in view.ids if (found := self._memory.find(id_))]
        places = [(id(earlier), at) for earlier, at in known]
        for (view_a, at_a), (view_b, at_b) in pairwise(places):
            if view_a == view_b and at_a > at_b:
                raise UnorderedListError("the list has no fixed order")

    def certifies(self, view: View[R]) -> bool:
        """Tell whether a view shares a row with those accepted last."""
        if self._empty:
            return view.is_first and bool(view.rows)
        return self._last_shared(view) is not None

    def has_new(self, view: View[R]) -> bool:
        """Tell whether rows come after the last shared one."""
        last = self._last_shared(view)
        return len(view.rows) > (0 if last is None else last + 1)

    def is_behind(self, view: View[R]) -> bool:
        """Tell whether a view's last row was handed out."""
        return bool(view.ids) and self._memory.find(view.ids[-1]) is not None

    def locate(self, view: View[R]) -> int | None:
        """Return where the last row was at the instant of a view."""
        shifted = self._memory.shift(view)
        return None if shifted is None else self.position + shifted[1]

    def accept(self, view: View[R]) -> Accepted[R]:
        """Hand out the rows after the last shared one."""
        last = self._last_shared(view)
        begin = 0 if last is None else last + 1
        known = sum(self._memory.find(id_) is not None for id_ in view.ids[:begin])
        rows = list(view.rows[begin:])
        if rows:
            self.position = view.end - 1
        self.count = view.count
        self.end = view.end
        self.head = self.head or view.ids[0]
        self._empty = False
        self._memory.add(view)
        return Accepted(rows, known, begin - known)

    def bound_growth(self, view: View[R]) -> None:
        """Learn nothing: rows don't show where new ones come."""

    def _last_shared(self, view: View[R]) -> int | None:
        for at in range(len(view.ids) - 1, -1, -1):
            if self._memory.find(view.ids[at]) is not None:
                return at
        return None
