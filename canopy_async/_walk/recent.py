"""The rows of the views that were accepted last: the evidence for checking new views.

A row keeps its id and its key. If a new view holds a row with another key than an
earlier view, or rows in another order, then nothing can be proven of the list.
"""

from collections import deque
from typing import Any, Final, Generic, TypeVar

from canopy_async._walk.view import Row, View
from canopy_async.errors import ProtocolError

__all__ = ["Recent", "SeenRows"]

R = TypeVar("R", bound=Row)

REMEMBERED_VIEWS: Final = 2
"""Views that are remembered in a list which is sorted by key."""


class SeenRows:
    """The ids and keys of one view. The rows are not kept, which saves memory.

    Attributes:
        ids: The ids, in list order.
        members: The ids as a set.
        keys: The keys, in list order.
    """

    __slots__ = ("_places", "ids", "keys", "members")

    def __init__(self, view: View[Any]) -> None:
        self.ids: Final = view.ids
        self.members: Final = view.members
        self.keys: Final = view.keys
        self._places: dict[str, int] | None = None

    @property
    def places(self) -> dict[str, int]:
        """Index of each row in the view, by its id."""
        if self._places is None:  # built on demand: a list that holds still needs none
            self._places = {id_: place for place, id_ in enumerate(self.ids)}
        return self._places

    def changed_in(self, view: View[Any]) -> int | None:
        """Return the index, in another view, of a row that has another key there.

        While a list holds still, the rows that two windows share are the last rows of
        one and the first rows of the other. This usual case is compared first, as two
        slices, because that is fast.

        Returns:
            The index, None if no row has another key.
        """
        if self.members.isdisjoint(view.members):
            return None
        shared = view.members & self.members
        last, first = slice(len(self.ids) - len(shared), None), slice(len(shared))
        if self.ids[last] == view.ids[first] and self.keys[last] == view.keys[first]:
            return None
        for place, (id_, key) in enumerate(zip(view.ids, view.keys, strict=True)):
            if id_ in shared and self.keys[self.places[id_]] != key:
                return place
        return None


class Recent(Generic[R]):
    """The rows accepted so far: how many they are, and the views that held the last.

    Args:
        views: How many views are remembered.

    Attributes:
        accepted: How many rows were accepted in all.
        has_accepted: Whether any view was accepted, even one without a new row.
    """

    def __init__(self, views: int = REMEMBERED_VIEWS) -> None:
        self.accepted = 0
        self.has_accepted = False
        self._views: deque[SeenRows] = deque(maxlen=views)  # the newest comes first

    def remember(self, views: int) -> None:
        """Remember so many views from now on."""
        self._views = deque(self._views, maxlen=views)

    def add(self, view: View[R], *, rows: int) -> SeenRows:
        """Remember a view that was accepted, and count the rows that it added."""
        if not self.has_accepted:
            self._views.clear()
            self.has_accepted = True
        self.accepted += rows
        return self.see(view)

    def see(self, view: View[R]) -> SeenRows:
        """Remember a view, whether it was accepted or not."""
        seen = SeenRows(view)
        self._views.appendleft(seen)
        return seen

    def knows(self, id_: str) -> bool:
        """Tell whether a remembered view holds a row."""
        return any(id_ in seen.members for seen in self._views)

    def unknown(self, ids: list[str]) -> set[str]:
        """Return those of some ids that no remembered view holds."""
        unknown = set(ids)
        for seen in self._views:
            if unknown:
                unknown = unknown - seen.members
        return unknown

    def oldest_key(self) -> Any:
        """Return the first key of the remembered views, None if there is no view."""
        return self._views[-1].keys[0] if self._views else None

    def places_of(self, view: View[R]) -> list[tuple[int, int]]:
        """Return where the remembered views hold rows of a view.

        Returns:
            For each such row, in the order of the view: the number of the remembered
            view, the latest being 0, and the index of the row in it.
        """
        return [
            (number, seen.places[id_])
            for id_ in view.ids
            for number, seen in enumerate(self._views)
            if id_ in seen.members
        ]

    def check_keys(self, view: View[R]) -> None:
        """Check that no row has another key than before.

        Raises:
            ProtocolError: A row came with another ``created_at`` than before.
        """
        for seen in self._views:
            place = seen.changed_in(view)
            if place is not None:
                raise ProtocolError(
                    "created_at of a row changed while the list was read",
                    page=view.page,
                    path=f"items[{place}].created_at",
                )
