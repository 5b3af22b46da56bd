"""`EventsQuery`: which events of an audit log are wanted, and in which order."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Self, TypedDict, cast

import attrs

from canopy_async._api.requests import Query
from canopy_async._util.arguments import Order
from canopy_async._walk import Span

__all__ = ["EventsQuery", "QueryOptions", "left_of"]


class QueryOptions(TypedDict, total=False):
    """The fields of `EventsQuery` by name, as a fan-out takes them."""

    q: str | None
    sort_by: str | None
    order: Order | None
    since: datetime | None
    until: datetime | None


@attrs.frozen(kw_only=True)
class EventsQuery:
    """The events of an audit log that are wanted, and their order.

    It checks itself when it is made, and is passed on whole: a filter that the API
    learns is a field here, and an argument where users name it.

    Attributes:
        q: Search term.
        sort_by: The column to sort by, None for the server's default.
        order: ``asc`` or ``desc``, None for the server's default.
        since: The earliest ``created_at`` that is wanted, inclusive; aware.
        until: The first ``created_at`` that is not wanted; aware.
        request: The part of the query that is sent with each request.
        span: The part that is found by reading: the server knows no bounds in time.

    Raises:
        TypeError: A field has the wrong type.
        ValueError: A field is out of bounds; the message names it.
    """

    q: str | None = None
    sort_by: str | None = None
    order: Order | None = None
    since: datetime | None = None
    until: datetime | None = None
    request: Query = attrs.field(init=False, repr=False, eq=False)
    span: Span = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        """Check each field, by name."""
        set_field = object.__setattr__
        set_field(
            self, "request", Query(q=self.q, sort_by=self.sort_by, order=self.order)
        )
        set_field(self, "span", Span(since=self.since, until=self.until))

    @classmethod
    def picked_from(cls, options: Mapping[str, Any]) -> Self:
        """Return the query that the options of a fan-out name, among others."""
        return cls(**{name: options[name] for name in _FIELDS if name in options})

    @property
    def named(self) -> dict[str, str | datetime | None]:
        """The fields by name: a scope is a hash of them."""
        return {name: getattr(self, name) for name in _FIELDS}

    @property
    def options(self) -> QueryOptions:
        """The fields by name, as a fan-out takes them."""
        return cast("QueryOptions", self.named)


_FIELDS: Final = tuple(field.name for field in attrs.fields(EventsQuery) if field.init)


def left_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a fan-out that say how to read, and not what.

    Raises:
        TypeError: One of them is unknown.
    """
    left = {name: it for name, it in options.items() if name not in _FIELDS}
    for name in left:
        if name not in _HOW:
            raise TypeError(f"fan_out() got an unexpected keyword argument {name!r}")
    return left


_HOW: Final = frozenset({"limit", "take", "concurrency", "lossless"})
"""The options of a fan-out that say how each log is read."""
