"""The error of a request, made from what its latest attempt ended with."""

from copy import copy
from http import HTTPStatus

from canopy_async._api.error_answers import error_from
from canopy_async._api.responses import Response
from canopy_async._transport.attempt import Fault, NotAdmittedError, Outcome
from canopy_async.errors import (
    ApiError,
    CanopyError,
    ProtocolError,
    RateLimitedError,
    RequestTimeoutError,
    TokenError,
    TransportError,
)

__all__ = ["as_refusal", "error_of"]


def error_of(
    outcome: Outcome, *, page: int, take: int, url: str, attempts: int
) -> CanopyError:
    """Return the error that a request ends with, if it is given up now.

    Args:
        outcome: What its latest attempt ended with, other than a 200.
        page: The page asked for.
        take: How many rows it was to have.
        url: The URL asked for.
        attempts: How often it was sent.
    """
    if isinstance(outcome, TokenError):
        # Each request raises an error of its own, with its own checkpoint.
        return copy(outcome)
    if isinstance(outcome, NotAdmittedError):
        return _error_of_unsent(
            outcome.outcome,
            seconds_left=outcome.seconds_left,
            page=page,
            take=take,
            url=url,
            attempts=attempts,
        )
    return _error_of_sent(outcome, page=page, take=take, url=url, attempts=attempts)


def as_refusal(error: ApiError) -> RateLimitedError:
    """Return the error of an answer that asks for quiet for too long, a 503 perhaps.

    All requests get an error of this class until the pause is over. So does the one
    that got the answer: which request that is, is a matter of chance.

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


def _error_of_sent(
    outcome: Response | Fault, *, page: int, take: int, url: str, attempts: int
) -> CanopyError:
    """Return the error that an attempt ended with.

    Args:
        outcome: The outcome of the attempt, other than a 200.
        page: The page asked for.
        take: How many rows it was to have.
        url: The URL asked for.
        attempts: How often it was sent.
    """
    if isinstance(outcome, Response):
        return error_from(outcome, url=url, attempts=attempts)
    if outcome.too_large:
        last = page * take
        rows = f"row {last}" if take == 1 else f"the rows {last - take + 1} to {last}"
        message = f"{rows} of the list: {outcome.message}"
        return ProtocolError(message, page=page, too_large=True)
    cls = RequestTimeoutError if outcome.timed_out else TransportError
    error = cls(outcome.message, url=url, attempts=attempts)
    error.final = outcome.final
    return error


def _error_of_unsent(
    outcome: Response | Fault,
    *,
    seconds_left: float | None,
    page: int,
    take: int,
    url: str,
    attempts: int,
) -> CanopyError:
    """Return the error of a request that was not sent, as others have learnt enough.

    Args:
        outcome: The outcome of another request.
        seconds_left: Seconds for which no request will be sent; None in an outage.
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
        error = _error_of_sent(
            outcome, page=page, take=take, url=url, attempts=attempts
        )
    error.concerns_all = True
    return error
