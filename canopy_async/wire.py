"""The wire format, without I/O: queries to URLs, answers to pages or errors."""

import email.utils
import ipaddress
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast
from urllib.parse import quote, urlencode, urlsplit

import attrs
import msgspec
from yarl import URL

from canopy_async.arguments import check_choice, check_segment, check_text
from canopy_async.careless import Note
from canopy_async.decoding import codec_of, collecting_later, is_large, rows_in
from canopy_async.errors import (
    ApiError,
    BadRequestError,
    ForbiddenError,
    NotFoundError,
    ProtocolError,
    RateLimitedError,
    ServerError,
    UnauthorizedError,
)
from canopy_async.models import AuditEvent, Identity, Page
from canopy_async.printable import printable
from canopy_async.redaction import clip

__all__ = [
    "MAX_TAKE",
    "ORDERS",
    "Endpoint",
    "Query",
    "Response",
    "audit_endpoint",
    "build_url",
    "date_of",
    "decode_page",
    "error_from",
    "identities_endpoint",
    "is_loopback",
    "page_from",
    "parse_base_url",
    "parse_proxy",
    "query_string",
    "retry_after_seconds",
]

T = TypeVar("T")

Redact: TypeAlias = Callable[[str, int], str]
"""Returns the beginning of a text, without a token, and of that length at most."""

MAX_TAKE: Final = 100
"""The most rows that the API sends in a page."""

ORDERS: Final = ("asc", "desc")

_MOST_ROWS: Final = 1_000
"""Rows of a page at most, where a server has pages of its own size."""

_MAX_NAME: Final = 100
"""The longest code, id of a request or content type that is kept, in characters."""

_MAX_MESSAGE: Final = 500
_MAX_DETAILS: Final = 20


@attrs.frozen(eq=False)
class Endpoint(Generic[T]):
    """A page-based endpoint with its path filled in.

    Attributes:
        row: The class of its rows.
        template: The path with placeholders, which is what may be logged.
        path: The percent-encoded path.
        identity: The id of the identity that it is of, if any, as it was given.
    """

    row: type[T]
    template: str
    path: str
    identity: str | None = None


@attrs.frozen(kw_only=True)
class Query:
    """What is asked of a list, the same for each of its pages.

    Attributes:
        encoded: All of it as it is sent, percent-encoded.
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
        encoded = _encoded(self.q, self.sort_by, self.order, self.status)
        object.__setattr__(self, "encoded", encoded)


@attrs.define(kw_only=True, eq=False)
class Response:
    """One whole answer: its body read and decompressed.

    Attributes:
        status: The HTTP status.
        headers: The answer's headers, case-insensitive.
        body: The bytes of the body.
        url: Where it is from, without the query.
        redact: Returns the beginning of a text of the answer, as long as is said,
            without the token that was sent: a server may have echoed it.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    url: str = attrs.field(default="", repr=False)
    redact: Redact = attrs.field(default=clip, repr=False)


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


