"""Records of what a session does, for whoever wants to watch.

A hook is a function of one record, called in the event loop, at once: it must
be quick and must not block. No record holds a token, a header, a search term,
an identity's id or anything of a row: ``path`` is the endpoint's template.
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
    """One attempt of a request has ended, well or badly.

    Attributes:
        path: The endpoint's path with placeholders.
        page: The page asked for.
        take: Rows per page asked for.
        attempt: 1 for the first.
        status: The HTTP status, None where no whole answer came.
        seconds: From admission to the last byte.
        size: Bytes of the body, decompressed.
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
    """A request failed and will be sent again; emitted before the wait.

    Attributes:
        path: The endpoint's path with placeholders.
        page: The page asked for.
        attempt: The attempt that failed, 1 for the first.
        wait: Seconds until the next one, at the earliest.
        reason: The status, or the kind of fault.
    """

    path: str
    page: int
    attempt: int
    wait: float
    reason: str


@attrs.frozen(kw_only=True)
class CooldownStarted:
    """The server asked for quiet: every request of the session waits.

    Attributes:
        seconds: For how long.
        status: The answer that asked, 429 or 503.
    """

    seconds: float
    status: int


@attrs.frozen(kw_only=True)
class PageReceived:
    """A page was decoded and taken by its read.

    Attributes:
        path: The endpoint's path with placeholders.
        page: The page's number.
        take: Rows per page asked for.
        rows: Rows it held.
        item_count: Rows that the server counted in the whole list, None where it does
            not count them, as in the log of a whole account.
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
    """The hooks of one session; one that raises never breaks a read.

    Args:
        hooks: Called in this order with every record.

    Raises:
        TypeError: One of them can't be called, is a class, or would have to be
            awaited; names it.
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
        """Tell whether anybody watches."""
        return bool(self._hooks)

    def __call__(self, record: HookRecord) -> None:
        """Give the record to each hook; log the first failure of each."""
        for index, hook in enumerate(self._hooks):
            try:
                hook(record)
            except Exception:  # noqa: BLE001 - whatever a hook raises
                if index not in self._failed:
                    self._failed.add(index)
                    _log.exception("a hook raised; it is still called")


class LoggingHook:
    """Logs requests at DEBUG, retries and cooldowns at WARNING.

    Args:
        logger: Where to; the logger ``canopy_async`` by default.

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
