"""`AccountQuery`: which events of an account's log are wanted."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final, Self, TypedDict, cast

import attrs

from canopy_async._api.log_requests import encoded_filters
from canopy_async._util.arguments import check_instant, check_text, check_type
from canopy_async._util.instants import moved
from canopy_async._walk import Span

__all__ = ["FILTERS", "AccountFilters", "AccountQuery"]

_STILL_COMING: Final = timedelta(hours=1)
"""The time after which all events of one request should have come."""


class AccountFilters(TypedDict, total=False):
    """The fields of `AccountQuery` that are no bounds in time, by their names."""

    action: str | Iterable[str]
    category: str | None
    severity: str | None
    outcome: str | None
    actor_id: str | None
    actor_type: str | None
    resource_type: str | None
    resource_id: str | None
    correlation_id: str | None
    application_id: str | None
    environment_id: str | None
    q: str | None


def _actions(value: Any) -> tuple[str, ...]:
    """Return one action or several as a tuple.

    Raises:
        TypeError: One of them is not a str.
        ValueError: One of them is empty, or holds a comma, which divides two.
    """
    if isinstance(value, str):
        value = (value,)
    if not hasattr(value, "__iter__"):
        raise TypeError(f"action must be a str or several, not {type(value).__name__}")
    actions = tuple(cast("Iterable[Any]", value))
    for action in actions:
        _check_filled("action", action)
        if "," in action:
            raise ValueError(
                f"action must not hold a comma, got {action!r}: pass several actions"
                " as a list"
            )
    return actions


def _check_filled(name: str, value: Any) -> None:
    if not check_text(name, value):
        raise ValueError(f"{name} must not be empty: leave it out for any")


@attrs.frozen(kw_only=True)
class AccountQuery:
    """The events of an account's log that are wanted.

    It checks itself when it is made, and is passed on whole. An event is wanted where
    all that is given holds.

    Attributes:
        since: The earliest ``created_at``, inclusive; aware.
        until: The first ``created_at`` that is not wanted; aware.
        action: The actions, any of which may match; none for all.
        category: The category, also one that this library does not know.
        severity: The severity, exactly: not those above it.
        outcome: The outcome.
        actor_id: The id of the actor.
        actor_type: The type of the actor.
        resource_type: The type of the resource.
        resource_id: The id of the resource.
        correlation_id: The id that the events of one request share.
        application_id: The application.
        environment_id: The environment.
        q: Search term.
        span: The bounds in time.
        filters: Everything else, as it is sent with each request.

    Raises:
        TypeError: A field has the wrong type.
        ValueError: A field is out of bounds; the message names it.
    """

    since: datetime | None = None
    until: datetime | None = None
    action: tuple[str, ...] = attrs.field(default=(), converter=_actions)
    category: str | None = None
    severity: str | None = None
    outcome: str | None = None
    actor_id: str | None = None
    actor_type: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    correlation_id: str | None = None
    application_id: str | None = None
    environment_id: str | None = None
    q: str | None = None
    span: Span = attrs.field(init=False, repr=False, eq=False)
    filters: str = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        """Check each field, by name."""
        given = [("action", action) for action in self.action]
        for name in _TEXTS:
            value = getattr(self, name)
            if value is not None:
                _check_filled(name, value)
                given.append((name, str(value)))
        set_field = object.__setattr__
        set_field(self, "span", Span(since=self.since, until=self.until))
        set_field(self, "filters", encoded_filters(given))

    @classmethod
    def filtered_by(cls, caller: str, filters: AccountFilters) -> Self:
        """Return the query of a public method that takes filters by their names.

        Args:
            caller: The name of the method.
            filters: What the method was given.

        Raises:
            TypeError: A filter is unknown, or has the wrong type.
            ValueError: A filter is out of bounds; the message names it.
        """
        for name in filters:
            if name not in AccountFilters.__annotations__:
                raise TypeError(
                    f"{caller}() got an unexpected keyword argument {name!r}"
                )
        return cls(**cast("dict[str, Any]", filters))

    @classmethod
    def of_chain(
        cls, correlation_id: str, *, around: datetime, window: timedelta, now: datetime
    ) -> Self:
        """Return the query for the events that one request left behind.

        Args:
            correlation_id: The id that the events share.
            around: When one of them happened; aware.
            window: How long before and after that to look. Where this is not over for
                an hour, there is no end.
            now: The present time.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of bounds.
        """
        check_instant("around", around)
        check_type("window", window, timedelta)
        if window <= timedelta(0):
            raise ValueError(f"window must be more than nothing, not {window}")
        check_text("correlation_id", correlation_id)
        until = moved(around, window)
        return cls(
            since=moved(around, -window),
            until=until if until < now - _STILL_COMING else None,
            correlation_id=correlation_id,
        )

    @property
    def named(self) -> dict[str, str | datetime | None]:
        """The fields by name: what a scope is made of."""
        fields: dict[str, str | datetime | None] = {
            name: None if getattr(self, name) is None else str(getattr(self, name))
            for name in _TEXTS
        }
        actions = ",".join(sorted(set(self.action))) or None
        return {
            **fields,
            "action": actions,
            "since": self.since,
            "until": self.until,
        }


_TEXTS: Final = (
    "category",
    "severity",
    "outcome",
    "actor_id",
    "actor_type",
    "resource_type",
    "resource_id",
    "correlation_id",
    "application_id",
    "environment_id",
    "q",
)

FILTERS: Final = frozenset((*_TEXTS, "action"))
"""The filters beside the bounds in time, by their names in the API."""