def parse_base_url(base_url: Any, *, allow_http: bool = False) -> str:
    """Return ``base_url`` without a trailing slash, if it may be used.

    Args:
        base_url: What a caller passed.
        allow_http: Whether http is allowed on other hosts than this machine.

    Raises:
        TypeError: It is not a str.
        ValueError: It is not an absolute https URL (or http on loopback, or where
            it is allowed), or it holds credentials, a query or a fragment.
    """
    text = check_text("base_url", base_url)
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"base_url is not a URL: {error}") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ValueError("base_url must be an absolute https URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("base_url must not hold credentials")
    if not set("?# \\").isdisjoint(text):  # urlsplit hides an empty query
        raise ValueError(
            "base_url must not hold a query, a fragment, spaces or backslashes"
        )
    if not (text.isascii() and text.isprintable()):
        raise ValueError("base_url must be printable ASCII: encode its other parts")
    if parts.scheme == "http" and not (allow_http or is_loopback(text)):
        raise ValueError(
            "base_url must be https: http is for loopback hosts only, unless"
            " allow_http=True says that nobody listens on the way"
        )
    return text.rstrip("/")


def parse_proxy(proxy: Any) -> URL:
    """Return the URL of a proxy, with its credentials if it has some.

    Raises:
        TypeError: It is not a str.
        ValueError: It is not an http or https URL with a host and no path. The
            message does not quote it, as it may hold a password.
    """
    text = check_text("proxy", proxy)
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    is_proxy = url.scheme in {"http", "https"} and bool(url.host and url.port)
    if not is_proxy or url.raw_path not in {"", "/"} or url.query_string:
        raise ValueError(
            "proxy must be the URL of an HTTP proxy, such as http://proxy:3128"
        )
    return url


def is_loopback(base_url: str) -> bool:
    """Tell whether a URL's host is this machine."""
    host = urlsplit(base_url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def build_url(
    base_url: str, endpoint: Endpoint[Any], query: Query, *, page: int, take: int
) -> str:
    """Return the URL of one page, percent-encoded once and for all."""
    return f"{base_url}{endpoint.path}?{query_string(query, page=page, take=take)}"


def query_string(query: Query, *, page: int, take: int) -> str:
    """Return what is in the URL of one page after the question mark."""
    return f"page={page}&take={take}{query.encoded}"


@lru_cache(maxsize=256)
def _encoded(
    q: str | None, sort_by: str | None, order: str | None, status: str | None
) -> str:
    fields = {"q": q, "sort_by": sort_by, "order": order, "status": status}
    given = {name: value for name, value in fields.items() if value is not None}
    return f"&{urlencode(given, quote_via=quote)}" if given else ""


def page_from(
    endpoint: Endpoint[T], response: Response, *, page: int, note: Note | None = None
) -> Page[T]:
    """Return the page that an answer holds, which was a 200.

    Args:
        endpoint: Where the answer is from.
        response: The answer.
        page: The page that was asked for, named in errors.
        note: Is told of what is read otherwise than it is written.

    Raises:
        ProtocolError: The answer breaks the contract; names page, row, field, where
            it is from and the request. Where it is no JSON, says what it is called.
    """
    redact = response.redact

    def note_redacted(sentence: str) -> None:
        if note is not None:
            note(printable(redact(sentence, _MAX_MESSAGE)))

    kind = redact(response.headers.get("Content-Type", "none"), _MAX_NAME)
    try:
        return decode_page(
            endpoint,
            response.body,
            page=page,
            note=note_redacted,
            content_type=kind,
        )
    except ProtocolError as error:
        error.html = _is_html(kind, response.body)
        # What breaks the contract may be named as the token is.
        error.args = (redact(str(error.args[0]), _MAX_MESSAGE),)
        error.path = redact(error.path, _MAX_MESSAGE)
        error.url = response.url
        error.request_id = _request_id(response)
        # The frames further in hold the body, and so does an error of `json`: the body
        # may hold the token as it was sent.
        error.__context__ = None
        raise error.with_traceback(None) from None


def _is_html(kind: str, body: bytes) -> bool:
    return kind.startswith("text/html") or body[:64].lstrip().startswith(b"<")


def decode_page(
    endpoint: Endpoint[T],
    body: bytes,
    *,
    page: int,
    note: Note | None = None,
    content_type: str | None = None,
) -> Page[T]:
    """Return the page that ``body`` holds.

    Args:
        endpoint: Where the body is from.
        body: JSON.
        page: The page that was asked for, named in errors.
        note: Is told of what is read otherwise than it is written.
        content_type: What the server calls the body, named where it is no JSON.

    Raises:
        ProtocolError: The body breaks the contract; names page, row, field.
    """
    if not is_large(body):
        return _decode(endpoint, body, page, note, content_type)
    rows, said = rows_in(body)
    if rows > max(MAX_TAKE, min(said, _MOST_ROWS)):
        raise ProtocolError("more rows than were asked for", page=page, path="items")
    with collecting_later():
        return _decode(endpoint, body, page, note, content_type)


def _decode(
    endpoint: Endpoint[T],
    body: bytes,
    page: int,
    note: Note | None,
    content_type: str | None,
) -> Page[T]:
    decoded = codec_of(endpoint.row).decode(body, note)
    if decoded is not None:
        return decoded
    # Imported where it is needed: cattrs doubles the time of an import.
    from canopy_async.conversion import structure_page  # noqa: PLC0415

    return structure_page(endpoint.row, body, page=page, content_type=content_type)


def error_from(
    response: Response, *, url: str, attempts: int = 1, method: str = "GET"
) -> ApiError:
    """Return the error that an answer other than 200 stands for.

    The documented envelope is read where there is one; a proxy's HTML page or
    an empty body is tolerated and not quoted.

    Args:
        response: The answer.
        url: The URL that was asked for.
        attempts: How many requests it took to get this answer.
        method: How it was asked for.
    """
    status = response.status
    code, message, details = _envelope(response.body, response.redact)
    if 300 <= status < 400:  # noqa: PLR2004 - the class of redirects
        message = "redirects are not followed"
    return _error_class(status)(
        message or _reason(status),
        status=status,
        code=code,
        details=details,
        request_id=_request_id(response),
        retry_after=retry_after_seconds(
            response.headers, refused=_is_refusal(response)
        ),
        method=method,
        url=url,
        attempts=attempts,
    )


_RESETS: Final = ("RateLimit-Reset", "X-RateLimit-Reset")
"""Headers that say when a limit is reset, in the order in which they are believed."""

_EPOCH: Final = 1e8
"""A reset from this number on is an instant in seconds since 1970, not a wait."""

_EPOCH_MILLISECONDS: Final = 1e12


def retry_after_seconds(
    headers: Mapping[str, str],
    *,
    refused: bool = False,
    now: datetime | None = None,
) -> float | None:
    """Return how long an answer asks to wait, from now, or None.

    ``Retry-After`` says it, in seconds or as a date. Where it is missing and the
    answer refuses a request, ``RateLimit-Reset`` or ``X-RateLimit-Reset`` does, in
    seconds or as an instant. Instants are compared with the answer's own ``Date``, so
    that the clocks need not agree; with ``now`` where there is none.

    Args:
        headers: The answer's.
        refused: Whether the answer is one that asks for fewer requests.
        now: The present instant, where the answer has no ``Date``.
    """
    asked = _retry_after(headers, now)
    if asked is not None or not refused:
        return asked
    for name in _RESETS:
        reset = _number(headers.get(name))
        if reset is None:
            continue
        if reset < _EPOCH:
            return reset
        if reset >= _EPOCH_MILLISECONDS:
            reset /= 1000.0
        sent = date_of(headers) or now or datetime.now(UTC)
        return max(0.0, reset - sent.timestamp())
    return None


def _is_refusal(response: Response) -> bool:
    """Tell whether an answer refuses a request because there were too many."""
    if response.status == HTTPStatus.TOO_MANY_REQUESTS:
        return True
    if response.status != HTTPStatus.SERVICE_UNAVAILABLE:
        return False
    left = ("RateLimit-Remaining", "X-RateLimit-Remaining")
    return any(_number(response.headers.get(name)) == 0 for name in left)


def _number(value: str | None) -> float | None:
    """Return what a header says where it is a number of seconds."""
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < math.inf else None


def _retry_after(headers: Mapping[str, str], now: datetime | None) -> float | None:
    value = headers.get("Retry-After")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        then = _http_date(value)
        if then is None:
            return None
        sent = date_of(headers) or now or datetime.now(UTC)
        return max(0.0, (then - sent).total_seconds())
    return seconds if 0 <= seconds < math.inf else None


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """Return when an answer was made by the server's clock, by its ``Date``.

    Returns:
        An aware instant in whole seconds, None where there is no ``Date`` that
        can be read.
    """
    value = headers.get("Date")
    return None if value is None else _http_date(value)


def _http_date(value: str) -> datetime | None:
    try:
        date = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _error_class(status: int) -> type[ApiError]:
    if status in _ERROR_CLASSES:
        return _ERROR_CLASSES[status]
    return ServerError if status >= HTTPStatus.INTERNAL_SERVER_ERROR else ApiError


_ERROR_CLASSES: Final[dict[int, type[ApiError]]] = {
    HTTPStatus.BAD_REQUEST: BadRequestError,
    HTTPStatus.UNAUTHORIZED: UnauthorizedError,
    HTTPStatus.FORBIDDEN: ForbiddenError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.UNPROCESSABLE_ENTITY: BadRequestError,
    HTTPStatus.TOO_MANY_REQUESTS: RateLimitedError,
}


def _request_id(response: Response) -> str | None:
    headers = response.headers
    value = headers.get("x-request-id") or headers.get("request-id")
    if value is None:
        return None
    # A header may hold any bytes, which arrive as surrogates.
    text = response.redact(value, _MAX_NAME)
    return text.encode("ascii", "backslashreplace").decode()


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "unexpected status"


def _envelope(body: bytes, redact: Redact) -> tuple[str | None, str, tuple[str, ...]]:
    """Return code, message and details of an error, none of them with a token."""
    try:
        decoded = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None, "", ()
    inner = decoded.get("error")
    fields = cast("dict[str, Any]", inner) if isinstance(inner, dict) else decoded
    code, message = fields.get("code"), fields.get("message")
    details = fields.get("details")
    if isinstance(message, list):  # as the framework sends validation faults
        message, details = "", cast("list[object]", message)
    return (
        redact(code, _MAX_NAME) if isinstance(code, str) else None,
        redact(message, _MAX_MESSAGE) if isinstance(message, str) else "",
        tuple(
            redact(_text_of(detail), _MAX_MESSAGE)
            for detail in cast("list[object]", details)[:_MAX_DETAILS]
        )
        if isinstance(details, list)
        else (),
    )


def _text_of(detail: object) -> str:
    """Return what validation said of one fault as text."""
    try:
        return str(detail)
    except RecursionError:
        return "(nested too deeply)"
