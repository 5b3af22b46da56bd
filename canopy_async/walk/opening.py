"""What a read starts from: page 1 decides which certificate it can have."""

from typing import TypeVar

from canopy_async.errors import CheckpointError, UnorderedListError
from canopy_async.walk.cover import Cover, IdCover, KeyCover
from canopy_async.walk.span import Span
from canopy_async.walk.view import Row, View

__all__ = ["open_cover"]

R = TypeVar("R", bound=Row)


def open_cover(
    first: View[R],
    *,
    span: Span,
    sort_by: str | None,
    asked_order: str | None,
    accept_unordered: bool,
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
            return whole if span.is_whole else _at(span, whole, first, asked_order)
    if not span.is_whole:
        raise UnorderedListError(
            f"a part of a list can only be read by created_at, not by {sort_by!r}"
        )
    return IdCover()


def _at(
    span: Span, whole: KeyCover[R], first: View[R], asked_order: str | None
) -> KeyCover[R]:
    resume = span.resume
    # Where page 1 has one key all along, either order is as good as any.
    order = whole.order or (resume and resume.order) or asked_order or "asc"
    if resume is not None and resume.order not in {None, order}:
        raise CheckpointError(
            f"the list is in {order} order now; it was in {resume.order} order"
        )
    cover: KeyCover[R] = KeyCover(
        key=span.first_key(order),
        at=resume.ids if resume is not None else frozenset(),
        order=order,
        bound=span.last_key(order),
    )
    cover.check(first)
    return cover
