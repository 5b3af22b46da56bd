"""Every error this library raises, in one tree.

CanopyError
├─ ApiError
│  ├─ BadRequestError
│  ├─ UnauthorizedError
│  ├─ ForbiddenError
│  ├─ NotFoundError
│  ├─ RateLimitedError
│  └─ ServerError
├─ TransportError
│  └─ RequestTimeoutError
├─ ProtocolError
├─ IncompleteReadError
│  ├─ DriftTooFastError
│  ├─ UnprovenTiesError
│  ├─ UnorderedListError
│  ├─ RequestBudgetError
│  ├─ BrokenCursorError
│  └─ InconsistentLogError
├─ FutureRangeError
├─ CheckpointError
├─ FanOutError
├─ ExportError
├─ TokenError
└─ SessionClosedError

Bad arguments are not in it: they raise ``ValueError`` or ``TypeError`` at the
call, before any request. Every error here can be pickled, and none holds a
token or a header that was sent.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from canopy_async._util.display import printable
from canopy_async._util.public import publish

# A damaged checkpoint raises an error, and an error carries a checkpoint: the only
# circle of types in the package. It stands because a read resumes from what its error
# carries: were that a Protocol, type checkers would refuse ``resume=error.checkpoint``.
if TYPE_CHECKING:
    from canopy_async.checkpoint import Checkpoint
    from canopy_async.report import ReadReport

__all__ = [
    "ApiError",
    "BadRequestError",
    "BrokenCursorError",
    "CanopyError",
    "CheckpointError",
    "DriftTooFastError",
    "ExportError",
    "FanOutError",
    "ForbiddenError",
    "FutureRangeError",
    "IncompleteReadError",
    "InconsistentLogError",
    "NotFoundError",
    "ProtocolError",
    "RateLimitedError",
    "RequestBudgetError",
    "RequestTimeoutError",
    "ServerError",
    "SessionClosedError",
    "TokenError",
    "TransportError",
    "UnauthorizedError",
    "UnorderedListError",
    "UnprovenTiesError",
]


class CanopyError(Exception):
    """The base of every error of this library.

    Attributes:
        concerns_all: Whether the cause concerns every read of the session, and not
            only the one that failed: a refused token, an outage, a server that asks
            for quiet. The other reads are then unread, and not failed.
        checkpoint: Where to go on reading, set on an error that was raised
            while iterating; None elsewhere.
    """

    concerns_all: bool = False
    checkpoint: "Checkpoint | None" = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by state, whatever the arguments of the class are."""
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(
    cls: type[CanopyError], args: tuple[Any, ...], state: dict[str, Any]
) -> CanopyError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def _sent(attempts: int) -> str:
    """Say how often a request was sent, unless it was sent once."""
    if attempts == 1:
        return ""
    return f" after {attempts} attempts" if attempts else ", which was not sent"


class ApiError(CanopyError):
    """The server answered with a status other than 200.

    Attributes:
        status: The HTTP status.
        code: The API's stable dotted code, or None.
        message: The server's message, or the reason phrase of the status.
        details: The faults that validation found, a text for each; often empty.
        request_id: The server's id of the request, or None.
        retry_after: Seconds the server asked to wait, or None.
        method: The HTTP method.
        url: The URL asked for.
        attempts: How many times the request was sent; 0 if other requests had shown
            before that it would fail.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | None = None,
        details: tuple[str, ...] = (),
        request_id: str | None = None,
        retry_after: float | None = None,
        method: str = "GET",
        url: str = "",
        attempts: int = 1,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.request_id = request_id
        self.retry_after = retry_after
        self.method = method
        self.url = url
        self.attempts = attempts

    def __str__(self) -> str:
        """Say status, message, details and where, in one line."""
        parts = [f"{self.status}", f"[{self.code}]" if self.code else "", self.message]
        text = " ".join(part for part in parts if part)
        if self.details:
            text += f" ({'; '.join(self.details)})"
        if self.retry_after is not None:
            text += f", retry after {self.retry_after:g} s"
        text += f": {self.method} {self.url}"
        text += _sent(self.attempts)
        if self.request_id:
            text += f", request {self.request_id}"
        return printable(text)


class BadRequestError(ApiError):
    """400 or 422: the server refused the query."""


class UnauthorizedError(ApiError):
    """401: the token is invalid or expired, also after one refresh."""

    concerns_all = True


class ForbiddenError(ApiError):
    """403: the token belongs to the wrong kind of principal."""


class NotFoundError(ApiError):
    """404: no such account or identity."""


class RateLimitedError(ApiError):
    """429, after every retry; or a 429 or 503 that asks for too long a pause.

    ``RetryPolicy.max_retry_after`` says how long a pause is waited for. While a longer
    one lasts, no request is sent: each fails with this error, ``attempts`` is 0, and
    ``retry_after`` the seconds that are left. ``status`` is that of the answer that
    asked for the pause.
    """

    concerns_all = True


class ServerError(ApiError):
    """5xx, after every retry; but see `RateLimitedError` for a 503."""


class TransportError(CanopyError):
    """No whole answer came: connecting, reading or decompressing failed.

    Attributes:
        method: The HTTP method.
        url: The URL asked for.
        attempts: How many times the request was sent; 0 if other requests had shown
            before that it would fail.
        final: Whether another attempt would fail, too: if the server's certificate
            is not trusted, for example.
    """

    final: bool = False

    def __init__(
        self, message: str, *, method: str = "GET", url: str = "", attempts: int = 1
    ) -> None:
        super().__init__(message)
        self.method = method
        self.url = url
        self.attempts = attempts

    def __str__(self) -> str:
        """Say what failed and where, in one line."""
        text = printable(f"{self.args[0]}: {self.method} {self.url}")
        return text + _sent(self.attempts)


class RequestTimeoutError(TransportError):
    """An answer took longer than the session's ``timeout``."""


