"""The result of one HTTP attempt, and its classification."""

from http import HTTPStatus
from typing import Final, NamedTuple, TypeAlias

import attrs

from canopy_async._api.responses import Response
from canopy_async.auth import Credential
from canopy_async.errors import (
    ApiError,
    CanopyError,
    RequestTimeoutError,
    TokenError,
)
from canopy_async.retry import COOLDOWN_STATUSES

__all__ = [
    "Attempt",
    "Fault",
    "NotAdmittedError",
    "Outcome",
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
    """A request is not sent, because of what other requests have learnt.

    Attributes:
        outcome: The outcome of another request.
        seconds_left: Seconds for which no request will be sent, as the server asked;
            None in an outage, whose end is not known.
    """

    def __init__(
        self, outcome: Response | Fault, seconds_left: float | None = None
    ) -> None:
        super().__init__("the request was not sent")
        self.outcome: Final = outcome
        self.seconds_left: Final = seconds_left


Outcome: TypeAlias = Response | Fault | NotAdmittedError | TokenError
"""The outcome of an attempt."""


class Attempt(NamedTuple):
    """The result of an attempt, and the token that it was sent with.

    Attributes:
        outcome: An answer, a fault, or the reason why nothing was sent.
        credential: The token.
        started: The instant of its admission; if nothing was sent, of the end.
    """

    outcome: Outcome
    credential: Credential
    started: float


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
