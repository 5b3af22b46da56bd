"""Token providers: the sources of bearer tokens, and of new ones after a 401."""

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
        cause: TypeError where it is no str, ValueError where it holds what it must
            not.
    """

    cause: type[Exception] = ValueError


class _NoTextError(TypeError, InvalidTokenError):
    cause = TypeError


class _NotVisibleError(ValueError, InvalidTokenError):
    cause = ValueError


@runtime_checkable
class TokenProvider(Protocol):
    """Gives out the bearer token, and a new one when it was rejected."""

    async def token(self) -> str:
        """Return the current token; called before every request."""
        ...

    async def refresh(self, rejected: str) -> str:
        """Return the token to use instead of one the server answered 401 to.

        Called by every request that was rejected, possibly at once: only the
        first of those that hold the current token should fetch a new one.
        Returning ``rejected`` says that there is no other.
        """
        ...


class Credential:
    """A token that can be sent but is never shown, compared by value."""

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
        """Return what was wrapped, to be passed on and never kept."""
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
            InvalidTokenError: Either of them is one, too.
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
    """One token for good; a 401 is final.

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
    """A token that is fetched when first needed and again after a 401.

    However many requests wait for a token, ``fetch`` runs once at a time:
    the others use what it brings. Where it raises, those who waited for that
    call get its error too, and the next request tries again.

    Args:
        fetch: An async function that returns a valid token.

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
        """The token that was fetched last, None before the first."""
        return self._current

    async def token(self) -> str:
        """Return the current token, fetching the first one."""
        if self._current is not None:
            return str(self._current.reveal())
        return str((await self._renew(None)).reveal())

    async def refresh(self, rejected: str) -> str:
        """Return a token other than ``rejected``, fetching it if need be."""
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
                return self._current  # the rejected one again: there is no other
            self._current = await self._call()
            return self._current

    def _lock(self) -> asyncio.Lock:
        """Return the lock of the running loop: one can't be shared by two."""
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
    """Tell whether something can be called and then awaited, as far as one can see.

    Of a function one can; of another object that can be called, only its call tells.
    """
    if isinstance(fetch, type) or not callable(fetch):
        return False
    if returns_coroutine(fetch):
        return True
    is_plain = inspect.isroutine(fetch) or inspect.isroutine(
        getattr(fetch, "func", None)  # of a functools.partial
    )
    return not is_plain


def as_provider(token: Credential) -> TokenProvider:
    """Return the provider for what a caller passed as ``token``.

    Args:
        token: A str, a `TokenProvider` or an async function that returns a
            token; wrapped, so that no frame holds it bare.

    Raises:
        TypeError: It is none of these.
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
