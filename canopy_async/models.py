"""Models of the Canopy audit API: rows and pages, as frozen classes."""

import operator
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import (
    Annotated,
    Any,
    Final,
    Generic,
    NoReturn,
    Self,
    TypeAlias,
    TypeVar,
    cast,
)

import attrs
from msgspec import Meta

from canopy_async._util.public import publish
from canopy_async._util.structs import NeverSent, decoded_strictly

__all__ = [
    "ActorType",
    "AuditEvent",
    "Category",
    "CursorMeta",
    "CursorPage",
    "EventDetail",
    "Identity",
    "Outcome",
    "Page",
    "PageMeta",
    "Severity",
]

T_co = TypeVar("T_co", covariant=True)

AwareDatetime: TypeAlias = Annotated[datetime, Meta(tz=True)]
"""A datetime with a UTC offset; decoding refuses one without."""

MAX_UNKNOWN_MEMBERS = 256
"""The most unlisted values that one enum remembers."""

_LONGEST_REMEMBERED = 100
"""The most characters of an unlisted value that an enum remembers."""


class OpenEnum(StrEnum):
    """An enum of strings that the server may extend with new values.

    A value that is not listed becomes a new member, so that ``Outcome("partial")``
    works and equals ``"partial"``. An enum remembers the first `MAX_UNKNOWN_MEMBERS`
    unlisted values and always returns the same object for each of them. Further ones,
    and those of more than 100 characters, are equal but not identical.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        known = cls._value2member_map_.get(value)
        if known is not None:  # msgspec may call this without looking it up first
            return cast("Self", known)
        member = str.__new__(cls, value)
        member._name_ = value
        member._value_ = value
        has_room = len(cls._value2member_map_) < len(cls) + MAX_UNKNOWN_MEMBERS
        if has_room and len(value) <= _LONGEST_REMEMBERED:
            cls._value2member_map_[value] = member
        return member

    @property
    def is_known(self) -> bool:
        """Whether this value is one of those listed in the class."""
        return type(self).__members__.get(self.name) == self

    def _refuse_order(self, _other: object) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} has no order; to sort it by its text, use str()"
        )

    # A str would compare alphabetically, which means nothing for these values.
    __lt__ = __le__ = __gt__ = __ge__ = cast("Any", _refuse_order)


class ActorType(OpenEnum):
    """The kind of the actor of an event. The server may send other texts, too."""

    USER = "user"
    IDENTITY = "identity"
    API_KEY = "api_key"
    PLATFORM = "platform"


class Outcome(OpenEnum):
    """The outcome of the audited action."""

    SUCCESS = "success"
    FAILURE = "failure"
    DENIED = "denied"


class Severity(OpenEnum):
    """The severity of an event, in the order from ``INFO`` to ``CRITICAL``.

    ``<``, ``<=``, ``>`` and ``>=`` compare by that order, with members and with their
    text. An unlisted value ranks above all listed ones, so that an alert does not miss
    it. Two unlisted values have equal ranks.

    Example:
        >>> event.severity >= Severity.WARNING
        >>> max(events, key=lambda event: event.severity)
    """

    INFO = "info"
    NOTICE = "notice"
    WARNING = "warning"
    CRITICAL = "critical"

    def __lt__(self, other: str) -> bool:
        """Tell whether this is less severe than ``other``, a member or its text."""
        return _by_rank(operator.lt, self, other)

    def __le__(self, other: str) -> bool:
        """Tell whether this is at most as severe as ``other``, a member or its text."""
        return _by_rank(operator.le, self, other)

    def __gt__(self, other: str) -> bool:
        """Tell whether this is more severe than ``other``, a member or its text."""
        return _by_rank(operator.gt, self, other)

    def __ge__(self, other: str) -> bool:
        """Tell whether this is at least as severe as ``other``, member or text."""
        return _by_rank(operator.ge, self, other)


_RANKS: Final = {member.value: rank for rank, member in enumerate(Severity)}


def _by_rank(
    compare: Callable[[int, int], bool], severity: Severity, other: Any
) -> bool:
    """Compare the ranks of two severities; return NotImplemented for a non-str."""
    if not isinstance(other, str):
        return cast("bool", NotImplemented)
    return compare(_rank(severity), _rank(other))


def _rank(severity: str) -> int:
    """Return the rank of a severity, from 0; an unlisted one ranks last."""
    return _RANKS.get(severity, len(_RANKS))


class Category(OpenEnum):
    """The area of the platform that an event belongs to."""

    AUTH = "auth"
    IDENTITY = "identity"
    ADMIN_USER = "admin_user"
    TENANCY = "tenancy"
    HIERARCHY = "hierarchy"
    RBAC = "rbac"
    AUTHORIZATION = "authorization"
    API_KEYS = "api_keys"
    OAUTH = "oauth"
    WEBHOOKS = "webhooks"
    INVITES = "invites"
    MFA = "mfa"
    AUDIT = "audit"
    BILLING = "billing"
    UNKNOWN = "unknown"
    SSO = "sso"
    ORGANIZATION = "organization"


_NEW_DICT: Final = cast("Callable[[], dict[str, Any]]", dict)


@decoded_strictly
@attrs.frozen(kw_only=True)
class AuditEvent:
    """One row of an audit log.

    Nine fields always have a value: ``id``, ``actor_type``, ``action``, ``metadata``,
    ``created_at``, ``outcome``, ``severity``, ``customer_visible`` and
    ``identity_visible``. Each other field is None where the server sent null, or did
    not send it.

    Attributes:
        id: The event's unique id.
        account_id: The account that the event belongs to.
        application_id: The application that the event is about.
        environment_id: The environment of the application.
        actor_id: The id of the actor who caused the event.
        actor_type: The kind of the actor.
        action: A dotted key such as ``role.created``. The server may add new ones.
        resource_type: The kind of the resource that the action changed.
        resource_id: The id of the resource that the action changed.
        metadata: A JSON object with details; it may be nested. It may contain personal
            data, so ``repr`` leaves it out.
        created_at: The time of the event, a datetime with a UTC offset.
        actor_label: The name of the actor, for people to read.
        resource_label: The name of the resource, for people to read.
        correlation_id: A UUID shared by events that belong together.
        outcome: The outcome of the action.
        category: The area of the platform that the event belongs to.
        severity: The severity of the event.
        customer_visible: Whether the event is shown to the customer.
        identity_visible: Whether the event is shown to the identity.
        extra: The fields that this version of the library does not know, by name.
            Each event has its own dict.
    """

    id: str
    account_id: str | None = None
    application_id: str | None = None
    environment_id: str | None = None
    actor_id: str | None = None
    actor_type: ActorType
    action: str
    resource_type: str | None = None
    resource_id: str | None = None
    metadata: dict[str, Any] = attrs.field(repr=False, hash=False)
    created_at: AwareDatetime
    actor_label: str | None = None
    resource_label: str | None = None
    correlation_id: str | None = None
    outcome: Outcome
    category: Category | None = None
    severity: Severity
    customer_visible: bool
    identity_visible: bool
    extra: NeverSent = attrs.field(factory=_NEW_DICT, repr=False, hash=False)


@decoded_strictly
@attrs.frozen(kw_only=True)
class Identity:
    """One identity of an account.

    ``id`` always has a value. Each other field is None where the server sent null, or
    did not send it.

    Attributes:
        id: The identity's id, the argument of `CanopySession.events`.
        email: Its e-mail address.
        first_name: Its first name.
        last_name: Its last name.
        avatar_url: The URL of its picture.
        external_id: Its id in another system.
        is_active: Whether the identity is active.
        email_verified: Whether the e-mail address was confirmed.
        app_membership_count: The number of applications that it belongs to.
        total_assignments: The number of its assignments.
        created_at: The time when it was created, a datetime with a UTC offset.
        extra: The fields that this version of the library does not know, by name.
    """

    id: str
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    avatar_url: str | None = None
    external_id: str | None = None
    is_active: bool | None = None
    email_verified: bool | None = None
    app_membership_count: int | None = None
    total_assignments: int | None = None
    created_at: AwareDatetime | None = None
    extra: NeverSent = attrs.field(factory=_NEW_DICT, repr=False, hash=False)


@attrs.frozen(kw_only=True)
class PageMeta:
    """The counts that the server sends with a page.

    The server counts the rows and selects them in two steps, so ``item_count`` may not
    fit the rows exactly while the list changes.

    Attributes:
        page: The page's number, from 1.
        take: The number of rows per page.
        item_count: The number of rows in the whole list.
        page_count: The number of pages in the whole list.
        has_previous_page: Whether a page comes before this one.
        has_next_page: Whether a page comes after this one.
    """

    page: int
    take: int
    item_count: int
    page_count: int
    has_previous_page: bool
    has_next_page: bool


@attrs.frozen(kw_only=True)
class Page(Generic[T_co]):
    """One response of an endpoint with numbered pages.

    Attributes:
        items: The rows, in the order of the list.
        pagination: The page's number and the server's counts.
    """

    items: tuple[T_co, ...]
    pagination: PageMeta


@attrs.frozen(kw_only=True)
class CursorMeta:
    """The cursor that the server sends with a page of the account's log.

    Attributes:
        next_cursor: The cursor of the next page, or None at the end of the log.
    """

    next_cursor: str | None


@attrs.frozen(kw_only=True)
class CursorPage(Generic[T_co]):
    """One response of the account's log, which has cursors and no numbered pages.

    Attributes:
        items: The rows, in the order of the log.
        pagination: The cursor of the next page.
    """

    items: tuple[T_co, ...]
    pagination: CursorMeta


@attrs.frozen(kw_only=True)
class EventDetail:
    """One event of the account's log, with related events.

    The server limits the length of both lists, and leaves out events that this log
    does not show. `CanopySession.chain` reads all events of one ``correlation_id``.

    Attributes:
        event: The event.
        related_by_correlation: Up to 50 other events with the same ``correlation_id``,
            oldest first.
        related_by_actor: The last events of the same actor within an hour, newest
            first, up to 10.
    """

    event: AuditEvent
    related_by_correlation: tuple[AuditEvent, ...] = ()
    related_by_actor: tuple[AuditEvent, ...] = ()


publish(
    "canopy_async",
    ActorType,
    AuditEvent,
    Category,
    EventDetail,
    Identity,
    Outcome,
    Page,
    PageMeta,
    Severity,
)
