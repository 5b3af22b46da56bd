"""`BaseSession`: the life of a session, and its limits; it reads nothing."""

from datetime import datetime
from typing import Final, NoReturn, Self

from canopy_async._session.settings import SessionParts
from canopy_async._transport.session_stats import SessionStats
from canopy_async._util.arguments import check_integer, check_seconds
from canopy_async._util.closeable import Closeable

__all__ = ["BaseSession"]


class BaseSession(Closeable):
    """The connections, the token and the limits of one account, until it is closed.

    Args:
        parts: The parts of the session, made by its settings.
    """

    def __init__(self, parts: SessionParts) -> None:
        self._account: Final = parts.account
        self._base_url: Final = parts.base_url
        self._concurrency: Final = parts.concurrency
        self._gate: Final = parts.gate
        self._transport: Final = parts.transport

    def __repr__(self) -> str:
        """Show where the session reads, and nothing secret."""
        # `__init__` may have failed before these were set, and a traceback shows them.
        account, base_url = vars(self).get("_account"), vars(self).get("_base_url")
        return f"CanopySession({account!r}, base_url={base_url!r})"

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied or pickled.

        Raises:
            TypeError: Always.
        """
        raise TypeError(
            "a CanopySession can't be copied or pickled, as it has connections and a"
            " token: make one session in each process"
        )

    @property
    def account(self) -> str:
        """The account's slug."""
        return self._account

    @property
    def base_url(self) -> str:
        """The base URL of the API, without a trailing slash."""
        return self._base_url

    @property
    def closed(self) -> bool:
        """Whether `aclose` was called."""
        return self._transport.closed

    @property
    def stats(self) -> SessionStats:
        """The counters of this session, and its present limits."""
        return self._gate.stats

    @property
    def server_time(self) -> datetime | None:
        """The time by the server's clock, within about a second.

        It is the ``Date`` of the newest answer, plus the time that has passed since
        then. This machine's date is not used.

        Returns:
            An instant in UTC, None before the first answer that has a ``Date``.

        Example:
            >>> await canopy.page("idn_1")
            >>> as_of = canopy.server_time
        """
        return self._transport.server_time

    def set_concurrency(self, concurrency: int) -> None:
        """Limit the requests in flight from now on.

        Requests that are in flight go on: `stats` tells when there are few enough.

        Args:
            concurrency: Requests in flight at most, from 1 to the ``concurrency`` that
                the session was made with.

        Raises:
            TypeError: ``concurrency`` is not an int.
            ValueError: ``concurrency`` is out of bounds.
            RuntimeError: Another event loop is running than that of the session.

        Example:
            >>> canopy.set_concurrency(2)  # be gentle while people are at work
        """
        check_integer("concurrency", concurrency, minimum=1, maximum=self._concurrency)
        self._transport.check_loop()
        self._gate.set_ceiling(concurrency)

    def set_max_rate(self, max_rate: float | None) -> None:
        """Limit the requests started per second from now on.

        Args:
            max_rate: Requests per second, None for no limit.

        Raises:
            TypeError: ``max_rate`` is not a number.
            ValueError: ``max_rate`` is zero, negative or infinite.
            RuntimeError: Another event loop is running than that of the session.
        """
        if max_rate is not None:
            max_rate = check_seconds("max_rate", max_rate)
        self._transport.check_loop()
        self._gate.set_max_rate(max_rate)

    def cool_down(self, seconds: float) -> None:
        """Send no request for a while; requests in flight go on.

        Use it if the server told another process to slow down, which this session
        can't see. Hooks are not told of it.

        Args:
            seconds: How long, from now on; a cooldown that lasts longer already is
                not changed.

        Raises:
            TypeError: ``seconds`` is not a number.
            ValueError: ``seconds`` is zero, negative or infinite.
            RuntimeError: No event loop is running, or another one than that of the
                session.
        """
        check_seconds("seconds", seconds)
        self._transport.check_loop()
        self._gate.cool_down(seconds)

    async def __aenter__(self) -> Self:
        """Return the session itself, which belongs to the running loop from now on.

        Raises:
            SessionClosedError: The session is closed.
            RuntimeError: The session belongs to another event loop.
        """
        self._transport.bind()
        return self

    async def aclose(self) -> None:
        """Close the session and its connections; safe to call twice.

        Reads that are still running raise `SessionClosedError`.

        Raises:
            RuntimeError: Another event loop is running than that of the session; the
                session stays open.
        """
        await self._transport.aclose()
