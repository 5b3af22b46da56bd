"""Where rows stood when they were last seen: hints, and never a proof."""

from collections import deque
from typing import Any, Final, Generic, TypeVar

from canopy_async._walk.view import Row, View
from canopy_async.errors import ProtocolError

__all__ = ["Track"]

R = TypeVar("R", bound=Row)

_REMEMBERED_VIEWS = 2
_VIEWS_IN_RECENT = 6


class _Seen:
    """What is remembered of a view; its rows are not, which saves memory."""

    __slots__ = ("_places", "begin", "ids", "keys", "rank")

    def __init__(self, view: View[Any], begin: int, rank: int) -> None:
        self.ids: Final = view.ids
        self.keys: Final = view.keys
        self.begin: Final = begin
        self.rank: Final = rank
        self._places: dict[str, int] | None = None

    @property
    def places(self) -> dict[str, int]:
        """Where in the view each row was, by its id."""
        if self._places is None:  # lists that hold still never ask
            self._places = {id_: place for place, id_ in enumerate(self.ids)}
        return self._places


class Track(Generic[R]):
    """The views accepted last, and the place in the list they led to.

    Each row handed out has a rank, counted from the first. Two rows stay as
    many places apart as their ranks are, while the list moves as a whole, so
    a view that holds any remembered row tells where the others are by now.

    Attributes:
        position: Where the row that is looked for next stood when last seen.
        end: Position after the last row accepted, as of then.
        count: What the server counted then.
        rank: The rank of the row at ``position``.
        accepted: How many rows were accepted in all.
        head: The first of them.
    """

    def __init__(self) -> None:
        self.position = 0
        self.end = 0
        self.count = 0
        self.rank = 0
        self.accepted = 0
        self.head: str | None = None
        self._newest = 0
        self._seen: deque[_Seen] = deque(maxlen=_REMEMBERED_VIEWS)  # newest first
        # The ids in these, and maybe others: it takes longer to let go of them.
        self._recent: set[str] = set()
        self._noted = 0
        self._added = 0

    def remember(self, views: int) -> None:
        """Remember more views than a list in order of time needs."""
        self._seen = deque(self._seen, maxlen=views)

    def add(self, view: View[R], *, rows: int, place: int | None, is_new: bool) -> None:
        """Note an accepted view.

        Args:
            view: The view.
            rows: How many rows it added; they are its last.
            place: Where in it the row is that is looked for next, None where
                it does not show.
            is_new: Whether that is another row than before.
        """
        begin = len(view.rows) - rows
        rank = self.rank
        if self.head is None:
            self._seen.clear()
            self.head = view.ids[0]
            is_new = True  # in a read that goes on, the row was not seen so far
        if is_new and place is not None:
            rank = self.accepted + place - begin
        self._see(view, begin, self.accepted)
        self.accepted += rows
        if view.number >= self._newest:
            self._newest = view.number
            self.end = view.end
            self.count = view.count
            self.position = view.start + place if place is not None else self.position
        else:  # it is older than what is known of the place
            self.end += rows
            self.position += rank - self.rank
        self.rank = rank

    def note_shared(self, view: View[R]) -> None:
        """Tell a view how many rows it shares, where it is new after these.

        As a rule it is. It is told from few comparisons: where as many ids are new
        as should be, none of these came before, and none comes twice.
        """
        if not self._seen:
            return
        last, ids = self._seen[0], view.ids
        try:
            shared = ids.index(last.ids[-1]) + 1
        except ValueError:
            return
        if (
            last.ids[-shared:] != ids[:shared]
            or last.keys[-shared:] != view.keys[:shared]
        ):
            return
        known = len(self._recent)
        self._recent.update(ids)
        self._noted = view.number
        if len(self._recent) - known == len(ids) - shared:
            view.shared = shared

    def found(self, position: int, count: int) -> None:
        """Note where the row looked for is, where none was accepted yet."""
        self.position = self.end = position
        self.count = count

    def saw(self, view: View[R], place: int) -> None:
        """Note a view that adds nothing, where none was accepted yet.

        Args:
            view: The view.
            place: Where in it the row is that is looked for.
        """
        if self.head is not None:
            return
        self._see(view, place, self.rank)
        self.position = view.start + place
        self.end = max(self.end, view.end)
        self.count = view.count

    def knows(self, id_: str) -> bool:
        """Tell whether a row is in one of the views remembered."""
        return any(id_ in seen.places for seen in self._seen)

    def unknown(self, ids: list[str]) -> set[str]:
        """Return those of some rows that are in none of the views remembered."""
        return set(ids).difference(*[seen.places for seen in self._seen])

    def oldest_key(self) -> Any:
        """Return the first key of the views remembered, None if there is none."""
        return self._seen[-1].keys[0] if self._seen else None

    def locate(self, view: View[R]) -> int | None:
        """Return where the row looked for was when a view was served."""
        for at in range(len(view.ids) - 1, -1, -1):
            rank = self._rank_of(view.ids[at])
            if rank is not None:
                return view.start + at + self.rank - rank
        return None

    def places_of(self, view: View[R]) -> list[tuple[int, int]]:
        """Return, for the rows of a view that are known, which view and where."""
        return [
            (number, seen.places[id_])
            for id_ in view.ids
            for number, seen in enumerate(self._seen)
            if id_ in seen.places
        ]

    def check_keys(self, view: View[R]) -> None:
        """Raise if a row changed its key: then no place in the list is safe.

        Raises:
            ProtocolError: A row came with another ``created_at`` than before.
        """
        if view.shared:
            return
        for seen in self._seen:
            for at, (id_, key) in enumerate(zip(view.ids, view.keys, strict=True)):
                place = seen.places.get(id_)
                if place is not None and seen.keys[place] != key:
                    raise ProtocolError(
                        "created_at of a row changed while the list was read",
                        page=view.page,
                        path=f"items[{at}].created_at",
                    )

    def _see(self, view: View[R], begin: int, rank: int) -> None:
        self._seen.appendleft(_Seen(view, begin, rank))
        if not (view.shared and view.number == self._noted):
            self._recent.update(view.ids)
        self._added += 1
        if self._added % _VIEWS_IN_RECENT == 0:
            self._recent = set().union(*(seen.ids for seen in self._seen))

    def _rank_of(self, id_: str) -> int | None:
        for seen in self._seen:
            if id_ in seen.places:
                return seen.rank + seen.places[id_] - seen.begin
        return None
