"""The rows and pages of the Canopy audit API, as frozen slotted classes."""

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

__all__ = [
    "ActorType",
    "AuditEvent",
    "Category",
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
"""How many values outside a known set one enum remembers."""


class OpenEnum(StrEnum):
    """A set of strings that the server may extend.

    A value that is not listed makes a member of its own, so that
    ``Outcome("partial")`` works and equals ``"partial"``. The first
    `MAX_UNKNOWN_MEMBERS` of them are remembered, and are then one object per
    value; members beyond that are equal but not identical.
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
        if len(cls._value2member_map_) < len(cls) + MAX_UNKNOWN_MEMBERS:
            cls._value2member_map_[value] = member
        return member

    @property
    def is_known(self) -> bool:
        """Whether this value is one of those listed in the class."""
        return type(self).__members__.get(self.name) == self


class ActorType(OpenEnum):
    """What kind of actor an event names; free text is allowed."""

    USER = "user"
    IDENTITY = "identity"
    API_KEY = "api_key"
    PLATFORM = "platform"


class Outcome(OpenEnum):
    """How the audited action ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    DENIED = "denied"


class Severity(OpenEnum):
    """How much an event matters."""

    INFO = "info"
    NOTICE = "notice"
    WARNING = "warning"
    CRITICAL = "critical"


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


def _refuse(*_args: Any, **_kwargs: Any) -> NoReturn:
    raise TypeError("the extra of a row can't be changed: make a dict of it")


class _NoExtra(dict[str, Any]):
    """The one ``extra`` of all rows without unknown fields: empty, and stays so.

    A dict for each row would be a third of the objects that the garbage
    collector counts, and have it search as much more often.
    """

    __setitem__ = __ior__ = setdefault = update = cast("Any", _refuse)

    def __copy__(self) -> dict[str, Any]:
        return {}

    def __deepcopy__(self, _memo: dict[int, Any]) -> dict[str, Any]:
        return {}

    def __reduce__(self) -> str:
        return "NO_EXTRA"  # the same object, also where it is unpickled


NO_EXTRA: Final = _NoExtra()


@attrs.frozen(kw_only=True)
class AuditEvent:
    """One row of an identity's audit log.

    Nine fields are always there; every other one is None where the server
    sent null or nothing. ``created_at`` is aware. ``metadata`` is whatever
    JSON object the server attached and may hold personal data. ``extra``
    keeps fields that this version of the library does not know, and is not to
    be written to; in long pages they are looked for in some rows only, until one
    was seen.
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
    extra: dict[str, Any] = attrs.field(
        factory=lambda: NO_EXTRA, repr=False, hash=False
    )


@attrs.frozen(kw_only=True)
class Identity:
    """One identity of an account.

    Only ``id`` is required by the API's description; every other field is
    None where the server sent null or nothing. ``extra`` keeps fields that
    this version of the library does not know, and is not to be written to.
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
    extra: dict[str, Any] = attrs.field(
        factory=lambda: NO_EXTRA, repr=False, hash=False
    )


@attrs.frozen(kw_only=True)
class PageMeta:
    """What the server says about the page it sent.

    COUNT and SELECT are two statements there: ``item_count`` may belong to
    another instant than the rows.
    """

    page: int
    take: int
    item_count: int
    page_count: int
    has_previous_page: bool
    has_next_page: bool


@attrs.frozen(kw_only=True)
class Page(Generic[T_co]):
    """One answer of a page-based endpoint."""

    items: tuple[T_co, ...]
    pagination: PageMeta
