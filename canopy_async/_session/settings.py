"""The settings of a session: checked, and wired to the parts that keep them."""

import logging
import os
from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache
from ssl import SSLContext
from typing import Any, Final, NamedTuple, TypeAlias, TypedDict, cast

import aiohttp

from canopy_async._api.base_url import is_loopback, parse_base_url, parse_proxy
from canopy_async._transport.gate import Gate
from canopy_async._transport.transport import Transport
from canopy_async._util.arguments import (
    check_flag,
    check_integer,
    check_seconds,
    check_segment,
    check_text,
    check_type,
)
from canopy_async._version import __version__
from canopy_async.auth import Credential, TokenProvider, as_provider
from canopy_async.hooks import Hook, Hooks
from canopy_async.retry import RetryPolicy

__all__ = [
    "DEFAULT_BASE_URL",
    "AnyToken",
    "SessionOptions",
    "SessionParts",
    "options_from_env",
    "parts_from",
]

DEFAULT_BASE_URL: Final = "https://api.canopy.dev"

AnyToken: TypeAlias = str | TokenProvider | Callable[[], Awaitable[str]]
"""A token, or a source of tokens."""

_log: Final = logging.getLogger("canopy_async")

_VARIABLES: Final = {
    "account": "CANOPY_ACCOUNT",
    "token": "CANOPY_TOKEN",
    "base_url": "CANOPY_BASE_URL",
}
"""Arguments of a session that the environment may give, and the variable of each."""

_OPTIONAL: Final = frozenset({"base_url"})


class SessionOptions(TypedDict, total=False):
    """The arguments of `CanopySession`, by their names."""

    account: str
    token: AnyToken
    base_url: str
    concurrency: int
    max_rate: float | None
    retry: RetryPolicy
    timeout: float
    hooks: Iterable[Hook]
    http: aiohttp.ClientSession | None
    user_agent: str | None
    proxy: str | None
    ssl: SSLContext | None
    allow_http: bool


class SessionParts(NamedTuple):
    """The parts of a session, made by its settings.

    Attributes:
        account: The account's slug.
        base_url: The base URL of the API, without a trailing slash.
        concurrency: Requests in flight at most, over all reads.
        gate: Admits the requests.
        transport: Sends the requests.
    """

    account: str
    base_url: str
    concurrency: int
    gate: Gate
    transport: Transport


def parts_from(
    account: str,
    credential: Credential,
    *,
    base_url: str,
    concurrency: int,
    max_rate: float | None,
    retry: RetryPolicy,
    timeout: float,
    hooks: Iterable[Hook],
    http: aiohttp.ClientSession | None,
    user_agent: str | None,
    proxy: str | None,
    ssl: SSLContext | None,
    allow_http: bool,
) -> SessionParts:
    """Check the arguments of a session, and return the parts that keep them.

    Args:
        account: As in `CanopySession`, like all that follow.
        credential: The token, or the source of tokens.
        base_url: Where the API is.
        concurrency: Requests in flight at most.
        max_rate: Requests started per second at most.
        retry: How often and when a failed request is sent again.
        timeout: Seconds for one attempt of a request.
        hooks: Called with records of what the session does.
        http: An aiohttp session to use.
        user_agent: Put before this library's own in ``User-Agent``.
        proxy: The URL of an HTTP proxy.
        ssl: The context that certificates are checked with.
        allow_http: Whether http is allowed on other hosts than this machine.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of bounds; the message names it.
    """
    account = check_segment("account", account)
    allow_http = check_flag("allow_http", allow_http)
    base_url = parse_base_url(base_url, allow_http=allow_http)
    if allow_http:
        _warn_of_http(base_url)
    concurrency = check_integer("concurrency", concurrency, minimum=1)
    if max_rate is not None:
        max_rate = check_seconds("max_rate", max_rate)
    check_type("retry", retry, RetryPolicy)
    if ssl is not None:
        check_type("ssl", ssl, SSLContext)
    if http is not None:
        _check_http(http)
    gate = Gate(concurrency, max_rate=max_rate, retry=retry)
    transport = Transport(
        base_url=base_url,
        provider=as_provider(credential),
        gate=gate,
        retry=retry,
        timeout=check_seconds("timeout", timeout),
        hooks=Hooks(hooks),
        headers=_headers(base_url, user_agent),
        http=http,
        proxy=None if proxy is None else parse_proxy(proxy),
        ssl=ssl,
    )
    return SessionParts(account, base_url, concurrency, gate, transport)


def options_from_env(given: SessionOptions) -> SessionOptions:
    """Add to the arguments of a session those that the environment has.

    The token is wrapped, in ``given`` itself: a traceback shows what its frames hold.

    Args:
        given: The arguments that win over the variables of the environment.

    Returns:
        ``given``, with what was missing.

    Raises:
        ValueError: A required variable is not set; the message names it.
    """
    options = cast("dict[str, Any]", given)
    if "token" in options:
        options["token"] = Credential(options["token"])
    for name, variable in _VARIABLES.items():
        if name in options:
            continue
        if os.environ.get(variable):
            options[name] = _read_variable(name, variable)
        elif name not in _OPTIONAL:
            raise ValueError(f"set {variable}, or pass {name}")
    return given


def _read_variable(name: str, variable: str) -> str | Credential:
    if name == "token":
        return Credential(os.environ[variable])
    return os.environ[variable]


@lru_cache(maxsize=64)
def _warn_of_http(base_url: str) -> None:
    """Warn once of each host that a token is sent to without encryption."""
    if base_url.lower().startswith("http:") and not is_loopback(base_url):
        _log.warning("%s is not encrypted: the token can be read on the way", base_url)


def _check_http(http: Any) -> None:
    check_type("http", http, aiohttp.ClientSession)
    if http.auth is not None:
        raise ValueError("http must not have auth: the token is sent")


def _headers(base_url: str, user_agent: str | None) -> dict[str, str]:
    own = f"canopy-async/{__version__}"
    if user_agent is not None:
        check_text("user_agent", user_agent)
        if not user_agent.isprintable():
            raise ValueError("user_agent must not hold control characters")
    return {
        "Accept": "application/json",
        # Compression costs more than it saves where no network is in between.
        "Accept-Encoding": "identity" if is_loopback(base_url) else "gzip",
        "User-Agent": f"{user_agent} {own}" if user_agent else own,
    }
