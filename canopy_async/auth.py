"""Token providers: they return the bearer token, and a new one after a 401."""

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn, Protocol, runtime_checkable

from canopy_async._util.arguments import returns_coroutine
from canopy_async._util.public import publish
from canopy_async._util.redaction import redacted

__all__ = [
    "Credential",
    "InvalidTokenError",
    "RefreshingToken",
    "StaticToken",
    "TokenProvider",
    "as_provider",
]

_VISIBLE: Final = re.compile(r"[!-~]+")


class InvalidTokenError(Exception):
    """The error for a value that can't be sent as a token.

    Attributes:
        cause: TypeError if the value is not a str, ValueError if it is an unsuitable
            one.
    """

    cause: type[Exception] = ValueError


class _NoTextError(TypeError, InvalidTokenError):
    cause = TypeError


class _NotVisibleError(ValueError, InvalidTokenError):
    cause = ValueError


@runtime_checkable
class TokenProvider(Protocol):
    """The protocol of a source of bearer tokens."""

    async def token(self) -> str:
        """Return the current token. This is called before every request."""
        ...

    async def refresh(self, rejected: str) -> str:
        """Return a new token after the server answered 401.

        Many requests may be rejected and call this concurrently. Fetch a new token
        only if ``rejected`` is still the current one; else return the current one.

        Args:
            rejected: The token that the server rejected.

        Returns:
            The token for the next attempt; ``rejected`` itself if there is no other.
        """
        ...


class Credential:
    """A wrapper of a token that ``repr`` and pickle never show; equal by token."""

    __slots__ = ("_token",)

    def __init__(self, token: Any) -> None:
        self._token: Final = token.reveal() if isinstance(token, Credential) else token

    def __repr__(self) -> str:
        """Show nothing of the token."""
        return "<credential>"

    def __eq__(self, other: object) -> bool:
        """Compare by token."""
        return isinstance(other, Credential) and bool(self._token == other._token)

    def __hash__(self) -> int:
        """Hash as the token does."""
        return hash(self._token)

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied."""
        raise TypeError("a credential can't be pickled")

    def reveal(self) -> Any:
        """Return the wrapped value. Pass it on at once, and don't store it."""
        return self._token

    def header(self) -> str:
        """Return the value of the ``Authorization`` header."""
        return f"Bearer {self._token}"

    def redact(self, text: str, most: int) -> str:
        """Return the first ``most`` characters of ``text``, without the token."""
        return redacted(text, str(self._token), most)

    def check(self, name: str) -> None:
        """Raise if the token can't be sent in a header.

        Raises:
            TypeError: It is not a str.
            ValueError: It is empty, or holds anything but visible ASCII.
            InvalidTokenError: The base class of both errors.
        """
        fault = self._fault()
        if fault is not None:
            raise fault(
                f"{name} must be a str of visible ASCII characters,"
                " without spaces or line breaks"
            )

    def _fault(self) -> type[InvalidTokenError] | None:
        if not isinstance(self._token, str):
            return _NoTextError
        return None if _VISIBLE.fullmatch(self._token) else _NotVisibleError


class StaticToken:
    """A token provider with one fixed token; a 401 is final.

    Args:
        token: The bearer token.

    Raises:
        TypeError: The token is not a str.
        ValueError: The token can't be sent in a header.
    """

    __slots__ = ("credential",)

    def __init__(self, token: str) -> None:
        self.credential: Final = Credential(token)
        del token  # a traceback shows this frame's locals
        self.credential.check("token")

    def __repr__(self) -> str:
        """Show nothing of the token."""
        return "StaticToken(<redacted>)"

    async def token(self) -> str:
        """Return the token."""
        return str(self.credential.reveal())

    async def refresh(self, rejected: str) -> str:
        """Return the token: there is no other."""
        del rejected
        return str(self.credential.reveal())


