"""Requests of the API, without I/O: endpoints, queries, and the URLs of pages."""

from functools import lru_cache
from typing import Any, Final, Generic, Protocol, TypeVar
from urllib.parse import quote, urlencode

import attrs

from canopy_async._util.arguments import check_choice, check_segment, check_text
from canopy_async.models import AuditEvent, Identity, Page

__all__ = [
    "MAX_TAKE",
    "ORDERS",
    "Endpoint",
    "PageQuery",
    "Query",
    "audit_endpoint",
    "build_url",
    "identities_endpoint",
]

T = TypeVar("T")

MAX_TAKE: Final = 100
"""The most rows that the API sends in a page."""

ORDERS: Final = ("asc", "desc")


@attrs.frozen(eq=False)
class Endpoint(Generic[T]):
    """A page-based endpoint with its path filled in.

    Attributes:
        row: The class of its rows.
        template: The path with placeholders, which is what may be logged.
        path: The percent-encoded path.
        identity: The id of the identity whose log it is, as given; else None.
        envelope: The class of its pages.
    """

    row: type[T]
    template: str
    path: str
    identity: str | None = None
    envelope: type[Any] = Page


class PageQuery(Protocol):
    """The query of a request for one page."""

    def text(self, *, page: int, take: int) -> str:
        """Return the query string of the URL of one page."""
        ...


@attrs.frozen(kw_only=True)
class Query:
    """The part of a request that all pages of one read have in common.

    Attributes:
        encoded: The fields as they are sent, percent-encoded.
    """

    q: str | None = None
    sort_by: str | None = None
    order: str | None = None
    status: str | None = None
    encoded: str = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        """Check each argument that was given, by name."""
        for name in ("q", "sort_by"):
            if getattr(self, name) is not None:
                check_text(name, getattr(self, name))
        if self.order is not None:
            check_choice("order", self.order, ORDERS)
        if self.status is not None:
            check_choice("status", self.status, ("active", "inactive"))
        object.__setattr__(self, "encoded", _encoded(**self.named))

    def text(self, *, page: int, take: int) -> str:
        """Return the query string of the URL of one page."""
        return f"page={page}&take={take}{self.encoded}"

    @property
    def named(self) -> dict[str, str | None]:
        """The fields by name, as they are sent and as a scope is made of them."""
        return {name: getattr(self, name) for name in _FIELDS}


def audit_endpoint(account: str, identity_id: str) -> Endpoint[AuditEvent]:
    """Return the audit log of one identity."""
    check_segment("identity_id", identity_id)
    return Endpoint(
        AuditEvent,
        "/portal/v1/accounts/{account}/identities/{id}/audit",
        f"/portal/v1/accounts/{quote(account, safe='')}"
        f"/identities/{quote(identity_id, safe='')}/audit",
        identity_id,
    )


def identities_endpoint(account: str) -> Endpoint[Identity]:
    """Return the identity list of an account."""
    return Endpoint(
        Identity,
        "/portal/v1/accounts/{account}/identities",
        f"/portal/v1/accounts/{quote(account, safe='')}/identities",
    )


def build_url(
    base_url: str, endpoint: Endpoint[Any], query: PageQuery, *, page: int, take: int
) -> str:
    """Return the URL of one page, already percent-encoded."""
    text = query.text(page=page, take=take)
    return f"{base_url}{endpoint.path}{'?' if text else ''}{text}"


_FIELDS: Final = tuple(field.name for field in attrs.fields(Query) if field.init)


@lru_cache(maxsize=256)
def _encoded(**fields: str | None) -> str:
    given = {name: value for name, value in fields.items() if value is not None}
    return f"&{urlencode(given, quote_via=quote)}" if given else ""
