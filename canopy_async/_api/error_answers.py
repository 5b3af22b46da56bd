"""Answers that are errors: from a status and an envelope to a typed `ApiError`."""

from http import HTTPStatus
from typing import Any, Final, cast

import msgspec

from canopy_async._api.responses import (
    MAX_MESSAGE,
    MAX_NAME,
    Redact,
    Response,
    request_id_of,
)
from canopy_async._api.retry_after import number_in, retry_after_seconds
from canopy_async.errors import (
    ApiError,
    BadRequestError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    UnauthorizedError,
)

__all__ = ["error_from"]

_MAX_DETAILS: Final = 20


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
        method: The HTTP method of the request.
    """
    status = response.status
    code, message, details = _envelope(response.body, response.redact)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        message = "redirects are not followed"
    return _error_class(status)(
        message or _reason(status),
        status=status,
        code=code,
        details=details,
        request_id=request_id_of(response),
        retry_after=retry_after_seconds(
            response.headers, refused=_is_refusal(response)
        ),
        method=method,
        url=url,
        attempts=attempts,
    )


def _is_refusal(response: Response) -> bool:
    """Tell whether an answer refuses a request because there were too many."""
    if response.status == HTTPStatus.TOO_MANY_REQUESTS:
        return True
    if response.status != HTTPStatus.SERVICE_UNAVAILABLE:
        return False
    left = ("RateLimit-Remaining", "X-RateLimit-Remaining")
    return any(number_in(response.headers.get(name)) == 0 for name in left)


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
    if isinstance(message, list):  # the server's framework sends validation faults so
        message, details = "", cast("list[object]", message)
    return (
        redact(code, MAX_NAME) if isinstance(code, str) else None,
        redact(message, MAX_MESSAGE) if isinstance(message, str) else "",
        tuple(
            redact(_text_of(detail), MAX_MESSAGE)
            for detail in cast("list[object]", details)[:_MAX_DETAILS]
        )
        if isinstance(details, list)
        else (),
    )


def _text_of(detail: object) -> str:
    """Return one fault that validation found, as text."""
    try:
        return str(detail)
    # It depends on the version of Python whether a value that was decoded can be nested
    # too deeply to be shown: on 3.11 it never is.
    except RecursionError:  # pragma: no cover
        return "(nested too deeply)"
