"""Hooks: functions that a session calls with a record of each thing it does.

A hook takes one record. It is called directly in the event loop, so it must be quick
and must not block. No record contains a token, a header, a search term, an identity's
id or data of a row; ``path`` has placeholders.
"""

import logging
from collections.abc import Callable, Iterable
from typing import TypeAlias

import attrs

from canopy_async._util.arguments import fault_of_callback
from canopy_async._util.public import publish

__all__ = [
    "CooldownStarted",
    "Hook",
    "HookRecord",
    "Hooks",
    "LoggingHook",
    "PageReceived",
    "RequestFinished",
    "RetryScheduled",
]

_log = logging.getLogger("canopy_async")


@attrs.frozen(kw_only=True)
class RequestFinished:
    """Record of one attempt of a request that has ended, successful or not.

    Attributes:
        path: The endpoint's path with placeholders.
        page: The number of the requested page.
        take: The requested number of rows per page.
        attempt: The number of the attempt, from 1.
        status: The HTTP status, or None if no complete response came.
        seconds: The duration from admission by the rate limiter to the last byte.
        size: The size of the decompressed body in bytes.
    """

    path: str
    page: int
    take: int
    attempt: int
    status: int | None
    seconds: float
    size: int


@attrs.frozen(kw_only=True)
class RetryScheduled:
    """Record of a failed request that will be sent again; emitted before the wait.

    Attributes:
        path: The endpoint's path with placeholders.
        page: The number of the requested page.
        attempt: The number of the attempt that failed, from 1.
        wait: Seconds until the next attempt, at least.
        reason: The HTTP status, or the kind of fault.
    """

    path: str
    page: int
    attempt: int
    wait: float
    reason: str


@attrs.frozen(kw_only=True)
class CooldownStarted:
    """Record of a pause that the server asked for: no request is sent meanwhile.

    Attributes:
        seconds: The length of the pause.
        status: The status of the server's response, 429 or 503.
    """

    seconds: float
    status: int


@attrs.frozen(kw_only=True)
class PageReceived:
    """Record of a page that was decoded and accepted by its read.

    Attributes:
        path: The endpoint's path with placeholders.
        page: The page's number.
        take: The requested number of rows per page.
        rows: The number of rows in the page.
        item_count: The server's count of rows in the whole list. None where it does
            not count, as in the log of a whole account.
    """

    path: str
    page: int
    take: int
    rows: int
    item_count: int | None


HookRecord: TypeAlias = (
    RequestFinished | RetryScheduled | CooldownStarted | PageReceived
)
Hook: TypeAlias = Callable[[HookRecord], None]


class Hooks:
    """The hooks of one session. An error of a hook never breaks a read.

    Args:
        hooks: Functions of one record, called in this order.

    Raises:
        TypeError: A hook can't be called, is a class, or is async; the message says
            which.
    """

    __slots__ = ("_failed", "_hooks")

    def __init__(self, hooks: Iterable[Hook] = ()) -> None:
        try:
            self._hooks = tuple(hooks)
        except TypeError:
            raise TypeError("hooks must be plain functions of one record") from None
        self._failed: set[int] = set()
        for hook in self._hooks:
            fault = fault_of_callback(hook)
            if fault is not None:
                raise TypeError(f"hooks must be plain functions of one record, {fault}")

    def __bool__(self) -> bool:
        """Tell whether there is any hook."""
        return bool(self._hooks)

    def __call__(self, record: HookRecord) -> None:
        """Call each hook with the record; log the first error of each hook."""
        for index, hook in enumerate(self._hooks):
            try:
                hook(record)
            except Exception:  # noqa: BLE001 - a hook may raise anything
                if index not in self._failed:
                    self._failed.add(index)
                    _log.exception("a hook raised; it is still called")


class LoggingHook:
    """A hook that logs requests and pages at DEBUG, retries and pauses at WARNING.

    Args:
        logger: The logger to use; by default the logger ``canopy_async``.

    Example:
        >>> session = CanopySession("acme", token, hooks=[LoggingHook()])
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._log = logger or _log

    def __call__(self, record: HookRecord) -> None:
        """Log one record."""
        match record:
            case RequestFinished():
                self._log.debug(
                    "GET %s page=%d take=%d attempt=%d: %s, %d bytes in %.3f s",
                    record.path,
                    record.page,
                    record.take,
                    record.attempt,
                    record.status or "no answer",
                    record.size,
                    record.seconds,
                )
            case RetryScheduled():
                self._log.warning(
                    "GET %s page=%d failed (%s), attempt %d; again in %.2f s",
                    record.path,
                    record.page,
                    record.reason,
                    record.attempt,
                    record.wait,
                )
            case CooldownStarted():
                self._log.warning(
                    "the server answered %d: no requests for %.2f s",
                    record.status,
                    record.seconds,
                )
            case PageReceived():
                self._log.debug(
                    "page %d of %s: %d rows of %s",
                    record.page,
                    record.path,
                    record.rows,
                    "?" if record.item_count is None else record.item_count,
                )


publish(
    "canopy_async",
    CooldownStarted,
    LoggingHook,
    PageReceived,
    RequestFinished,
    RetryScheduled,
)
