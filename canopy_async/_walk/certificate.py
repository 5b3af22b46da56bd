"""The certificate of a read: page 1 decides whether it can be that of keys."""

from typing import TypeVar

from canopy_async._walk.cover import Cover
from canopy_async._walk.id_cover import IdCover
from canopy_async._walk.key_cover import KeyCover
from canopy_async._walk.order import order_shown_by
from canopy_async._walk.span import Span
from canopy_async._walk.view import Row, View
from canopy_async.errors import CheckpointError, UnorderedListError

__all__ = ["open_cover"]

R = TypeVar("R", bound=Row)


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
        span: The part of the list that is wanted; the rows before it count as handed
            out.
        sort_by: The column that the server was asked to sort by, and did not refuse.
        asked_order: The order that the server was asked for.
        accept_unordered: Whether a list that is not sorted by ``created_at``
            is read by the shared-id certificate.
        order: The order that other pages have shown, where page 1 did not.

    Raises:
        UnorderedListError: Nothing can be proven of a list in this order; or a part of
            the list is wanted, and the list is not sorted by ``created_at``.
        CheckpointError: The list is in another order than when the checkpoint was made.
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
            return _cover_of_part(span, first, whole.order or order, asked_order)
    if not span.is_whole:
        raise UnorderedListError(
            f"a part of a list can only be read by created_at, not by {sort_by!r}"
        )
    return IdCover()


def _cover_of_part(
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
    return KeyCover(
        key=span.first_key(order),
        ids_at_key=resume.ids if resume is not None else frozenset(),
        order=order,
        is_assumed=seen is None,
        bound=span.last_key(order),
    )


def _order_to_assume(span: Span, first: View[R]) -> str | None:
    """Return the order in which page 1, of one key, comes after a checkpoint."""
    place = None if span.resume is None else span.resume.key
    if place is None or not first.keys:
        return None
    return order_shown_by((place, first.keys[0]))
