"""The cover: what of a list was handed out, and which views continue it.

There are two kinds, by the certificate that they rest on: `KeyCover` compares keys, and
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
        late: Rows that appeared behind the cover, and are not handed out.
    """

    rows: list[R]
    duplicates: int = 0
    late: int = 0


class Cover(Protocol[R]):
    """A cover, by one certificate or another."""

    @property
    def proof(self) -> Proof:
        """The certificate."""
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
        """Whether it is known how far the list is wanted."""
        ...

    @property
    def is_past_bound(self) -> bool:
        """Whether nothing after the cover is wanted any more."""
        ...

    def check(self, view: View[R]) -> None:
        """Raise where a view breaks what the certificate rests on."""
        ...

    def bound_growth(self, view: View[R]) -> None:
        """Learn from a view that reaches the end of the list where that was."""
        ...

    def certifies(self, view: View[R]) -> bool:
        """Tell whether a view continues the cover without a gap."""
        ...

    def has_new(self, view: View[R]) -> bool:
        """Tell whether accepting a view would hand out rows."""
        ...

    def wanted(self, rows: list[R]) -> list[R]:
        """Return the rows, in list order, up to where the list is wanted."""
        ...

    def rows_to_bound(self, view: View[R]) -> int | None:
        """Return about how many rows are left up to there, None if unbounded."""
        ...

    def touches(self, view: View[R]) -> bool:
        """Tell whether a view begins in a run of ties at the cover."""
        ...

    def stops_at(self, view: View[R]) -> bool:
        """Tell whether a view ends in a run of ties at the cover."""
        ...

    def revisit(self, view: View[R]) -> None:
        """Learn where the cover is from a view that adds nothing to it."""
        ...

    def accept(self, view: View[R]) -> Accepted[R]:
        """Move the cover to the end of a view."""
        ...
