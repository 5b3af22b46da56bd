"""What a read starts from: page 1 decides which certificate it can have."""

from collections.abc import Sequence
from typing import Any, Final, Generic, TypeVar

from canopy_async._walk.cover import Cover
from canopy_async._walk.id_cover import IdCover
from canopy_async._walk.key_cover import KeyCover
from canopy_async._walk.span import Span
from canopy_async._walk.view import Row, View
from canopy_async._walk.window import Window, plan_window
from canopy_async.errors import CheckpointError, UnorderedListError

__all__ = ["Direction", "is_undirected", "open_cover"]

R = TypeVar("R", bound=Row)

_MAX_PROBES: Final = 40


class Direction(Generic[R]):
    """Looks for the order of a list whose page 1 has one key all along.

    Where a part begins and ends depends on it. The last rows show it, unless
    they have that key too; then so does all of the list, and either order is as
    good as any.

    Args:
        first: Page 1.
        take: Rows per page at most.
        fixed_size: Rows per page of a server that ignores ``take``.

    Attributes:
        first: Page 1.
        fixed_size: Rows per page of a server that ignores ``take``, or None.
        order: What was found, None where nothing shows it.
        is_over: Whether nothing is left to look for.
    """

    def __init__(
        self, first: View[R], *, take: int, fixed_size: int | None = None
    ) -> None:
        self.first: Final = first
        self.fixed_size: Final = fixed_size
        self.order: str | None = None
        self.is_over = False
        self._take = fixed_size or take
        self._low = first.end
        self._high: int | None = None  # nothing was seen from there on
        self._at = max(self._low, first.count - self._take // 2)
        self._probes = 0

    def next_window(self) -> Window:
        """Return the window to ask for.

        Raises:
            UnorderedListError: Too many showed nothing.
        """
        self._probes += 1
        if self._probes > _MAX_PROBES:
            raise UnorderedListError("nothing shows in which order the list is")
        if self.fixed_size is not None:
            return Window(self._at // self.fixed_size + 1, self.fixed_size)
        return plan_window(self._at, self._take)

    def limit(self, take: int) -> None:
        """Ask for no more than so many rows per page from now on."""
        self._take = min(self._take, take)

    def learn(self, view: View[R] | None) -> None:
        """Take the answer, None for a missing page."""
        if view is None or not view.rows:
            self._high = self._at
        elif order := _shown_by(view.keys) or _shown_by(
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
    return not first.is_end and _shown_by(first.keys) is None


def _shown_by(keys: Sequence[Any]) -> str | None:
    """Return the order of keys that are sorted, None where all are one."""
    if keys[0] == keys[-1]:
        return None
    return "asc" if keys[0] < keys[-1] else "desc"


def open_cover(
    first: View[R],
    *,
    span: Span,
    sort_by: str | None,
    asked_order: str | None,
    accept_unordered: bool,
    order: str | None = None,
) -> Cover[R]:
    """Return the cover that a read starts from.

    Args:
        first: Page 1.
        span: The part of the list that is wanted; what comes before it counts
            as covered.
        sort_by: The column that the server was asked for, and did not refuse.
        asked_order: The order that it was asked for.
        accept_unordered: Whether a list that is not sorted by ``created_at``
            is read by the shared-id certificate.
        order: What other pages have shown, where page 1 did not.

    Raises:
        UnorderedListError: The list has no certificate, or no parts.
        CheckpointError: The list is in another order than it was.
    """
    if sort_by in {None, "created_at"}:
        whole: KeyCover[R] = KeyCover()
        try:
            whole.check(first)
        except UnorderedListError:
            if not accept_unordered:
                raise
        else:
            if span.is_whole:
                return whole
            return _at(span, first, whole.order or order, asked_order)
    if not span.is_whole:
        raise UnorderedListError(
            f"a part of a list can only be read by created_at, not by {sort_by!r}"
        )
    return IdCover()


def _at(
    span: Span, first: View[R], seen: str | None, asked_order: str | None
) -> KeyCover[R]:
    resume = span.resume
    if resume is not None and resume.order is not None:
        if seen not in {None, resume.order}:
            raise CheckpointError(
                f"the list is in {seen} order now; it was in {resume.order} order"
            )
        seen = resume.order
    order = seen or _order_to_assume(span, first) or asked_order or "asc"
    cover: KeyCover[R] = KeyCover(
        key=span.first_key(order),
        at=resume.ids if resume is not None else frozenset(),
        order=order,
        is_assumed=seen is None,
        bound=span.last_key(order),
    )
    cover.check(first)
    return cover


def _order_to_assume(span: Span, first: View[R]) -> str | None:
    """Return the order in which a list of one key comes after what was read."""
    place = None if span.resume is None else span.resume.key
    if place is None or not first.keys:
        return None
    return _shown_by((place, first.keys[0]))
