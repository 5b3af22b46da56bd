"""The rows of a list that a walk is to hand out."""

import attrs

from canopy_async._walk.span import Span

__all__ = ["Wanted"]


@attrs.frozen(kw_only=True)
class Wanted:
    """The rows that are wanted of a list, and how the server was asked for them.

    Attributes:
        take: Rows per page at most, for the windows of the plan.
        limit: Rows to hand out at most, None for no limit.
        order: The order that the server is asked for.
        sort_by: The column that the server is asked to sort by.
        span: The part of the list that is wanted.
        accept_unordered: Whether a list that is not sorted by ``created_at`` is read
            by the shared-id certificate instead of raising.
    """

    take: int
    limit: int | None
    order: str | None
    sort_by: str | None
    span: Span
    accept_unordered: bool