class ProtocolError(CanopyError):
    """A 200 that breaks the contract of the API.

    Attributes:
        page: The page that was asked for, or None where no page was.
        path: Where in the answer, such as ``items[3].created_at``.
        html: Whether a page of HTML came instead of JSON, as proxies and login pages
            send it.
        too_large: Whether the answer is over the size limit; a page of fewer rows
            may not be.
        url: The URL of the answer, without the query; empty if there was no answer.
        request_id: The server's id of the request, or None.
    """

    html: bool = False
    url: str = ""
    request_id: str | None = None

    def __init__(
        self,
        message: str,
        *,
        page: int | None = None,
        path: str = "",
        too_large: bool = False,
    ) -> None:
        super().__init__(message)
        self.page = page
        self.path = path
        self.too_large = too_large

    def __str__(self) -> str:
        """Say the page, the place in it, the fault and the request, in one line."""
        parts = [
            f"page {self.page}" if self.page is not None else "",
            self.path,
            str(self.args[0]),
            f"GET {self.url}" if self.url else "",
        ]
        text = ": ".join(part for part in parts if part)
        if self.request_id:
            text += f", request {self.request_id}"
        return printable(text)


class IncompleteReadError(CanopyError):
    """A read that can't be proven complete.

    The events handed out before it are right and in order; ``checkpoint`` is the place
    after them.

    Attributes:
        report: The report of the read.
        checkpoint: Where to go on.
    """

    def __init__(
        self,
        message: str,
        *,
        report: "ReadReport | None" = None,
        checkpoint: "Checkpoint | None" = None,
    ) -> None:
        super().__init__(message)
        # None only until the read that raises this error has added its report.
        self.report = cast("ReadReport", report)
        self.checkpoint = checkpoint


class DriftTooFastError(IncompleteReadError):
    """The log moves by a page or more per round trip: a read can't keep up."""


class UnprovenTiesError(IncompleteReadError):
    """Too many rows share one ``created_at`` to prove that none was lost."""


class UnorderedListError(IncompleteReadError):
    """The server's list is not in the order that the proof needs."""


class RequestBudgetError(IncompleteReadError):
    """The read would send more requests than it may."""


class BrokenCursorError(IncompleteReadError):
    """The cursor of the account's log leads nowhere: repeated, endless or refused."""


class InconsistentLogError(IncompleteReadError):
    """Answers about the account's log contradict the request, or each other."""


class FutureRangeError(CanopyError, ValueError):
    """``until`` is in the future, where nothing can be proven yet.

    Attributes:
        until: The end of the range that was asked for.
        now: The time when the range was checked, by the server's clock; by this
            machine's if no answer had told the server's.
    """

    concerns_all = True

    def __init__(self, message: str, *, until: datetime, now: datetime) -> None:
        super().__init__(message)
        self.until = until
        self.now = now


class CheckpointError(CanopyError):
    """A checkpoint is damaged, too new, or of another read."""


class FanOutError(CanopyError):
    """Some identities of a fan-out could not be read.

    Attributes:
        failures: The error of each identity that failed.
    """

    def __init__(self, message: str, *, failures: Mapping[str, CanopyError]) -> None:
        super().__init__(message)
        self.failures = dict(failures)


class ExportError(CanopyError):
    """The directory of an export can't be used, is damaged or is of another export."""


class TokenError(CanopyError):
    """The token provider failed, after every retry, or returned what can't be a token.

    Attributes:
        cause: The name of the class of the error that it raised. The text of that error
            is not kept, as it might hold a secret.
        invalid: Whether the provider returned what can't be sent as a token.
    """

    concerns_all = True

    def __init__(self, message: str, *, cause: str = "", invalid: bool = False) -> None:
        super().__init__(message)
        self.cause = cause
        self.invalid = invalid


class SessionClosedError(CanopyError):
    """The session was closed, before the call or during it."""

    concerns_all = True


publish("canopy_async", *(globals()[name] for name in __all__))
