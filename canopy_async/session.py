"""The session: what a user holds. Its life, its limits and its reads are in its bases.

`_session.settings` checks its arguments, `_session.base_session` has its life and its
limits. `_session.identity_reads`, `_session.many_log_reads` and
`_session.account_reads` have what it reads.
"""

from collections.abc import Awaitable, Callable, Iterable
from ssl import SSLContext
from typing import Self, Unpack

import aiohttp

from canopy_async._session.account_reads import AccountReads
from canopy_async._session.base_session import BaseSession
from canopy_async._session.identity_reads import IdentityReads
from canopy_async._session.many_log_reads import ManyLogReads
from canopy_async._session.settings import (
    DEFAULT_BASE_URL,
    SessionOptions,
    options_from_env,
    parts_from,
)
from canopy_async._util.public import publish, publish_methods
from canopy_async.auth import Credential, TokenProvider
from canopy_async.hooks import Hook
from canopy_async.retry import RetryPolicy

__all__ = ["DEFAULT_BASE_URL", "CanopySession"]


class CanopySession(AccountReads, ManyLogReads):
    """A client of one Canopy account.

    Use it with ``async with``, or call `aclose` when done. One session is
    meant to be shared by everything in an event loop that talks to the same
    account: its limits hold over all of it.

    Args:
        account: The account's slug.
        token: A bearer token, a `TokenProvider`, or an async function that
            returns a token and is asked again when the server says 401.
        base_url: Where the API is; https, or http on loopback.
        concurrency: Requests in flight at most, over all reads.
        max_rate: Requests started per second at most, None for no limit.
        retry: How often and when a failed request is sent again.
        timeout: Seconds for one attempt of a request.
        hooks: Called with a record of each request, retry, cooldown and page.
        http: An aiohttp session to use instead of an own one, without
            ``auth``; it is not closed with this session. Its own limits hold: the
            wait for a free connection of its connector is part of ``timeout``.
        user_agent: Put before this library's own in ``User-Agent``.
        proxy: The URL of an HTTP proxy to send through, such as
            ``http://user:password@proxy:3128``. The variables of the environment are
            not read here; the command line reads them.
        ssl: The context that certificates are checked with, such as
            ``ssl.create_default_context(cafile=...)``; by default, the system's.
        allow_http: Allow http on other hosts than this machine, for a sidecar or a
            network of containers: the token is then sent unencrypted. A warning is
            logged once for each host.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of bounds; the message names it.

    Example:
        >>> async with CanopySession("acme", token) as canopy:
        ...     async for event in canopy.events("idn_1"):
        ...         print(event.created_at, event.action, event.outcome)
    """

    def __init__(
        self,
        account: str,
        token: str | TokenProvider | Callable[[], Awaitable[str]],
        *,
        base_url: str = DEFAULT_BASE_URL,
        concurrency: int = 8,
        max_rate: float | None = None,
        retry: RetryPolicy = RetryPolicy(),
        timeout: float = 60.0,
        hooks: Iterable[Hook] = (),
        http: aiohttp.ClientSession | None = None,
        user_agent: str | None = None,
        proxy: str | None = None,
        ssl: SSLContext | None = None,
        allow_http: bool = False,
    ) -> None:
        credential = Credential(token)
        del token  # a traceback shows this frame's locals
        super().__init__(
            parts_from(
                account,
                credential,
                base_url=base_url,
                concurrency=concurrency,
                max_rate=max_rate,
                retry=retry,
                timeout=timeout,
                hooks=hooks,
                http=http,
                user_agent=user_agent,
                proxy=proxy,
                ssl=ssl,
                allow_http=allow_http,
            )
        )

    @classmethod
    def from_env(cls, **overrides: Unpack[SessionOptions]) -> Self:
        """Return a session configured by environment variables.

        ``CANOPY_ACCOUNT`` and ``CANOPY_TOKEN`` are required unless given as
        ``account`` and ``token``; ``CANOPY_BASE_URL`` is optional.

        Args:
            **overrides: Arguments of the class, which win over the variables.

        Raises:
            ValueError: A required variable is not set; the message names it.
            TypeError: An argument has the wrong type.
        """
        return cls(**options_from_env(overrides))


publish("canopy_async", CanopySession)
publish_methods(CanopySession, BaseSession, IdentityReads, ManyLogReads, AccountReads)
