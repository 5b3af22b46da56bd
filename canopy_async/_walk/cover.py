"""The cover: which rows of a list were handed out, and which views continue them.

There are two kinds of cover, one for each certificate: `KeyCover` compares keys, and
`IdCover` looks for shared rows.
"""

from typing import Generic, NamedTuple, Protocol, TypeVar

from canopy_async._walk.position import Position
from canopy_async._walk.recent import Recent
from canopy_async._walk.view import Row, View
from canopy_async.report import Proof

__all__ = ["Accepted", "Cover"]

R = TypeVar("R", bound=Row)


class Accepted(NamedTuple, Generic[R]):
    """The rows that a view added to a cover.

    Attributes:
        rows: The rows to hand out, in order.
        duplicates: Rows that were handed out before.
        late: Rows that were added before the cover after it had passed their place.
            They are not handed out.
    """

    rows: list[R]
    duplicates: int = 0
    late: int = 0


class Cover(Protocol[R]):
    """The rows that were handed out so far, and what a view has to show to go on."""

    @property
    def proof(self) -> Proof:
        """The certificate, by which views are accepted."""
        ...

    @property
    def recent(self) -> Recent[R]:
        """The rows accepted so far: evidence."""
        ...

    @property
    def position(self) -> Position[R]:
        """The position in the list at which the cover ends: a hint."""
        ...

    @property
    def order(self) -> str | None:
        """``asc`` or ``desc`` as seen in the rows, None where unknown."""
        ...

    @property
    def is_bounded(self) -> bool:
        """Whether the end of a list that grows at its end was seen.

        Rows that are added after that end are not wanted.
        """
        ...

    @property
    def is_past_bound(self) -> bool:
        """Whether no row after the cover is wanted."""
        ...

    def check(self, view: View[R]) -> None:
        """Check that a view keeps the order that the certificate rests on.

        Raises:
            UnorderedListError: The view shows another order, or none.
            ProtocolError: A row has another key than before.
        """
        ...

    def bound_growth(self, view: View[R]) -> None:
        """Note where the list ends, if a view shows its end."""
        ...

    def certifies(self, view: View[R]) -> bool:
        """Tell whether a view continues the cover without a gap."""
        ...

    def has_new(self, view: View[R]) -> bool:
        """Tell whether accepting a view would hand out rows."""
        ...

    def wanted(self, rows: list[R]) -> list[R]:
        """Return those of some rows, in list order, that are not after the bound."""
        ...

    def rows_to_bound(self, view: View[R]) -> int | None:
        """Return about how many rows are left up to the bound, None if unknown."""
        ...

    def touches(self, view: View[R]) -> bool:
        """Tell whether a view begins with rows of the cover's key."""
        ...

    def stops_at(self, view: View[R]) -> bool:
        """Tell whether a view ends with rows of the cover's key."""
        ...

    def revisit(self, view: View[R]) -> None:
        """Note the position of the cover, from a view without new rows."""
        ...

    def accept(self, view: View[R]) -> Accepted[R]:
        """Move the cover to the last row of a certified view."""
        ...
