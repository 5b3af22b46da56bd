"""The result of one HTTP attempt, and its classification."""

from http import HTTPStatus
from typing import Final, NamedTuple, TypeAlias

import attrs

from canopy_async._api.error_answers import error_from
from canopy_async._api.responses import Response
from canopy_async.auth import Credential
from canopy_async.errors import (
    ApiError,
    CanopyError,
    ProtocolError,
    RateLimitedError,
    RequestTimeoutError,
    TokenError,
    TransportError,
)
from canopy_async.retry import COOLDOWN_STATUSES

__all__ = [
    "Attempt",
    "Fault",
    "NotAdmittedError",
    "Outcome",
    "as_refusal",
    "error_of",
    "error_of_unsent",
    "is_down",
    "is_refused",
    "shows_strain",
]

_STRAINED: Final = COOLDOWN_STATUSES | {HTTPStatus.GATEWAY_TIMEOUT}


@attrs.frozen(eq=False)
class Fault:
    """An attempt without an answer that can be used.

    Attributes:
        reason: The kind of fault.
        message: What failed, in words.
        timed_out: Whether the answer took too long.
        too_large: Whether the answer is over the size limit.
        final: Whether another attempt would fail as this one did.
        unreachable: Whether no connection could be made.
    """

    reason: str
    message: str
    timed_out: bool = False
    too_large: bool = False
    final: bool = False
    unreachable: bool = False


class NotAdmittedError(Exception):
    """A request was not sent, for what other requests have learnt.

    Attributes:
        outcome: What another request ended with.
        seconds_left: For how long no request will be sent, as the server asked;
            None in an outage, whose end nobody knows.
    """

    def __init__(
        self, outcome: Response | Fault, seconds_left: float | None = None
    ) -> None:
        super().__init__("the request was not sent")
        self.outcome: Final = outcome
        self.seconds_left: Final = seconds_left


Outcome: TypeAlias = Response | Fault | NotAdmittedError | TokenError
"""What an attempt ends with."""


class Attempt(NamedTuple):
    """The result of an attempt, and the token that it was sent with.

    Attributes:
        outcome: An answer or a fault; where nothing was sent, why.
        credential: The token.
        started: When it was admitted; where nothing was sent, when that was known.
    """

    outcome: Outcome
    credential: Credential
    started: float


def error_of(
    outcome: Response | Fault, *, page: int, take: int, url: str, attempt: int
) -> CanopyError:
    """Return the error that an attempt ended with.

    Args:
        outcome: What came of it, other than a 200.
        page: The page asked for.
        take: How many rows it was to have.
        url: The URL asked for.
        attempt: Which attempt it was, 1 for the first.
    """
    if isinstance(outcome, Response):
        return error_from(outcome, url=url, attempts=attempt)
    if outcome.too_large:
        last = page * take
        rows = f"row {last}" if take == 1 else f"the rows {last - take + 1} to {last}"
        message = f"{rows} of the list: {outcome.message}"
        return ProtocolError(message, page=page, too_large=True)
    cls = RequestTimeoutError if outcome.timed_out else TransportError
    error = cls(outcome.message, url=url, attempts=attempt)
    error.final = outcome.final
    return error


def error_of_unsent(
    outcome: Response | Fault,
    *,
    seconds_left: float | None,
    page: int,
    take: int,
    url: str,
    attempts: int,
) -> CanopyError:
    """Return the error of a request that was not sent, for what others have learnt.

    Args:
        outcome: What another request ended with.
        seconds_left: For how long no request will be sent; None in an outage.
        page: The page that was to be asked for.
        take: Rows per page that were to be asked for.
        url: The URL that was to be asked for.
        attempts: How often it was sent before.
    """
    if seconds_left is not None:
        status = outcome.status if isinstance(outcome, Response) else 0
        error: CanopyError = RateLimitedError(
            "no request is sent, as the server asked for quiet",
            status=status or HTTPStatus.TOO_MANY_REQUESTS,
            retry_after=seconds_left,
            url=url,
            attempts=attempts,
        )
    else:
        error = error_of(outcome, page=page, take=take, url=url, attempt=attempts)
    error.concerns_all = True
    return error


def as_refusal(error: ApiError) -> RateLimitedError:
    """Return the error of an answer that asks for quiet for too long, a 503 perhaps.

    It is of the class that all requests get until the quiet is over: which of them
    has heard the server itself is a matter of chance.

    Args:
        error: The error that the status of the answer stands for.
    """
    return RateLimitedError(
        error.message,
        status=error.status,
        code=error.code,
        details=error.details,
        request_id=error.request_id,
        retry_after=error.retry_after,
        method=error.method,
        url=error.url,
        attempts=error.attempts,
    )


def is_down(outcome: object) -> bool:
    """Tell whether an outcome is that of a server that is away or broken."""
    if isinstance(outcome, Response):
        return outcome.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if not isinstance(outcome, Fault):
        return False
    return not (outcome.final or outcome.too_large)


def shows_strain(error: CanopyError) -> bool:
    """Tell whether an error shows that the server has too much to do."""
    if isinstance(error, ApiError):
        return error.status in _STRAINED
    return isinstance(error, RequestTimeoutError)


def is_refused(error: CanopyError) -> bool:
    """Tell whether the server said that there are too many requests."""
    return isinstance(error, ApiError) and error.status == HTTPStatus.TOO_MANY_REQUESTS