class RefreshingToken:
    """A token provider that fetches a token when needed, and again after a 401.

    ``fetch`` is never called twice at once: all requests that need a token wait for
    one call and use its result. If it raises, they all get its error, and the next
    request calls it again.

    Args:
        fetch: An async function that returns a valid token.

    Raises:
        TypeError: ``fetch`` is not an async function.

    Example:
        >>> async def log_in() -> str:
        ...     return (await idp.client_credentials()).access_token
        >>> session = CanopySession("acme", RefreshingToken(log_in))
    """

    def __init__(self, fetch: Callable[[], Awaitable[str]]) -> None:
        if not _is_async(fetch):
            raise TypeError("fetch must be an async function that returns a token")
        self._fetch = fetch
        self._locks: dict[asyncio.AbstractEventLoop, asyncio.Lock] = {}
        self._current: Credential | None = None
        self._calls = 0
        self._error: Exception | None = None

    def __repr__(self) -> str:
        """Show nothing of the token."""
        return "RefreshingToken(<redacted>)"

    @property
    def current(self) -> Credential | None:
        """The token that was fetched last, or None before the first."""
        return self._current

    async def token(self) -> str:
        """Return the current token; fetch it first if there is none."""
        if self._current is not None:
            return str(self._current.reveal())
        return str((await self._renew(None)).reveal())

    async def refresh(self, rejected: str) -> str:
        """Return a token other than ``rejected``, if ``fetch`` returns another one.

        A token that was fetched meanwhile is returned without another call.
        """
        credential = Credential(rejected)
        del rejected  # a traceback shows this frame's locals
        return str((await self._renew(credential)).reveal())

    async def _renew(self, rejected: Credential | None) -> Credential:
        calls = self._calls
        async with self._lock():
            if self._current is not None and self._current != rejected:
                return self._current
            if self._calls != calls and self._error is not None:
                raise self._error
            if self._calls != calls and self._current is not None:
                return self._current  # a call just returned the rejected token again
            self._current = await self._call()
            return self._current

    def _lock(self) -> asyncio.Lock:
        """Return the running loop's lock: a lock can't be used in two event loops."""
        loop = asyncio.get_running_loop()
        if loop not in self._locks:
            ended = [other for other in self._locks if other.is_closed()]
            for other in ended:
                del self._locks[other]
            self._locks[loop] = asyncio.Lock()
        return self._locks[loop]

    async def _call(self) -> Credential:
        try:
            fetched = Credential(await self._fetch())
            fetched.check("the token that was fetched")
        except Exception as error:
            self._calls += 1
            self._error = error
            raise
        self._calls += 1
        self._error = None
        return fetched


def _is_async(fetch: Any) -> bool:
    """Tell whether ``fetch`` is an async function, as far as can be known.

    For a plain function the answer is certain. Any other object that can be called is
    accepted, as only its call shows whether the result can be awaited.
    """
    if isinstance(fetch, type) or not callable(fetch):
        return False
    if returns_coroutine(fetch):
        return True
    is_plain = inspect.isroutine(fetch) or inspect.isroutine(
        getattr(fetch, "func", None)  # the function of a functools.partial
    )
    return not is_plain


def as_provider(token: Credential) -> TokenProvider:
    """Return a token provider for the ``token`` that a caller passed to a session.

    Args:
        token: A str, a `TokenProvider` or an async function that returns a token. It
            is wrapped, so that no traceback shows it.

    Raises:
        TypeError: The value is none of these.
        ValueError: It is a str that can't be sent in a header.
    """
    if isinstance(token.reveal(), TokenProvider):
        provider: TokenProvider = token.reveal()
        return provider
    if isinstance(token.reveal(), str):
        token.check("token")
        return StaticToken(token.reveal())
    if _is_async(token.reveal()):
        return RefreshingToken(token.reveal())
    raise TypeError(
        "token must be a str, a TokenProvider or an async function that returns a str"
    )


publish("canopy_async", RefreshingToken, StaticToken, TokenProvider)
