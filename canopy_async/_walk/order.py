"""The order of a list whose page 1 does not show the order.

Where all rows of page 1 have one key, the list may be ascending or descending. A whole
list can be read without knowing which. For a part of a list the order must be known:
where the part begins and ends depends on it.
"""

from collections.abc import Sequence
from typing import Any, Final, Generic, TypeVar

from canopy_async._walk.span import Span
from canopy_async._walk.view import Row, View
from canopy_async._walk.window import Window, plan_window
from canopy_async.errors import UnorderedListError

__all__ = ["OrderProbe", "is_undirected", "order_shown_by"]

R = TypeVar("R", bound=Row)

_MAX_PROBES: Final = 40
"""The most windows that look for a second key."""


class OrderProbe(Generic[R]):
    """The search for the order of a list whose page 1 has a single key.

    The last rows of the list show its order, unless they have the key of page 1, too.
    In that case all rows have this key, and either order is true of the list.

    Args:
        first: Page 1.
        take: Rows per page at most.
        fixed_size: Rows per page of a server that ignores ``take``.

    Attributes:
        first: Page 1.
        fixed_size: Rows per page of a server that ignores ``take``, or None.
        order: ``asc`` or ``desc``, None where nothing shows it.
        is_over: Whether no further window is needed.
    """

    def __init__(
        self, first: View[R], *, take: int, fixed_size: int | None = None
    ) -> None:
        self.first: Final = first
        self.fixed_size: Final = fixed_size
        self.order: str | None = None
        self.is_over = False
        self._page_size = fixed_size or take
        self._low = first.end
        self._high: int | None = None  # no row was seen at this position or after it
        self._at = max(self._low, first.count - self._page_size // 2)
        self._probes = 0

    def next_window(self) -> Window:
        """Return the window to ask for.

        Raises:
            UnorderedListError: Too many windows have not shown the order.
        """
        self._probes += 1
        if self._probes > _MAX_PROBES:
            raise UnorderedListError("nothing shows in which order the list is")
        if self.fixed_size is not None:
            return Window(self._at // self.fixed_size + 1, self.fixed_size)
        return plan_window(self._at, self._page_size)

    def limit(self, take: int) -> None:
        """Ask for no more than so many rows per page from now on."""
        self._page_size = min(self._page_size, take)

    def learn(self, view: View[R] | None) -> None:
        """Take the view of the latest window, None for a missing page."""
        if view is None or not view.rows:
            self._high = self._at
        elif order := order_shown_by(view.keys) or order_shown_by(
            (self.first.keys[0], view.keys[0])
        ):
            self.order, self.is_over = order, True
            return
        elif view.end >= view.count and not view.claims_more:
            self.is_over = True
            return
        else:
            self._low = max(self._low, view.end)
        if self._high is None:
            self._at = 2 * self._low
        elif self._high > self._low:
            self._at = (self._low + self._high) // 2
        else:
            self.is_over = True


def is_undirected(first: View[R], span: Span) -> bool:
    """Tell whether a part is wanted, and nothing shows the order of the list."""
    if span.is_whole or (span.resume is not None and span.resume.order is not None):
        return False
    return not first.is_end and order_shown_by(first.keys) is None


def order_shown_by(keys: Sequence[Any]) -> str | None:
    """Return the order of keys that are sorted, None where all are one."""
    if keys[0] == keys[-1]:
        return None
    return "asc" if keys[0] < keys[-1] else "desc"
