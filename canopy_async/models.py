"""The rows and pages of the Canopy audit API, as frozen slotted classes."""

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
"""A datetime with a UTC offset; the wire format refuses one without."""

MAX_UNKNOWN_MEMBERS = 256
_LONGEST_REMEMBERED = 100
"""How many values outside a known set one enum remembers."""


class OpenEnum(StrEnum):
    """A set of strings that the server may extend.

    A value that is not listed makes a member of its own, so that
    ``Outcome("partial")`` works and equals ``"partial"``. The first
    `MAX_UNKNOWN_MEMBERS` of them are remembered, and are then one object per
    value; members beyond that, and very long ones, are equal but not identical.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        known = cls._value2member_map_.get(value)
        if known is not None:  # a decoder may ask here without asking the class
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
            f"{type(self).__name__} has no order: compare its str() to go by the letter"
        )

    # What a str does would go by the letter, and look as if it meant something.
    __lt__ = __le__ = __gt__ = __ge__ = cast("Any", _refuse_order)


class ActorType(OpenEnum):
    """The kind of actor that an event names; free text is allowed."""

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
    """The weight of an event: from ``INFO`` to ``CRITICAL``, in this order.

    ``<``, ``<=``, ``>`` and ``>=`` compare by that order, with members and with their
    text. A value that is not listed ranks above all that are, so that an alert does
    not miss it; any two such values rank alike.

    Example:
        >>> event.severity >= Severity.WARNING
        >>> max(events, key=lambda event: event.severity)
    """

    INFO = "info"
    NOTICE = "notice"
    WARNING = "warning"
    CRITICAL = "critical"

    def __lt__(self, other: str) -> bool:
        """Tell whether this matters less than ``other``, a member or its text."""
        return _by_rank(operator.lt, self, other)

    def __le__(self, other: str) -> bool:
        """Tell whether this matters no more than ``other``, a member or its text."""
        return _by_rank(operator.le, self, other)

    def __gt__(self, other: str) -> bool:
        """Tell whether this matters more than ``other``, a member or its text."""
        return _by_rank(operator.gt, self, other)

    def __ge__(self, other: str) -> bool:
        """Tell whether this matters no less than ``other``, a member or its text."""
        return _by_rank(operator.ge, self, other)


_RANKS: Final = {member.value: rank for rank, member in enumerate(Severity)}


def _by_rank(
    compare: Callable[[int, int], bool], severity: Severity, other: Any
) -> bool:
    """Return what two ranks compare to; refuse what is no text."""
    if not isinstance(other, str):
        return cast("bool", NotImplemented)
    return compare(_rank(severity), _rank(other))


def _rank(severity: str) -> int:
    """Return the place of a severity among those that are listed, or after them."""
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
    """One row of an identity's audit log.

    Nine fields are always there; every other one is None where the server
    sent null or nothing.

    Attributes:
        id: The event's id, which no other event has.
        account_id: The account that the event belongs to.
        application_id: The application that the event is about.
        environment_id: The environment of the application.
        actor_id: The id of the actor who did it.
        actor_type: The kind of the actor.
        action: A dotted key such as ``role.created``, from a set that grows.
        resource_type: The kind of the resource that the action changed.
        resource_id: The resource that the action changed.
        metadata: The JSON object that the server attached. It may nest, and may
            hold personal data, so ``repr`` leaves it out.
        created_at: When it happened: a datetime with an offset.
        actor_label: The name of the actor, for people to read.
        resource_label: The name of the resource, for people to read.
        correlation_id: A UUID that events share which belong together.
        outcome: How the action ended.
        category: The area of the platform.
        severity: How much the event matters.
        customer_visible: Whether the event is shown to the customer.
        identity_visible: Whether the event is shown to the identity.
        extra: Every field that this version of the library does not know, as a
            dict of this row alone.
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

    Only ``id`` is required by the API's description; every other field is
    None where the server sent null or nothing.

    Attributes:
        id: The identity's id: `CanopySession.events` takes it.
        email: Its e-mail address.
        first_name: Its first name.
        last_name: Its last name.
        avatar_url: Where its picture is.
        external_id: Its id in another system.
        is_active: Whether the identity is active.
        email_verified: Whether the e-mail address was confirmed.
        app_membership_count: How many applications it belongs to.
        total_assignments: How many assignments it has in all.
        created_at: When it was made: a datetime with an offset.
        extra: Every field that this version of the library does not know.
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

    The server counts and selects rows in two steps, so ``item_count`` may belong to
    another instant than the rows.

    Attributes:
        page: The page's number, from 1.
        take: Rows per page.
        item_count: How many rows the whole list has.
        page_count: How many pages the whole list has.
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
    """One answer of a page-based endpoint.

    Attributes:
        items: The rows, in the order of the list.
        pagination: Facts that the server states about the page.
    """

    items: tuple[T_co, ...]
    pagination: PageMeta


@attrs.frozen(kw_only=True)
class CursorMeta:
    """What the server says about a page of the account's log.

    Attributes:
        next_cursor: Where the log goes on, None at its end.
    """

    next_cursor: str | None


@attrs.frozen(kw_only=True)
class CursorPage(Generic[T_co]):
    """One answer of the account's log, which has a cursor and no numbered pages."""

    items: tuple[T_co, ...]
    pagination: CursorMeta


@attrs.frozen(kw_only=True)
class EventDetail:
    """One event of the account's log, with the events that it belongs to.

    Both lists have only what the account may see in this log, and are cut by the
    server: `CanopySession.chain` reads a chain of events to its end.

    Attributes:
        event: The event.
        related_by_correlation: The other events of the same ``correlation_id``, the
            oldest first, up to 50.
        related_by_actor: The last events of the same actor within an hour, the newest
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
