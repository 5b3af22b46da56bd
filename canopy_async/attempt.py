"""What came of one attempt of a request, and what that means."""

from http import HTTPStatus
from typing import Final, NamedTuple

import attrs

from canopy_async.auth import Credential
from canopy_async.errors import (
    ApiError,
    CanopyError,
    ProtocolError,
    RequestTimeoutError,
    TransportError,
)
from canopy_async.retry import COOLDOWN_STATUSES
from canopy_async.wire import Response, error_from

__all__ = ["Attempt", "Fault", "error_of", "is_refused", "shows_strain"]

_STRAINED: Final = COOLDOWN_STATUSES | {HTTPStatus.GATEWAY_TIMEOUT}


@attrs.frozen(eq=False)
class Fault:
    """An attempt without a whole answer.

    Attributes:
        reason: The kind of fault.
        message: What failed, in words.
        timed_out: Whether the answer took too long.
        too_large: Whether the answer is over the size limit.
        final: Whether another attempt would fail as this one did.
    """

    reason: str
    message: str
    timed_out: bool = False
    too_large: bool = False
    final: bool = False


class Attempt(NamedTuple):
    """What came of an attempt, and the token it was sent with."""

    outcome: Response | Fault
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


def shows_strain(error: CanopyError) -> bool:
    """Tell whether an error shows that the server has too much to do."""
    if isinstance(error, ApiError):
        return error.status in _STRAINED
    return isinstance(error, RequestTimeoutError)


def is_refused(error: CanopyError) -> bool:
    """Tell whether the server said that there are too many requests."""
    return isinstance(error, ApiError) and error.status == HTTPStatus.TOO_MANY_REQUESTS
